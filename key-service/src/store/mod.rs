//! Records in a SQLite file. Nothing of SQL leaves this folder: another database would be
//! another folder with the same methods.
//!
//! One connection writes, so writes have an order without effort, and a queue before it lets what is urgent
//! go first; a pool of others reads, each statement or transaction from one snapshot (WAL). The last changes are in memory as well: who waits for
//! the next one does not queue behind look-ups.

use std::fs::File;
use std::sync::Arc;

use sqlx::SqlitePool;
use tokio::sync::watch;

pub mod audit;
pub mod backup;
pub mod chain;
pub mod changes;
pub mod counts;
mod file;
mod open;
pub mod page;
mod queue;
mod recent;
pub mod resolve;
mod rows;
mod schema;
pub mod tokens;
pub mod usage;
mod writable;
mod write;

pub use queue::Urgency;
pub use writable::Refused;
pub use write::Write;

use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::usage::UsedKey;
use crate::domain::user::User;
use file::DatabaseFile;
use page::{KeyFilter, Page, PageRequest, TenantFilter, UserFilter};
use queue::Queue;
use recent::Recent;
use writable::Writable;

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
        let locked = matches!(open::result_code(&error), Some(5 | 6));
        if locked || matches!(error, sqlx::Error::PoolTimedOut) {
            Self::Busy(error)
        } else {
            Self::Database(error)
        }
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
    /// Never used: while it is open, SQLite does not remove the log beside the file.
    keeper: SqlitePool,
    writer: SqlitePool,
    queue: Arc<Queue>,
    writable: Arc<Writable>,
    file: Arc<DatabaseFile>,
    sequence: watch::Sender<i64>,
    recent: Arc<Recent>,
    _in_use: Arc<File>,
}

impl Store {
    /// Begins the only write there is at a time. `actor` is named in the audit log.
    pub async fn write(&self, actor: &str, now: i64) -> Result<Write, StoreError> {
        self.write_as(Urgency::Change, actor, now).await
    }

    /// The same, before or behind others that wait.
    pub async fn write_as(
        &self,
        urgency: Urgency,
        actor: &str,
        now: i64,
    ) -> Result<Write, StoreError> {
        let turn = self.queue.turn(urgency).await.ok_or(StoreError::Queue)?;
        let begun = async {
            self.file.check().map_err(StoreError::Gone)?;
            let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            Ok::<_, StoreError>(transaction)
        };
        match begun.await {
            Ok(transaction) => Ok(Write::new(transaction, turn, self, actor, now)),
            Err(error) => {
                self.writable.failed(&error);
                Err(error)
            }
        }
    }

    /// Tells of every commit: the sequence number that became visible with it.
    pub fn watch_sequence(&self) -> watch::Receiver<i64> {
        self.sequence.subscribe()
    }

    /// The number of the last write, as far as it was announced. 0: nothing was ever written.
    pub fn sequence(&self) -> i64 {
        *self.sequence.borrow()
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

    /// The key of this digest.
    pub async fn key_by_digest(&self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        rows::key_by_digest(&self.readers, digest).await
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
