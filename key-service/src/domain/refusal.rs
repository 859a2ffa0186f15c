//! Why the domain refuses a change: the request is wrong in itself, or it collides with what is
//! there. The HTTP layer turns the first into 400 and the second into 409.

use serde::Serialize;
use utoipa::ToSchema;

/// One field that is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `hours.from` or `scopes[2]`; empty for the whole body.
    #[schema(example = "scopes[2]")]
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The rule of the key's tenant that is broken, where that is wrong.
    #[schema(example = "max_lifetime")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
}

impl FieldError {
    /// An error of the field with this path.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            rule: None,
        }
    }
}

/// A change that the domain does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is wrong in itself: every wrong field is listed.
    Invalid(Vec<FieldError>),
    /// The request is sound, but what is there forbids it.
    Conflict(String),
}

impl Refusal {
    /// A refusal because of a single field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// A refusal because of what is there already.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }

    /// `Ok` without errors, else the refusal that lists them.
    pub fn unless_empty(errors: Vec<FieldError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(errors))
        }
    }

    /// The errors of a part, as fields of the whole.
    pub fn within(self, outer: &str) -> Vec<FieldError> {
        let errors = match self {
            Self::Invalid(errors) => errors,
            Self::Conflict(message) => vec![FieldError::new("", message)],
        };
        let within = |error: FieldError| FieldError {
            field: join(outer, &error.field),
            ..error
        };
        errors.into_iter().map(within).collect()
    }
}

/// The path of a field within another.
pub fn join(outer: &str, inner: &str) -> String {
    match inner {
        inner if outer.is_empty() => inner.to_owned(),
        "" => outer.to_owned(),
        inner if inner.starts_with('[') => format!("{outer}{inner}"),
        inner => format!("{outer}.{inner}"),
    }
}
