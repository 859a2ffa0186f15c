//! The state machine of one worker that joins all parts: events in, decisions and calls out.
//!
//! It knows neither Proxy-Wasm nor a clock: whoever drives it hands over requests, answers and the time,
//! and carries out what it gives back.

mod again;
mod answers;
mod calls;
mod changes;
mod decision;
mod edition;
mod edits;
mod found;
mod guard;
mod held;
mod judge;
pub mod settings;
pub mod standing;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
#[cfg(target_pointer_width = "64")]
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use waiting::Waiting;

pub use answers::CallEnd;
pub use calls::{Outgoing, Purpose};
pub use decision::{Decision, Notice, Passage, Refusal};
pub use edition::Edition;
pub use guard::Told;
pub use settings::{Enforcement, KeyService, Preflight, Secret, Settings, Unavailable};
pub(crate) use waiting::Resolution;

use crate::edit::Reserved;
use crate::host::{BellId, CallId, Circumstances, RequestId, Store};
use crate::knowledge::Spread;
use crate::knowledge::cache::Cache;
#[cfg(target_pointer_width = "64")]
use crate::knowledge::cache::Table;
use crate::knowledge::feed::{self, Feed};
use crate::knowledge::fetch::Fetcher;
use crate::reply::{Replies, Reply};
use crate::request::Request;
use crate::telemetry::usage::Usage;
use crate::telemetry::{Plain, Telemetry, Warnings};
use crate::time::Now;

/// The least difference between the clocks that is taken for a sleep: more than they drift apart in a tick,
/// and more than what is lost by counting whole seconds.
const LEAST_SLEEP: Duration = Duration::from_secs(2);

/// Entries and bytes of the cache of a worker whose configuration is no longer the newest: enough for what it is asked
/// again and again, and for the longest records.
const SUPERSEDED: (usize, usize) = (64, 256 * 1024);

/// All that one worker knows and does.
#[derive(Debug)]
pub struct Gate {
    settings: Rc<Settings>,
    replies: Replies,
    reserved: Reserved,
    cache: Cache,
    fetcher: Fetcher,
    feed: Feed,
    waiting: Waiting,
    /// What the calls under way are for.
    calls: HashMap<CallId, Purpose, BuildHasherDefault<Spread>>,
    /// The two clocks at the last tick.
    ticked: Option<Now>,
    edition: Option<Edition>,
    usage: Usage,
    /// Where the workers note that one has told of a key service without reports of usage.
    usage_told: String,
    /// What has been counted.
    pub telemetry: Telemetry,
    warnings: Warnings,
}

impl Gate {
    /// A worker that knows nothing yet. `name` tells it from all other workers.
    pub fn new(settings: Settings, name: String) -> Self {
        let namespace = namespace(&settings);
        let seed = number(&[&name]);
        Self {
            replies: Replies::new(&settings.rejection, &settings.credentials),
            reserved: Reserved::new(&settings.identity_headers, &settings.credentials),
            cache: Cache::new(&settings.cache, settings.freshness, &namespace),
            fetcher: Fetcher::new(&settings.fetch, seed),
            feed: Feed::new(
                &feed::Settings {
                    changes: settings.key_service.changes,
                    max_staleness: settings.freshness.max_staleness,
                    timeout: settings.key_service.timeout,
                },
                &namespace,
                seed,
            ),
            waiting: Waiting::default(),
            calls: HashMap::default(),
            ticked: None,
            edition: None,
            usage: Usage::new(settings.usage, name),
            usage_told: format!("{namespace}/usage"),
            telemetry: Telemetry::default(),
            warnings: Warnings::default(),
            settings: Rc::new(settings),
        }
    }

    /// Which configuration this is, so that it makes room for a newer one.
    pub fn runs(&mut self, edition: Edition) {
        self.edition = Some(edition);
    }

    /// What was configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Decides on a new request. Where it has to wait, it is known by its id from then on.
    pub fn request(
        &mut self,
        request: &Request<'_, impl Circumstances>,
        id: RequestId,
        now: Now,
        store: &impl Store,
    ) -> Decision {
        if self.feed.is_new() {
            // It may be long until the first tick, and what others have learned is there already.
            self.obey_changes(now, store);
        }
        let deadline = now.instant + self.settings.key_service.timeout;
        self.judge(request, id, deadline, now, store)
    }

    /// A request is gone, whether it waited or not.
    pub fn forget(&mut self, request: RequestId) {
        if self.waiting.forget(request) {
            self.fetcher.forget(request);
            self.say_how_full();
        }
    }

    /// The next request that may go on: its turn is to be called, and it goes on by [`Self::resume`].
    pub fn next_ready(&mut self) -> Option<RequestId> {
        self.waiting.next()
    }

    /// The turn of a request comes in an event of its own, before which others may have been judged.
    pub fn turn_is_late(&mut self) {
        self.waiting.pass();
    }

    /// Whether there is work for the root context: requests to go on with, or calls to send.
    pub fn has_work(&self, now: Now) -> bool {
        self.waiting.is_any_uncalled() || self.fetcher.ready(now.instant)
    }

    /// Does what is due: follows the change feed, and gives up those who have waited too long. To be called
    /// regularly.
    pub fn tick(&mut self, now: Now, store: &impl Store) {
        self.waiting.pass();
        self.notice_sleep(now);
        self.make_room(now, store);
        self.feed.tick(now.instant, store);
        self.obey_changes(now, store);
        for (request, digest) in self.fetcher.take_late(now.instant) {
            let waited = [(request, now.instant)];
            self.waiting
                .release(&digest, waited, &Resolution::Unavailable);
        }
        self.telemetry
            .add(Plain::CacheEvicted, self.cache.take_evicted());
    }

    /// Where a newer configuration runs, the cache of this one is let go; what it is still asked comes from the
    /// shared one.
    fn make_room(&mut self, now: Now, store: &impl Store) {
        let edition = self.edition.as_mut();
        let Some(superseded) = edition.and_then(|edition| edition.look(now.instant, store)) else {
            return;
        };
        let limits = &self.settings.cache;
        let (entries, bytes) = match superseded {
            true => SUPERSEDED,
            false => (limits.local_entries, limits.local_bytes),
        };
        self.cache.limit(entries.min(limits.local_entries), bytes);
    }

    /// While a machine stands still, its monotonic clock does, and the wall clock does not: what was
    /// confirmed before is older than it seems. A wall clock that is set forward looks the same, and
    /// costs a few calls.
    fn notice_sleep(&mut self, now: Now) {
        let Some(before) = self.ticked.replace(now) else {
            return;
        };
        let passed = Duration::from_secs(now.unix.saturating_sub(before.unix));
        let lost = passed.saturating_sub(now.instant.since(before.instant));
        if lost >= LEAST_SLEEP {
            self.cache.slept(lost, now.instant);
        }
    }

    /// This worker never follows the feed itself, and leaves it to another to say how full a table is.
    pub fn never_leads(&mut self) {
        self.feed.never_leads();
        #[cfg(target_pointer_width = "64")]
        self.cache.is_told_of_by_another();
    }

    /// What the workers share is in this table, which is one of [`namespace`].
    #[cfg(target_pointer_width = "64")]
    pub fn shares(&mut self, table: Arc<Table>) {
        self.cache.is_in(table);
    }

    /// This worker is woken by a bell.
    pub fn reachable_by(&mut self, bell: BellId) {
        self.feed.reachable_by(bell);
    }

    /// The bells of other workers that are to be rung.
    pub fn take_rings(&mut self) -> Vec<BellId> {
        self.feed.take_rings()
    }

    /// Whether the change feed is followed without a gap, and how long ago it was last heard of; nothing
    /// where it is not followed at all.
    pub fn feed_link(&self, now: Now) -> Option<(bool, Duration)> {
        self.feed.link(now.instant)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.fetcher
            .waiting()
            .saturating_add(self.waiting.resolved())
    }

    /// How many entries the worker's own cache has.
    pub fn cache_entries(&self) -> usize {
        self.cache.local_entries()
    }

    /// Says to whoever reads the counts how full this worker is.
    pub fn say_how_full(&self) {
        self.telemetry.is_full(self.cache_entries(), self.waiting());
    }

    /// The answer to a refused request.
    pub fn reply(&self, refusal: &Refusal, request: &Request<'_, impl Circumstances>) -> Reply {
        self.replies.reply(refusal.reason, request)
    }
}

/// Where all workers meet that ask the same key service and cut the shared cache alike. The number is that of the
/// form of what is stored: a filter of another version in the same process must not read it.
pub fn namespace(settings: &Settings) -> String {
    let service = &settings.key_service;
    let entries = settings.cache.shared_entries.to_string();
    let followed = if service.changes.enabled { "1" } else { "0" };
    let parts = [
        &service.cluster,
        &service.authority,
        &service.path,
        &entries,
        followed,
    ];
    format!("keybound/4/{:016x}", number(&parts))
}

/// A number that stands for some texts.
fn number(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
