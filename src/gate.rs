//! The state machine of one VM that joins all parts: events in, decisions and calls out.
//!
//! It knows neither Proxy-Wasm nor a clock: whoever drives it hands over requests, answers and the time,
//! and carries out what it gives back.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cache::{Cache, Learned, Lookup, Source, Store};
use crate::config::{Enforcement, Preflight, Settings, Unavailable};
use crate::credential::{self, Fault};
use crate::digest::Digest;
use crate::edit::EditRequest;
use crate::fetch::{Admission, Batch, Call, Fetcher, Waiter};
use crate::headers::Headers;
use crate::policy::{Authentication, Policy};
use crate::record::parse_answer;
use crate::reply::{Replies, Reply};
use crate::request::Request;
use crate::telemetry::{Counter, Telemetry, Warning, Warnings};
use crate::time::Now;
use crate::verdict::{Chain, Class, Facts, Knowledge, Reason, decide};

/// All that one VM knows and does.
#[derive(Debug)]
pub struct Gate {
    settings: Rc<Settings>,
    replies: Replies,
    cache: Cache,
    fetcher: Fetcher,
    /// Requests that waited, and what has become known for them.
    ready: VecDeque<(Waiter, Resolution)>,
    /// What has been counted.
    pub telemetry: Telemetry,
    warnings: Warnings,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes upstream.
    Proceed(Passage),
    /// It is answered by the filter.
    Refuse(Refusal),
    /// It waits for the key service.
    Wait,
}

/// How a request goes upstream.
#[derive(Debug)]
pub struct Passage {
    /// Who is calling, where that was verified.
    pub identity: Option<Chain>,
    /// Whether the credential is removed, if the configuration says so.
    pub strip: bool,
    /// The refusal that was not carried out.
    pub shadowed: Option<Refusal>,
    /// What to tell the client about its key.
    pub notice: Option<Notice>,
}

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The key, user and tenant, as far as they are known.
    pub chain: Option<Chain>,
}

/// A key that works and will soon not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Unix seconds at which it stops working.
    pub sunset: Option<u64>,
    /// Unix seconds at which it was replaced.
    pub deprecation: Option<u64>,
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

/// Whether a request is looked at for the first time or has waited.
enum Stage {
    First(Waiter),
    Waited(Resolution),
}

impl Gate {
    /// A VM that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            replies: Replies::new(&settings.rejection, &settings.credentials),
            cache: Cache::new(&settings.limits, settings.freshness),
            fetcher: Fetcher::new(&settings.limits),
            ready: VecDeque::new(),
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

    /// The next call to send, if there is one.
    pub fn next_batch(&mut self, now: Now) -> Option<Batch> {
        self.fetcher.next_batch(now.instant)
    }

    /// A call was sent.
    pub fn sent(&mut self, call: Call, batch: Batch) {
        self.fetcher.sent(call, batch);
    }

    /// A call could not be sent.
    pub fn not_sent(&mut self, batch: &Batch, now: Now) {
        self.telemetry.count(Counter::FetchError);
        let cluster = &self.settings.key_service.cluster;
        self.warnings
            .warn(Warning::ServiceUnreachable, now.instant, || {
                format!(
                    "key service: Envoy does not take the call; is there a cluster {cluster:?}?"
                )
            });
        self.give_up(batch);
    }

    /// A call has ended.
    pub fn ended(&mut self, call: Call, end: &CallEnd<'_>, now: Now, store: &dyn Store) {
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

    /// The answer to a refused request.
    pub fn reply(&self, refusal: &Refusal, request: &Request<'_>) -> Reply {
        self.replies.reply(refusal.reason, request)
    }

    fn judge(
        &mut self,
        request: &Request<'_>,
        stage: Stage,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        if self.settings.preflight == Preflight::Pass && request.is_preflight() {
            self.telemetry.count(Counter::Anonymous);
            return Decision::Proceed(Passage::anonymous());
        }
        let settings = Rc::clone(&self.settings);
        let policy = match settings.policies.choose(request) {
            Ok(policy) => policy,
            Err(unknown) => {
                self.warnings.warn(Warning::PolicyUnknown, now.instant, || {
                    let name = String::from_utf8_lossy(&unknown.0).into_owned();
                    format!("route metadata: there is no policy {name:?}; its requests are refused")
                });
                return self.refuse(Reason::PolicyUnknown, None);
            }
        };
        if policy.authentication == Authentication::None {
            self.telemetry.count(Counter::Anonymous);
            return Decision::Proceed(Passage {
                strip: false,
                ..Passage::anonymous()
            });
        }
        match credential::find(&settings.credentials, &settings.key_format, request.headers) {
            Ok(credential) => {
                let digest = settings.digester.digest(&credential);
                self.judge_digest(digest, request, policy, stage, now, store)
            }
            Err(Fault::Missing) if policy.authentication == Authentication::Optional => {
                self.telemetry.count(Counter::Anonymous);
                Decision::Proceed(Passage::anonymous())
            }
            Err(fault) => self.conclude(Knowledge::Fault(fault), request, policy, now),
        }
    }

    fn judge_digest(
        &mut self,
        digest: Digest,
        request: &Request<'_>,
        policy: &Policy,
        stage: Stage,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        let waiter = match stage {
            Stage::First(waiter) => waiter,
            Stage::Waited(resolution) => {
                return self.judge_waited(digest, request, policy, resolution, now, store);
            }
        };
        match self.cache.lookup(&digest, now.instant, store) {
            Lookup::Fresh(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.conclude(Knowledge::Known(&chain), request, policy, now)
            }
            Lookup::Stale(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.telemetry.count(Counter::LookupStale);
                self.fetcher.refresh(digest);
                self.conclude(Knowledge::Known(&chain), request, policy, now)
            }
            Lookup::Negative => {
                self.telemetry.count(Counter::LookupNegative);
                self.conclude(Knowledge::Unknown, request, policy, now)
            }
            Lookup::Expired(_) | Lookup::Miss => {
                let deadline = now.instant + self.settings.key_service.timeout;
                match self.fetcher.wait(digest, waiter, deadline) {
                    Admission::Queued => Decision::Wait,
                    Admission::Joined => {
                        self.telemetry.count(Counter::FetchCoalesced);
                        Decision::Wait
                    }
                    Admission::Refused => self.judge_unheard(
                        digest,
                        Knowledge::Overloaded,
                        request,
                        policy,
                        now,
                        store,
                    ),
                }
            }
        }
    }

    fn judge_waited(
        &mut self,
        digest: Digest,
        request: &Request<'_>,
        policy: &Policy,
        resolution: Resolution,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        match resolution {
            Resolution::Known(chain) => {
                self.telemetry.count(Counter::LookupFetched);
                self.conclude(Knowledge::Known(&chain), request, policy, now)
            }
            Resolution::Unknown => {
                self.telemetry.count(Counter::LookupFetched);
                self.conclude(Knowledge::Unknown, request, policy, now)
            }
            Resolution::Unavailable => {
                self.judge_unheard(digest, Knowledge::Unavailable, request, policy, now, store)
            }
        }
    }

    /// The key service has not said anything. A record that is too old to allow can still refuse: a
    /// revoked key does not become a matter of waiting.
    fn judge_unheard(
        &mut self,
        digest: Digest,
        unheard: Knowledge<'_>,
        request: &Request<'_>,
        policy: &Policy,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        if let Lookup::Expired(chain) = self.cache.lookup(&digest, now.instant, store) {
            let knowledge = Knowledge::Known(&chain);
            let facts = Facts {
                knowledge,
                policy,
                request,
                now: now.unix,
            };
            if decide(&facts).is_some() {
                return self.conclude(knowledge, request, policy, now);
            }
            self.telemetry.count(Counter::TrustedStaleRefused);
        }
        self.conclude(unheard, request, policy, now)
    }

    fn conclude(
        &mut self,
        knowledge: Knowledge<'_>,
        request: &Request<'_>,
        policy: &Policy,
        now: Now,
    ) -> Decision {
        let chain = match knowledge {
            Knowledge::Known(chain) => Some(chain.clone()),
            _ => None,
        };
        let facts = Facts {
            knowledge,
            policy,
            request,
            now: now.unix,
        };
        match decide(&facts) {
            Some(reason) => self.refuse(reason, chain),
            None => {
                self.telemetry.count(Counter::Allowed);
                let notice = chain
                    .as_ref()
                    .and_then(|chain| self.notice(chain, now.unix));
                Decision::Proceed(Passage {
                    identity: chain,
                    strip: true,
                    shadowed: None,
                    notice,
                })
            }
        }
    }

    fn refuse(&mut self, reason: Reason, chain: Option<Chain>) -> Decision {
        let refusal = Refusal { reason, chain };
        if self.settings.enforcement == Enforcement::Shadow {
            self.telemetry.count(Counter::Shadowed(reason));
            return Decision::Proceed(Passage {
                shadowed: Some(refusal),
                ..Passage::anonymous()
            });
        }
        if reason.class() == Class::Unavailable && self.settings.unavailable == Unavailable::Allow {
            self.telemetry.count(Counter::FailedOpen);
            return Decision::Proceed(Passage::anonymous());
        }
        self.telemetry.count(Counter::Rejected(reason));
        log::debug!("refused: {}", reason.code());
        Decision::Refuse(refusal)
    }

    /// What to tell the client of a key that works and will soon not.
    fn notice(&mut self, chain: &Chain, now: u64) -> Option<Notice> {
        let key = &chain.key;
        let expires_in = key
            .expires_at
            .map(|end| Duration::from_secs(end.saturating_sub(now)));
        let expiring = expires_in.is_some_and(|left| left <= self.settings.warn_before);
        if !expiring && !key.replaced {
            return None;
        }
        if expiring {
            self.telemetry.count(Counter::Expiring);
        }
        if key.replaced {
            self.telemetry.count(Counter::InGrace);
        }
        Some(Notice {
            sunset: key.expires_at,
            deprecation: key.replaced_at.filter(|_| key.replaced),
        })
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

impl Passage {
    fn anonymous() -> Self {
        Self {
            identity: None,
            strip: true,
            shadowed: None,
            notice: None,
        }
    }
}

fn looked_up(source: Source) -> Counter {
    match source {
        Source::Local => Counter::LookupLocal,
        Source::Shared => Counter::LookupShared,
    }
}

/// The body of a call to `/v1/resolve`.
pub fn resolve_body(batch: &Batch) -> Vec<u8> {
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
