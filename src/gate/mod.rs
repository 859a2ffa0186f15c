//! The state machine of one VM that joins all parts: events in, decisions and calls out.
//!
//! It knows neither Proxy-Wasm nor a clock: whoever drives it hands over requests, answers and the time,
//! and carries out what it gives back.

mod again;
mod answers;
mod changes;
mod decision;
mod edition;
mod edits;
mod guard;
mod held;
mod judge;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use answers::resolve_body;
use held::Held;

pub use answers::{CallEnd, LONGEST_BODY};
pub use decision::{Decision, Notice, Passage, Refusal};
pub use edition::Edition;

use crate::cache::{Cache, Spread, Store};
use crate::config::Settings;
use crate::digest::Digest;
use crate::feed::{Feed, Poll, Queue};
use crate::fetch::{Batch, Call, Fetcher, Waiter};
use crate::reply::{Replies, Reply};
use crate::request::Request;
use crate::reserved::Reserved;
use crate::telemetry::{Counter, Telemetry, Warnings};
use crate::time::{Instant, Now};
use crate::usage::Usage;
use crate::verdict::Chain;

/// The least difference between the clocks that is taken for a sleep: more than they drift apart in a tick,
/// and more than what is lost by counting whole seconds.
const LEAST_SLEEP: Duration = Duration::from_secs(2);

/// Entries and bytes of the cache of a VM whose configuration is no longer the newest: enough for what it is asked
/// again and again, and for the longest records.
const SUPERSEDED: (usize, usize) = (64, 256 * 1024);

/// All that one VM knows and does.
#[derive(Debug)]
pub struct Gate {
    settings: Rc<Settings>,
    replies: Replies,
    reserved: Reserved,
    cache: Cache,
    fetcher: Fetcher,
    feed: Feed,
    /// What is kept of the requests that wait.
    held: HashMap<Waiter, Held, BuildHasherDefault<Spread>>,
    /// Requests that waited and may go on.
    ready: VecDeque<Ready>,
    /// The two clocks at the last tick.
    ticked: Option<Now>,
    edition: Option<Edition>,
    usage: Usage,
    /// Where the VMs note that one has told of a key service without reports of usage.
    usage_told: String,
    /// What has been counted.
    pub telemetry: Telemetry,
    warnings: Warnings,
}

/// A call to the key service, to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Path on the key service.
    pub path: String,
    /// JSON to be posted; without it the call is a GET.
    pub body: Option<Vec<u8>>,
    /// How long the whole call may take.
    pub timeout: Duration,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a call to the key service is for.
#[derive(Debug)]
pub enum Purpose {
    /// Look-ups.
    Resolve(Batch),
    /// The change feed.
    Changes(Poll),
    /// A report of usage.
    Usage,
}

/// A request that waited and may go on.
#[derive(Debug)]
struct Ready {
    waiter: Waiter,
    digest: Digest,
    /// Until when it would have waited.
    deadline: Instant,
    resolution: Resolution,
}

/// What has become known for a request that waited.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// A key, all of which was confirmed at a time or later.
    Known(Chain, Instant),
    /// Nobody knows it.
    Unknown,
    /// The key service did not answer usably in time.
    Unavailable,
    /// It has changed since the answer: it has to be looked up again, for a request that may wait until a
    /// deadline.
    Outdated(Waiter, Instant),
}

/// Whether a request is looked at for the first time or has waited.
enum Stage {
    First(Waiter, Instant),
    Waited(Resolution),
}

impl Gate {
    /// A VM that knows nothing yet. `name` tells it from all other VMs.
    pub fn new(settings: Settings, name: String) -> Self {
        let namespace = namespace(&settings);
        let seed = number(&[&name]);
        Self {
            replies: Replies::new(&settings.rejection, &settings.credentials),
            reserved: Reserved::new(&settings.identity_headers, &settings.credentials),
            cache: Cache::new(&settings.limits, settings.freshness, &namespace),
            fetcher: Fetcher::new(&settings.limits, seed),
            feed: Feed::new(&settings, &namespace, seed),
            held: HashMap::default(),
            ready: VecDeque::new(),
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

    /// Decides on a new request. Where it has to wait, it is known as `waiter` from then on.
    pub fn request(
        &mut self,
        request: &Request<'_>,
        waiter: Waiter,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        if self.feed.is_new() {
            // It may be long until the first tick, and what others have learned is there already.
            self.obey_changes(now, store);
        }
        let deadline = now.instant + self.settings.key_service.timeout;
        self.judge(request, waiter, deadline, now, store)
    }

    /// A request is gone.
    pub fn forget(&mut self, waiter: Waiter) {
        self.held.remove(&waiter);
        self.fetcher.forget(waiter);
        self.ready.retain(|ready| ready.waiter != waiter);
    }

    /// The next request that has waited long enough, and what has become known for it.
    pub fn next_ready(&mut self) -> Option<(Waiter, Resolution)> {
        let ready = self.ready.pop_front()?;
        Some((ready.waiter, ready.resolution))
    }

    /// Whether there is work for the root context: requests to go on with, or calls to send.
    pub fn has_work(&self, now: Now) -> bool {
        !self.ready.is_empty() || self.fetcher.ready(now.instant)
    }

    /// The next call to send, if there is one. What became of it is told by [`Self::sent`] or
    /// [`Self::not_sent`], and later by [`Self::ended`].
    pub fn next_call(&mut self, now: Now) -> Option<Outgoing> {
        let service = &self.settings.key_service;
        if let Some(batch) = self.fetcher.next_batch(now.instant, self.feed.epoch()) {
            return Some(Outgoing {
                path: format!("{}/resolve", service.path),
                body: Some(resolve_body(&batch)),
                timeout: service.timeout,
                purpose: Purpose::Resolve(batch),
            });
        }
        if let Some(poll) = self.feed.next_poll(now.instant) {
            return Some(Outgoing {
                path: format!("{}{}", service.path, self.feed.path(&poll)),
                body: None,
                timeout: self.feed.timeout(),
                purpose: Purpose::Changes(poll),
            });
        }
        self.usage.next_report(now).map(|body| Outgoing {
            path: format!("{}/usage", service.path),
            body: Some(body),
            timeout: service.timeout,
            purpose: Purpose::Usage,
        })
    }

    /// A call is under way.
    pub fn sent(&mut self, call: Call, purpose: Purpose) {
        match purpose {
            Purpose::Resolve(batch) => self.fetcher.sent(call, batch),
            Purpose::Changes(poll) => self.feed.sent(call, poll),
            Purpose::Usage => self.usage.sent(call),
        }
    }

    /// Does what is due: follows the change feed, and gives up those who have waited too long. To be called
    /// regularly.
    pub fn tick(&mut self, now: Now, store: &dyn Store) {
        self.notice_sleep(now);
        self.make_room(now, store);
        self.feed.tick(now.instant, store);
        self.obey_changes(now, store);
        for (waiter, digest) in self.fetcher.take_late(now.instant) {
            self.ready.push_back(Ready {
                waiter,
                digest,
                deadline: now.instant,
                resolution: Resolution::Unavailable,
            });
        }
        self.telemetry
            .add(Counter::CacheEvicted, self.cache.take_evicted());
    }

    /// Where a newer configuration runs, the cache of this one is let go; what it is still asked comes from the
    /// shared one.
    fn make_room(&mut self, now: Now, store: &dyn Store) {
        let edition = self.edition.as_mut();
        let Some(superseded) = edition.and_then(|edition| edition.look(now.instant, store)) else {
            return;
        };
        let limits = &self.settings.limits;
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

    /// This VM is rung by a queue, which the host knows by a number.
    pub fn reachable_by(&mut self, queue: Queue) {
        self.feed.reachable_by(queue);
    }

    /// The queues of other VMs that are to be rung.
    pub fn take_rings(&mut self) -> Vec<Queue> {
        self.feed.take_rings()
    }

    /// Whether the change feed is followed without a gap, and how long ago it was last heard of; nothing
    /// where it is not followed at all.
    pub fn feed_link(&self, now: Now) -> Option<(bool, Duration)> {
        self.feed.link(now.instant)
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.fetcher.waiting().saturating_add(self.ready.len())
    }

    /// How many entries the VM's own cache has.
    pub fn cache_entries(&self) -> usize {
        self.cache.local_entries()
    }

    /// The answer to a refused request.
    pub fn reply(&self, refusal: &Refusal, request: &Request<'_>) -> Reply {
        self.replies.reply(refusal.reason, request)
    }
}

/// Where all VMs meet that ask the same key service and cut the shared cache alike. The number is that of the
/// form of what is stored: a filter of another version in the same process must not read it.
fn namespace(settings: &Settings) -> String {
    let service = &settings.key_service;
    let entries = settings.limits.shared_entries.to_string();
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
