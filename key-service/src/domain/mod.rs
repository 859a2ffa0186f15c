//! What keys, users and tenants are, and the rules they obey. No SQL and no HTTP: the store
//! writes down what this module allows, the HTTP layer says what it refused.

pub mod audit;
pub mod credential;
pub mod fence;
pub mod input;
pub mod key;
mod near;
pub mod refusal;
pub mod tenant;
pub mod text;
pub mod time;
pub mod token;
pub mod usage;
pub mod user;
pub mod words;

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
    /// Puts the new value, if there is one, in the place of the old.
    pub fn apply(self, field: &mut T) {
        if let Self::Set(value) = self {
            *field = value;
        }
    }
}
