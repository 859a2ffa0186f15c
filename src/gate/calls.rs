//! Calls to the key service: which is to be sent next, and whose affair it is that one has ended.

use std::time::Duration;

use super::answers::resolve_body;
use super::{CallEnd, Gate};
use crate::host::{CallId, Store};
use crate::knowledge::feed::{self, Poll};
use crate::knowledge::fetch::{Batch, Failure};
use crate::telemetry::usage::Outcome;
use crate::telemetry::{Plain, Warning};
use crate::time::Now;

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

impl Gate {
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
    pub fn sent(&mut self, call: CallId, purpose: Purpose) {
        match &purpose {
            Purpose::Resolve(_) => self.fetcher.sent(),
            Purpose::Changes(poll) => self.feed.sent(*poll),
            Purpose::Usage => self.usage.sent(),
        }
        self.calls.insert(call, purpose);
    }

    /// A call could not be sent.
    pub fn not_sent(&mut self, purpose: Purpose, now: Now, store: &impl Store) {
        let cluster = &self.settings.key_service.cluster;
        self.warnings
            .warn(Warning::ServiceUnreachable, now.instant, || {
                format!(
                    "key service: Envoy does not take the call; is there a cluster {cluster:?}?"
                )
            });
        match purpose {
            Purpose::Resolve(batch) => {
                self.telemetry.count(Plain::FetchError);
                self.give_up(batch, Failure::Other(None), now);
            }
            Purpose::Changes(_) => self.feed_failed(feed::Failure::Broken(None), now, store),
            Purpose::Usage => self.usage.ended(Outcome::NotTaken, now),
        }
    }

    /// A call that seemed to be sent was not.
    pub fn refused(&mut self, call: CallId, now: Now, store: &impl Store) {
        let Some(purpose) = self.calls.remove(&call) else {
            return;
        };
        match &purpose {
            Purpose::Resolve(_) => self.fetcher.ended(),
            Purpose::Changes(poll) => {
                self.feed.ended(poll);
            }
            Purpose::Usage => {}
        }
        self.not_sent(purpose, now, store);
    }

    /// A call has ended.
    pub fn ended(&mut self, call: CallId, end: &CallEnd<'_>, now: Now, store: &impl Store) {
        self.waiting.pass();
        match self.calls.remove(&call) {
            Some(Purpose::Resolve(batch)) => {
                self.fetcher.ended();
                self.resolve_ended(batch, end, now, store);
            }
            Some(Purpose::Changes(poll)) if self.feed.ended(&poll) => {
                self.poll_ended(&poll, end, now, store);
            }
            Some(Purpose::Usage) => self.usage_ended(end, now, store),
            // The poll was given up before.
            Some(Purpose::Changes(_)) | None => {}
        }
    }
}
