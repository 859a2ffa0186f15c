//! Whether the database takes writes. The last write tells; where there was none for a while, or the last one
//! failed, a write of no consequence does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::Urgency;
use super::{Failure, Store, StoreError};

/// A database that was written to within this time takes writes.
const RECENT: Duration = Duration::from_secs(10);

/// What is known of the last write.
#[derive(Debug)]
pub(super) struct Writable(Mutex<Last>);

#[derive(Debug)]
struct Last {
    at: Instant,
    failed: Option<Refused>,
}

/// Why the last write did not happen.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What kind of error it was.
    pub failure: Failure,
    /// For people.
    pub why: String,
}

impl Default for Writable {
    fn default() -> Self {
        Self(Mutex::new(Last {
            at: Instant::now(),
            failed: None,
        }))
    }
}

impl Writable {
    /// A write was made.
    pub(super) fn succeeded(&self) {
        let mut last = self.last();
        if last.failed.take().is_some() {
            tracing::info!("the database takes writes again");
        }
        last.at = Instant::now();
    }

    /// A write failed because of the database.
    pub(super) fn failed(&self, error: &StoreError) {
        let refused = Refused {
            failure: error.failure(),
            why: error.to_string(),
        };
        let mut last = self.last();
        let known = last
            .failed
            .as_ref()
            .is_some_and(|before| before.failure == refused.failure);
        if !known {
            tracing::error!(
                error = refused.why,
                "the database takes no writes: nobody can be stopped, and nothing be changed, until it does"
            );
        }
        last.failed = Some(refused);
    }

    fn is_in_doubt(&self) -> bool {
        let last = self.last();
        last.failed.is_some() || last.at.elapsed() >= RECENT
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Why the database takes no writes, if it does not.
    pub fn refused_write(&self) -> Option<Refused> {
        if let Err(why) = self.file.check() {
            let error = StoreError::Gone(why);
            self.writable.failed(&error);
        }
        self.writable.last().failed.clone()
    }

    /// Writes what nobody reads, where it is in doubt whether that can be done.
    pub async fn probe(&self) {
        if !self.writable.is_in_doubt() {
            return;
        }
        let Err(error) = self.write_probe().await else {
            return;
        };
        // A queue that is long says that writes are made.
        if !matches!(error, StoreError::Queue) {
            self.writable.failed(&error);
        }
    }

    async fn write_probe(&self) -> Result<(), StoreError> {
        let failed = self.writable.last().failed.is_some();
        let mut write = self.write_as(Urgency::Change, "probe", 0).await?;
        // After a failure as much as a large write needs: on a full disk a small one may find room in what
        // the log has already.
        let sql = if failed {
            "UPDATE probe SET number = number + 1, filler = randomblob(65536)"
        } else {
            "UPDATE probe SET number = number + 1"
        };
        sqlx::query(sql).execute(write.connection()).await?;
        write.commit().await
    }
}
