//! How long records are believed, and what bounds memory and work.

use std::time::Duration;

use super::durations::{DAY, HOUR, SECOND, written};
use super::reader::{Object, Value};
use super::sizes::MEBIBYTE;
use crate::knowledge::cache::{self, Freshness};
use crate::knowledge::fetch;
use crate::telemetry::usage;

const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn freshness(value: &Value<'_>) -> Freshness {
    let object = value.object();
    let max_staleness = object.duration("max_staleness", MILLISECOND..=DAY * 30);
    Freshness {
        fresh_for: within(object, "fresh_for", max_staleness),
        max_staleness,
        negative_for: within(object, "negative_for", max_staleness),
    }
}

/// A duration that `max_staleness` bounds: a default follows it, and one that is given must not exceed it.
fn within(object: Object<'_>, name: &'static str, max_staleness: Duration) -> Duration {
    let value = object.value(name);
    let duration = value.duration(MILLISECOND..=DAY * 30);
    if value.is_given() && duration > max_staleness {
        value.refuse(format_args!(
            "{} is longer than freshness.max_staleness ({}): lower it, or raise max_staleness",
            written(duration),
            written(max_staleness)
        ));
    }
    duration.min(max_staleness)
}

pub(super) fn cache(limits: Object<'_>) -> cache::Limits {
    cache::Limits {
        local_entries: limits.number("local_entries", 1..=10_000_000),
        local_bytes: limits.size("local_bytes", MEBIBYTE..=1024 * MEBIBYTE),
        shared_entries: limits.number("shared_entries", 1..=10_000_000),
    }
}

pub(super) fn fetch(limits: Object<'_>) -> fetch::Limits {
    fetch::Limits {
        waiting_requests: limits.number("waiting_requests", 1..=1_000_000),
        lookups_in_flight: limits.number("lookups_in_flight", 1..=1000),
    }
}

pub(super) fn usage(value: &Value<'_>) -> usage::Settings {
    let object = value.object();
    usage::Settings {
        enabled: object.boolean("enabled"),
        every: object.duration("every", SECOND..=HOUR),
    }
}
