//! What is counted: a closed set, collected here and handed to the host on ticks, so that counting costs a
//! request nothing but an addition.

pub mod usage;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::closed::closed_set;
use crate::time::Instant;
use crate::verdict::Reason;

closed_set! {
    /// What is counted, besides verdicts. Names hold no key, user, tenant or path.
    pub enum Plain {
        /// A request that was allowed.
        Allowed = "allowed",
        /// A request that passed without a credential, since its policy asks for none.
        Anonymous = "anonymous",
        /// A request that passed without identity, since the key service could not say and the configuration
        /// lets such requests through.
        FailedOpen = "failed_open",
        /// An allowed request whose key expires soon.
        Expiring = "expiring",
        /// An allowed request whose key has been replaced and is in its grace period.
        InGrace = "in_grace",
        /// A look-up that this worker's own cache answered.
        LookupLocal = "lookup.local",
        /// A look-up that the cache of all workers answered.
        LookupShared = "lookup.shared",
        /// A look-up that waited for the key service and got an answer.
        LookupFetched = "lookup.fetched",
        /// A look-up that used a record while it was asked for again.
        LookupStale = "lookup.stale",
        /// A look-up that a remembered "unknown" answered.
        LookupNegative = "lookup.negative",
        /// A call that was answered usably.
        FetchOk = "fetch.ok",
        /// A call that was not.
        FetchError = "fetch.error",
        /// A call that was not answered in time.
        FetchTimeout = "fetch.timeout",
        /// A request that waited for a call that another had caused.
        FetchCoalesced = "fetch.coalesced",
        /// A change of the change feed that was taken in, once for all workers.
        ChangesApplied = "changes.applied",
        /// The change feed began anew: all that was known before is asked for again.
        ChangesReset = "changes.reset",
        /// An entry of this worker's own cache that made room for another.
        CacheEvicted = "cache.evicted",
        /// A request that a record would have allowed, had anybody confirmed it in time.
        TrustedStaleRefused = "trusted_stale_refused",
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// What is no verdict.
    Plain(Plain),
    /// A request that was refused.
    Rejected(Reason),
    /// A request that would have been refused, had the configuration enforced it.
    Shadowed(Reason),
}

const PLAIN: usize = Plain::ALL.len();
const REASONS: usize = Reason::ALL.len();
const COUNTERS: usize = PLAIN + 2 * REASONS;

impl Counter {
    /// Its place among all.
    const fn index(self) -> usize {
        match self {
            Self::Plain(plain) => plain as usize,
            Self::Rejected(reason) => PLAIN + reason as usize,
            Self::Shadowed(reason) => PLAIN + REASONS + reason as usize,
        }
    }
}

impl From<Plain> for Counter {
    fn from(plain: Plain) -> Self {
        Self::Plain(plain)
    }
}

/// What a worker has counted since it began, and how full it is. It alone writes here; others of the process may read.
#[derive(Debug)]
pub struct Counts {
    counters: [AtomicU64; COUNTERS],
    cache_entries: AtomicU64,
    waiting: AtomicU64,
}

/// What a reader of [`Counts`] has seen of them.
#[derive(Debug)]
pub struct Seen([u64; COUNTERS]);

impl Default for Counts {
    fn default() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            cache_entries: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counts {
    /// What was counted since the reader last looked, in the order of [`Telemetry::names`].
    pub fn since<'a>(&'a self, seen: &'a mut Seen) -> impl Iterator<Item = u64> {
        self.counters.iter().zip(&mut seen.0).map(|(count, seen)| {
            let count = count.load(Relaxed);
            count.wrapping_sub(std::mem::replace(seen, count))
        })
    }

    /// How many entries the worker's own cache has.
    pub fn cache_entries(&self) -> u64 {
        self.cache_entries.load(Relaxed)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }
}

/// What a worker counts.
#[derive(Debug, Default)]
pub struct Telemetry {
    counts: Arc<Counts>,
    fetch_durations: Vec<u64>,
    propagations: Vec<u64>,
}

impl Telemetry {
    /// Names of the counters, in the order in which [`Counts::since`] gives them.
    pub fn names() -> impl Iterator<Item = String> {
        let verdicts = |kind: &'static str| {
            Reason::ALL
                .into_iter()
                .map(move |reason| format!("{kind}.{}", reason.code()))
        };
        Plain::ALL
            .into_iter()
            .map(|plain| plain.word().to_owned())
            .chain(verdicts("rejected"))
            .chain(verdicts("shadowed"))
    }

    /// Counts one.
    pub fn count(&mut self, counter: impl Into<Counter>) {
        self.add(counter, 1);
    }

    /// Counts several.
    pub fn add(&mut self, counter: impl Into<Counter>, more: u64) {
        if let Some(count) = self.counts.counters.get(counter.into().index()) {
            // Nobody else writes: no addition that locks is needed.
            count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
        }
    }

    /// Says how full the worker is.
    pub fn is_full(&self, cache_entries: usize, waiting: usize) {
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        self.counts
            .cache_entries
            .store(number(cache_entries), Relaxed);
        self.counts.waiting.store(number(waiting), Relaxed);
    }

    /// What was counted, for whoever hands it on.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Notes how long a call took, in milliseconds.
    pub fn fetch_took(&mut self, millis: u64) {
        self.fetch_durations.push(millis);
    }

    /// Notes how long it took from the answer of the change feed until this worker obeyed it, in milliseconds.
    pub fn propagation_took(&mut self, millis: u64) {
        self.propagations.push(millis);
    }

    /// The durations since the last call.
    pub fn take_fetch_durations(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fetch_durations)
    }

    /// The times of propagation since the last call.
    pub fn take_propagations(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.propagations)
    }
}

closed_set! {
    /// What an operator must act on. Of each kind at most one a second is logged.
    pub enum Warning {
        /// The key service refuses the gateway's token.
        TokenRefused = "token refused",
        /// The key service answers what cannot be used.
        AnswerUnusable = "answer unusable",
        /// A record holds what cannot be understood.
        RecordDoubtful = "record doubtful",
        /// The key service cannot be reached or called.
        ServiceUnreachable = "service unreachable",
        /// A route names a policy that does not exist.
        PolicyUnknown = "policy unknown",
        /// The key service does not take a report of usage.
        UsageRefused = "usage refused",
    }
}

/// When each kind of warning was last logged.
#[derive(Debug, Default)]
pub struct Warnings {
    last: [Option<Instant>; Warning::ALL.len()],
}

impl Warnings {
    /// Logs a warning, unless one of its kind was logged within the last second.
    pub fn warn(&mut self, warning: Warning, now: Instant, text: impl FnOnce() -> String) {
        let Some(last) = self.last.get_mut(warning as usize) else {
            return;
        };
        if last.is_none_or(|last| now.since(last).as_secs() >= 1) {
            *last = Some(now);
            log::warn!("{}", text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn each_counter_has_its_own_name_and_place() {
        let names: Vec<String> = Telemetry::names().collect();
        assert_eq!(names.len(), COUNTERS);
        let counters = Plain::ALL
            .into_iter()
            .map(Counter::Plain)
            .chain(Reason::ALL.map(Counter::Rejected))
            .chain(Reason::ALL.map(Counter::Shadowed));
        for (index, counter) in counters.enumerate() {
            let mut telemetry = Telemetry::default();
            telemetry.count(counter);
            telemetry.add(counter, 2);
            let mut seen = Seen::default();
            let counted: Vec<usize> = telemetry
                .counts
                .since(&mut seen)
                .enumerate()
                .filter(|(_, count)| *count == 3)
                .map(|(at, _)| at)
                .collect();
            assert_eq!(counted, [index], "{counter:?}");
            assert_eq!(
                names.iter().filter(|name| **name == names[index]).count(),
                1
            );
        }
    }
}
