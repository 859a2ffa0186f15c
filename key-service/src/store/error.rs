//! What can go wrong with the database while it is in use.

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// What can go wrong with the database while it is in use.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds the database for longer than a request waits.
    Busy(sqlx::Error),
    /// Other writes went first for longer than a request waits.
    Queue,
    /// It did not answer in time.
    Slow,
    /// It cannot be reached, or ends.
    Away(Option<sqlx::Error>),
    /// It takes no writes, as a primary that was set to read-only, or a standby.
    ReadOnly(sqlx::Error),
    /// The file that is open is not the one under its name any more, so that what is written would be lost.
    Gone(String),
    /// The database rolled a transaction back by itself, as it does where the disk is full or fails.
    RolledBack,
    /// The database did not do it.
    Database(sqlx::Error),
    /// A stored record cannot be read: somebody else wrote to the file.
    Corrupt(String),
    /// The record to be written is not the writer's to write.
    OutOfReach,
}

/// Why a database was not opened, in one line for people.
#[derive(Debug)]
pub enum OpenError {
    /// Its server cannot be reached, and may be there later.
    Away(String),
    /// It is not what it has to be.
    Refused(String),
}

impl From<String> for OpenError {
    fn from(line: String) -> Self {
        Self::Refused(line)
    }
}

impl From<OpenError> for String {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Away(line) | OpenError::Refused(line) => line,
        }
    }
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The database is locked, or slow.
    Busy,
    /// It did not do what was asked.
    Failed,
    /// It holds a record that cannot be read.
    Corrupt,
    /// Its file was deleted, moved or replaced.
    Gone,
    /// It cannot be reached.
    Away,
    /// It takes no writes.
    ReadOnly,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Busy,
        Self::Failed,
        Self::Corrupt,
        Self::Gone,
        Self::Away,
        Self::ReadOnly,
    ];
}

impl StoreError {
    /// What kind of error it is.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Busy(_) | Self::Queue | Self::Slow => Failure::Busy,
            Self::Away(_) => Failure::Away,
            Self::ReadOnly(_) => Failure::ReadOnly,
            Self::Gone(_) => Failure::Gone,
            Self::Database(_) | Self::RolledBack | Self::OutOfReach => Failure::Failed,
            Self::Corrupt(_) => Failure::Corrupt,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(error) => write!(formatter, "the database is locked: {error}"),
            Self::Queue => write!(formatter, "other writes went first for too long"),
            Self::Slow => write!(formatter, "the database did not answer in time"),
            Self::Away(Some(error)) => write!(formatter, "the database is away: {error}"),
            Self::Away(None) => write!(formatter, "the database is away"),
            Self::ReadOnly(error) => write!(formatter, "the database takes no writes: {error}"),
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
            Self::OutOfReach => write!(formatter, "the record is not the writer's to write"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(state) = sql_state(&error) {
            return match state {
                // Read-only transaction.
                "25006" => Self::ReadOnly(error),
                // Ended by an operator, shut down, crashed, cannot connect now; connection lost.
                "57P01" | "57P02" | "57P03" => Self::Away(Some(error)),
                state if state.starts_with("08") => Self::Away(Some(error)),
                // Timeouts of locks, statements and idle transactions, deadlock, too many connections.
                "55P03" | "57014" | "25P03" | "40001" | "40P01" | "53300" => Self::Busy(error),
                _ => Self::Database(error),
            };
        }
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => {
                Self::Away(Some(error))
            }
            sqlx::Error::PoolTimedOut => Self::Busy(error),
            error if matches!(result_code(&error), Some(5 | 6)) => Self::Busy(error),
            error => Self::Database(error),
        }
    }
}

/// The primary one of SQLite's result codes.
pub(super) fn result_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<SqliteError>()?;
    let code = error.code()?.parse::<u32>().ok()?;
    // The low byte is the primary code, the rest narrows it.
    Some(code & 0xff)
}

/// PostgreSQL's SQLSTATE.
pub(super) fn sql_state(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?;
    Some(error.try_downcast_ref::<PgDatabaseError>()?.code())
}
