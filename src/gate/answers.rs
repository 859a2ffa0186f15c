//! From an answer of the key service to what those who waited for it may know.

use std::time::Duration;

use super::{Gate, Resolution};
use crate::credential::digest::Digest;
use crate::host::Store;
use crate::knowledge::cache::{EntityId, Learned, Lookup};
use crate::knowledge::fetch::{Batch, Failure};
use crate::knowledge::swap;
use crate::record::{Resolved, parse_answer};
use crate::telemetry::usage::Outcome;
use crate::telemetry::{Plain, Warning};
use crate::time::Now;

/// How a call to the key service ended.
#[derive(Debug)]
pub enum CallEnd<'a> {
    /// There is an answer, of the key service or of Envoy itself.
    Answered {
        /// HTTP status.
        status: u16,
        /// Whether it has the marker of the protocol's version.
        marked: bool,
        /// The body; nothing where it is longer than the protocol allows.
        body: Option<&'a [u8]>,
        /// How long the service asks to be left alone (`retry-after`).
        retry_after: Option<Duration>,
    },
    /// There is none.
    Broken,
}

impl Gate {
    /// A call that asked for records has ended.
    pub(super) fn resolve_ended(
        &mut self,
        batch: Batch,
        end: &CallEnd<'_>,
        now: Now,
        store: &impl Store,
    ) {
        let took = now.instant.since(batch.asked);
        self.telemetry
            .fetch_took(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match self.usable_body(end, now) {
            Some(body) => self.learn(batch, body, now, store),
            None if end.is_too_long() => {
                // The service works, but for so much at once.
                if batch.digests.len() > 1 {
                    self.fetcher.succeeded(now.instant);
                }
                self.ask_for_less(batch, now);
            }
            // Envoy breaks off what is longer than it takes, and does not say so.
            None if matches!(end, CallEnd::Broken) && batch.digests.len() > 1 => {
                self.ask_for_less(batch, now);
            }
            None => self.give_up(batch, failure(end), now),
        }
    }

    /// A report of usage has ended.
    pub(super) fn usage_ended(&mut self, end: &CallEnd<'_>, now: Now, store: &impl Store) {
        let outcome = match *end {
            CallEnd::Answered {
                status: 204,
                marked: true,
                ..
            } => Outcome::Taken,
            CallEnd::Answered { status: 404, .. } => Outcome::Unsupported,
            _ => Outcome::NotTaken,
        };
        match outcome {
            Outcome::Taken => {}
            Outcome::NotTaken => self.warnings.warn(Warning::UsageRefused, now.instant, || {
                "key service: it did not take a report of usage, which is sent again".to_owned()
            }),
            Outcome::Unsupported => {
                if first_to_tell(store, &self.usage_told) {
                    log::warn!(
                        "key service: it takes no reports of usage (404 at its path): nobody knows which keys are \
                         used; it is asked again every ten minutes, unless usage.enabled is false"
                    );
                }
            }
        }
        self.usage.ended(outcome, now);
    }

    /// The body of an answer that is knowledge. Everything else is an outage, never an unknown key.
    fn usable_body<'a>(&mut self, end: &CallEnd<'a>, now: Now) -> Option<&'a [u8]> {
        let (warning, why) = match *end {
            CallEnd::Answered {
                status: 200,
                marked: true,
                body: Some(body),
                ..
            } => return Some(body),
            CallEnd::Answered {
                status: 504,
                marked: false,
                ..
            } => {
                self.telemetry.count(Plain::FetchTimeout);
                let timeout = self.settings.key_service.timeout;
                self.warnings.warn(Warning::ServiceUnreachable, now.instant, || {
                    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                    format!("key service: no answer within {millis} ms")
                });
                return None;
            }
            CallEnd::Answered {
                status: 401 | 403, ..
            } => (
                Warning::TokenRefused,
                "key service: it refuses our token; check key_service.token or token_env".to_owned(),
            ),
            CallEnd::Answered {
                status: 503,
                marked: false,
                ..
            }
            | CallEnd::Broken => (
                Warning::ServiceUnreachable,
                "key service: it cannot be reached".to_owned(),
            ),
            CallEnd::Answered { body: None, .. } => (
                Warning::AnswerUnusable,
                "key service: its answer is longer than the protocol allows".to_owned(),
            ),
            CallEnd::Answered { status: 200, .. } => (
                Warning::AnswerUnusable,
                "key service: its answer lacks x-keybound-protocol: 1; is the cluster's service a key service?"
                    .to_owned(),
            ),
            CallEnd::Answered { status, .. } => (
                Warning::AnswerUnusable,
                format!("key service: it answers with status {status}"),
            ),
        };
        self.telemetry.count(Plain::FetchError);
        self.warnings.warn(warning, now.instant, || why);
        None
    }

    fn learn(&mut self, batch: Batch, body: &[u8], now: Now, store: &impl Store) {
        let answer = match parse_answer(body) {
            Ok(answer) => answer,
            Err(malformed) => {
                self.telemetry.count(Plain::FetchError);
                self.warnings
                    .warn(Warning::AnswerUnusable, now.instant, || {
                        format!("key service: its answer is not well-formed: {malformed}")
                    });
                // One record may have spoiled it for all.
                self.ask_for_less(batch, now);
                return;
            }
        };
        self.telemetry.count(Plain::FetchOk);
        self.fetcher.succeeded(now.instant);
        if let Some(doubt) = answer.doubts.first() {
            self.warnings
                .warn(Warning::RecordDoubtful, now.instant, || {
                    format!("key service: {doubt}")
                });
        }
        let mut left_out = Vec::new();
        for digest in &batch.digests {
            let mut results = answer.results.iter().filter(|(given, _)| given == digest);
            let resolution = match (results.next(), results.next()) {
                (Some((_, Ok(resolved))), None) => {
                    let current = self.feed.continues(batch.epoch, answer.as_of)
                        && self.feed.vouches(answer.as_of, &entities(digest, resolved));
                    if !current {
                        // What it says may have changed since, and this worker has obeyed the change already.
                        if !self.fetcher.again(*digest) {
                            self.warn_unusable(now, "its answers are older than its change feed");
                            self.release(digest, &Resolution::Unavailable);
                        }
                        continue;
                    }
                    let resolved = resolved.clone();
                    match self
                        .cache
                        .learn(digest, resolved, answer.as_of, batch.asked, store)
                    {
                        Learned::Known(chain, confirmed) => Resolution::Known(chain, confirmed),
                        Learned::Unknown => Resolution::Unknown,
                        Learned::Behind if self.is_known(digest, now, store) => {
                            self.look_up_again(digest);
                            continue;
                        }
                        Learned::Behind if self.fetcher.again(*digest) => continue,
                        Learned::Behind => Resolution::Unavailable,
                    }
                }
                (Some((_, Err(malformed))), None) => {
                    let problem = format!("a result is not well-formed: {malformed}");
                    self.warn_unusable(now, &problem);
                    Resolution::Unavailable
                }
                (Some(_), Some(_)) => {
                    self.warn_unusable(now, "its answer has two results for a digest");
                    Resolution::Unavailable
                }
                (None, _) if batch.digests.len() > 1 => {
                    left_out.push(*digest);
                    continue;
                }
                (None, _) => {
                    self.warn_unusable(now, "its answer has no result for a digest");
                    Resolution::Unavailable
                }
            };
            self.release(digest, &resolution);
        }
        self.fetcher.ask_for_less(&left_out, batch.digests.len());
    }

    /// An answer was of no use, maybe since too much was asked for at once.
    fn ask_for_less(&mut self, batch: Batch, now: Now) {
        match batch.digests.len() {
            ..=1 => self.give_up(batch, Failure::Other(None), now),
            asked => self.fetcher.ask_for_less(&batch.digests, asked),
        }
    }

    fn warn_unusable(&mut self, now: Now, problem: &str) {
        self.warnings
            .warn(Warning::AnswerUnusable, now.instant, || {
                format!("key service: {problem}")
            });
    }

    /// Whether the caches know a digest well enough where an answer is older than they are.
    fn is_known(&mut self, digest: &Digest, now: Now, store: &impl Store) -> bool {
        let known = self.cache.lookup(digest, now.instant, store);
        matches!(known, Lookup::Fresh(..) | Lookup::Stale(..))
    }

    /// Lets those who wait for a digest go on with what the caches know.
    fn look_up_again(&mut self, digest: &Digest) {
        let waited = self.fetcher.answered(digest);
        self.waiting.look_again(digest, waited);
    }

    pub(super) fn give_up(&mut self, batch: Batch, failure: Failure, now: Now) {
        for digest in self.fetcher.failed(batch, failure, now.instant) {
            self.release(&digest, &Resolution::Unavailable);
        }
    }

    fn release(&mut self, digest: &Digest, resolution: &Resolution) {
        let waited = self.fetcher.answered(digest);
        self.waiting.release(digest, waited, resolution);
    }
}

/// Whether nobody, no other worker of the process either, has told yet what has this name.
fn first_to_tell(store: &impl Store, name: &str) -> bool {
    let mut first = false;
    let written = swap::change(store, name, |told| {
        first = told.is_empty();
        first.then(|| b"told".to_vec())
    });
    written && first
}

/// What an answer about a digest speaks of.
fn entities(digest: &Digest, resolved: &Resolved) -> Vec<EntityId> {
    let key = EntityId::key(digest);
    let Resolved::Known { key: record, .. } = resolved else {
        return vec![key];
    };
    let user = record.user_id.as_deref().map(EntityId::user);
    let tenant = record.tenant_id.as_deref().map(EntityId::tenant);
    [Some(key), user, tenant].into_iter().flatten().collect()
}

/// How a call failed that was not answered usably.
fn failure(end: &CallEnd<'_>) -> Failure {
    match *end {
        CallEnd::Broken
        | CallEnd::Answered {
            status: 503,
            marked: false,
            retry_after: None,
            ..
        } => Failure::Connection,
        CallEnd::Answered { .. } => Failure::Other(end.retry_after()),
    }
}

impl CallEnd<'_> {
    /// Whether it is an answer that would be knowledge, were it not too long.
    fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 200,
                marked: true,
                body: None,
                ..
            }
        )
    }

    /// How long the service asks to be left alone: it counts on 429 and 503.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Answered {
                status: 429 | 503,
                retry_after,
                ..
            } => retry_after,
            _ => None,
        }
    }
}

/// The body of a call to `/v1/resolve`.
pub(super) fn resolve_body(batch: &Batch) -> Vec<u8> {
    let mut body = br#"{"digests":["#.to_vec();
    for (index, digest) in batch.digests.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.push(b'"');
        body.extend(digest.to_text().into_bytes());
        body.push(b'"');
    }
    body.extend(b"]}");
    body
}
