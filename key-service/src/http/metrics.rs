//! What is counted. Labels are routes, methods and statuses: never a key, user, tenant or path.

use std::time::Duration;

use axum::http::Method;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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

/// The counters of one service.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    digests: Family<ResultLabels, Counter>,
    sequence: Gauge,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("keybound");
        let requests = Family::default();
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
            ])
        });
        let digests = Family::default();
        let sequence = Gauge::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from request to answer; that of /v1/changes holds the wait",
            durations.clone(),
        );
        registry.register("resolve_digests", "Digests looked up", digests.clone());
        registry.register("sequence", "Number of the last write", sequence.clone());
        Self {
            registry,
            requests,
            durations,
            digests,
            sequence,
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

    pub fn render(&self, sequence: i64) -> Result<String, std::fmt::Error> {
        self.sequence.set(sequence);
        let mut body = String::new();
        text::encode(&mut body, &self.registry)?;
        Ok(body)
    }
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
