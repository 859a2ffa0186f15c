//! What becomes of a command: it is done, or there is an exit code and a line that says why not.

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// Refused or failed.
    Refused(String),
    /// Asked for in a wrong way.
    Usage(String),
    /// The service cannot be reached.
    Unreachable(String),
}

impl Failure {
    /// The same, with more to say.
    pub fn with(self, more: &str) -> Self {
        match self {
            Self::Refused(message) => Self::Refused(message + more),
            Self::Usage(message) => Self::Usage(message + more),
            Self::Unreachable(message) => Self::Unreachable(message + more),
        }
    }

    /// The exit code, and what to say.
    pub fn parts(&self) -> (u8, &str) {
        match self {
            Self::Refused(message) => (1, message),
            Self::Usage(message) => (2, message),
            Self::Unreachable(message) => (3, message),
        }
    }
}

/// What becomes of a command.
pub type Outcome = Result<(), Failure>;
