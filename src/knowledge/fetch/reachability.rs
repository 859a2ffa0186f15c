//! Whether the key service answers, and when it may be tried where it does not.

use std::time::Duration;

use crate::knowledge::backoff::{self, Random};
use crate::time::Instant;

/// What calls have shown of the key service.
#[derive(Debug)]
pub(super) struct Reachability {
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

impl Reachability {
    /// Nothing has failed yet. From `seed` follows how attempts are spread.
    pub fn new(seed: u64) -> Self {
        Self {
            outage: None,
            random: Random::new(seed),
        }
    }

    /// Whether it counts as one that does not answer, so that a call to it is an attempt.
    pub fn is_down(&self) -> bool {
        self.outage.is_some()
    }

    /// Whether it answers, or it is time to try it again.
    pub fn may_be_tried(&self, now: Instant) -> bool {
        self.outage.is_none_or(|outage| now >= outage.retry_at)
    }

    /// A call was answered. If the service has asked to be left alone, it is all the same.
    pub fn succeeded(&mut self, now: Instant) {
        self.outage
            .take_if(|outage| !outage.asked || now >= outage.retry_at);
    }

    /// The service was heard of otherwise at a time: it may be tried, unless it has asked to be left alone.
    pub fn heard(&mut self, at: Instant) {
        if let Some(outage) = &mut self.outage
            && outage.failed_at < at
            && !outage.asked
        {
            outage.retry_at = outage.retry_at.min(at);
        }
    }

    /// A call has failed, with which the service may have asked to be left alone for a while. `probe`: it was
    /// sent to try a service that was known not to answer.
    pub fn failed(&mut self, asked: Option<Duration>, probe: bool, now: Instant) {
        // What was sent before the outage was known has met the same fault. What the service asks for counts.
        let known = self.outage.filter(|_| !probe);
        if known.is_some() && asked.is_none() {
            return;
        }
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
}
