//! From misses to batches to those who may go on.
//!
//! Misses are not asked for one by one: what has gathered since the last call goes out as one
//! `/v1/resolve`, each digest at most once under way. While the key service does not answer, one call at a
//! time tries it, with growing delays, and nobody waits in between. This module knows no clock, no host and
//! no cache.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::backoff::{self, Random};
use crate::config::Limits;
use crate::digest::Digest;
use crate::time::Instant;

/// Most digests of one call (contract of `/v1/resolve`).
pub const BATCH: usize = 64;

/// How often a digest is asked for on behalf of one request.
const ATTEMPTS: u8 = 3;

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
    outage: Option<Outage>,
    random: Random,
}

/// The key service does not answer.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// Calls in a row that have failed.
    failures: u32,
    /// When the last of them failed.
    failed_at: Instant,
    /// Before this no call is sent.
    retry_at: Instant,
    /// Whether the service has asked for that.
    asked: bool,
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
    waiters: Vec<Waiter>,
    /// Whether it is wanted even if nobody waits for it.
    refresh: bool,
    /// How often it has been sent.
    attempts: u8,
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
            calls: HashMap::new(),
            waiting: HashMap::new(),
            outage: None,
            random: Random::new(seed),
        }
    }

    /// Lets a request wait for a digest until a deadline.
    pub fn wait(
        &mut self,
        digest: Digest,
        waiter: Waiter,
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
            };
            self.wanted.insert(digest, nobody);
            self.queued.push_back(digest);
        }
    }

    /// Whether an answer can be hoped for: the key service answers, or is being tried, or may be tried.
    fn worth_waiting(&self, now: Instant) -> bool {
        self.outage
            .is_none_or(|outage| now >= outage.retry_at || !self.calls.is_empty())
    }

    /// Whether there is something to send and room to send it.
    pub fn ready(&self, now: Instant) -> bool {
        let room = match self.outage {
            None => self.calls.len() < self.lookups_in_flight,
            Some(outage) => self.calls.is_empty() && now >= outage.retry_at,
        };
        room && !self.queued.is_empty()
    }

    /// The digests of the next call, if there is something to send and room to send it. The caller says
    /// with [`Self::sent`] what became of it, or gives it back with [`Self::failed`].
    pub fn next_batch(&mut self, now: Instant, epoch: u64) -> Option<Batch> {
        if !self.ready(now) {
            return None;
        }
        let count = self.queued.len().min(BATCH);
        let digests: Vec<Digest> = self.queued.drain(..count).collect();
        for digest in &digests {
            if let Some(wanted) = self.wanted.get_mut(digest) {
                wanted.attempts = wanted.attempts.saturating_add(1);
            }
        }
        Some(Batch {
            digests,
            asked: now,
            epoch,
            probe: self.outage.is_some(),
        })
    }

    /// A call was answered: the key service works. If it has asked to be left alone, it is all the same.
    pub fn succeeded(&mut self, now: Instant) {
        self.outage
            .take_if(|outage| !outage.asked || now >= outage.retry_at);
    }

    /// The key service was heard of at a time, by the change feed: it may be tried, unless it has asked to be
    /// left alone.
    pub fn heard(&mut self, at: Instant) {
        if let Some(outage) = &mut self.outage
            && outage.failed_at < at
            && !outage.asked
        {
            outage.retry_at = outage.retry_at.min(at);
        }
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
        // What was sent before the outage was known has met the same fault. What the service asks for counts.
        let known = self.outage.filter(|_| !batch.probe);
        if known.is_none() || asked.is_some() {
            let failures = self.outage.map_or(0, |outage| outage.failures);
            let failures = failures.saturating_add(1);
            let retry_at = now + backoff::delay(failures, asked, self.random.number());
            self.outage = Some(Outage {
                failures,
                failed_at: now,
                asked: asked.is_some(),
                retry_at: known.map_or(retry_at, |known| retry_at.max(known.retry_at)),
            });
        }
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

    /// A batch is under way.
    pub fn sent(&mut self, call: Call, batch: Batch) {
        self.calls.insert(call, batch);
    }

    /// A call has ended: what it asked for.
    pub fn ended(&mut self, call: Call) -> Option<Batch> {
        self.calls.remove(&call)
    }

    /// A digest is no longer under way: those who waited for it, and until when they would have.
    pub fn answered(&mut self, digest: &Digest) -> Vec<(Waiter, Instant)> {
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

    /// Forgets and gives those whose time is up, and what they waited for.
    pub fn take_late(&mut self, now: Instant) -> Vec<(Waiter, Digest)> {
        let late: Vec<(Waiter, Digest)> = self
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::test;

    const NOW: Instant = Instant::from_millis(1000);

    fn fetcher(waiting_requests: usize, lookups_in_flight: usize) -> Fetcher {
        Fetcher::new(
            &Limits {
                local_entries: 1,
                shared_entries: 1,
                waiting_requests,
                lookups_in_flight,
            },
            7,
        )
    }

    fn digest(number: u8) -> Digest {
        Digest::new([number; 32])
    }

    fn waiters(fetcher: &mut Fetcher, number: u8) -> Vec<Waiter> {
        let waiters = fetcher.answered(&digest(number));
        waiters.into_iter().map(|(waiter, _)| waiter).collect()
    }

    fn later() -> Instant {
        NOW + Duration::from_millis(500)
    }

    #[test]
    fn each_digest_is_asked_for_once_however_many_wait() {
        let mut fetcher = fetcher(100, 2);
        assert_eq!(fetcher.wait(digest(1), 10, later(), NOW), Admission::Queued);
        assert_eq!(fetcher.wait(digest(1), 11, later(), NOW), Admission::Joined);
        assert_eq!(fetcher.wait(digest(2), 12, later(), NOW), Admission::Queued);
        fetcher.refresh(digest(1), NOW);
        let batch = fetcher.next_batch(NOW, 0).unwrap();
        assert_eq!(batch.digests, [digest(1), digest(2)]);
        fetcher.sent(7, batch.clone());
        assert_eq!(fetcher.wait(digest(1), 13, later(), NOW), Admission::Joined);
        assert_eq!(fetcher.next_batch(NOW, 0), None);
        assert_eq!(fetcher.ended(7), Some(batch));
        assert_eq!(fetcher.ended(7), None);
        assert_eq!(waiters(&mut fetcher, 1), [10, 11, 13]);
        assert_eq!(waiters(&mut fetcher, 2), [12]);
        assert_eq!(fetcher.waiting(), 0);
        assert_eq!(fetcher.wait(digest(1), 10, later(), NOW), Admission::Queued);
    }

    #[test]
    fn batches_and_calls_and_waiters_are_bounded() {
        let mut fetcher = fetcher(150, 2);
        for waiter in 0..150_u8 {
            assert_eq!(
                fetcher.wait(digest(waiter), u32::from(waiter), later(), NOW),
                Admission::Queued
            );
        }
        assert_eq!(
            fetcher.wait(digest(200), 200, later(), NOW),
            Admission::Refused
        );
        fetcher.refresh(digest(201), NOW);
        for call in 0..2 {
            let batch = fetcher.next_batch(NOW, 0).unwrap();
            assert_eq!(batch.digests.len(), BATCH);
            fetcher.sent(call, batch);
        }
        assert_eq!(fetcher.next_batch(NOW, 0), None);
        assert!(!fetcher.ready(NOW));
        fetcher.ended(0).unwrap();
        assert_eq!(
            fetcher.next_batch(NOW, 0).unwrap().digests.len(),
            150 - 2 * BATCH
        );
    }

    #[test]
    fn who_is_gone_is_not_asked_for() {
        let mut fetcher = fetcher(100, 2);
        fetcher.wait(digest(1), 1, later(), NOW);
        fetcher.wait(digest(2), 2, later(), NOW);
        fetcher.wait(digest(2), 3, later(), NOW);
        fetcher.forget(1);
        fetcher.forget(1);
        fetcher.forget(2);
        let batch = fetcher.next_batch(NOW, 0).unwrap();
        assert_eq!(batch.digests, [digest(2)]);
        fetcher.sent(1, batch);
        fetcher.forget(3);
        assert_eq!(fetcher.wait(digest(2), 4, later(), NOW), Admission::Joined);
        assert_eq!(waiters(&mut fetcher, 2), [4]);
    }

    #[test]
    fn who_has_waited_too_long_is_given_up() {
        let mut fetcher = fetcher(100, 2);
        fetcher.wait(digest(1), 1, later(), NOW);
        fetcher.wait(digest(1), 2, later() + Duration::from_millis(1), NOW);
        assert!(fetcher.take_late(NOW).is_empty());
        assert_eq!(fetcher.take_late(later()), [(1, digest(1))]);
        assert!(fetcher.take_late(later()).is_empty());
        assert_eq!(waiters(&mut fetcher, 1), [2]);
    }

    /// Sends what is queued and lets it fail.
    fn fail(fetcher: &mut Fetcher, failure: Failure, now: Instant) -> Vec<Digest> {
        let batch = fetcher.next_batch(now, 0).unwrap();
        fetcher.sent(1, batch);
        let batch = fetcher.ended(1).unwrap();
        let given_up = fetcher.failed(batch, failure, now);
        for digest in &given_up {
            fetcher.answered(digest);
        }
        given_up
    }

    fn after(millis: u64) -> Instant {
        NOW + Duration::from_millis(millis)
    }

    #[test]
    fn a_broken_connection_is_tried_again_once_at_once() {
        let mut fetcher = fetcher(100, 8);
        fetcher.wait(digest(1), 1, later(), NOW);
        assert_eq!(fail(&mut fetcher, Failure::Connection, NOW), []);
        assert_eq!(fail(&mut fetcher, Failure::Connection, NOW), [digest(1)]);
        assert_eq!(fetcher.wait(digest(2), 2, later(), NOW), Admission::Down);
    }

    #[test]
    fn while_the_service_is_down_one_call_at_a_time_tries_it() {
        let mut fetcher = fetcher(1000, 8);
        for number in 0..=255 {
            fetcher.wait(digest(number), u32::from(number), later(), NOW);
        }
        let first = fetcher.next_batch(NOW, 0).unwrap();
        let second = fetcher.next_batch(NOW, 0).unwrap();
        fetcher.sent(1, first.clone());
        fetcher.sent(2, second.clone());
        fetcher.ended(1);
        assert_eq!(
            fetcher.failed(first, Failure::Other(None), NOW).len(),
            BATCH
        );
        // The other call is still under way; what is queued waits for what comes of it.
        assert!(!fetcher.ready(NOW));
        fetcher.ended(2);
        assert_eq!(
            fetcher.failed(second, Failure::Other(None), NOW).len(),
            BATCH
        );
        assert_eq!(
            fail(&mut fetcher, Failure::Other(None), after(1)).len(),
            256 - 2 * BATCH
        );
        (0..=255).for_each(|number| drop(fetcher.answered(&digest(number))));
        assert_eq!(
            fetcher.wait(digest(1), 300, later(), after(1)),
            Admission::Down
        );
        assert_eq!(
            fetcher.wait(digest(1), 300, later(), after(101)),
            Admission::Queued
        );
        let probe = fetcher.next_batch(after(101), 0).unwrap();
        fetcher.sent(3, probe);
        assert_eq!(
            fetcher.wait(digest(2), 301, later(), after(101)),
            Admission::Queued
        );
        assert!(!fetcher.ready(after(101)));
        fetcher.ended(3);
        fetcher.succeeded(after(102));
        assert!(fetcher.ready(after(102)));
    }

    #[test]
    fn a_service_that_asks_to_be_left_alone_is() {
        let mut fetcher = fetcher(100, 8);
        fetcher.wait(digest(1), 1, later(), NOW);
        fail(
            &mut fetcher,
            Failure::Other(Some(Duration::from_secs(3))),
            NOW,
        );
        fetcher.refresh(digest(2), after(2_999));
        assert!(!fetcher.ready(after(2_999)));
        assert_eq!(
            fetcher.wait(digest(1), 2, later(), after(2_999)),
            Admission::Down
        );
        assert_eq!(
            fetcher.wait(digest(1), 2, later(), after(3_000)),
            Admission::Queued
        );
    }

    #[test]
    fn what_the_service_asks_for_counts_whenever_the_call_was_sent() {
        let mut fetcher = fetcher(1000, 8);
        for number in 0..=200 {
            fetcher.wait(digest(number), u32::from(number), later(), NOW);
        }
        for call in 1..=3 {
            let batch = fetcher.next_batch(NOW, 0).unwrap();
            fetcher.sent(call, batch);
        }
        let asked = Failure::Other(Some(Duration::from_secs(1)));
        for (call, millis) in [(1, 0), (2, 500)] {
            let batch = fetcher.ended(call).unwrap();
            fetcher.failed(batch, asked, after(millis));
        }
        fetcher.ended(3);
        fetcher.succeeded(after(600));
        assert_eq!(
            fetcher.wait(digest(250), 900, later(), after(1_499)),
            Admission::Down
        );
        assert_eq!(
            fetcher.wait(digest(250), 900, later(), after(1_500)),
            Admission::Queued
        );
    }

    #[test]
    fn a_service_that_was_heard_of_is_tried_at_once() {
        let mut fetcher = fetcher(100, 8);
        let down = |fetcher: &mut Fetcher, failure| {
            for millis in [0, 10] {
                fetcher.heard(after(millis + 1));
                fetcher.wait(digest(1), 1, later(), after(millis + 5));
                fail(fetcher, failure, after(millis + 5));
            }
            fetcher.wait(digest(1), 1, later(), after(15))
        };
        assert_eq!(down(&mut fetcher, Failure::Other(None)), Admission::Down);
        fetcher.heard(after(15));
        assert_eq!(
            fetcher.wait(digest(1), 1, later(), after(15)),
            Admission::Down
        );
        fetcher.heard(after(16));
        assert_eq!(
            fetcher.wait(digest(1), 1, later(), after(16)),
            Admission::Queued
        );
        let asked = Failure::Other(Some(Duration::from_secs(1)));
        fail(&mut fetcher, asked, after(16));
        fetcher.heard(after(20));
        assert_eq!(
            fetcher.wait(digest(1), 1, later(), after(20)),
            Admission::Down
        );
    }

    #[test]
    fn an_answer_of_no_use_is_asked_for_again_a_few_times() {
        let mut fetcher = fetcher(100, 8);
        fetcher.wait(digest(1), 1, later(), NOW);
        for again in [true, true, false] {
            let batch = fetcher.next_batch(NOW, 0).unwrap();
            assert_eq!(batch.digests, [digest(1)]);
            assert_eq!(fetcher.again(digest(1)), again);
        }
    }
}
