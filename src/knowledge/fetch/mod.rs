//! From misses to batches to those who may go on.
//!
//! Misses are not asked for one by one: what has gathered since the last call goes out as one
//! `/v1/resolve`, each digest at most once under way. While the key service does not answer, one call at a
//! time tries it, with growing delays, and nobody waits in between. This module knows no clock, no host and
//! no cache.

mod reachability;

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use crate::credential::digest::Digest;
use crate::host::RequestId;
use crate::knowledge::Spread;
use crate::protocol::MOST_DIGESTS;
use crate::time::Instant;
use reachability::Reachability;

/// How often a digest is asked for on behalf of one request.
const ATTEMPTS: u8 = 3;

/// Bounds on a worker's work under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests that may wait for the key service.
    pub waiting_requests: usize,
    /// Calls under way.
    pub lookups_in_flight: usize,
}

/// Misses, calls under way, and who waits for which digest.
#[derive(Debug)]
pub struct Fetcher {
    waiting_requests: usize,
    lookups_in_flight: usize,
    /// Digests to be asked for, in the order in which they were missed.
    queued: VecDeque<Digest>,
    /// Exactly the digests that are queued or under way.
    wanted: HashMap<Digest, Wanted>,
    /// How many calls are under way.
    under_way: usize,
    waiting: HashMap<RequestId, Waiting, BuildHasherDefault<Spread>>,
    service: Reachability,
}

/// What one call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The digests, in order.
    pub digests: Vec<Digest>,
    /// When it was sent.
    pub asked: Instant,
    /// The epoch of the change feed in which it was sent.
    pub epoch: u64,
    /// Whether it tries a key service that did not answer before.
    pub probe: bool,
}

#[derive(Debug)]
struct Wanted {
    waiters: Vec<RequestId>,
    /// Whether it is wanted even if nobody waits for it.
    refresh: bool,
    /// How often it has been sent.
    attempts: u8,
    /// The most digests of a call in which it is asked for.
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    digest: Digest,
    deadline: Instant,
}

/// What became of a wish to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is the first for its digest, which has been queued.
    Queued,
    /// It waits for what others wait for already.
    Joined,
    /// Too many wait.
    Refused,
    /// The key service does not answer, and it is not yet time to try again.
    Down,
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connection broke, or there was none: trying again at once may help.
    Connection,
    /// Another way. The service may have asked to be left alone for a while.
    Other(Option<Duration>),
}

impl Fetcher {
    /// Nothing under way. From `seed` follows how attempts are spread.
    pub fn new(limits: &Limits, seed: u64) -> Self {
        Self {
            waiting_requests: limits.waiting_requests,
            lookups_in_flight: limits.lookups_in_flight,
            queued: VecDeque::new(),
            wanted: HashMap::new(),
            under_way: 0,
            waiting: HashMap::default(),
            service: Reachability::new(seed),
        }
    }

    /// Lets a request wait for a digest until a deadline.
    pub fn wait(
        &mut self,
        digest: Digest,
        waiter: RequestId,
        deadline: Instant,
        now: Instant,
    ) -> Admission {
        if !self.worth_waiting(now) && !self.wanted.contains_key(&digest) {
            return Admission::Down;
        }
        if self.waiting.len() >= self.waiting_requests {
            return Admission::Refused;
        }
        self.waiting.insert(waiter, Waiting { digest, deadline });
        match self.wanted.entry(digest) {
            Entry::Occupied(mut wanted) => {
                wanted.get_mut().waiters.push(waiter);
                Admission::Joined
            }
            Entry::Vacant(place) => {
                place.insert(Wanted {
                    waiters: vec![waiter],
                    refresh: false,
                    attempts: 0,
                    most: MOST_DIGESTS,
                });
                self.queued.push_back(digest);
                Admission::Queued
            }
        }
    }

    /// Asks for a digest again for which nobody waits. Where too much is queued already, a later request
    /// will ask again.
    pub fn refresh(&mut self, digest: Digest, now: Instant) {
        let room = self.queued.len() < self.waiting_requests && self.worth_waiting(now);
        if room && !self.wanted.contains_key(&digest) {
            let nobody = Wanted {
                waiters: Vec::new(),
                refresh: true,
                attempts: 0,
                most: MOST_DIGESTS,
            };
            self.wanted.insert(digest, nobody);
            self.queued.push_back(digest);
        }
    }

    /// Whether an answer can be hoped for: the key service answers, or is being tried, or may be tried.
    fn worth_waiting(&self, now: Instant) -> bool {
        self.service.may_be_tried(now) || self.under_way > 0
    }

    /// Whether there is something to send and room to send it.
    pub fn ready(&self, now: Instant) -> bool {
        let room = if self.service.is_down() {
            self.under_way == 0 && self.service.may_be_tried(now)
        } else {
            self.under_way < self.lookups_in_flight
        };
        room && !self.queued.is_empty()
    }

    /// The digests of the next call, if there is something to send and room to send it. The caller says
    /// with [`Self::sent`] what became of it, or gives it back with [`Self::failed`].
    pub fn next_batch(&mut self, now: Instant, epoch: u64) -> Option<Batch> {
        if !self.ready(now) {
            return None;
        }
        let mut digests = Vec::new();
        let mut most = MOST_DIGESTS;
        while let Some(digest) = self.queued.front().copied() {
            let wanted = self.wanted.get_mut(&digest);
            most = wanted
                .as_ref()
                .map_or(most, |wanted| most.min(wanted.most.max(1)));
            if digests.len() >= most {
                break;
            }
            if let Some(wanted) = wanted {
                wanted.attempts = wanted.attempts.saturating_add(1);
            }
            self.queued.pop_front();
            digests.push(digest);
        }
        Some(Batch {
            digests,
            asked: now,
            epoch,
            probe: self.service.is_down(),
        })
    }

    /// A call was answered: the key service works.
    pub fn succeeded(&mut self, now: Instant) {
        self.service.succeeded(now);
    }

    /// The key service was heard of at a time, by the change feed.
    pub fn heard(&mut self, at: Instant) {
        self.service.heard(at);
    }

    /// A batch has failed. Gives the digests that are given up for now: what is not tried again at once, and
    /// all that is queued while the key service is left alone.
    pub fn failed(&mut self, batch: Batch, failure: Failure, now: Instant) -> Vec<Digest> {
        let mut given_up = Vec::new();
        for digest in batch.digests {
            let again = failure == Failure::Connection
                && self
                    .wanted
                    .get(&digest)
                    .is_some_and(|wanted| wanted.attempts == 1);
            if again {
                self.queued.push_back(digest);
            } else {
                given_up.push(digest);
            }
        }
        let asked = match failure {
            Failure::Connection => None,
            Failure::Other(asked) => asked,
        };
        self.service.failed(asked, batch.probe, now);
        if !self.worth_waiting(now) {
            given_up.extend(self.queued.drain(..));
        }
        given_up
    }

    /// Asks for a digest again whose answer was of no use. False where that has been done often enough.
    pub fn again(&mut self, digest: Digest) -> bool {
        let again = self
            .wanted
            .get(&digest)
            .is_some_and(|wanted| wanted.attempts < ATTEMPTS);
        if again {
            self.queued.push_back(digest);
        }
        again
    }

    /// Digests of a call that asked for too many at once are asked for before all others, in calls of half as many.
    /// This is no attempt of theirs, and cannot go on without end.
    pub fn ask_for_less(&mut self, digests: &[Digest], asked: usize) {
        for digest in digests.iter().rev() {
            let Some(wanted) = self.wanted.get_mut(digest) else {
                continue;
            };
            if wanted.waiters.is_empty() && !wanted.refresh {
                self.wanted.remove(digest);
                continue;
            }
            wanted.most = asked / 2;
            wanted.attempts = wanted.attempts.saturating_sub(1);
            self.queued.push_front(*digest);
        }
    }

    /// A batch is under way.
    pub fn sent(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    /// A call with a batch has ended.
    pub fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A digest is no longer under way: those who waited for it, and until when they would have.
    pub fn answered(&mut self, digest: &Digest) -> Vec<(RequestId, Instant)> {
        let waiters = self
            .wanted
            .remove(digest)
            .map(|wanted| wanted.waiters)
            .unwrap_or_default();
        waiters
            .into_iter()
            .filter_map(|waiter| Some((waiter, self.waiting.remove(&waiter)?.deadline)))
            .collect()
    }

    /// A request is gone or has been answered otherwise.
    pub fn forget(&mut self, waiter: RequestId) {
        let Some(waiting) = self.waiting.remove(&waiter) else {
            return;
        };
        let digest = waiting.digest;
        let Some(wanted) = self.wanted.get_mut(&digest) else {
            return;
        };
        wanted.waiters.retain(|known| *known != waiter);
        // What nobody waits for any more is not asked for: clients that come and go must not fill the queue.
        if wanted.waiters.is_empty()
            && !wanted.refresh
            && let Some(at) = self.queued.iter().position(|queued| *queued == digest)
        {
            self.queued.remove(at);
            self.wanted.remove(&digest);
        }
    }

    /// Forgets and gives those whose time is up, and what they waited for.
    pub fn take_late(&mut self, now: Instant) -> Vec<(RequestId, Digest)> {
        let late: Vec<(RequestId, Digest)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.deadline <= now)
            .map(|(waiter, waiting)| (*waiter, waiting.digest))
            .collect();
        late.iter().for_each(|(waiter, _)| self.forget(*waiter));
        late
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
