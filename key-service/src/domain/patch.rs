//! A field of a change.

/// A field of a change: left as it is, or set to something (which may be nothing).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The change does not name the field.
    #[default]
    Keep,
    /// The change sets the field.
    Set(T),
}

impl<T> Patch<T> {
    /// What the field is set to, if it is.
    pub fn given(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Puts the new value, if there is one, in the place of the old.
    pub fn apply(self, field: &mut T) {
        if let Self::Set(value) = self {
            *field = value;
        }
    }
}
