//! Records in a SQLite file. Nothing of SQL leaves this folder: another database would be
//! another folder with the same methods.
//!
//! One connection writes, so writes have an order without effort; a pool of others reads, each
//! statement or transaction from one snapshot (WAL).

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

pub mod audit;
pub mod changes;
pub mod page;
pub mod resolve;
mod rows;
pub mod tokens;
pub mod usage;
mod write;

pub use write::Write;

use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::usage::UsedKey;
use crate::domain::user::User;
use page::{KeyFilter, Page, PageRequest, TenantFilter, UserFilter};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections that read at the same time; each is a thread, and reads are short.
const READERS: u32 = 4;
/// How long a statement waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a request waits for its turn before it is told that the service is overloaded.
const TURN: Duration = Duration::from_secs(10);

/// What can go wrong with the database while it is in use.
#[derive(Debug)]
pub enum StoreError {
    /// The database did not do it.
    Database(sqlx::Error),
    /// A stored record cannot be read: somebody else wrote to the file.
    Corrupt(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
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
        Self::Database(error)
    }
}

/// What to do where there is no database yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make one.
    Create,
    /// Refuse.
    Refuse,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    sequence: watch::Sender<i64>,
}

impl Store {
    /// Opens the database and brings its tables up to date. The error is one line for people.
    pub async fn open(path: &Path, missing: Missing) -> Result<Self, String> {
        if missing == Missing::Refuse && !path.exists() {
            return Err(format!(
                "there is no database at {}: check --database, or start the service once to make it",
                path.display()
            ));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A revocation that was answered must outlive a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(TURN)
            .connect_with(options.clone())
            .await
            .map_err(|error| cannot_open(path, &error))?;
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => format!(
                "the database {} was written by a newer key-service: use that version, or restore an older backup",
                path.display()
            ),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                cannot_open(path, &error)
            }
            other => format!("cannot bring the database {} up to date: {other}", path.display()),
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(TURN)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(|error| cannot_open(path, &error))?;
        let store = Self {
            readers,
            writer,
            sequence: watch::Sender::new(0),
        };
        store
            .refresh_sequence()
            .await
            .map_err(|error| format!("cannot read the database {}: {error}", path.display()))?;
        Ok(store)
    }

    /// Begins the only write there is at a time. `actor` is named in the audit log.
    pub async fn write(&self, actor: &str, now: i64) -> Result<Write, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write::new(transaction, self.sequence.clone(), actor, now))
    }

    /// Tells of every commit: the sequence number that became visible with it.
    pub fn watch_sequence(&self) -> watch::Receiver<i64> {
        self.sequence.subscribe()
    }

    /// Reads the sequence number, and wakes the watchers if another process has moved it.
    pub async fn refresh_sequence(&self) -> Result<i64, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM sequence")
            .fetch_one(&self.readers)
            .await?;
        announce(&self.sequence, value);
        Ok(value)
    }

    /// The tenant of this id.
    pub async fn tenant(&self, id: &str) -> Result<Option<Tenant>, StoreError> {
        rows::tenant_by_id(&self.readers, id).await
    }

    /// The user of this id.
    pub async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        rows::user_by_id(&self.readers, id).await
    }

    /// The key of this id.
    pub async fn key(&self, id: &str) -> Result<Option<Key>, StoreError> {
        rows::key_by_id(&self.readers, id).await
    }

    /// A page of tenants, oldest first.
    pub async fn tenants(
        &self,
        filter: &TenantFilter,
        page: PageRequest,
    ) -> Result<Page<Tenant>, StoreError> {
        page::tenants(&self.readers, filter, page).await
    }

    /// A page of users, oldest first.
    pub async fn users(
        &self,
        filter: &UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>, StoreError> {
        page::users(&self.readers, filter, page).await
    }

    /// A page of keys, oldest first.
    pub async fn keys(
        &self,
        filter: &KeyFilter,
        page: PageRequest,
    ) -> Result<Page<UsedKey>, StoreError> {
        page::keys(&self.readers, filter, page).await
    }

    /// Writes the log back into the database file and closes it.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.writer)
            .await
        {
            tracing::warn!(%error, "the database was not checkpointed; the next start does it");
        }
        self.writer.close().await;
    }
}

/// Moves the announced sequence forward, never back: announcements may overtake each other.
fn announce(sequence: &watch::Sender<i64>, value: i64) {
    sequence.send_if_modified(|current| {
        let newer = value > *current;
        if newer {
            *current = value;
        }
        newer
    });
}

/// SQLite's result codes that have a remedy of their own.
fn cannot_open(path: &Path, error: &sqlx::Error) -> String {
    let path = path.display();
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse::<u32>().ok())
        // The low byte is the primary code, the rest narrows it.
        .map(|code| code & 0xff);
    match code {
        Some(5 | 6) => format!(
            "the database {path} is locked by another process: stop that process, or use another file"
        ),
        Some(11 | 26) => format!(
            "the file {path} is no intact SQLite database: restore a backup, or name another file with --database"
        ),
        Some(8) => format!(
            "the database {path} cannot be written: check the permissions of the file and its folder"
        ),
        Some(14) => format!(
            "the database {path} cannot be opened: check that its folder exists and can be written"
        ),
        _ => format!("cannot open the database {path}: {error}"),
    }
}
