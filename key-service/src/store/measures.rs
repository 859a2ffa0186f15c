//! What the store counts and measures, for the metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// What the store counts and measures.
#[derive(Debug, Clone)]
pub struct Measures {
    /// How long writes waited until they were the next.
    pub write_wait: Histogram,
    /// How often what other services wrote was learnt, by what told of it.
    pub wakeups: Family<WakeupLabels, Counter>,
    /// How often the database turned out to have another history.
    pub origin_changes: Counter,
    /// Tries to send messages to webhooks, by what became of them.
    pub webhook_attempts: Family<AttemptLabels, Counter>,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptLabels {
    result: &'static str,
}

impl Measures {
    /// Counts a try.
    pub fn webhook_attempt(&self, result: &'static str) {
        self.webhook_attempts
            .get_or_create(&AttemptLabels { result })
            .inc();
    }
}

/// What told of a write of another service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WakeupLabels {
    by: &'static str,
}

/// A notification of the database.
pub(super) const NOTIFY: WakeupLabels = WakeupLabels { by: "notify" };
/// Asking now and then.
pub(super) const POLL: WakeupLabels = WakeupLabels { by: "poll" };

impl Default for Measures {
    fn default() -> Self {
        let wakeups = Family::<WakeupLabels, Counter>::default();
        for labels in [NOTIFY, POLL] {
            wakeups.get_or_create(&labels).inc_by(0);
        }
        let webhook_attempts = Family::<AttemptLabels, Counter>::default();
        for result in ["taken", "failed", "dead"] {
            webhook_attempts
                .get_or_create(&AttemptLabels { result })
                .inc_by(0);
        }
        Self {
            write_wait: Histogram::new([
                0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
            ]),
            wakeups,
            origin_changes: Counter::default(),
            webhook_attempts,
        }
    }
}

/// Connections to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// What they are for.
    pub pool: &'static str,
    /// Those that are used at the moment.
    pub used: u32,
    /// Those that are free.
    pub idle: u32,
    /// As many as there may be.
    pub most: u32,
}
