//! Hands what was counted to the host.

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::gate::Gate;
use crate::telemetry::Telemetry;
use crate::time::Now;

/// The host's numbers for our metrics.
pub(super) struct Metrics {
    /// In the order of [`Telemetry::names`].
    counters: Vec<Option<u32>>,
    cache_entries: Gauge,
    waiting: Gauge,
    fetch_duration: Option<u32>,
    propagation: Option<u32>,
    connected: Option<u32>,
    lag: Option<u32>,
}

/// A gauge is the sum over all VMs, so each adds and takes away its own part.
struct Gauge {
    metric: Option<u32>,
    part: i64,
}

impl Metrics {
    /// Makes the metrics known, so that they are there from the start, at nothing.
    pub(super) fn define() -> Self {
        record(
            define(
                MetricType::Gauge,
                concat!("build_info.", env!("CARGO_PKG_VERSION")),
            ),
            1,
        );
        Self {
            counters: Telemetry::names()
                .map(|name| define(MetricType::Counter, &name))
                .collect(),
            cache_entries: Gauge::define("cache.entries"),
            waiting: Gauge::define("waiting"),
            fetch_duration: define(MetricType::Histogram, "fetch.duration_ms"),
            propagation: define(MetricType::Histogram, "changes.propagation_ms"),
            connected: define(MetricType::Gauge, "changes.connected"),
            lag: define(MetricType::Gauge, "changes.lag_ms"),
        }
    }

    /// Hands over what was counted since the last time.
    pub(super) fn flush(&mut self, gate: &mut Gate, now: Now) {
        for (metric, count) in self.counters.iter().zip(gate.telemetry.take()) {
            if let (Some(metric), Ok(count @ 1..)) = (*metric, i64::try_from(count)) {
                let _ = hostcalls::increment_metric(metric, count);
            }
        }
        self.cache_entries.set(gate.cache_entries());
        self.waiting.set(gate.waiting());
        for millis in gate.telemetry.take_fetch_durations() {
            record(self.fetch_duration, millis);
        }
        for millis in gate.telemetry.take_propagations() {
            record(self.propagation, millis);
        }
        // All VMs look at the same feed, so each says the same.
        if let Some((connected, lag)) = gate.feed_link(now) {
            record(self.connected, u64::from(connected));
            record(self.lag, u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

impl Gauge {
    fn define(name: &str) -> Self {
        Self {
            metric: define(MetricType::Gauge, name),
            part: 0,
        }
    }

    fn set(&mut self, value: usize) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let change = value.saturating_sub(self.part);
        if let (Some(metric), true) = (self.metric, change != 0) {
            let _ = hostcalls::increment_metric(metric, change);
            self.part = value;
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.set(0);
    }
}

fn record(metric: Option<u32>, value: u64) {
    if let Some(metric) = metric {
        let _ = hostcalls::record_metric(metric, value);
    }
}

fn define(kind: MetricType, name: &str) -> Option<u32> {
    hostcalls::define_metric(kind, &format!("keybound.{name}")).ok()
}
