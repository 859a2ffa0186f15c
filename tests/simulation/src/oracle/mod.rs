//! Holds everything that gates decide and do against the truth.
//!
//! The oracle shares no code with the core. It knows the truth at every commit, what every message said, and
//! when; it never looks into a gate or into what a gate has written to shared data.

mod calls;
mod decisions;

use std::collections::BTreeMap;
use std::fmt;

use crate::agenda::Time;
use crate::scenario::{Feed, Scenario};
use crate::service::{Digest, Evidence};
use crate::truth::{Entity, Record, Truth, Version};

pub use calls::Kind;
pub use decisions::{Decided, Outcome};

/// What must always hold. The first ten are those of `docs/architecture.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Once a VM has applied a change, it never decides on an older version of that entity.
    ///
    /// For each VM and entity the oracle keeps the latest commit that this VM has shown by a decision, or
    /// was told by an answer that is not behind any other. Each decision names the versions of key, user and
    /// tenant; a version that had been superseded by that commit is a violation. "Unknown" is a version too, if
    /// the feed told of it: a VM forgets what it was told otherwise after `negative_for`.
    NeverOlder = 1,
    /// No request is allowed on a record unconfirmed for longer than `max_staleness`.
    ///
    /// Two ways. A version that was superseded `max_staleness` ago allows nothing, whatever anybody believes.
    /// And of each record of an allowance there is an answer or an answer of the feed, made by the service
    /// within `max_staleness`, that reached the process.
    Confirmed = 2,
    /// With a working feed, a committed change is obeyed by every VM within the feed's delivery and a
    /// wake-up, and within one tick where the wake-up is lost.
    ///
    /// In calm weather no decision rests on a version that was superseded longer ago than
    /// [`Scenario::obeyed_within`].
    Obeyed = 3,
    /// Every request gets exactly one outcome, within the timeout and a tick.
    ///
    /// At the end of each tick no request of that VM waits whose time was up when the tick began; nothing is
    /// resumed that does not wait; the gate counts as many waiting requests as there are.
    OneOutcome = 4,
    /// `key_unknown` only ever follows from an answer of the service that says so.
    ///
    /// There is such an answer, it reached this VM, and it was asked for within `negative_for`, or it came
    /// while this request waited.
    UnknownIfSaid = 5,
    /// Entries, waiters, calls in flight and shared values never exceed their limits.
    Bounded = 6,
    /// At most one look-up of a digest is in flight per VM; a cached verdictable key causes none.
    ///
    /// The latter in calm weather, with caches that have room, for a key that has not changed since this VM
    /// was told.
    OneLookup = 7,
    /// Upstream identity headers come from a verified record or are absent, and the credential is removed.
    ///
    /// The request as edited is compared with the true record; clients send identity headers of their own.
    Identity = 8,
    /// Nothing that leaves the core for logs, metrics, answers or shared data holds a credential.
    ///
    /// Every credential begins with the same word, which is looked for in all of it.
    NoSecret = 9,
    /// After any sequence of faults ends, the system returns to fresh within a bounded time.
    ///
    /// In calm weather, which begins [`RECOVERED_WITHIN`] and a poll after the last fault, nothing is refused
    /// as unavailable, no decision rests on what was superseded before it became calm, and one poll waits.
    Recovers = 10,
    /// Every decision is the verdict of true records.
    ///
    /// The records that a decision names were written by the service just so, at some time, each for itself;
    /// and the verdict, computed anew from the contract's table of reasons, is the same.
    Verdict = 11,
    /// One VM follows the feed.
    ///
    /// In calm weather no two polls are under way. In any, nobody polls while the poll of another is under way that
    /// had ticked within [`STEADY`] before it sent that, and has sent it within [`STEADY`].
    OneLeader = 12,
    /// Known keys outlive an outage.
    ///
    /// With caches that have room, nothing is refused as unavailable whose records this VM was told within
    /// `max_staleness` and that have not changed since.
    OutageOutlived = 13,
    /// Calls are bounded by what clients ask, by what changes, and by time.
    ///
    /// Of each digest, a VM asks at most [`ASKED_A_REQUEST`] times a request. In each second a VM sends at most one call an
    /// attempt, one an answer of the feed that told of something, and [`CALLS_A_SECOND`]. `retry-after` is kept, and
    /// after [`IN_VAIN_A_SECOND`] errors in a second nothing is looked up before that is over.
    CallsBounded = 14,
    /// The core does not panic.
    NoPanic = 15,
    /// The driver does what the gate says.
    ///
    /// Whoever has left work for later has rung its own bell, and does not ring it without end; no call is sent
    /// within the event of a request; no more than [`keybound::worker::RESUMED_AT_ONCE`] requests go on in an event,
    /// each judged by the time of its turn and by the wall clock of the last tick; what was decided, and no more, is
    /// written to filter state, and named in the answer; no body is read that is longer than the protocol allows; no
    /// metric falls below nothing, and nothing of a VM that is no longer needed is left in a gauge. (That a decision
    /// is carried out once, and in whole, is 4 and 8.)
    Driven = 16,
}

/// Time from the end of the last fault until it is calm, besides the time of a poll.
pub const RECOVERED_WITHIN: Time = 5_000;

/// Time from the death of a VM, the leader perhaps, until it is calm again.
pub const REPLACED_WITHIN: Time = 3_500;

/// Time from a reset of the feed until every VM knows of it, one that stands still in a storm too.
const SETTLED_WITHIN: Time = 5_000;

/// Half of what is left, at least, of the lead of whoever has just ticked and leads.
pub const STEADY: Time = 500;

/// Calls of a VM in a second, besides those that requests and changes cause.
pub const CALLS_A_SECOND: u64 = 30;

/// Look-ups of a VM in a second that are answered by an error, while nothing is heard of the service.
pub const IN_VAIN_A_SECOND: usize = 30;

/// How often a digest is asked for on behalf of a request: three attempts, and six times in a call of half as many.
pub const ASKED_A_REQUEST: u64 = 9;

/// Something that must not happen has happened.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What should have held.
    pub invariant: Invariant,
    /// What has happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.invariant as u8;
        write!(formatter, "{number} ({:?}): {}", self.invariant, self.text)
    }
}

/// What the oracle has seen.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The first violation.
    pub violation: Option<Violation>,
    /// How often each kind of thing was looked at.
    pub counts: BTreeMap<&'static str, u64>,
    calm_from: Time,
    witnesses: BTreeMap<usize, Witness>,
    confirmed: BTreeMap<Entity, Confirmation>,
    /// When a replica last held what was true no more.
    lagged: BTreeMap<Entity, Time>,
    feed: FeedSeen,
    /// The last call that was sent. Calls are numbered in order, where times may be the same.
    last_call: u64,
    /// The latest commit that any answer told of. What comes from before it may be left aside as a whole.
    told: u64,
    /// When the wall clock jumped, and how far ahead: that may be taken for a sleep.
    jumps: Vec<(Time, Time)>,
    calls: calls::Calls,
}

/// What one VM has shown and was told.
#[derive(Debug, Default)]
struct Witness {
    /// The commit that its view of an entity cannot be older than, for each life of the service: until a
    /// reset tells of it, versions of two lives cannot be told apart.
    seen: BTreeMap<(Entity, usize), u64>,
    unknown: BTreeMap<u64, Told>,
    known: BTreeMap<u64, Told>,
    /// Digests under way, with their call.
    looked_up: BTreeMap<Digest, u64>,
    /// Of each digest: requests, and how often it was asked for.
    asked: BTreeMap<Digest, (u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    asked: Time,
    arrived: Time,
    commit: u64,
    resets: u64,
}

#[derive(Debug, Clone, Copy)]
struct Confirmation {
    at: Time,
    /// The latest commit after which it was told.
    commit: u64,
    resets: u64,
}

/// What has arrived of the feed.
#[derive(Debug, Default)]
struct FeedSeen {
    /// When the service made the last answer that arrived and left nothing out.
    at: Time,
    /// The same, of the last answer before the last reset.
    at_before_reset: Time,
    commit: u64,
    resets: u64,
    reset_arrived: Time,
    /// The last call that had been sent when the last reset arrived that told something new: what was asked for
    /// after that belongs to it.
    reset_counted: u64,
    /// To which VM it came.
    reset_by: usize,
    /// The last call that had been sent when that VM had done with it, once it had: what another VM has sent until
    /// then may not know of it.
    reset_handled: Option<u64>,
    /// The commit with which the feed was first followed: what was told after that commit or a later one counts on.
    began: u64,
}

impl FeedSeen {
    /// Whether a version is remembered for good once it is known: a record is, but that there is none is
    /// remembered for `negative_for` only, unless the feed has told of it.
    fn is_remembered(&self, version: &Version) -> bool {
        version.record.is_some() || version.commit <= self.commit
    }
}

impl Oracle {
    /// Notes a violation; the first one counts.
    pub fn violated(&mut self, invariant: Invariant, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                invariant,
                text: text(),
            });
        }
    }

    /// Notes a violation unless something holds.
    pub fn check(&mut self, invariant: Invariant, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.violated(invariant, text);
        }
    }

    /// Counts something, for the report.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A fault lasts until a time, and takes a time to recover from.
    pub fn disturbed(&mut self, until: Time, recovery: Time) {
        self.calm_from = self.calm_from.max(until + recovery);
    }

    /// The wall clock has jumped, by some milliseconds ahead or back.
    pub fn clock_jumped(&mut self, by: i64, now: Time) {
        self.jumps.push((now, by.max(0).unsigned_abs()));
    }

    /// By how much what was asked for at a time may seem older than it is, since the wall clock has jumped.
    /// A VM sees whole seconds, and may look late.
    fn aged_by_jumps(&self, asked: Time) -> Time {
        let since = self
            .jumps
            .iter()
            .filter(|(at, _)| asked <= at + SETTLED_WITHIN);
        since.map(|(_, by)| by + 1_000).sum()
    }

    /// Whether every VM has obeyed the last reset of the feed, if there was one, at a time.
    fn has_settled(&self, at: Time) -> bool {
        self.feed.resets == 0 || at >= self.feed.reset_arrived + SETTLED_WITHIN
    }

    /// Whether everything has recovered from the last fault.
    pub fn is_calm(&self, now: Time) -> bool {
        now >= self.calm_from
    }

    /// A VM is gone.
    pub fn gone(&mut self, vm: usize) {
        self.witnesses.remove(&vm);
        self.calls.gone(vm);
    }

    /// A well-formed answer has arrived at a VM, which has not looked at it yet.
    pub fn told(
        &mut self,
        truth: &Truth,
        vm: usize,
        evidence: &Evidence,
        (call, asked): (u64, Time),
        now: Time,
    ) {
        match evidence {
            Evidence::Resolved {
                commit,
                at,
                credentials,
            } => {
                self.heard(vm, false);
                let behind = *commit < self.told;
                for credential in credentials {
                    let asked = (call, asked);
                    self.told_of(truth, vm, *credential, *commit, *at, asked, now, behind);
                }
                self.told = self.told.max(*commit);
            }
            Evidence::Changes {
                commit,
                at,
                reset,
                moved,
                whole,
                unreadable,
                ..
            } => {
                self.count("feed answers");
                self.heard(vm, true);
                for credential in unreadable {
                    for witness in self.witnesses.values_mut() {
                        witness.known.remove(credential);
                    }
                }
                if *moved {
                    self.calls.caused(vm, now);
                }
                if *reset {
                    self.count("feed resets");
                    // Of two that were asked for at a time, the second tells nothing new.
                    let known = match self.feed.reset_by == vm {
                        true => Some(self.feed.reset_counted),
                        false => self.feed.reset_handled,
                    };
                    if self.feed.resets == 0 || known.is_some_and(|known| call > known) {
                        self.feed.at_before_reset = self.feed.at;
                        self.feed.resets += 1;
                        self.feed.reset_counted = self.last_call;
                        self.feed.reset_by = vm;
                        self.feed.reset_handled = None;
                    }
                    self.feed.reset_arrived = now;
                    if self.feed.resets == 1 {
                        self.feed.began = *commit;
                        for confirmation in self.confirmed.values_mut() {
                            confirmation.resets = u64::from(confirmation.commit >= *commit);
                        }
                    }
                    // What was known before counts for nothing, and sequences may begin anew.
                    for witness in self.witnesses.values_mut() {
                        witness.seen.clear();
                        witness.known.clear();
                    }
                    self.feed.commit = *commit;
                }
                self.told = self.told.max(*commit);
                if *whole {
                    self.feed.at = self.feed.at.max(*at);
                }
                self.feed.commit = self.feed.commit.max(*commit);
            }
            Evidence::Usage => {}
        }
    }

    /// A VM has done with what it was told last.
    pub fn handled(&mut self, vm: usize) {
        if self.feed.reset_by == vm {
            self.feed.reset_handled.get_or_insert(self.last_call);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, all of them times and numbers of one answer"
    )]
    fn told_of(
        &mut self,
        truth: &Truth,
        vm: usize,
        credential: u64,
        commit: u64,
        at: Time,
        (call, asked): (u64, Time),
        now: Time,
        behind: bool,
    ) {
        let told = Told {
            asked,
            arrived: now,
            commit,
            resets: self.feed.resets,
        };
        let unannounced = self.feed.commit < truth.restored_at();
        let behind = behind || unannounced || !self.has_settled(asked);
        let entities = chain_of(truth, credential, commit);
        let witness = self.witnesses.entry(vm).or_default();
        if truth.key(credential, commit).is_none() {
            witness.known.remove(&credential);
            let known = witness.unknown.entry(credential).or_insert(told);
            known.asked = known.asked.max(told.asked);
            known.arrived = told.arrived;
            known.commit = known.commit.max(told.commit);
        } else if !behind {
            witness.known.insert(credential, told);
        }
        for entity in entities {
            let version = truth.after(entity, commit);
            let since = version.commit;
            if truth
                .history(entity)
                .last()
                .is_some_and(|last| last.commit > commit && last.at < at)
            {
                self.lagged.insert(entity, at);
            }
            if !behind && self.feed.is_remembered(&version) {
                let life = truth.life(commit);
                let seen = witness.seen.entry((entity, life)).or_default();
                *seen = (*seen).max(since);
            }
            let confirmation = self.confirmed.entry(entity).or_insert(Confirmation {
                at,
                commit,
                resets: 0,
            });
            confirmation.at = confirmation.at.max(at);
            confirmation.commit = confirmation.commit.max(commit);
            let carried = self.feed.resets == 1 && commit >= self.feed.began;
            if call > self.feed.reset_counted || carried {
                confirmation.resets = self.feed.resets;
            }
        }
    }

    /// When the service was last known to hold an entity's record to be true: by the latest answer that
    /// anybody in the process has, or by the feed.
    fn confirmed_at(&self, entity: Entity, scenario: &Scenario) -> Time {
        let Some(confirmation) = self.confirmed.get(&entity) else {
            return 0;
        };
        let feed = match scenario.feed {
            Feed::Followed if confirmation.resets == self.feed.resets => self.feed.at,
            Feed::Followed => self.feed.at_before_reset,
            Feed::Off | Feed::Unsupported => 0,
        };
        confirmation.at.max(feed)
    }
}

/// A credential's key, its user and its tenant.
fn chain_of(truth: &Truth, credential: u64, commit: u64) -> Vec<Entity> {
    let mut entities = vec![Entity::Key(credential)];
    if let Some(Record::Key(key)) = truth.after(Entity::Key(credential), commit).record {
        entities.extend(key.user.map(Entity::User));
        entities.extend(key.tenant.map(Entity::Tenant));
    }
    entities
}

/// Whether nothing of a chain has changed since a commit.
fn unchanged(truth: &Truth, credential: u64, commit: u64) -> bool {
    chain_of(truth, credential, commit)
        .into_iter()
        .all(|entity| {
            truth
                .history(entity)
                .last()
                .is_none_or(|last| last.commit <= commit)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn feed(commit: u64, at: Time, reset: bool) -> Evidence {
        Evidence::Changes {
            commit,
            at,
            reset,
            moved: true,
            whole: true,
            changes: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// What is confirmed last where two polls were under way and both are told to begin anew, and a key was asked
    /// for after the first of them, with an answer that came at a time. The second was sent at a time, too.
    fn confirmed(answered: Time, second: Time) -> Time {
        let mut truth = Truth::default();
        let tenant = Record::Tenant(crate::truth::Tenant { status: "active" });
        truth.write(Entity::Tenant(1), Some(tenant), 1);
        let scenario = Scenario {
            feed: Feed::Followed,
            ..Scenario::new(&mut Random::new(0))
        };
        let answer = Evidence::Resolved {
            commit: 1,
            at: 125,
            credentials: vec![1],
        };
        let mut messages = [
            (1, feed(1, 5, true), (1, 0), 10),
            (1, feed(1, 95, true), (2, 50), 100),
            (1, answer, (4, 110), answered),
            (2, feed(1, 95, true), (3, second), 130),
            (1, feed(1, 900, false), (5, 150), 910),
        ];
        messages.sort_by_key(|(.., arrived)| *arrived);
        let mut oracle = Oracle::default();
        for (vm, evidence, asked, arrived) in &messages {
            oracle.last_call = match arrived {
                ..100 => 1,
                100..110 => 3,
                110..150 => 4,
                _ => 5,
            };
            oracle.told(&truth, *vm, evidence, *asked, *arrived);
            oracle.handled(*vm);
        }
        oracle.confirmed_at(Entity::Key(1), &scenario)
    }

    #[test]
    fn a_second_reset_of_polls_that_were_under_way_at_a_time_outdates_nothing() {
        assert_eq!(confirmed(120, 60), 900);
        // In the millisecond in which the first was told, and before it was.
        assert_eq!(confirmed(120, 100), 900);
    }

    #[test]
    fn nor_what_is_asked_for_between_two_such_resets_and_comes_later() {
        assert_eq!(confirmed(140, 60), 900);
        assert_eq!(confirmed(140, 100), 900);
    }
}
