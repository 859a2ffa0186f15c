//! Hands what was counted to the host.

use crate::gate::Gate;
use crate::host::{Host, MetricId, MetricKind};
use crate::telemetry::Telemetry;
use crate::time::Now;

/// The host's numbers for our metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    /// In the order of [`Telemetry::names`].
    counters: Vec<Option<MetricId>>,
    cache_entries: Gauge,
    waiting: Gauge,
    fetch_duration: Option<MetricId>,
    propagation: Option<MetricId>,
    connected: Option<MetricId>,
    lag: Option<MetricId>,
}

/// A gauge is the sum over all workers, so each adds and takes away its own part.
#[derive(Debug)]
struct Gauge {
    metric: Option<MetricId>,
    part: i64,
}

impl Metrics {
    /// Makes the metrics known, so that they are there from the start, at nothing.
    pub(super) fn define(host: &impl Host) -> Self {
        let define = |kind, name: &str| host.define(kind, &format!("keybound.{name}"));
        let gauge = |name| Gauge {
            metric: define(MetricKind::Gauge, name),
            part: 0,
        };
        let version = concat!("build_info.", env!("CARGO_PKG_VERSION"));
        record(define(MetricKind::Gauge, version), 1, host);
        Self {
            counters: Telemetry::names()
                .map(|name| define(MetricKind::Counter, &name))
                .collect(),
            cache_entries: gauge("cache.entries"),
            waiting: gauge("waiting"),
            fetch_duration: define(MetricKind::Histogram, "fetch.duration_ms"),
            propagation: define(MetricKind::Histogram, "changes.propagation_ms"),
            connected: define(MetricKind::Gauge, "changes.connected"),
            lag: define(MetricKind::Gauge, "changes.lag_ms"),
        }
    }

    /// Hands over what was counted since the last time.
    pub(super) fn flush(&mut self, gate: &mut Gate, now: Now, host: &impl Host) {
        for (metric, count) in self.counters.iter().zip(gate.telemetry.take()) {
            if let (Some(metric), Ok(count @ 1..)) = (*metric, i64::try_from(count)) {
                host.add(metric, count);
            }
        }
        self.cache_entries.set(gate.cache_entries(), host);
        self.waiting.set(gate.waiting(), host);
        for millis in gate.telemetry.take_fetch_durations() {
            record(self.fetch_duration, millis, host);
        }
        for millis in gate.telemetry.take_propagations() {
            record(self.propagation, millis, host);
        }
        // All workers look at the same feed, so each says the same.
        if let Some((connected, lag)) = gate.feed_link(now) {
            record(self.connected, u64::from(connected), host);
            let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
            record(self.lag, lag, host);
        }
    }

    /// Takes this worker's parts of the gauges away.
    pub(super) fn take_back(&mut self, host: &impl Host) {
        self.cache_entries.set(0, host);
        self.waiting.set(0, host);
    }
}

impl Gauge {
    fn set(&mut self, value: usize, host: &impl Host) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let change = value.saturating_sub(self.part);
        if let (Some(metric), true) = (self.metric, change != 0) {
            host.add(metric, change);
            self.part = value;
        }
    }
}

fn record(metric: Option<MetricId>, value: u64, host: &impl Host) {
    if let Some(metric) = metric {
        host.record(metric, value);
    }
}
