//! How long records are believed, and what bounds memory and work.

use std::time::Duration;

use super::durations::{DAY, HOUR, SECOND, written};
use super::error::ConfigError;
use super::reader::{Object, Value};
use super::settings::{Freshness, Limits, Usage};

pub(super) fn freshness(value: Value) -> Result<Freshness, ConfigError> {
    let mut object = value.object()?;
    let max_staleness = object
        .take("max_staleness")?
        .duration(Duration::from_millis(1)..=DAY * 30)?;
    Ok(Freshness {
        fresh_for: within(&mut object, "fresh_for", max_staleness)?,
        max_staleness,
        negative_for: within(&mut object, "negative_for", max_staleness)?,
    })
}

/// A duration that `max_staleness` bounds: a default follows it, and one that is given must not exceed it.
fn within(
    object: &mut Object,
    name: &str,
    max_staleness: Duration,
) -> Result<Duration, ConfigError> {
    let given = object.gives(name);
    let value = object.take(name)?;
    let duration = value.duration(Duration::from_millis(1)..=DAY * 30)?;
    if given && duration > max_staleness {
        return Err(value.error(format!(
            "{} is longer than freshness.max_staleness ({}): lower it, or raise max_staleness",
            written(duration),
            written(max_staleness)
        )));
    }
    Ok(duration.min(max_staleness))
}

pub(super) fn limits(value: Value) -> Result<Limits, ConfigError> {
    let mut object = value.object()?;
    Ok(Limits {
        local_entries: object.take("local_entries")?.number(1..=10_000_000)?,
        shared_entries: object.take("shared_entries")?.number(1..=10_000_000)?,
        waiting_requests: object.take("waiting_requests")?.number(1..=1_000_000)?,
        lookups_in_flight: object.take("lookups_in_flight")?.number(1..=1000)?,
    })
}

pub(super) fn usage(value: Value) -> Result<Usage, ConfigError> {
    let mut object = value.object()?;
    Ok(Usage {
        enabled: object.take("enabled")?.boolean()?,
        every: object.take("every")?.duration(SECOND..=HOUR)?,
    })
}
