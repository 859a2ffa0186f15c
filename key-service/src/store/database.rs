//! The database while it is open: who reads it, who writes, what is announced.
//!
//! One connection writes, so writes have an order without effort, and a queue before it lets what is urgent
//! go first; a pool of others reads, each statement or transaction from one snapshot (WAL). The last changes are in
//! memory as well: who waits for the next one does not queue behind look-ups.

use std::fs::File;
use std::sync::Arc;

use sqlx::SqlitePool;
use tokio::sync::watch;

use super::error::StoreError;
use super::file::DatabaseFile;
use super::queue::Queue;
use super::recent::Recent;
use super::stored::{self, Stored};
use super::writable::Writable;
use crate::domain::credential::Digest;
use crate::domain::key::Key;

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
    pub(super) readers: SqlitePool,
    /// Never used: while it is open, SQLite does not remove the log beside the file.
    pub(super) keeper: SqlitePool,
    pub(super) writer: SqlitePool,
    pub(super) queue: Arc<Queue>,
    pub(super) writable: Arc<Writable>,
    pub(super) file: Arc<DatabaseFile>,
    pub(super) sequence: watch::Sender<i64>,
    pub(super) recent: Arc<Recent>,
    pub(super) _in_use: Arc<File>,
}

impl Store {
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

    /// The record of this id.
    pub async fn by_id<T: Stored>(&self, id: &str) -> Result<Option<T>, StoreError> {
        stored::by_id(&self.readers, id).await
    }

    /// The key of this digest.
    pub async fn key_by_digest(&self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        stored::key_by_digest(&self.readers, digest).await
    }
}

/// Moves the announced sequence forward, never back: announcements may overtake each other.
pub(super) fn announce(sequence: &watch::Sender<i64>, value: i64) {
    sequence.send_if_modified(|current| {
        let newer = value > *current;
        if newer {
            *current = value;
        }
        newer
    });
}
