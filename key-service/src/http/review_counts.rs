//! How many keys ask for a look, for monitors. To count them is to read all keys: it is done beside the request that asks,
//! and in a small part of the time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::domain::reach::Reach;
use crate::domain::review::{DORMANT_AFTER, EXPIRES_WITHIN, Review, ReviewReason};
use crate::domain::time::now;
use crate::store::{Store, StoreError};

/// How long who asks waits for new counts; then the last ones are told.
const WAIT: Duration = Duration::from_secs(2);
/// A count is followed by a rest of this many times as long as it took.
const REST: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
}

/// The last counts.
#[derive(Debug, Clone, Default)]
pub struct ReviewCounts {
    keys: Family<Labels, Gauge>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    counting: bool,
    /// When to count again.
    next: Option<Instant>,
}

impl ReviewCounts {
    /// Nothing is counted so far.
    pub fn new(registry: &mut Registry) -> Self {
        let counts = Self::default();
        registry.register(
            "keys_to_review",
            "Keys that ask for a look, by reason; a key may have several",
            counts.keys.clone(),
        );
        counts
    }

    /// Counts, unless that is going on or was done not long ago.
    pub async fn refresh(&self, store: &Store) {
        if !self.begin() {
            return;
        }
        let (counts, store) = (self.clone(), store.clone());
        let counting = tokio::spawn(async move {
            let began = Instant::now();
            if let Err(error) = counts.count(&store).await {
                tracing::warn!(%error, "the keys that ask for a look could not be counted");
            }
            let mut state = counts.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.counting = false;
            state.next = Some(Instant::now() + began.elapsed() * REST);
        });
        let _ = tokio::time::timeout(WAIT, counting).await;
    }

    fn begin(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = state.next.is_some_and(|next| Instant::now() < next);
        if state.counting || resting {
            return false;
        }
        state.counting = true;
        true
    }

    async fn count(&self, store: &Store) -> Result<(), StoreError> {
        let review = Review {
            now: now(),
            dormant_after: DORMANT_AFTER,
            expires_within: EXPIRES_WITHIN,
            reported_since: store.usage_reported_since().await?,
        };
        let mut reviewing = store.review(review, Reach::Everything, None, 0).await?;
        let mut counts = [0; ReviewReason::WORDS.len()];
        while let Some(found) = reviewing.next().await? {
            for reason in found.iter().flat_map(|found| &found.reasons) {
                if let Some(count) = counts.get_mut(*reason as usize) {
                    *count += 1;
                }
            }
        }
        for ((reason, _), count) in ReviewReason::WORDS.iter().zip(counts) {
            self.keys.get_or_create(&Labels { reason }).set(count);
        }
        Ok(())
    }
}
