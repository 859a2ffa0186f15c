//! From an answer of the key service to what those who waited for it may know.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Gate, Purpose, Resolution};
use crate::cache::{Learned, Lookup, Store};
use crate::digest::Digest;
use crate::fetch::{Batch, Call};
use crate::record::parse_answer;
use crate::telemetry::{Counter, Warning};
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
    },
    /// There is none.
    Broken,
}

/// The longest body that is read (contract of the key service protocol).
pub const LONGEST_BODY: usize = 1024 * 1024;

impl Gate {
    /// A call could not be sent.
    pub fn not_sent(&mut self, purpose: &Purpose, now: Now) {
        self.telemetry.count(Counter::FetchError);
        let cluster = &self.settings.key_service.cluster;
        self.warnings
            .warn(Warning::ServiceUnreachable, now.instant, || {
                format!(
                    "key service: Envoy does not take the call; is there a cluster {cluster:?}?"
                )
            });
        match purpose {
            Purpose::Resolve(batch) => self.give_up(batch),
            Purpose::Usage => self.usage.ended(false, now),
        }
    }

    /// A call has ended.
    pub fn ended(&mut self, call: Call, end: &CallEnd<'_>, now: Now, store: &dyn Store) {
        if self.usage.is_call(call) {
            let taken = matches!(
                end,
                CallEnd::Answered {
                    status: 204,
                    marked: true,
                    ..
                }
            );
            if !taken {
                self.warnings.warn(Warning::UsageRefused, now.instant, || {
                    "key service: it did not take a report of usage, which is sent again".to_owned()
                });
            }
            self.usage.ended(taken, now);
            return;
        }
        let Some(batch) = self.fetcher.ended(call) else {
            return;
        };
        let took = now.instant.since(batch.asked);
        self.telemetry
            .fetch_took(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match self.usable_body(end, now) {
            Some(body) => self.learn(&batch, body, now, store),
            None => self.give_up(&batch),
        }
    }

    /// The body of an answer that is knowledge. Everything else is an outage, never an unknown key.
    fn usable_body<'a>(&mut self, end: &CallEnd<'a>, now: Now) -> Option<&'a [u8]> {
        let (warning, why) = match *end {
            CallEnd::Answered {
                status: 200,
                marked: true,
                body: Some(body),
            } => return Some(body),
            CallEnd::Answered {
                status: 504,
                marked: false,
                ..
            } => {
                self.telemetry.count(Counter::FetchTimeout);
                let timeout = self.settings.key_service.timeout;
                self.warnings.warn(Warning::ServiceUnreachable, now.instant, || {
                    format!("key service: no answer within {timeout:?}")
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
        self.telemetry.count(Counter::FetchError);
        self.warnings.warn(warning, now.instant, || why);
        None
    }

    fn learn(&mut self, batch: &Batch, body: &[u8], now: Now, store: &dyn Store) {
        let answer = match parse_answer(body) {
            Ok(answer) => answer,
            Err(malformed) => {
                self.telemetry.count(Counter::FetchError);
                self.warnings
                    .warn(Warning::AnswerUnusable, now.instant, || {
                        format!("key service: its answer is not well-formed: {malformed}")
                    });
                self.give_up(batch);
                return;
            }
        };
        self.telemetry.count(Counter::FetchOk);
        if let Some(doubt) = answer.doubts.first() {
            self.warnings
                .warn(Warning::RecordDoubtful, now.instant, || {
                    format!("key service: {doubt}")
                });
        }
        for digest in &batch.digests {
            let mut results = answer.results.iter().filter(|(given, _)| given == digest);
            let resolution = match (results.next(), results.next()) {
                (Some((_, Ok(resolved))), None) => {
                    let resolved = resolved.clone();
                    match self
                        .cache
                        .learn(digest, resolved, answer.as_of, batch.asked, store)
                    {
                        Learned::Known(chain) => Resolution::Known(chain),
                        Learned::Unknown => Resolution::Unknown,
                        Learned::Behind => self.known_already(digest, now, store),
                    }
                }
                (Some((_, Err(malformed))), None) => {
                    self.warnings
                        .warn(Warning::AnswerUnusable, now.instant, || {
                            format!("key service: a result is not well-formed: {malformed}")
                        });
                    Resolution::Unavailable
                }
                (results, _) => {
                    let what = if results.is_some() {
                        "two results"
                    } else {
                        "no result"
                    };
                    self.warnings
                        .warn(Warning::AnswerUnusable, now.instant, || {
                            format!(
                                "key service: its answer has {what} for a digest that was asked for"
                            )
                        });
                    Resolution::Unavailable
                }
            };
            self.release(digest, &resolution);
        }
    }

    /// What the caches say where an answer is older than they are.
    fn known_already(&mut self, digest: &Digest, now: Now, store: &dyn Store) -> Resolution {
        match self.cache.lookup(digest, now.instant, store) {
            Lookup::Fresh(chain, _) | Lookup::Stale(chain, _) => Resolution::Known(chain),
            Lookup::Expired(_) | Lookup::Negative | Lookup::Miss => Resolution::Unavailable,
        }
    }

    fn give_up(&mut self, batch: &Batch) {
        for digest in &batch.digests {
            self.release(digest, &Resolution::Unavailable);
        }
    }

    fn release(&mut self, digest: &Digest, resolution: &Resolution) {
        for waiter in self.fetcher.answered(digest) {
            self.ready.push_back((waiter, resolution.clone()));
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
        body.extend(URL_SAFE_NO_PAD.encode(digest.bytes()).into_bytes());
        body.push(b'"');
    }
    body.extend(b"]}");
    body
}
