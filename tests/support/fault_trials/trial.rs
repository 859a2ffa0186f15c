//! Which trials there are, and what each asks of the gateway.

use super::{Pace, Stock};
use crate::clock::Clock;
use crate::failure::Result;
use crate::fault_proxy::Fault;
use crate::gateway::{Builder, Gateway};
use clap::ValueEnum;
use std::time::Duration;

/// Where the key service keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// In a file, with one service.
    Sqlite,
    /// On a server, with two services.
    Postgresql,
}

/// A fault, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// For people, and to choose it by.
    pub name: &'static str,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Killed,
    Proxy(Fault),
    Locked,
    Restored,
    LongRecords,
    DiskFull,
    FileGone,
    Writers,
    NotMounted,
    HangUps,
    HotRestart,
    Update,
    ClockSet,
    ReplicaKills,
    ServerKills,
    ServerRestarted,
    FailedOver,
    Deafened,
    ReadOnly,
    Slow,
}

/// When the key is revoked by which is seen how soon a change is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    During,
    /// As soon as the key service can write again.
    Afterwards,
}

/// From the end of a fault until nobody is refused any more because of it, and changes are obeyed.
pub const RECOVERED: Duration = Duration::from_secs(2);

/// Longer than a look-up may take, which is half a second.
const TOO_LATE: Duration = Duration::from_secs(2);

/// Well within it.
pub(super) const IN_TIME: Duration = Duration::from_millis(150);

/// Somewhere in the body of an answer: its head is shorter, and with the body it is longer.
const MIDDLE: usize = 200;

/// All of those that a key service on this database can have.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let trial = |name, what| Trial { name, what };
    let proxy = |name, fault| trial(name, What::Proxy(fault));
    let mut trials = vec![
        trial("key service killed", What::Killed),
        proxy("slow, in time", Fault::Delay(IN_TIME)),
        proxy("slow, too late", Fault::Delay(TOO_LATE)),
        proxy("connections refused", Fault::Refuse),
        proxy("connections cut", Fault::Cut),
        proxy("reset in an answer", Fault::ResetAfter(MIDDLE)),
        proxy("half-closed", Fault::HalfClose),
        proxy("answers truncated", Fault::Truncate(MIDDLE)),
        proxy("answers corrupted", Fault::Corrupt),
        proxy("black hole", Fault::BlackHole),
        trial("database locked", What::Locked),
        trial("older backup", What::Restored),
        trial("import of long records", What::LongRecords),
        trial("disk full", What::DiskFull),
        trial("writers without pause", What::Writers),
        trial("clients hang up", What::HangUps),
        trial("hot restart", What::HotRestart),
        trial("configuration update", What::Update),
        trial("clock set forward", What::ClockSet),
    ];
    trials.extend(match engine {
        Engine::Sqlite => vec![
            trial("database deleted", What::FileGone),
            trial("database not mounted", What::NotMounted),
        ],
        Engine::Postgresql => vec![
            trial("a replica killed again and again", What::ReplicaKills),
            trial("PostgreSQL killed again and again", What::ServerKills),
            trial("PostgreSQL restarted", What::ServerRestarted),
            trial("standby behind promoted", What::FailedOver),
            trial("LISTEN killed", What::Deafened),
            trial("primary read-only", What::ReadOnly),
            trial("database slow", What::Slow),
        ],
    });
    trials
}

impl Trial {
    pub(super) fn gateway(&self, stock: &Stock, clock: Option<&Clock>) -> Builder {
        let mut builder = stock.kept_by(Gateway::real().fault_proxy());
        for (name, value) in clock.iter().flat_map(|clock| clock.environment()) {
            builder = builder.environment(name, Some(&value));
        }
        match self.what {
            What::HotRestart => builder.hot_restart(),
            What::Update => builder.updates(),
            _ => builder,
        }
    }

    /// The clock that is to be set.
    pub(super) fn clock(&self, stock: &Stock) -> Result<Option<Clock>> {
        match self.what {
            What::ClockSet => Clock::make(stock.folder()).map(Some),
            _ => Ok(None),
        }
    }

    /// How long after the fault a change is obeyed, at most.
    pub fn obeyed(&self) -> Duration {
        match self.what {
            // The long poll whose answer was swallowed: it waits for 20 s, and one more for the answer.
            What::Proxy(Fault::BlackHole) => Duration::from_secs(20 + 2),
            _ => RECOVERED,
        }
    }

    /// From one request of a client to its next. What takes minutes goes slower, or the keys that are used once would run
    /// out.
    pub(super) fn every(&self, pace: &Pace) -> Duration {
        match self.what {
            What::ReplicaKills | What::ServerKills => pace.every * 4,
            _ => pace.every,
        }
    }

    pub(super) fn change(&self) -> Change {
        match self.what {
            What::Killed
            | What::Locked
            | What::Restored
            | What::DiskFull
            | What::FileGone
            | What::NotMounted
            | What::ClockSet
            | What::ServerKills
            | What::ServerRestarted
            | What::FailedOver
            | What::ReadOnly => Change::Afterwards,
            _ => Change::During,
        }
    }
}
