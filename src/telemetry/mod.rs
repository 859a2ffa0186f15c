//! What is counted: a closed set, collected here and handed to the host on ticks, so that counting costs a
//! request nothing but an addition.

pub mod usage;

use crate::time::Instant;
use crate::verdict::Reason;

/// What is counted. Names hold no key, user, tenant or path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// A request that was allowed.
    Allowed,
    /// A request that passed without a credential, since its policy asks for none.
    Anonymous,
    /// A request that passed without identity, since the key service could not say and the configuration
    /// lets such requests through.
    FailedOpen,
    /// An allowed request whose key expires soon.
    Expiring,
    /// An allowed request whose key has been replaced and is in its grace period.
    InGrace,
    /// A look-up that this VM's own cache answered.
    LookupLocal,
    /// A look-up that the cache of all VMs answered.
    LookupShared,
    /// A look-up that waited for the key service and got an answer.
    LookupFetched,
    /// A look-up that used a record while it was asked for again.
    LookupStale,
    /// A look-up that a remembered "unknown" answered.
    LookupNegative,
    /// A call that was answered usably.
    FetchOk,
    /// A call that was not.
    FetchError,
    /// A call that was not answered in time.
    FetchTimeout,
    /// A request that waited for a call that another had caused.
    FetchCoalesced,
    /// A change of the change feed that was taken in, once for all VMs.
    ChangesApplied,
    /// The change feed began anew: all that was known before is asked for again.
    ChangesReset,
    /// An entry of this VM's own cache that made room for another.
    CacheEvicted,
    /// A request that a record would have allowed, had anybody confirmed it in time.
    TrustedStaleRefused,
    /// A request that was refused.
    Rejected(Reason),
    /// A request that would have been refused, had the configuration enforced it.
    Shadowed(Reason),
}

const PLAIN: [(Counter, &str); 18] = [
    (Counter::Allowed, "allowed"),
    (Counter::Anonymous, "anonymous"),
    (Counter::FailedOpen, "failed_open"),
    (Counter::Expiring, "expiring"),
    (Counter::InGrace, "in_grace"),
    (Counter::LookupLocal, "lookup.local"),
    (Counter::LookupShared, "lookup.shared"),
    (Counter::LookupFetched, "lookup.fetched"),
    (Counter::LookupStale, "lookup.stale"),
    (Counter::LookupNegative, "lookup.negative"),
    (Counter::FetchOk, "fetch.ok"),
    (Counter::FetchError, "fetch.error"),
    (Counter::FetchTimeout, "fetch.timeout"),
    (Counter::FetchCoalesced, "fetch.coalesced"),
    (Counter::ChangesApplied, "changes.applied"),
    (Counter::ChangesReset, "changes.reset"),
    (Counter::CacheEvicted, "cache.evicted"),
    (Counter::TrustedStaleRefused, "trusted_stale_refused"),
];

/// Checks, and the one reason that is none.
const REASONS: usize = Reason::CHECKS.len() + 1;

const COUNTERS: usize = PLAIN.len() + 2 * REASONS;

/// What was counted since the last flush.
#[derive(Debug)]
pub struct Telemetry {
    counts: [u64; COUNTERS],
    fetch_durations: Vec<u64>,
    propagations: Vec<u64>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            counts: [0; COUNTERS],
            fetch_durations: Vec::new(),
            propagations: Vec::new(),
        }
    }
}

impl Telemetry {
    /// Names of the counters, in the order in which [`Self::take`] gives them.
    pub fn names() -> impl Iterator<Item = String> {
        let reasons = || Reason::CHECKS.into_iter().chain([Reason::PolicyUnknown]);
        PLAIN
            .into_iter()
            .map(|(_, name)| name.to_owned())
            .chain(reasons().map(|reason| format!("rejected.{}", reason.code())))
            .chain(reasons().map(|reason| format!("shadowed.{}", reason.code())))
    }

    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts several.
    pub fn add(&mut self, counter: Counter, more: u64) {
        let reason = |reason: Reason| {
            let check = Reason::CHECKS.iter().position(|check| *check == reason);
            check.unwrap_or(REASONS - 1)
        };
        let index = match counter {
            Counter::Rejected(why) => PLAIN.len() + reason(why),
            Counter::Shadowed(why) => PLAIN.len() + REASONS + reason(why),
            plain => PLAIN
                .iter()
                .position(|(known, _)| *known == plain)
                .unwrap_or(COUNTERS),
        };
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_add(more);
        }
    }

    /// Notes how long a call took, in milliseconds.
    pub fn fetch_took(&mut self, millis: u64) {
        self.fetch_durations.push(millis);
    }

    /// Notes how long it took from the answer of the change feed until this VM obeyed it, in milliseconds.
    pub fn propagation_took(&mut self, millis: u64) {
        self.propagations.push(millis);
    }

    /// The counts since the last call, in the order of [`Self::names`].
    pub fn take(&mut self) -> impl Iterator<Item = u64> {
        std::mem::replace(&mut self.counts, [0; COUNTERS]).into_iter()
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

/// What an operator must act on. Of each kind at most one a second is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The key service refuses the gateway's token.
    TokenRefused,
    /// The key service answers what cannot be used.
    AnswerUnusable,
    /// A record holds what cannot be understood.
    RecordDoubtful,
    /// The key service cannot be reached or called.
    ServiceUnreachable,
    /// A route names a policy that does not exist.
    PolicyUnknown,
    /// The key service does not take a report of usage.
    UsageRefused,
}

/// When each kind of warning was last logged.
#[derive(Debug, Default)]
pub struct Warnings {
    last: [Option<Instant>; 6],
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
        let reasons = || Reason::CHECKS.into_iter().chain([Reason::PolicyUnknown]);
        let counters = PLAIN
            .into_iter()
            .map(|(counter, _)| counter)
            .chain(reasons().map(Counter::Rejected))
            .chain(reasons().map(Counter::Shadowed));
        for (index, counter) in counters.enumerate() {
            let mut telemetry = Telemetry::default();
            telemetry.count(counter);
            telemetry.add(counter, 2);
            let counted: Vec<usize> = telemetry
                .take()
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
