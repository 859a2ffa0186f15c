//! Time as it comes into the core: as values, read by the outermost layer.

use std::ops::{Add, Sub};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The last Unix second that has a date of four digits, at the end of the year 9999: no record has a later one.
pub const LAST_SECOND: u64 = 253_402_300_799;

/// A time as HTTP writes it (RFC 9110 section 5.6.7); nothing where it has no such form. What formats it panics
/// on those, and a value may come from another version of the filter by way of the shared cache.
pub fn http_date(unix: u64) -> Option<String> {
    if unix > LAST_SECOND {
        return None;
    }
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(unix))?;
    Some(httpdate::fmt_http_date(time))
}

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix seconds: for what the world agrees on, such as expiry and hours. It may jump.
    pub unix: u64,
    /// For ages and deadlines: it never jumps.
    pub instant: Instant,
}

/// A point of the process's monotonic clock, the same for all workers of the process; in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// A reading of the clock.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The reading.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Time since an earlier point; nothing where it is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn a_time_beyond_four_digits_of_a_year_has_no_date() {
        assert_eq!(http_date(0).unwrap(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(
            http_date(LAST_SECOND).unwrap(),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
        for beyond in [LAST_SECOND + 1, 1_790_000_000_000, u64::MAX] {
            assert_eq!(http_date(beyond), None);
        }
    }
}
