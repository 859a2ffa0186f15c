//! The database while it is open: who reads it, who writes, what is announced.
//!
//! On SQLite one connection writes, on PostgreSQL a row that each write locks first lets one write at a time, of
//! whichever service: so writes have an order without effort. A queue before it lets what is urgent go first; other
//! connections read, each statement or transaction from one snapshot. The last changes are in
//! memory as well: who waits for the next one does not queue behind look-ups.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqlitePool;
use tokio::sync::watch;

use super::error::{OpenError, StoreError};
use super::file::DatabaseFile;
use super::location::Location;
use super::measures::{Measures, PoolSize};
use super::pool::Pool;
use super::queue::Queue;
use super::recent::Recent;
use super::server::Server;
use super::sql::Statement;
use super::stored::{self, Stored};
use super::writable::Writable;
use crate::domain::credential::Digest;
use crate::domain::key::Key;

/// How soon the feed learns of writes to the file by another process, such as `demo` beside a running service.
const FOREIGN_WRITES: Duration = Duration::from_millis(500);

/// How far numbers are moved on where the database has another history: further than a service can have written since
/// the two parted, and far below what JSON numbers hold (2^53).
pub(super) const MOVED_ON: i64 = 1_000_000_000;

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
    pub(super) readers: Pool,
    pub(super) writer: Pool,
    pub(super) queue: Arc<Queue>,
    /// Where counts of use wait. On SQLite it is the same one: there they are writes like all others.
    pub(super) reports: Arc<Queue>,
    pub(super) writable: Arc<Writable>,
    pub(super) sequence: watch::Sender<i64>,
    pub(super) recent: Arc<Recent>,
    pub(super) measures: Measures,
    pub(super) engine: Engine,
}

/// What each of the two databases needs beside its connections.
#[derive(Debug, Clone)]
pub(super) enum Engine {
    Sqlite(Arc<OpenFile>),
    Postgres(Arc<Server>),
}

/// A file of SQLite while it is open.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub file: Arc<DatabaseFile>,
    /// Never used: while it is open, SQLite does not remove the log beside the file.
    pub keeper: SqlitePool,
    pub _in_use: File,
}

impl Engine {
    /// Whether a write can be begun.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(open) => open.file.check().map_err(StoreError::Gone),
            Self::Postgres(server) => server.check(),
        }
    }
}

impl Store {
    /// Opens the database and brings its tables up to date.
    pub async fn open(location: impl Into<Location>, missing: Missing) -> Result<Self, OpenError> {
        match location.into() {
            Location::File(path) => Ok(Self::open_file(&path, missing).await?),
            Location::Postgres { url, connections } => {
                Self::open_postgres(&url, connections, missing).await
            }
        }
    }

    /// What the database is called.
    pub fn engine(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgresql",
        }
    }

    /// Whether writes of other services wake those who follow as soon as they are made. To a file, there are none.
    pub fn is_listening(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => true,
            Engine::Postgres(server) => server.is_listening(),
        }
    }

    /// What is counted and measured.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// How the connections are used.
    pub fn pool_sizes(&self) -> [PoolSize; 2] {
        [self.readers.size("readers"), self.writer.size("writers")]
    }

    /// Learns of what other processes write, for as long as it is awaited.
    pub async fn follow(&self) {
        match &self.engine {
            Engine::Postgres(server) => self.follow_server(server).await,
            Engine::Sqlite(_) => loop {
                if let Err(error) = self.refresh_sequence().await {
                    tracing::warn!(%error, "the sequence could not be read");
                }
                tokio::time::sleep(FOREIGN_WRITES).await;
            },
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
        let value = self.read_sequence().await?;
        // With PostgreSQL they are woken when what is new was read for all of them.
        if matches!(self.engine, Engine::Sqlite(_)) || self.sequence() == 0 {
            announce(&self.sequence, value);
        }
        Ok(value)
    }

    pub(super) async fn read_sequence(&self) -> Result<i64, StoreError> {
        Statement::new("SELECT value FROM sequence")
            .scalar(&self.readers)
            .await
    }

    /// The record of this id.
    pub async fn by_id<T: Stored>(&self, id: &str) -> Result<Option<T>, StoreError> {
        stored::by_id(&self.readers, id).await
    }

    /// The records of these ids, as far as there are any.
    pub async fn by_ids<T: Stored>(&self, ids: &[&str]) -> Result<Vec<T>, StoreError> {
        stored::by_ids(&self.readers, ids).await
    }

    /// The keys of these digests, as far as there are any.
    pub async fn keys_by_digests(&self, digests: &[&str]) -> Result<Vec<Key>, StoreError> {
        stored::keys_by_digests(&self.readers, digests).await
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
