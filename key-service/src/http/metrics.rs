//! What is counted. Labels are routes, methods, statuses and other closed sets: never a key, user, tenant
//! or path.

use std::time::{Duration, Instant};

use axum::http::Method;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::attempts::Wrong;
use super::message_counts::MessageCounts;
use super::review_counts::ReviewCounts;
use crate::domain::key::KeyStatus;
use crate::domain::leak::LeakOutcome;
use crate::store::counts::KeyCounts;
use crate::store::measures::PoolSize;
use crate::store::{Failure, Store, StoreError};

/// Keys are counted again at the latest after this time, since they expire without a write.
const COUNTS_FRESH: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithinLabels {
    within: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    pool: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

/// The metrics of one service.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    digests: Family<ResultLabels, Counter>,
    tokens_refused: Family<ReasonLabels, Counter>,
    deactivated_in_use: Counter,
    leaks: Family<OutcomeLabels, Counter>,
    database_errors: Family<ErrorLabels, Counter>,
    writable: Gauge,
    followers: Gauge,
    sequence: Gauge,
    keys: Family<StatusLabels, Gauge>,
    keys_expiring: Family<WithinLabels, Gauge>,
    connections: Family<ConnectionLabels, Gauge>,
    connections_most: Family<PoolLabels, Gauge>,
    counted: Mutex<Option<Counted>>,
    /// Keys that ask for a look.
    pub review: ReviewCounts,
    /// Messages that webhooks have not taken.
    pub messages: MessageCounts,
}

/// When keys were counted last.
struct Counted {
    sequence: i64,
    at: Instant,
}

impl Metrics {
    pub fn new(store: &Store) -> Self {
        let mut registry = Registry::with_prefix("keybound_service");
        let requests = Family::default();
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
            ])
        });
        let digests = Family::default();
        let tokens_refused = Family::<ReasonLabels, Counter>::default();
        let deactivated_in_use = Counter::default();
        let leaks = Family::<OutcomeLabels, Counter>::default();
        let database_errors = Family::<ErrorLabels, Counter>::default();
        let writable = Gauge::default();
        let followers = Gauge::default();
        let sequence = Gauge::default();
        let keys = Family::default();
        let keys_expiring = Family::default();
        let build = Family::<VersionLabels, Gauge>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from request to answer; that of /v1/changes holds the wait",
            durations.clone(),
        );
        registry.register("resolve_digests", "Digests looked up", digests.clone());
        registry.register(
            "tokens_refused",
            "Requests whose bearer token is missing, unknown, or good for something else",
            tokens_refused.clone(),
        );
        registry.register(
            "deactivated_in_use",
            "Users whom a directory stopped while their keys were in use",
            deactivated_in_use.clone(),
        );
        registry.register(
            "leaks_reported",
            "Keys that were reported to be public, by what became of them",
            leaks.clone(),
        );
        registry.register(
            "database_errors",
            "Requests that failed because of the database",
            database_errors.clone(),
        );
        registry.register(
            "writable",
            "1 where the last write succeeded, 0 where the database takes none",
            writable.clone(),
        );
        registry.register(
            "followers",
            "Polls of the change feed that wait for a change",
            followers.clone(),
        );
        registry.register("sequence", "Number of the last write", sequence.clone());
        registry.register("keys", "Keys by status", keys.clone());
        registry.register(
            "keys_expiring",
            "Active keys without a successor that expire within this time",
            keys_expiring.clone(),
        );
        let review = ReviewCounts::new(&mut registry, store);
        let measures = store.measures();
        registry.register(
            "write_wait_seconds",
            "Time until a write was the next",
            measures.write_wait.clone(),
        );
        registry.register(
            "wakeups",
            "How often writes of other services on the same database were learnt, by what told of them",
            measures.wakeups.clone(),
        );
        registry.register(
            "database_origin_changes",
            "How often the database turned out to have another history, so that gateways started over",
            measures.origin_changes.clone(),
        );
        registry.register(
            "webhook_attempts",
            "Tries to send a message to a webhook, by what became of them",
            measures.webhook_attempts.clone(),
        );
        let messages = MessageCounts::new(&mut registry);
        let connections = Family::default();
        registry.register(
            "database_connections",
            "Connections to the database, by what they are for and whether they are used",
            connections.clone(),
        );
        let connections_most = Family::default();
        registry.register(
            "database_connections_max",
            "Connections to the database that there may be",
            connections_most.clone(),
        );
        registry.register("build_info", "The running version", build.clone());
        let version = VersionLabels {
            version: env!("CARGO_PKG_VERSION"),
        };
        build.get_or_create(&version).set(1);
        // There from the start, at nothing: an alert sees the first error as an increase.
        for failure in Failure::ALL {
            database_errors
                .get_or_create(&error_labels(failure))
                .inc_by(0);
        }
        for (outcome, _) in LeakOutcome::WORDS {
            leaks.get_or_create(&OutcomeLabels { outcome }).inc_by(0);
        }
        for wrong in Wrong::ALL {
            tokens_refused
                .get_or_create(&reason_labels(wrong))
                .inc_by(0);
        }
        Self {
            registry,
            requests,
            durations,
            digests,
            tokens_refused,
            deactivated_in_use,
            leaks,
            database_errors,
            writable,
            followers,
            sequence,
            keys,
            keys_expiring,
            connections,
            connections_most,
            counted: Mutex::new(None),
            review,
            messages,
        }
    }

    pub fn request(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels {
            method: known_method(method),
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: route.to_owned(),
        };
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    pub fn resolved(&self, known: usize, unknown: usize) {
        let known_labels = ResultLabels { result: "known" };
        let unknown_labels = ResultLabels { result: "unknown" };
        self.digests
            .get_or_create(&known_labels)
            .inc_by(known as u64);
        self.digests
            .get_or_create(&unknown_labels)
            .inc_by(unknown as u64);
    }

    pub fn token_refused(&self, wrong: Wrong) {
        self.tokens_refused
            .get_or_create(&reason_labels(wrong))
            .inc();
    }

    /// A directory stopped a user whose keys are in use.
    pub fn deactivated_in_use(&self) {
        self.deactivated_in_use.inc();
    }

    /// A key was reported to be public.
    pub fn leaked(&self, outcome: LeakOutcome) {
        let outcome = outcome.as_str();
        self.leaks.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub fn database_failed(&self, failure: Failure) {
        self.database_errors
            .get_or_create(&error_labels(failure))
            .inc();
    }

    /// Whether the database takes writes.
    pub fn writable(&self, writable: bool) {
        self.writable.set(writable.into());
    }

    /// How the connections to the database are used.
    pub fn connections(&self, sizes: [PoolSize; 2]) {
        for size in sizes {
            let pool = size.pool;
            for (state, count) in [("used", size.used), ("idle", size.idle)] {
                let labels = ConnectionLabels { pool, state };
                self.connections.get_or_create(&labels).set(count.into());
            }
            let most = self.connections_most.get_or_create(&PoolLabels { pool });
            most.set(size.most.into());
        }
    }

    /// Counts a poll that waits, until what is given is dropped.
    pub fn follower(&self) -> Follower<'_> {
        self.followers.inc();
        Follower(&self.followers)
    }

    /// Counts the keys, unless nothing was written since and it is not long ago: everybody may ask for the
    /// metrics, and counting reads all keys.
    pub async fn count_keys(&self, store: &Store, now: i64) -> Result<(), StoreError> {
        let sequence = *store.watch_sequence().borrow();
        self.sequence.set(sequence);
        // Held while counting: who comes meanwhile waits instead of counting too.
        let mut counted = self.counted.lock().await;
        let fresh = counted
            .as_ref()
            .is_some_and(|last| last.sequence == sequence && last.at.elapsed() < COUNTS_FRESH);
        if fresh {
            return Ok(());
        }
        let counts = store.key_counts(now).await?;
        self.set_keys(&counts);
        *counted = Some(Counted {
            sequence,
            at: Instant::now(),
        });
        Ok(())
    }

    fn set_keys(&self, counts: &KeyCounts) {
        for status in KeyStatus::ALL.map(KeyStatus::word) {
            let count = counts.by_status.iter().find(|(word, _)| word == status);
            self.keys
                .get_or_create(&StatusLabels { status })
                .set(count.map_or(0, |(_, count)| *count));
        }
        for (within, count) in ["1d", "7d", "30d"].into_iter().zip(counts.expiring) {
            self.keys_expiring
                .get_or_create(&WithinLabels { within })
                .set(count);
        }
    }

    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }
}

/// A poll that is counted as waiting.
pub struct Follower<'a>(&'a Gauge);

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn reason_labels(wrong: Wrong) -> ReasonLabels {
    ReasonLabels {
        reason: wrong.label(),
    }
}

fn error_labels(failure: Failure) -> ErrorLabels {
    let error = match failure {
        Failure::Busy => "busy",
        Failure::Failed => "failed",
        Failure::Corrupt => "corrupt",
        Failure::Gone => "gone",
        Failure::Away => "away",
        Failure::ReadOnly => "read_only",
    };
    ErrorLabels { error }
}

/// Clients can send any word as a method, so the label is one of a closed set.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
