//! The time, in as few calls to the host as possible.

use crate::host::Clocks;
use crate::time::{Instant, Now};

/// The host's clocks. The wall clock is read on ticks only: in between it is the monotonic one plus their last
/// known difference, which is wrong for at most a tick after a jump.
#[derive(Debug, Default)]
pub(super) struct Clock {
    wall_minus_monotonic: u64,
}

impl Clock {
    /// Looks at both clocks.
    pub(super) fn synchronize(&mut self, host: &impl Clocks) {
        self.wall_minus_monotonic = host.wall_millis().wrapping_sub(host.monotonic_millis());
    }

    /// The time.
    pub(super) fn now(&self, host: &impl Clocks) -> Now {
        let instant = host.monotonic_millis();
        Now {
            unix: instant.wrapping_add(self.wall_minus_monotonic) / 1000,
            instant: Instant::from_millis(instant),
        }
    }
}
