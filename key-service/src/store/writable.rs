//! Whether the database takes writes, as far as the last one tells.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Failure, StoreError};

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

    /// Whether a write ought to be tried.
    pub(super) fn is_in_doubt(&self) -> bool {
        let last = self.last();
        last.failed.is_some() || last.at.elapsed() >= RECENT
    }

    /// Why the last write did not happen, if it did not.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.last().failed.clone()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
