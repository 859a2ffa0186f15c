//! From a request to a decision.

use std::rc::Rc;
use std::time::Duration;

use super::{Decision, Gate, Notice, Passage, Refusal, Resolution, Stage};
use crate::cache::{Lookup, Source, Store};
use crate::config::{Enforcement, Preflight, Unavailable};
use crate::credential::{self, Fault};
use crate::digest::Digest;
use crate::fetch::{Admission, Waiter};
use crate::policy::{Authentication, Chosen, UnknownPolicy};
use crate::request::Request;
use crate::telemetry::{Counter, Warning};
use crate::time::{Instant, Now};
use crate::verdict::{Chain, Class, Facts, Knowledge, Reason, decide};

impl Gate {
    pub(super) fn judge(
        &mut self,
        request: &Request<'_>,
        waiter: Waiter,
        deadline: Instant,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        if self.settings.preflight == Preflight::Pass && request.is_preflight() {
            self.telemetry.count(Counter::Anonymous);
            self.tell_anonymous(request, &|_| true);
            return Decision::Proceed(Passage::anonymous());
        }
        let settings = Rc::clone(&self.settings);
        let policies = match settings.policies.choose(request) {
            Ok(policies) => policies,
            Err(unknown) => return self.refuse_unknown_policy(&unknown, now),
        };
        let policies = if self.steers(request, policies) {
            settings.policies.all()
        } else {
            policies
        };
        if policies.authentication() == Authentication::None {
            self.telemetry.count(Counter::Anonymous);
            self.tell_anonymous(request, &|of| of.authentication() == Authentication::None);
            return Decision::Proceed(Passage {
                strip: false,
                ..Passage::anonymous()
            });
        }
        if let Some(before) = self.before(request.host) {
            let host = before.on(request.host);
            let request = Request {
                host: &host,
                ..*request
            };
            let stage = Stage::First(waiter, deadline);
            return self.judge_digest(before.digest, &request, policies, stage, now, store);
        }
        match credential::find(&settings.credentials, &settings.key_format, request.headers) {
            Ok(credential) => {
                let digest = settings.digester.digest(&credential);
                self.note(digest, request.host);
                let stage = Stage::First(waiter, deadline);
                self.judge_digest(digest, request, policies, stage, now, store)
            }
            Err(Fault::Missing) if policies.authentication() == Authentication::Optional => {
                self.telemetry.count(Counter::Anonymous);
                self.tell_anonymous(request, &|of| {
                    of.authentication() != Authentication::Required
                });
                Decision::Proceed(Passage::anonymous())
            }
            Err(fault) => self.conclude(Knowledge::Fault(fault), request, policies, now),
        }
    }

    /// Whether the client sent something that is taken away again, besides the one credential that counts,
    /// where Envoy's routes name policies. Envoy chooses the route once more when headers have changed, and
    /// says which only when it is too late: so a client could be judged by the policy of a route that its own
    /// header, parameter or cookie chose, and be served by another one.
    fn steers(&self, request: &Request<'_>, policies: Chosen<'_>) -> bool {
        let settings = &self.settings;
        let strips = settings.strip_credential && policies.authentication() != Authentication::None;
        let named = || settings.policies.has_unrouted() || request.host.route_policy().is_some();
        !settings.policies.is_single()
            && self.edits()
            && (self.reserved.find(request.headers).is_any()
                || strips
                    && credential::has_surplus(
                        &settings.credentials,
                        &settings.key_format,
                        request.headers,
                    ))
            && named()
    }

    pub(super) fn refuse_unknown_policy(&mut self, unknown: &UnknownPolicy, now: Now) -> Decision {
        self.warnings.warn(Warning::PolicyUnknown, now.instant, || {
            let name = String::from_utf8_lossy(&unknown.0).into_owned();
            format!("route metadata: there is no policy {name:?}; its requests are refused")
        });
        self.refuse(Reason::PolicyUnknown, None)
    }

    pub(super) fn judge_digest(
        &mut self,
        digest: Digest,
        request: &Request<'_>,
        policies: Chosen<'_>,
        stage: Stage,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        let (waiter, deadline) = match stage {
            Stage::First(waiter, deadline)
            | Stage::Waited(Resolution::Outdated(waiter, deadline)) => (waiter, deadline),
            Stage::Waited(resolution) => {
                return self.judge_waited(digest, request, policies, resolution, now, store);
            }
        };
        match self.cache.lookup(&digest, now.instant, store) {
            Lookup::Fresh(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.conclude(Knowledge::Known(&chain), request, policies, now)
            }
            Lookup::Stale(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.telemetry.count(Counter::LookupStale);
                self.fetcher.refresh(digest, now.instant);
                self.conclude(Knowledge::Known(&chain), request, policies, now)
            }
            Lookup::Negative => {
                self.telemetry.count(Counter::LookupNegative);
                self.conclude(Knowledge::Unknown, request, policies, now)
            }
            Lookup::Expired(_) | Lookup::Miss => {
                let unheard = match self.fetcher.wait(digest, waiter, deadline, now.instant) {
                    Admission::Queued => {
                        self.hold(waiter, digest, request, policies);
                        return Decision::Wait;
                    }
                    Admission::Joined => {
                        self.telemetry.count(Counter::FetchCoalesced);
                        self.hold(waiter, digest, request, policies);
                        return Decision::Wait;
                    }
                    Admission::Refused => Knowledge::Overloaded,
                    Admission::Down => Knowledge::Unavailable,
                };
                self.judge_unheard(digest, unheard, request, policies, now, store)
            }
        }
    }

    fn judge_waited(
        &mut self,
        digest: Digest,
        request: &Request<'_>,
        policies: Chosen<'_>,
        resolution: Resolution,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        match resolution {
            // A worker that stood still may come to it late.
            Resolution::Known(chain, confirmed)
                if now.instant.since(confirmed) < self.settings.freshness.max_staleness =>
            {
                self.telemetry.count(Counter::LookupFetched);
                self.conclude(Knowledge::Known(&chain), request, policies, now)
            }
            Resolution::Unknown => {
                self.telemetry.count(Counter::LookupFetched);
                self.conclude(Knowledge::Unknown, request, policies, now)
            }
            Resolution::Known(chain, _) => {
                self.judge_too_old(&chain, Knowledge::Unavailable, request, policies, now)
            }
            Resolution::Unavailable | Resolution::Outdated(..) => self.judge_unheard(
                digest,
                Knowledge::Unavailable,
                request,
                policies,
                now,
                store,
            ),
        }
    }

    /// The key service has not said anything. A record that is too old to allow can still refuse: a
    /// revoked key does not become a matter of waiting.
    fn judge_unheard(
        &mut self,
        digest: Digest,
        unheard: Knowledge<'_>,
        request: &Request<'_>,
        policies: Chosen<'_>,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        match self.cache.lookup(&digest, now.instant, store) {
            Lookup::Expired(chain) => self.judge_too_old(&chain, unheard, request, policies, now),
            _ => self.conclude(unheard, request, policies, now),
        }
    }

    /// All that is known is too old to allow.
    fn judge_too_old(
        &mut self,
        chain: &Chain,
        unheard: Knowledge<'_>,
        request: &Request<'_>,
        policies: Chosen<'_>,
        now: Now,
    ) -> Decision {
        let knowledge = Knowledge::Known(chain);
        let facts = Facts {
            knowledge,
            policies,
            request,
            now: now.unix,
        };
        if decide(&facts).is_some() {
            return self.conclude(knowledge, request, policies, now);
        }
        self.telemetry.count(Counter::TrustedStaleRefused);
        let decision = self.conclude(unheard, request, policies, now);
        if matches!(decision, Decision::Proceed(_)) {
            // It fails open, and what refuses it under another policy goes on refusing it there.
            self.tell(knowledge, request, now);
        }
        decision
    }

    fn conclude(
        &mut self,
        knowledge: Knowledge<'_>,
        request: &Request<'_>,
        policies: Chosen<'_>,
        now: Now,
    ) -> Decision {
        let chain = match knowledge {
            Knowledge::Known(chain) => Some(chain.clone()),
            _ => None,
        };
        let facts = Facts {
            knowledge,
            policies,
            request,
            now: now.unix,
        };
        let verdict = decide(&facts);
        if let Some(chain) = &chain {
            self.usage.count(&chain.key.id, verdict.is_none(), now);
        }
        match verdict {
            Some(reason) => {
                let decision = self.refuse(reason, chain);
                if matches!(decision, Decision::Proceed(_)) {
                    self.tell(knowledge, request, now);
                }
                decision
            }
            None => {
                self.tell(knowledge, request, now);
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

    pub(super) fn refuse(&mut self, reason: Reason, chain: Option<Chain>) -> Decision {
        let refusal = Refusal { reason, chain };
        if self.settings.enforcement == Enforcement::Shadow {
            self.telemetry.count(Counter::Shadowed(reason));
            return Decision::Proceed(Passage {
                shadowed: Some(refusal),
                ..Passage::anonymous()
            });
        }
        if self.fails_open(reason) {
            self.telemetry.count(Counter::FailedOpen);
            return Decision::Proceed(Passage::anonymous());
        }
        self.telemetry.count(Counter::Rejected(reason));
        log::debug!("refused: {}", reason.code());
        Decision::Refuse(refusal)
    }

    pub(super) fn fails_open(&self, reason: Reason) -> bool {
        reason.class() == Class::Unavailable && self.settings.unavailable == Unavailable::Allow
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
}

fn looked_up(source: Source) -> Counter {
    match source {
        Source::Local => Counter::LookupLocal,
        Source::Shared => Counter::LookupShared,
    }
}
