//! How many messages webhooks have not taken, for monitors.

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::store::{Store, StoreError};

/// They are counted again after this time: everybody may ask.
const FRESH: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    state: &'static str,
}

/// The last counts.
#[derive(Debug)]
pub struct MessageCounts {
    messages: Family<Labels, Gauge>,
    /// When they were counted last. Held while counting: who comes meanwhile waits instead of counting too.
    counted: Mutex<Option<Instant>>,
}

impl MessageCounts {
    /// Nothing is counted so far.
    pub fn new(registry: &mut Registry) -> Self {
        let messages = Family::default();
        registry.register(
            "webhook_messages",
            "Messages that webhooks have not taken, by whether they are tried again",
            messages.clone(),
        );
        Self {
            messages,
            counted: Mutex::new(None),
        }
    }

    /// Counts, unless that was done a moment ago.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let mut counted = self.counted.lock().await;
        if counted.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let counts = store.message_counts().await?;
        *counted = Some(Instant::now());
        for (state, count) in [("pending", counts.pending), ("dead", counts.dead)] {
            self.messages.get_or_create(&Labels { state }).set(count);
        }
        Ok(())
    }
}
