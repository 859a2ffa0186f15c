//! What was called and rung, held against the limits.

use std::collections::BTreeMap;

use super::{
    ASKED_A_REQUEST, CALLS_A_SECOND, IN_VAIN_A_SECOND, Invariant, Oracle, STEADY, unchanged,
};
use crate::agenda::Time;
use crate::scenario::{Feed, Scenario};
use crate::service::Digest;
use crate::truth::Truth;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Look-ups.
    Resolve,
    /// The change feed.
    Changes,
    /// A report of usage.
    Usage,
}

/// Calls under way, and those of the current second.
#[derive(Debug, Default)]
pub struct Calls {
    under_way: BTreeMap<u64, Underway>,
    second: Time,
    /// Of each VM: calls of this second, and how many it has cause to send.
    sent: BTreeMap<usize, (u64, u64)>,
    /// Until when each VM was asked not to call, and for what.
    not_before: BTreeMap<(usize, bool), Time>,
    /// Of each VM, when its look-ups were answered by an error, since anything was heard.
    in_vain: BTreeMap<usize, Vec<Time>>,
}

#[derive(Debug, Clone, Copy)]
struct Underway {
    vm: usize,
    kind: Kind,
    sent: Time,
    /// When its time is up. The host may come to say so later.
    until: Time,
    /// Whether its VM had ticked not long before.
    steady: bool,
}

impl Calls {
    pub(super) fn gone(&mut self, vm: usize) {
        self.under_way.retain(|_, call| call.vm != vm);
        self.not_before.retain(|(known, _), _| *known != vm);
        self.in_vain.remove(&vm);
    }

    fn of(&self, vm: usize, kind: Kind, now: Time) -> usize {
        let same = |call: &&Underway| call.vm == vm && call.kind == kind && now < call.until;
        self.under_way.values().filter(same).count()
    }

    /// A VM has cause to poll again.
    pub(super) fn caused(&mut self, vm: usize, now: Time) {
        self.turn(now);
        self.sent.entry(vm).or_default().1 += 1;
    }

    fn turn(&mut self, now: Time) {
        if now / 1000 != self.second {
            self.second = now / 1000;
            self.sent.clear();
        }
    }
}

impl Oracle {
    /// A request has come to a VM.
    pub fn requested(&mut self, vm: usize, digest: Digest, now: Time) {
        self.calls.turn(now);
        self.calls.sent.entry(vm).or_default().1 += ASKED_A_REQUEST;
        self.witnesses
            .entry(vm)
            .or_default()
            .asked
            .entry(digest)
            .or_default()
            .0 += 1;
    }

    /// A VM sends a call, or tries to.
    pub fn calls(&mut self, vm: usize, kind: Kind, now: Time) {
        self.count(match kind {
            Kind::Resolve => "resolves",
            Kind::Changes => "polls",
            Kind::Usage => "usage reports",
        });
        self.calls.turn(now);
        let (sent, causes) = self.calls.sent.entry(vm).or_default();
        *sent += 1;
        let (sent, causes) = (*sent, *causes);
        self.check(
            Invariant::CallsBounded,
            sent <= CALLS_A_SECOND + causes,
            || format!("VM {vm} has sent {sent} calls in a second, and had cause for {causes}"),
        );
        let in_vain = self.calls.in_vain.get(&vm).into_iter().flatten();
        let in_vain = in_vain.filter(|at| *at + 1_000 > now).count();
        self.check(
            Invariant::CallsBounded,
            kind != Kind::Resolve || in_vain <= IN_VAIN_A_SECOND,
            || format!("VM {vm} asks again after {in_vain} errors in a second"),
        );
        let feed = kind == Kind::Changes;
        let not_before = self.calls.not_before.get(&(vm, feed)).copied().unwrap_or(0);
        self.check(
            Invariant::CallsBounded,
            kind == Kind::Usage || now >= not_before,
            || format!("VM {vm} calls again {} ms before it may", not_before - now),
        );
    }

    /// A VM was asked not to call for some seconds.
    pub fn asked_to_wait(&mut self, vm: usize, kind: Kind, seconds: u64, now: Time) {
        if kind != Kind::Usage {
            self.count("retry-after");
            let feed = kind == Kind::Changes;
            let until = self.calls.not_before.entry((vm, feed)).or_default();
            // What was sent before the first such answer has met the same fault.
            if now >= *until {
                *until = now + seconds * 1000;
            }
        }
    }

    /// A look-up of a VM was answered by an error.
    pub fn asked_in_vain(&mut self, vm: usize, now: Time) {
        let times = self.calls.in_vain.entry(vm).or_default();
        times.retain(|at| *at + 1_000 > now);
        times.push(now);
    }

    /// A call of a VM was answered usably: the service is there again.
    pub(super) fn heard(&mut self, vm: usize, feed: bool) {
        if feed {
            self.calls.in_vain.clear();
        } else {
            self.calls.in_vain.remove(&vm);
        }
        self.calls.not_before.remove(&(vm, feed));
    }

    /// A VM asks for digests, or tries to.
    pub fn asks(&mut self, vm: usize, asked: &[(Digest, Option<u64>)]) {
        for (digest, credential) in asked {
            let witness = self.witnesses.entry(vm).or_default();
            let (requests, times) = witness.asked.entry(*digest).or_default();
            *times += 1;
            let (requests, times) = (*requests, *times);
            self.check(Invariant::CallsBounded, times <= ASKED_A_REQUEST * requests, || {
                format!("VM {vm} asks for credential {credential:?} {times} times, for {requests} requests")
            });
        }
    }

    /// A call is under way.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, all of them times and numbers of one call"
    )]
    pub fn sent(
        &mut self,
        scenario: &Scenario,
        vm: usize,
        call: u64,
        kind: Kind,
        now: Time,
        timeout: Time,
        steady: bool,
    ) {
        if kind == Kind::Changes {
            let led = |other: &&Underway| {
                other.kind == kind && other.vm != vm && other.steady && now - other.sent < STEADY
            };
            let other = self.calls.under_way.values().find(led).map(|led| led.vm);
            self.check(Invariant::OneLeader, other.is_none(), || {
                format!("VM {vm} polls the feed while VM {other:?} leads")
            });
        }
        self.last_call = call;
        let underway = Underway {
            vm,
            kind,
            sent: now,
            until: now + timeout,
            steady,
        };
        self.calls.under_way.insert(call, underway);
        let count = self.calls.of(vm, kind, now);
        let limit = match kind {
            Kind::Resolve => scenario.lookups_in_flight,
            Kind::Changes | Kind::Usage => 1,
        };
        self.check(Invariant::Bounded, count <= limit, || {
            format!("VM {vm} has {count} calls of kind {kind:?} in flight")
        });
        if kind == Kind::Changes && self.is_calm(now) {
            let calm_from = self.calm_from;
            let other = self.calls.under_way.values().find(|other| {
                other.kind == Kind::Changes && other.vm != vm && other.sent >= calm_from
            });
            let other = other.map(|other| other.vm);
            self.check(Invariant::OneLeader, other.is_none(), || {
                format!("VM {vm} polls the feed while VM {other:?} does")
            });
        }
    }

    /// A VM asks for digests.
    pub fn looks_up(
        &mut self,
        truth: &Truth,
        scenario: &Scenario,
        vm: usize,
        call: u64,
        asked: &[(Digest, Option<u64>)],
        now: Time,
    ) {
        self.check(Invariant::Bounded, (1..=64).contains(&asked.len()), || {
            format!("VM {vm} asks for {} digests in one call", asked.len())
        });
        for (digest, credential) in asked {
            let witness = self.witnesses.entry(vm).or_default();
            let twice = witness.looked_up.insert(*digest, call).is_some();
            self.check(Invariant::OneLookup, !twice, || {
                format!("VM {vm} asks for credential {credential:?} twice at a time")
            });
            if let Some(credential) = credential {
                self.looks_up_known(truth, scenario, vm, *credential, now);
            }
        }
    }

    fn looks_up_known(
        &mut self,
        truth: &Truth,
        scenario: &Scenario,
        vm: usize,
        credential: u64,
        now: Time,
    ) {
        let Some(told) = self
            .witnesses
            .entry(vm)
            .or_default()
            .known
            .get(&credential)
            .copied()
        else {
            return;
        };
        let fresh = match scenario.feed {
            Feed::Followed => true,
            Feed::Off | Feed::Unsupported => now - told.asked < scenario.fresh_for * 9 / 10,
        };
        let cached = scenario.roomy
            && fresh
            && told.asked >= self.calm_from
            && told.resets == self.feed.resets
            && unchanged(truth, credential, told.commit);
        self.check(Invariant::OneLookup, !cached, || {
            format!(
                "VM {vm} asks for credential {credential}, of which it was told {} ms ago",
                now - told.asked
            )
        });
    }

    /// A call has ended.
    pub fn ended(&mut self, vm: usize, call: u64) {
        self.calls.under_way.remove(&call);
        if let Some(witness) = self.witnesses.get_mut(&vm) {
            witness.looked_up.retain(|_, known| *known != call);
        }
    }

    /// Looks at the calls under way, now and then: in calm weather the feed is being followed. `polled` is
    /// when a poll was last under way.
    pub fn is_followed(&mut self, scenario: &Scenario, now: Time, polled: Time) {
        let followed =
            scenario.feed != Feed::Followed || !self.is_calm(now) || now - polled < 1_000;
        self.check(Invariant::Recovers, followed, || {
            format!(
                "nobody has polled the feed for {} ms in calm weather",
                now - polled
            )
        });
    }

    /// When a poll was last under way, if one is.
    pub fn polls_under_way(&self) -> usize {
        let polls = |call: &&Underway| call.kind == Kind::Changes;
        self.calls.under_way.values().filter(polls).count()
    }
}
