//! Time as it comes into the core: as values, read by the outermost layer.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix seconds: for what the world agrees on, such as expiry and hours. It may jump.
    pub unix: u64,
    /// For ages and deadlines: it never jumps.
    pub instant: Instant,
}

/// A point of the process's monotonic clock, the same for all VMs of the process; in milliseconds.
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
