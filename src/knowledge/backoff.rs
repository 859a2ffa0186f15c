//! How long to leave a service alone that does not answer.

use std::time::Duration;

/// The delay after the second failure in a row; the first is tried again at once.
const FIRST: Duration = Duration::from_millis(100);

/// The longest delay: a service that is back is noticed within it.
const LONGEST: Duration = Duration::from_millis(1500);

/// The longest delay that a service can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// The delay before the next attempt after some failures in a row: none, then doubling from 100 ms to 1.5 s,
/// of which a random part of at most a half is taken away, so that those who failed together do not come
/// back together ("equal jitter"). `asked` is what the service asked for (`retry-after`, RFC 9110 section
/// 10.2.3); it counts up to a minute.
pub fn delay(failures: u32, asked: Option<Duration>, random: u64) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    if failures <= 1 {
        return Duration::ZERO;
    }
    let doublings = failures.saturating_sub(2).min(10);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let share = u32::try_from(random % 512).unwrap_or_default();
    whole.saturating_sub(whole.saturating_mul(share) / 1024)
}

/// Random numbers enough to spread attempts: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn delays_double_up_to_the_longest() {
        let millis = |failures| delay(failures, None, 0).as_millis();
        let delays: Vec<u128> = [1, 2, 3, 4, 5, 6, 7, u32::MAX].map(millis).to_vec();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1500, 1500, 1500]);
    }

    #[test]
    fn chance_takes_away_at_most_a_half() {
        let mut random = Random::new(7);
        let delays: Vec<Duration> = (0..1000).map(|_| delay(9, None, random.number())).collect();
        assert!(
            delays
                .iter()
                .all(|delay| (750..=1500).contains(&delay.as_millis()))
        );
        assert!(delays.iter().any(|delay| delay.as_millis() < 800));
        assert!(delays.iter().any(|delay| delay.as_millis() > 1450));
    }

    #[test]
    fn what_the_service_asks_for_counts_up_to_a_minute() {
        let asked = |seconds| delay(3, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!([asked(0), asked(7), asked(3600)], [0, 7, 60]);
    }
}
