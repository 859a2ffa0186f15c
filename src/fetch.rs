//! From misses to batches to those who may go on.
//!
//! Misses are not asked for one by one: what has gathered since the last call goes out as one
//! `/v1/resolve`, each digest at most once under way. This module knows no clock, no host and no cache.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::config::Limits;
use crate::digest::Digest;
use crate::time::Instant;

/// Most digests of one call (contract of `/v1/resolve`).
pub const BATCH: usize = 64;

/// Stands for a request that waits; its meaning is the caller's.
pub type Waiter = u32;

/// Stands for a call under way; its meaning is the caller's.
pub type Call = u32;

/// Misses, calls under way, and who waits for which digest.
#[derive(Debug)]
pub struct Fetcher {
    waiting_requests: usize,
    lookups_in_flight: usize,
    /// Digests to be asked for, in the order in which they were missed.
    queued: VecDeque<Digest>,
    /// Exactly the digests that are queued or under way.
    wanted: HashMap<Digest, Wanted>,
    calls: HashMap<Call, Batch>,
    waiting: HashMap<Waiter, Waiting>,
}

/// What one call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The digests, in order.
    pub digests: Vec<Digest>,
    /// When it was sent.
    pub asked: Instant,
}

#[derive(Debug)]
struct Wanted {
    waiters: Vec<Waiter>,
    /// Whether it is wanted even if nobody waits for it.
    refresh: bool,
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
}

impl Fetcher {
    /// Nothing under way.
    pub fn new(limits: &Limits) -> Self {
        Self {
            waiting_requests: limits.waiting_requests,
            lookups_in_flight: limits.lookups_in_flight,
            queued: VecDeque::new(),
            wanted: HashMap::new(),
            calls: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Lets a request wait for a digest until a deadline.
    pub fn wait(&mut self, digest: Digest, waiter: Waiter, deadline: Instant) -> Admission {
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
                });
                self.queued.push_back(digest);
                Admission::Queued
            }
        }
    }

    /// Asks for a digest again for which nobody waits. Where too much is queued already, a later request
    /// will ask again.
    pub fn refresh(&mut self, digest: Digest) {
        if self.queued.len() < self.waiting_requests && !self.wanted.contains_key(&digest) {
            let nobody = Wanted {
                waiters: Vec::new(),
                refresh: true,
            };
            self.wanted.insert(digest, nobody);
            self.queued.push_back(digest);
        }
    }

    /// Whether there is something to send and room to send it.
    pub fn ready(&self) -> bool {
        !self.queued.is_empty() && self.calls.len() < self.lookups_in_flight
    }

    /// The digests of the next call, if there is something to send and room to send it. The caller says
    /// with [`Self::sent`] what became of it, or gives it back with [`Self::answered`].
    pub fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        if !self.ready() {
            return None;
        }
        let count = self.queued.len().min(BATCH);
        Some(Batch {
            digests: self.queued.drain(..count).collect(),
            asked: now,
        })
    }

    /// A batch is under way.
    pub fn sent(&mut self, call: Call, batch: Batch) {
        self.calls.insert(call, batch);
    }

    /// A call has ended: what it asked for.
    pub fn ended(&mut self, call: Call) -> Option<Batch> {
        self.calls.remove(&call)
    }

    /// A digest is no longer under way: those who waited for it.
    pub fn answered(&mut self, digest: &Digest) -> Vec<Waiter> {
        let waiters = self
            .wanted
            .remove(digest)
            .map(|wanted| wanted.waiters)
            .unwrap_or_default();
        for waiter in &waiters {
            self.waiting.remove(waiter);
        }
        waiters
    }

    /// A request is gone or has been answered otherwise.
    pub fn forget(&mut self, waiter: Waiter) {
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

    /// Forgets and gives those whose time is up.
    pub fn take_late(&mut self, now: Instant) -> Vec<Waiter> {
        let late: Vec<Waiter> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.deadline <= now)
            .map(|(waiter, _)| *waiter)
            .collect();
        late.iter().for_each(|waiter| self.forget(*waiter));
        late
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::test;

    const NOW: Instant = Instant::from_millis(1000);

    fn fetcher(waiting_requests: usize, lookups_in_flight: usize) -> Fetcher {
        Fetcher::new(&Limits {
            local_entries: 1,
            shared_entries: 1,
            waiting_requests,
            lookups_in_flight,
        })
    }

    fn digest(number: u8) -> Digest {
        Digest::new([number; 32])
    }

    fn later() -> Instant {
        NOW + Duration::from_millis(500)
    }

    #[test]
    fn each_digest_is_asked_for_once_however_many_wait() {
        let mut fetcher = fetcher(100, 2);
        assert_eq!(fetcher.wait(digest(1), 10, later()), Admission::Queued);
        assert_eq!(fetcher.wait(digest(1), 11, later()), Admission::Joined);
        assert_eq!(fetcher.wait(digest(2), 12, later()), Admission::Queued);
        fetcher.refresh(digest(1));
        let batch = fetcher.next_batch(NOW).unwrap();
        assert_eq!(batch.digests, [digest(1), digest(2)]);
        fetcher.sent(7, batch.clone());
        assert_eq!(fetcher.wait(digest(1), 13, later()), Admission::Joined);
        assert_eq!(fetcher.next_batch(NOW), None);
        assert_eq!(fetcher.ended(7), Some(batch));
        assert_eq!(fetcher.ended(7), None);
        assert_eq!(fetcher.answered(&digest(1)), [10, 11, 13]);
        assert_eq!(fetcher.answered(&digest(2)), [12]);
        assert_eq!(fetcher.waiting(), 0);
        assert_eq!(fetcher.wait(digest(1), 10, later()), Admission::Queued);
    }

    #[test]
    fn batches_and_calls_and_waiters_are_bounded() {
        let mut fetcher = fetcher(150, 2);
        for waiter in 0..150_u8 {
            assert_eq!(
                fetcher.wait(digest(waiter), u32::from(waiter), later()),
                Admission::Queued
            );
        }
        assert_eq!(fetcher.wait(digest(200), 200, later()), Admission::Refused);
        fetcher.refresh(digest(201));
        for call in 0..2 {
            let batch = fetcher.next_batch(NOW).unwrap();
            assert_eq!(batch.digests.len(), BATCH);
            fetcher.sent(call, batch);
        }
        assert_eq!(fetcher.next_batch(NOW), None);
        assert!(!fetcher.ready());
        fetcher.ended(0).unwrap();
        assert_eq!(
            fetcher.next_batch(NOW).unwrap().digests.len(),
            150 - 2 * BATCH
        );
    }

    #[test]
    fn who_is_gone_is_not_asked_for() {
        let mut fetcher = fetcher(100, 2);
        fetcher.wait(digest(1), 1, later());
        fetcher.wait(digest(2), 2, later());
        fetcher.wait(digest(2), 3, later());
        fetcher.forget(1);
        fetcher.forget(1);
        fetcher.forget(2);
        let batch = fetcher.next_batch(NOW).unwrap();
        assert_eq!(batch.digests, [digest(2)]);
        fetcher.sent(1, batch);
        fetcher.forget(3);
        assert_eq!(fetcher.wait(digest(2), 4, later()), Admission::Joined);
        assert_eq!(fetcher.answered(&digest(2)), [4]);
    }

    #[test]
    fn who_has_waited_too_long_is_given_up() {
        let mut fetcher = fetcher(100, 2);
        fetcher.wait(digest(1), 1, later());
        fetcher.wait(digest(1), 2, later() + Duration::from_millis(1));
        assert!(fetcher.take_late(NOW).is_empty());
        assert_eq!(fetcher.take_late(later()), [1]);
        assert!(fetcher.take_late(later()).is_empty());
        assert_eq!(fetcher.answered(&digest(1)), [2]);
    }
}
