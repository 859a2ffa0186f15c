//! The state machine of one VM that joins all parts: events in, decisions and calls out.
//!
//! It knows neither Proxy-Wasm nor a clock: whoever drives it hands over requests, answers and the time,
//! and carries out what it gives back.

mod answers;
mod decision;
mod judge;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;

use answers::resolve_body;
pub use answers::{CallEnd, LONGEST_BODY};
pub use decision::{Decision, Notice, Passage, Refusal};

use crate::cache::{Cache, Store};
use crate::config::Settings;
use crate::credential;
use crate::edit::EditRequest;
use crate::fetch::{Batch, Call, Fetcher, Waiter};
use crate::headers::Headers;
use crate::reply::{Replies, Reply};
use crate::request::Request;
use crate::telemetry::{Counter, Telemetry, Warnings};
use crate::time::Now;
use crate::usage::Usage;
use crate::verdict::Chain;

/// All that one VM knows and does.
#[derive(Debug)]
pub struct Gate {
    settings: Rc<Settings>,
    replies: Replies,
    cache: Cache,
    fetcher: Fetcher,
    /// Requests that waited, and what has become known for them.
    ready: VecDeque<(Waiter, Resolution)>,
    usage: Usage,
    /// What has been counted.
    pub telemetry: Telemetry,
    warnings: Warnings,
}

/// A call to the key service, to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Path on the key service.
    pub path: String,
    /// JSON.
    pub body: Vec<u8>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a call to the key service is for.
#[derive(Debug)]
pub enum Purpose {
    /// Look-ups.
    Resolve(Batch),
    /// A report of usage.
    Usage,
}

/// What has become known for a request that waited.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// A key.
    Known(Chain),
    /// Nobody knows it.
    Unknown,
    /// The key service did not answer usably in time.
    Unavailable,
}

/// Whether a request is looked at for the first time or has waited.
enum Stage {
    First(Waiter),
    Waited(Resolution),
}

impl Gate {
    /// A VM that knows nothing yet. `name` tells it from all other VMs.
    pub fn new(settings: Settings, name: String) -> Self {
        Self {
            replies: Replies::new(&settings.rejection, &settings.credentials),
            cache: Cache::new(&settings.limits, settings.freshness),
            fetcher: Fetcher::new(&settings.limits),
            ready: VecDeque::new(),
            usage: Usage::new(settings.usage, name),
            telemetry: Telemetry::default(),
            warnings: Warnings::default(),
            settings: Rc::new(settings),
        }
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
        self.judge(request, Stage::First(waiter), now, store)
    }

    /// Decides on a request that has waited.
    pub fn resume(
        &mut self,
        request: &Request<'_>,
        resolution: Resolution,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        self.judge(request, Stage::Waited(resolution), now, store)
    }

    /// A request is gone.
    pub fn forget(&mut self, waiter: Waiter) {
        self.fetcher.forget(waiter);
        self.ready.retain(|(ready, _)| *ready != waiter);
    }

    /// The next request that has waited long enough, and what has become known for it.
    pub fn next_ready(&mut self) -> Option<(Waiter, Resolution)> {
        self.ready.pop_front()
    }

    /// Whether there is work for the root context: requests to go on with, or calls to send.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.fetcher.ready()
    }

    /// The next call to send, if there is one. What became of it is told by [`Self::sent`] or
    /// [`Self::not_sent`], and later by [`Self::ended`].
    pub fn next_call(&mut self, now: Now) -> Option<Outgoing> {
        let service = &self.settings.key_service;
        if let Some(batch) = self.fetcher.next_batch(now.instant) {
            return Some(Outgoing {
                path: format!("{}/resolve", service.path),
                body: resolve_body(&batch),
                purpose: Purpose::Resolve(batch),
            });
        }
        self.usage.next_report(now).map(|body| Outgoing {
            path: format!("{}/usage", service.path),
            body,
            purpose: Purpose::Usage,
        })
    }

    /// A call is under way.
    pub fn sent(&mut self, call: Call, purpose: Purpose) {
        match purpose {
            Purpose::Resolve(batch) => self.fetcher.sent(call, batch),
            Purpose::Usage => self.usage.sent(call),
        }
    }

    /// Gives up those who have waited too long. To be called regularly.
    pub fn tick(&mut self, now: Now) {
        for waiter in self.fetcher.take_late(now.instant) {
            self.ready.push_back((waiter, Resolution::Unavailable));
        }
        self.telemetry
            .add(Counter::CacheEvicted, self.cache.take_evicted());
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.fetcher.waiting().saturating_add(self.ready.len())
    }

    /// How many entries the VM's own cache has.
    pub fn cache_entries(&self) -> usize {
        self.cache.local_entries()
    }

    /// Edits a request that goes upstream.
    pub fn edit(&self, passage: &Passage, headers: Headers<'_>, request: &mut impl EditRequest) {
        if passage.strip && self.settings.strip_credential {
            credential::remove(&self.settings.credentials, headers, request);
        }
        self.settings
            .identity_headers
            .apply(passage.identity.as_ref(), headers, request);
    }

    /// Edits a request that is refused: no access log may show an identity that the client made up.
    pub fn edit_refused(&self, headers: Headers<'_>, request: &mut impl EditRequest) {
        self.settings.identity_headers.apply(None, headers, request);
    }

    /// The answer to a refused request.
    pub fn reply(&self, refusal: &Refusal, request: &Request<'_>) -> Reply {
        self.replies.reply(refusal.reason, request)
    }
}
