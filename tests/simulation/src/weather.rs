//! What the network and the service do to a call.

use crate::agenda::Time;
use crate::random::Random;
use crate::scenario::Scenario;

/// What goes wrong, for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The host does not take calls at all.
    NotSent,
    /// Nobody listens: the host answers 503 at once.
    Refused,
    /// Nothing arrives: the host answers 504 when the call's time is up.
    Swallowed,
    /// Each message is lost with this probability.
    Lossy(f64),
    /// Each message takes up to this long.
    Slow(Time),
    /// The service answers this status, with these seconds of `retry-after`.
    Busy(u16, Option<u64>),
    /// The connection breaks in the middle of an answer.
    Broken,
    /// Answers are cut or damaged.
    Corrupt,
    /// Answers lack the protocol's marker.
    Unmarked,
    /// Of keys that do not expire, the service says that they do, in milliseconds.
    Extreme,
    /// Answers to `/v1/resolve` come from a replica that lags this many writes behind.
    Lagging(u64),
}

/// Which calls a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All.
    All,
    /// The change feed alone.
    Changes,
    /// Everything but the change feed.
    Others,
}

/// What happens to a call, or to an answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after a time.
    Arrives(Time),
    /// The host answers 503 after a time.
    Refused(Time),
    /// It is never heard of again.
    Lost,
    /// The connection breaks after a time.
    Breaks(Time),
}

/// The faults that are under way.
#[derive(Debug, Default)]
pub struct Weather {
    faults: Vec<(Fault, Reach, Time)>,
}

impl Fault {
    /// Any fault.
    pub fn any(random: &mut Random) -> Self {
        match random.below(10) {
            0 => Self::NotSent,
            1 | 2 => Self::Refused,
            3 => Self::Swallowed,
            4 => Self::Lossy(random.pick(&[0.1, 0.5, 0.9])),
            5 => Self::Slow(random.pick(&[30, 300, 3_000])),
            6 => Self::Busy(
                random.pick(&[401, 429, 429, 500, 503, 503]),
                random.pick(&[None, Some(1), Some(3)]),
            ),
            7 => Self::Broken,
            8 => random.pick(&[Self::Corrupt, Self::Unmarked, Self::Extreme]),
            _ => Self::Lagging(random.between(1, 30)),
        }
    }
}

impl Weather {
    /// A fault begins.
    pub fn add(&mut self, fault: Fault, reach: Reach, until: Time) {
        self.faults.push((fault, reach, until));
    }

    /// The faults that are about a kind of call.
    pub fn faults(&self, feed: bool, now: Time) -> impl Iterator<Item = Fault> {
        self.faults
            .iter()
            .filter(move |(_, reach, until)| {
                *until > now
                    && match reach {
                        Reach::All => true,
                        Reach::Changes => feed,
                        Reach::Others => !feed,
                    }
            })
            .map(|(fault, _, _)| *fault)
    }

    /// What happens to a message.
    pub fn fate(&self, feed: bool, scenario: &Scenario, now: Time, random: &mut Random) -> Fate {
        let mut delay = random.between(0, scenario.delay);
        for fault in self.faults(feed, now) {
            match fault {
                Fault::Refused => return Fate::Refused(delay),
                Fault::Swallowed => return Fate::Lost,
                Fault::Lossy(probability) if random.chance(probability) => return Fate::Lost,
                Fault::Broken if random.chance(0.5) => return Fate::Breaks(delay),
                Fault::Slow(longest) => delay = delay.max(random.between(0, longest)),
                _ => {}
            }
        }
        Fate::Arrives(delay)
    }
}
