//! Which worker of the process follows the change feed: one, as long as it lives.
//!
//! The lease only spares the key service a long poll from each worker. That the caches are right does not hang
//! on it: whoever has an answer of the feed may take it in, as long as it continues what is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::Store;
use crate::knowledge::swap;
use crate::time::Instant;

/// How long a leader that has died is still taken for one.
const TERM: Duration = Duration::from_secs(2);

/// The lease, as it stands in the shared store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    /// Who has it; nobody after its end.
    owner: u64,
    end: Instant,
    /// Attempts in a row that have failed, whoever made them.
    failures: u32,
    /// Before this the feed is left alone.
    retry_at: Instant,
}

/// One worker's part in the lease.
#[derive(Debug)]
pub(super) struct Leadership {
    name: String,
    me: u64,
    /// Until when this worker leads; it may have ended before.
    until: Instant,
}

impl Leadership {
    pub(super) fn new(namespace: &str, me: u64) -> Self {
        Self {
            name: format!("{namespace}/lease"),
            me,
            until: Instant::default(),
        }
    }

    /// Whether this worker leads.
    pub(super) fn leads(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Takes the lease where it is free, and renews it where half of it is over.
    pub(super) fn renew(&mut self, now: Instant, store: &impl Store) {
        let mut until = Instant::default();
        let changed = swap::change(store, &self.name, |bytes| {
            let mut lease: Lease = postcard::from_bytes(bytes).unwrap_or_default();
            let mine = lease.owner == self.me && now < lease.end;
            let free = now >= lease.end && now >= lease.retry_at;
            let renew = (mine && lease.end.since(now) <= TERM / 2) || free;
            if renew {
                lease.owner = self.me;
                lease.end = now + TERM;
            }
            until = match mine || free {
                true => lease.end,
                false => Instant::default(),
            };
            if renew { write(&lease) } else { None }
        });
        self.until = if changed { until } else { Instant::default() };
    }

    /// The feed works.
    pub(super) fn succeeded(&self, store: &impl Store) {
        swap::change(store, &self.name, |bytes| {
            let lease: Lease = postcard::from_bytes(bytes).unwrap_or_default();
            let known = lease.owner == self.me && lease.failures > 0;
            known
                .then_some(Lease {
                    failures: 0,
                    ..lease
                })
                .as_ref()
                .and_then(write)
        });
    }

    /// The feed does not work: gives the lease away, so that another worker may try, after a delay that follows
    /// from how often it was tried in vain. `delay` says which. False where another worker has it already.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        store: &impl Store,
        delay: impl Fn(u32) -> Duration,
    ) -> bool {
        self.until = Instant::default();
        let mut mine = false;
        swap::change(store, &self.name, |bytes| {
            let lease: Lease = postcard::from_bytes(bytes).unwrap_or_default();
            mine = lease.owner == self.me;
            if !mine {
                return None;
            }
            let failures = lease.failures.saturating_add(1);
            write(&Lease {
                owner: self.me,
                end: now,
                failures,
                retry_at: now + delay(failures),
            })
        });
        mine
    }
}

fn write(lease: &Lease) -> Option<Vec<u8>> {
    postcard::to_allocvec(lease).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{SharedData, test};

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    fn two() -> (Leadership, Leadership, SharedData) {
        let vm = |me| Leadership::new("k", me);
        (vm(1), vm(2), SharedData::default())
    }

    #[test]
    fn one_leads_until_it_stops_renewing() {
        let (mut first, mut second, store) = two();
        for millis in (0..10_000).step_by(100) {
            first.renew(at(millis), &store);
            second.renew(at(millis), &store);
            assert!(first.leads(at(millis)) && !second.leads(at(millis)));
        }
        second.renew(at(10_900), &store);
        assert!(!second.leads(at(10_900)));
        second.renew(at(12_000), &store);
        assert!(second.leads(at(12_000)) && !first.leads(at(12_000)));
        first.renew(at(12_000), &store);
        assert!(!first.leads(at(12_000)));
    }

    #[test]
    fn who_fails_gives_others_a_try_and_all_wait_longer_each_time() {
        let (mut first, mut second, store) = two();
        let delay = |failures| Duration::from_millis(u64::from(failures) * 100);
        first.renew(at(0), &store);
        first.failed(at(0), &store, delay);
        assert!(!first.leads(at(0)));
        second.renew(at(99), &store);
        assert!(!second.leads(at(99)));
        second.renew(at(100), &store);
        assert!(second.leads(at(100)));
        // Who no longer has the lease does not give it away.
        first.failed(at(100), &store, delay);
        second.failed(at(100), &store, delay);
        first.renew(at(299), &store);
        assert!(!first.leads(at(299)));
        first.renew(at(300), &store);
        assert!(first.leads(at(300)));
        first.succeeded(&store);
        first.failed(at(400), &store, delay);
        second.renew(at(500), &store);
        assert!(second.leads(at(500)));
    }
}
