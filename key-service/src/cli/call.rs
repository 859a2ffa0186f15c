//! A call of the admin API, and its answer.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Method;

/// Longer than the service takes for any request.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Longer than the service takes for what it does in parts.
const PATIENCE: Duration = Duration::from_secs(600);

/// A call of the admin API.
pub struct Call<'c> {
    /// What to do.
    pub method: &'c Method,
    /// With what, below `/admin/v1`.
    pub path: &'c str,
    /// The body with its media type.
    pub content: Option<(&'c str, Vec<u8>)>,
    /// Only if what it is about is in the state of this tag.
    pub if_match: Option<String>,
    /// How long to wait for the answer.
    pub longest: Duration,
}

impl<'c> Call<'c> {
    /// A call without a body.
    pub fn new(method: &'c Method, path: &'c str) -> Self {
        Self {
            method,
            path,
            content: None,
            if_match: None,
            longest: LONGEST_WAIT,
        }
    }

    /// With this body.
    pub fn body(self, body: Value) -> Self {
        Self {
            content: Some(("application/json", body.to_string().into_bytes())),
            ..self
        }
    }

    /// Only if what it is about is in the state of this tag.
    pub fn if_match(self, tag: impl ToString) -> Self {
        Self {
            if_match: Some(tag.to_string()),
            ..self
        }
    }

    /// For what may take minutes.
    pub fn patient(self) -> Self {
        Self {
            longest: PATIENCE,
            ..self
        }
    }
}

/// What the service answers.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; null where there is none.
    pub body: Value,
}

impl Answer {
    /// Whether it did what it was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
