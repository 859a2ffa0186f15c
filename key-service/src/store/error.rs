//! What can go wrong with the database while it is in use.

/// What can go wrong with the database while it is in use.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds the database for longer than a request waits.
    Busy(sqlx::Error),
    /// Other writes went first for longer than a request waits.
    Queue,
    /// The file that is open is not the one under its name any more, so that what is written would be lost.
    Gone(String),
    /// The database rolled a transaction back by itself, as it does where the disk is full or fails.
    RolledBack,
    /// The database did not do it.
    Database(sqlx::Error),
    /// A stored record cannot be read: somebody else wrote to the file.
    Corrupt(String),
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The database is locked.
    Busy,
    /// It did not do what was asked.
    Failed,
    /// It holds a record that cannot be read.
    Corrupt,
    /// Its file was deleted, moved or replaced.
    Gone,
}

impl StoreError {
    /// What kind of error it is.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Busy(_) | Self::Queue => Failure::Busy,
            Self::Gone(_) => Failure::Gone,
            Self::Database(_) | Self::RolledBack => Failure::Failed,
            Self::Corrupt(_) => Failure::Corrupt,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(error) => write!(formatter, "the database is locked: {error}"),
            Self::Queue => write!(formatter, "other writes went first for too long"),
            Self::Gone(what) => write!(
                formatter,
                "{what}: put it back, or restart the service on the right file"
            ),
            Self::RolledBack => write!(
                formatter,
                "the database rolled a write back by itself: its disk is full or fails"
            ),
            Self::Database(error) => write!(formatter, "database: {error}"),
            Self::Corrupt(what) => write!(
                formatter,
                "database holds a record that cannot be read: {what}"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let locked = matches!(result_code(&error), Some(5 | 6));
        if locked || matches!(error, sqlx::Error::PoolTimedOut) {
            Self::Busy(error)
        } else {
            Self::Database(error)
        }
    }
}

/// The primary one of SQLite's result codes.
pub(super) fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    // The low byte is the primary code, the rest narrows it.
    Some(code & 0xff)
}
