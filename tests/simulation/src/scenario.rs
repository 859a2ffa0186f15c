//! What kind of a world a seed makes: its size, its configuration, its storms.

use std::ops::Range;

use keybound::config;
use keybound::gate::Settings;
use serde_json::json;

use crate::agenda::Time;
use crate::random::Random;

/// How the key service offers its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// It is there and followed.
    Followed,
    /// The filter's configuration does not follow it.
    Off,
    /// The service has none (404).
    Unsupported,
}

/// The world of a seed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Worker threads; the main thread comes on top.
    pub workers: usize,
    /// Credentials that are keys at some time, or may be.
    pub credentials: u64,
    /// Users.
    pub users: u64,
    /// Tenants.
    pub tenants: u64,
    /// Whether every cache holds everything.
    pub roomy: bool,
    /// Whether the feed is there.
    pub feed: Feed,
    /// `key_service.changes.wait`.
    pub wait: Time,
    /// `key_service.timeout`.
    pub timeout: Time,
    /// `freshness.fresh_for`.
    pub fresh_for: Time,
    /// `freshness.max_staleness`.
    pub max_staleness: Time,
    /// `freshness.negative_for`.
    pub negative_for: Time,
    /// `limits.local_entries`.
    pub local_entries: usize,
    /// `limits.shared_entries`.
    pub shared_entries: usize,
    /// `limits.waiting_requests`.
    pub waiting_requests: usize,
    /// `limits.lookups_in_flight`.
    pub lookups_in_flight: usize,
    /// Whether usage is reported.
    pub usage: bool,
    /// Changes that the service keeps.
    pub retention: usize,
    /// Whether only the last change of an entity is given.
    pub only_last: bool,
    /// Whether others write to the log of changes too.
    pub shares_its_log: bool,
    /// Whether records are as long as they may be.
    pub long_records: bool,
    /// Whether the service cuts what would be too long, and does not leave that to those who ask.
    pub cuts: bool,
    /// Mean time between two requests of a worker.
    pub request_every: Time,
    /// Share of requests with a made-up key.
    pub made_up: f64,
    /// Share of requests whose client hangs up soon.
    pub hangs_up: f64,
    /// Mean time between two acts of administration.
    pub administer_every: Time,
    /// Share of rings that are lost.
    pub rings_lost: f64,
    /// Chance that something else happens at an access to shared data.
    pub interleaved: f64,
    /// The longest way of a message, in calm weather.
    pub delay: Time,
    /// Whether a request that may go on does so in an event of its own.
    pub turns_later: bool,
    /// Number of the first write to shared data.
    pub first_change: u32,
    /// When faults happen. It is calm before, between and after.
    pub storms: Vec<Range<Time>>,
    /// When it ends.
    pub end: Time,
}

impl Scenario {
    /// The world of a seed.
    pub fn new(random: &mut Random) -> Self {
        let long_records = random.chance(0.02);
        let roomy = !long_records && random.chance(0.5);
        let max_staleness = random.pick(&[2_000, 5_000, 10_000, 30_000]);
        let wait = random.pick(&[1_000, 2_000, 5_000]);
        // Long enough between storms for everything to be fresh again, and for a while of that.
        let calm = 12_000 + wait;
        let mut storms = Vec::new();
        let mut end = random.between(1_000, 4_000);
        for _ in 0..random.between(1, 2) {
            let storm = end..end + random.between(3_000, 15_000);
            end = storm.end + calm + random.between(3_000, 8_000);
            storms.push(storm);
        }
        Self {
            workers: random.between(1, 4) as usize,
            credentials: random.between(4, 60),
            users: random.between(1, 12),
            tenants: random.between(1, 4),
            roomy,
            feed: match random.below(8) {
                0 => Feed::Off,
                1 => Feed::Unsupported,
                _ => Feed::Followed,
            },
            wait,
            timeout: if long_records {
                500
            } else {
                random.pick(&[100, 200, 500])
            },
            fresh_for: random.pick(&[500, 1_000, 2_000, 5_000]).min(max_staleness),
            max_staleness,
            negative_for: random.pick(&[200, 1_000, 2_000]),
            local_entries: if roomy {
                1_000
            } else {
                random.pick(&[2, 8, 20, 50])
            },
            shared_entries: if roomy {
                1_600
            } else {
                random.pick(&[1, 16, 40, 100])
            },
            waiting_requests: random.pick(&[2, 6, 24, 100]),
            lookups_in_flight: random.pick(&[1, 2, 8]),
            usage: random.chance(0.2),
            retention: random.pick(&[3, 100, 5_000]),
            only_last: random.chance(0.5),
            shares_its_log: random.chance(0.3),
            long_records,
            cuts: random.chance(0.5),
            request_every: random.pick(&[20, 50, 200]),
            made_up: random.pick(&[0.0, 0.1, 0.4]),
            hangs_up: random.pick(&[0.0, 0.05, 0.3]),
            administer_every: random.pick(&[100, 300, 1_500]),
            rings_lost: random.pick(&[0.0, 0.1, 1.0]),
            interleaved: random.pick(&[0.0, 0.02, 0.1]),
            delay: random.pick(&[1, 4, 10]),
            turns_later: random.chance(0.3),
            first_change: random.pick(&[1, 1, 1_000, u32::MAX - 20]),
            storms,
            end,
        }
    }

    /// The filter's settings.
    pub fn settings(&self) -> Settings {
        let mut whole = json!({
            "key_service": {
                "cluster": "key_service",
                "token": "S3CR3T-token",
                "timeout": format!("{}ms", self.timeout),
                "changes": {"wait": format!("{}s", self.wait / 1000)},
            },
            "freshness": {
                "fresh_for": format!("{}ms", self.fresh_for),
                "max_staleness": format!("{}ms", self.max_staleness),
                "negative_for": format!("{}ms", self.negative_for),
            },
            "limits": {
                "local_entries": self.local_entries,
                "local_bytes": if self.long_records { "1MiB" } else { "64MiB" },
                "shared_entries": self.shared_entries,
                "waiting_requests": self.waiting_requests,
                "lookups_in_flight": self.lookups_in_flight,
            },
            "usage": {"enabled": self.usage, "every": "1s"},
        });
        if self.feed == Feed::Off {
            whole["key_service"]["changes"]["enabled"] = json!(false);
        }
        config::parse(whole.to_string().as_bytes(), &|_| None).expect("a valid configuration")
    }

    /// Time from a commit until every VM obeys, in calm weather: three messages, and a tick where rings are lost.
    /// A poll waits for a third of `max_staleness` at most, in whole seconds; where that is nothing, the feed
    /// is asked every half second. Where records are long, it may have to be asked for fewer changes first.
    pub fn obeyed_within(&self) -> Time {
        let pace = if self.max_staleness < 3_000 { 600 } else { 0 };
        let woken = self.rings_lost == 0.0 && pace == 0 && !self.long_records;
        if woken {
            return 3 * self.delay + 50;
        }
        250 + pace
    }

    /// The storm of a time.
    pub fn storm(&self, now: Time) -> Option<&Range<Time>> {
        self.storms.iter().find(|storm| storm.contains(&now))
    }
}
