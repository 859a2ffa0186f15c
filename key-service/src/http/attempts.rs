//! Requests with wrong tokens: anybody can send any number of them, so the log tells of them once a second,
//! and no more are looked into than somebody who mistyped one needs. A good token is never refused for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens that are answered as such: so many at once, and so many a second after that.
const OF_PROGRAMS: Allowance = Allowance {
    at_once: 100.0,
    a_second: 10.0,
};
/// The same for people, who type.
const OF_PEOPLE: Allowance = Allowance {
    at_once: 10.0,
    a_second: 0.5,
};
/// Time between two lines of one kind.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// What is wrong with a request's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// There is none, or the header is not one of a bearer token.
    Missing,
    /// Nobody has it, or it was revoked.
    Unknown,
    /// It is good for something else.
    Forbidden,
}

impl Wrong {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Unknown, Self::Forbidden];

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Forbidden => "forbidden",
        }
    }
}

/// How many wrong ones are looked into.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    at_once: f64,
    a_second: f64,
}

/// What was attempted lately.
#[derive(Debug)]
pub struct Attempts {
    allowance: Allowance,
    state: Mutex<State>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            allowance: OF_PROGRAMS,
            state: Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Attempts that do not count as forgotten yet.
    recent: f64,
    counted: Option<Instant>,
    lines: HashMap<&'static str, Line>,
}

#[derive(Debug)]
struct Line {
    at: Instant,
    /// Events since, which are not told of.
    more: u64,
}

impl Attempts {
    /// Of people, who type: fewer than programs.
    pub fn of_people() -> Self {
        Self {
            allowance: OF_PEOPLE,
            state: Mutex::default(),
        }
    }

    /// Counts a wrong token. Where there are too many, gives how long to wait.
    pub fn count(&self, now: Instant) -> Result<(), Duration> {
        let Allowance { at_once, a_second } = self.allowance;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state
            .counted
            .map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        let recent = (state.recent - since.as_secs_f64() * a_second).max(0.0);
        state.counted = Some(now);
        if recent + 1.0 > at_once {
            state.recent = recent;
            return Err(Duration::from_secs_f64((recent + 1.0 - at_once) / a_second));
        }
        state.recent = recent + 1.0;
        Ok(())
    }

    /// Whether the log is to tell of this now: how many more there were since it last did.
    pub fn tell(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.lines.get_mut(kind) {
            Some(line) if now.saturating_duration_since(line.at) < BETWEEN_LINES => {
                line.more += 1;
                None
            }
            Some(line) => {
                line.at = now;
                Some(std::mem::take(&mut line.more))
            }
            None => {
                state.lines.insert(kind, Line { at: now, more: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_looked_into_at_once_and_then_ten_a_second() {
        let attempts = Attempts::default();
        let start = Instant::now();
        let taken = |after: Duration| {
            let tries = (0..1000).map(|_| attempts.count(start + after));
            tries.filter(Result::is_ok).count()
        };
        assert_eq!(taken(Duration::ZERO), 100);
        assert_eq!(taken(Duration::from_secs(1)), 10);
        assert_eq!(taken(Duration::from_secs(3)), 20);
        assert_eq!(taken(Duration::from_secs(3600)), 100);
        let wait = attempts
            .count(start + Duration::from_secs(3600))
            .unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(100),
            "{wait:?}"
        );
    }

    #[test]
    fn a_line_a_second_of_a_kind_tells_how_many_there_were() {
        let attempts = Attempts::default();
        let start = Instant::now();
        assert_eq!(attempts.tell("a", start), Some(0));
        assert_eq!(attempts.tell("b", start), Some(0));
        for _ in 0..7 {
            assert_eq!(attempts.tell("a", start + Duration::from_millis(999)), None);
        }
        assert_eq!(attempts.tell("a", start + Duration::from_secs(1)), Some(7));
        assert_eq!(attempts.tell("a", start + Duration::from_secs(2)), Some(0));
    }
}
