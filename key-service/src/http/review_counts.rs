//! How many keys ask for a look, for monitors and overviews. To count them is to read all keys: it is done beside the
//! request that asks, for all tenants at once, and in a small part of the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::domain::reach::Reach;
use crate::domain::review::{Counts, Review};
use crate::domain::time::now;
use crate::store::{Store, StoreError};

/// How long who asks waits for new counts; then the last ones are told.
const WAIT: Duration = Duration::from_secs(2);
/// How long people wait for new counts where there are others: where keys are few, they see what they have just done.
const GLANCE: Duration = Duration::from_millis(20);
/// A count is followed by a rest of this many times as long as it took.
const REST: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
}

/// What was counted of all keys.
#[derive(Debug)]
pub struct Counted {
    /// When, in Unix seconds.
    pub at: i64,
    all: Counts,
    tenants: HashMap<String, Counts>,
}

impl Counted {
    /// The counts of a tenant, or of all keys.
    pub fn of(&self, tenant: Option<&str>) -> Counts {
        match tenant {
            None => self.all,
            Some(id) => self.tenants.get(id).copied().unwrap_or_default(),
        }
    }
}

/// The last counts.
#[derive(Debug, Clone)]
pub struct ReviewCounts {
    store: Store,
    keys: Family<Labels, Gauge>,
    state: Arc<Mutex<State>>,
    last: watch::Sender<Option<Arc<Counted>>>,
}

#[derive(Debug, Default)]
struct State {
    counting: bool,
    /// When to count again.
    next: Option<Instant>,
}

impl State {
    fn rests(&self) -> bool {
        self.next.is_some_and(|next| Instant::now() < next)
    }
}

impl ReviewCounts {
    /// Nothing is counted so far.
    pub fn new(registry: &mut Registry, store: &Store) -> Self {
        let keys = Family::default();
        registry.register(
            "keys_to_review",
            "Keys that ask for a look, by reason; a key may have several",
            Family::clone(&keys),
        );
        Self {
            store: store.clone(),
            keys,
            state: Arc::default(),
            last: watch::Sender::new(None),
        }
    }

    /// Counts, unless that was done not long ago.
    pub async fn refresh(&self) {
        self.count_again(WAIT).await;
    }

    /// The last counts; none where the first are not there yet.
    pub async fn latest(&self) -> Option<Arc<Counted>> {
        let first = self.last.borrow().is_none();
        self.count_again(if first { WAIT } else { GLANCE }).await;
        self.last.borrow().clone()
    }

    async fn count_again(&self, wait: Duration) {
        let mut counted = self.last.subscribe();
        if self.begin() {
            let counts = self.clone();
            tokio::spawn(async move { counts.count_and_rest().await });
        } else if self.state().rests() {
            return;
        }
        let _ = tokio::time::timeout(wait, counted.changed()).await;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> bool {
        let mut state = self.state();
        let begins = !state.counting && !state.rests();
        state.counting |= begins;
        begins
    }

    async fn count_and_rest(&self) {
        let began = Instant::now();
        let counted = self.count().await;
        let mut state = self.state();
        state.counting = false;
        state.next = Some(Instant::now() + began.elapsed() * REST);
        drop(state);
        match counted {
            Ok(counted) => {
                self.show(&counted.all);
                self.last.send_replace(Some(Arc::new(counted)));
            }
            Err(error) => {
                tracing::warn!(%error, "the keys that ask for a look could not be counted");
                // Who waits need not wait any longer.
                self.last.send_modify(|_| {});
            }
        }
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        let store = &self.store;
        let at = now();
        let review = Review::usual(at, store.usage_reported_since().await?);
        let mut reviewing = store.review(review, Reach::Everything, None, 0).await?;
        let mut counted = Counted {
            at,
            all: Counts::default(),
            tenants: HashMap::new(),
        };
        while let Some(part) = reviewing.next().await? {
            for found in part {
                counted.all.add(&found.reasons);
                if let Some(tenant) = found.of.key.tenant_id {
                    counted
                        .tenants
                        .entry(tenant)
                        .or_default()
                        .add(&found.reasons);
                }
            }
        }
        Ok(counted)
    }

    fn show(&self, counts: &Counts) {
        for (reason, count) in counts.by_reason() {
            self.keys.get_or_create(&Labels { reason }).set(count);
        }
    }
}
