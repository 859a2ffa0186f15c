//! Hands what was counted to the host.

use crate::gate::Gate;
use crate::host::{Meter, MetricId, MetricKind};
use crate::telemetry::{Counts, Seen, Telemetry};
use crate::time::Now;

/// The host's numbers for our metrics.
#[derive(Debug)]
pub struct Metrics {
    /// In the order of [`Telemetry::names`].
    counters: Vec<Option<MetricId>>,
    cache_entries: Option<MetricId>,
    waiting: Option<MetricId>,
    fetch_duration: Option<MetricId>,
    propagation: Option<MetricId>,
    connected: Option<MetricId>,
    lag: Option<MetricId>,
}

/// What was handed over of what one worker has counted. A gauge is the sum over all workers, so each has its part.
#[derive(Debug, Default)]
pub struct Told {
    counters: Seen,
    cache_entries: i64,
    waiting: i64,
}

impl Metrics {
    /// Makes the metrics known, so that they are there from the start, at nothing.
    pub fn define(host: &impl Meter) -> Self {
        let define = |kind, name: &str| host.define(kind, &format!("keybound.{name}"));
        let version = concat!("build_info.", env!("CARGO_PKG_VERSION"));
        record(define(MetricKind::Gauge, version), 1, host);
        Self {
            counters: Telemetry::names()
                .map(|name| define(MetricKind::Counter, &name))
                .collect(),
            cache_entries: define(MetricKind::Gauge, "cache.entries"),
            waiting: define(MetricKind::Gauge, "waiting"),
            fetch_duration: define(MetricKind::Histogram, "fetch.duration_ms"),
            propagation: define(MetricKind::Histogram, "changes.propagation_ms"),
            connected: define(MetricKind::Gauge, "changes.connected"),
            lag: define(MetricKind::Gauge, "changes.lag_ms"),
        }
    }

    /// Hands over what a worker has counted since the last time.
    pub fn flush(&self, counts: &Counts, told: &mut Told, host: &impl Meter) {
        for (metric, count) in self.counters.iter().zip(counts.since(&mut told.counters)) {
            if let (Some(metric), Ok(count @ 1..)) = (*metric, i64::try_from(count)) {
                host.add(metric, count);
            }
        }
        let parts = [
            (
                self.cache_entries,
                counts.cache_entries(),
                &mut told.cache_entries,
            ),
            (self.waiting, counts.waiting(), &mut told.waiting),
        ];
        for (metric, value, part) in parts {
            set(metric, value, part, host);
        }
    }

    /// Hands over how long things took, and how the feed is.
    pub(super) fn flush_gate(&self, gate: &mut Gate, now: Now, host: &impl Meter) {
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

    /// Takes a worker's parts of the gauges away.
    pub fn take_back(&self, told: &mut Told, host: &impl Meter) {
        set(self.cache_entries, 0, &mut told.cache_entries, host);
        set(self.waiting, 0, &mut told.waiting, host);
    }
}

fn set(metric: Option<MetricId>, value: u64, part: &mut i64, host: &impl Meter) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    let change = value.saturating_sub(*part);
    if let (Some(metric), true) = (metric, change != 0) {
        host.add(metric, change);
        *part = value;
    }
}

fn record(metric: Option<MetricId>, value: u64, host: &impl Meter) {
    if let Some(metric) = metric {
        host.record(metric, value);
    }
}
