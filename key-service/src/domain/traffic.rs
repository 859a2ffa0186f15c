//! Requests with keys over time: how many passed, and how many were refused for which reason.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::time::{DAY, HOUR};

/// Equal steps of time, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Number of the first, counted from 1970-01-01 (UTC).
    first: i64,
    /// How many.
    count: usize,
    /// How long each is, in seconds.
    step: i64,
}

impl Steps {
    /// So many hours, that of this time the last.
    pub fn hours(count: i64, now: i64) -> Self {
        Self::until(now, count, HOUR)
    }

    /// So many days, that of this time the last.
    pub fn days(count: i64, now: i64) -> Self {
        Self::until(now, count, DAY)
    }

    fn until(now: i64, count: i64, step: i64) -> Self {
        Self {
            first: now.div_euclid(step) - count + 1,
            count: usize::try_from(count).unwrap_or_default(),
            step,
        }
    }

    /// The days that hold these steps.
    pub fn as_days(self) -> Self {
        let last = (self.to() - 1).div_euclid(DAY);
        Self::days(last - self.from().div_euclid(DAY) + 1, last * DAY)
    }

    /// When the first begins, in Unix seconds.
    pub fn from(self) -> i64 {
        self.first * self.step
    }

    /// When the last ends, in Unix seconds.
    pub fn to(self) -> i64 {
        self.from() + i64::try_from(self.count).unwrap_or_default() * self.step
    }
}

/// Requests with keys over time. All series have a number for each step, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Traffic {
    /// When the first step begins, in Unix seconds.
    from: i64,
    /// When the last step ends, in Unix seconds: it is not over yet.
    to: i64,
    /// Seconds of a step: 3600 or 86400.
    step: i64,
    /// Requests that passed.
    allowed: Vec<i64>,
    /// Requests that were refused, by the code of the reason. `other` are those of which no reason is known here.
    rejected_by: BTreeMap<String, Vec<i64>>,
    /// Whether any gateway has reported use yet. Until then nobody knows of any.
    pub usage_reported: bool,
}

impl Traffic {
    /// None in all of these steps.
    pub fn none(steps: Steps) -> Self {
        Self {
            from: steps.from(),
            to: steps.to(),
            step: steps.step,
            allowed: vec![0; steps.count],
            rejected_by: BTreeMap::new(),
            usage_reported: false,
        }
    }

    /// Adds requests that came at a time; what lies outside of the steps is not told of. No code: they passed.
    pub fn add(&mut self, at: i64, code: Option<&str>, requests: i64) {
        let index = (at - self.from).div_euclid(self.step);
        let series = match code {
            None => &mut self.allowed,
            Some(_) if requests <= 0 => return,
            Some(code) => {
                let none = || vec![0; self.allowed.len()];
                self.rejected_by.entry(code.to_owned()).or_insert_with(none)
            }
        };
        if let Some(sum) = usize::try_from(index)
            .ok()
            .and_then(|index| series.get_mut(index))
        {
            *sum = sum.saturating_add(requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_now_is_the_last_and_days_hold_all_hours() {
        let now = 3 * DAY + 5 * HOUR + 7;
        let hours = Steps::hours(24, now);
        assert_eq!(
            (hours.from(), hours.to()),
            (2 * DAY + 6 * HOUR, 3 * DAY + 6 * HOUR)
        );
        assert_eq!(hours.as_days(), Steps::days(2, now));
        assert_eq!(Steps::hours(6, now).as_days(), Steps::days(1, now));
        let full = Steps::hours(24, 4 * DAY - 1);
        assert_eq!(full.as_days(), Steps::days(1, 4 * DAY - 1));
    }

    #[test]
    fn what_lies_outside_is_not_told_of() {
        let mut traffic = Traffic::none(Steps::hours(2, 10 * HOUR));
        for at in [9 * HOUR - 1, 9 * HOUR, 10 * HOUR, 11 * HOUR - 1, 11 * HOUR] {
            traffic.add(at, None, 1);
            traffic.add(at, Some("key_expired"), 1);
        }
        assert_eq!(traffic.allowed, [1, 2]);
        assert_eq!(traffic.rejected_by["key_expired"], [1, 2]);
    }
}
