//! From a request to a decision.

use std::rc::Rc;
use std::time::Duration;

use super::found::Found;
use super::guard::Passes;
use super::settings::{Enforcement, Unavailable};
use super::standing::Standing;
use super::{Decision, Gate, Notice, Passage, Refusal, Resolution};
use crate::credential::digest::Digest;
use crate::host::{Circumstances, RequestId, Store};
use crate::knowledge::cache::{EntityId, Lookup, Source};
use crate::knowledge::fetch::Admission;
use crate::policy::{Authentication, Chosen, UnknownPolicy};
use crate::record::Chain;
use crate::request::Request;
use crate::telemetry::{Counter, Plain, Warning};
use crate::time::{Instant, Now};
use crate::verdict::{Class, Facts, Knowledge, Reason, decide};

/// A request whose key is to be judged.
pub(super) struct Case<'a, C, S> {
    pub(super) digest: Digest,
    pub(super) request: &'a Request<'a, C>,
    pub(super) policies: Chosen<'a>,
    pub(super) now: Now,
    pub(super) store: &'a S,
}

impl Gate {
    pub(super) fn judge(
        &mut self,
        request: &Request<'_, impl Circumstances>,
        id: RequestId,
        deadline: Instant,
        now: Now,
        store: &impl Store,
    ) -> Decision {
        let settings = Rc::clone(&self.settings);
        let mut found = self.find_ahead(&settings, request);
        let once = &mut found;
        // Where it stays, and a reference to it goes around: it is large, and to move it costs more than to look at it.
        let find = || {
            let once = once;
            match once.get_or_insert_with(|| self.find(&settings, request)) {
                Ok(found) => Ok(&*found),
                Err(fault) => Err(*fault),
            }
        };
        let (policies, found) = match Standing::of(&settings, &self.reserved, request, find) {
            Standing::Presents(policies, found) => (policies, found),
            Standing::Preflight => return self.pass_anonymous(request, |_| true),
            Standing::Anonymous(_) => {
                return self.pass_anonymous(request, |of| {
                    of.authentication() != Authentication::Required
                });
            }
            Standing::Unasked(_) => {
                let mut decision =
                    self.pass_anonymous(request, |of| of.authentication() == Authentication::None);
                if let Decision::Proceed(passage) = &mut decision {
                    passage.strip = false;
                }
                return decision;
            }
            Standing::PolicyUnknown(unknown) => return self.refuse_unknown_policy(&unknown, now),
            Standing::Faulty(policies, fault) => {
                return self.conclude(Err(Knowledge::Fault(fault)), policies, request, now);
            }
        };
        let (digest, earlier) = match found {
            Found::Sent(credential) => {
                let digest = settings.digester.digest(credential);
                self.note(digest, request.host);
                (digest, request.earlier)
            }
            Found::Noted(before) => (before.digest, before.earlier()),
            #[cfg(target_pointer_width = "64")]
            Found::Expected(digest) => (*digest, request.earlier),
        };
        let request = Request {
            earlier,
            ..*request
        };
        let case = Case {
            digest,
            request: &request,
            policies,
            now,
            store,
        };
        self.look_up(&case, id, deadline)
    }

    fn pass_anonymous(
        &mut self,
        request: &Request<'_, impl Circumstances>,
        holds: impl Fn(Chosen<'_>) -> bool,
    ) -> Decision {
        let policies = self.told_of_anonymous(request, holds);
        if policies.is_none() {
            self.telemetry.count(Plain::Anonymous);
        }
        Decision::Proceed(Passage {
            policies,
            ..Passage::anonymous()
        })
    }

    pub(super) fn refuse_unknown_policy(&mut self, unknown: &UnknownPolicy, now: Now) -> Decision {
        self.warnings.warn(Warning::PolicyUnknown, now.instant, || {
            let name = String::from_utf8_lossy(&unknown.0).into_owned();
            format!("route metadata: there is no policy {name:?}; its requests are refused")
        });
        self.refuse(Reason::PolicyUnknown, None)
    }

    /// Looks a key up, and lets the request wait until a deadline where nothing is known.
    fn look_up(
        &mut self,
        case: &Case<'_, impl Circumstances, impl Store>,
        id: RequestId,
        deadline: Instant,
    ) -> Decision {
        let Case { digest, now, .. } = *case;
        match self.cache.lookup(&digest, now.instant, case.store) {
            Lookup::Fresh(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.judged(Ok(chain), case)
            }
            Lookup::Stale(chain, source) => {
                self.telemetry.count(looked_up(source));
                self.telemetry.count(Plain::LookupStale);
                self.fetcher.refresh(digest, now.instant);
                self.judged(Ok(chain), case)
            }
            Lookup::Negative => {
                self.telemetry.count(Plain::LookupNegative);
                self.judged(Err(Knowledge::Unknown), case)
            }
            Lookup::Expired(_) | Lookup::Miss => {
                let unheard = match self.fetcher.wait(digest, id, deadline, now.instant) {
                    Admission::Queued => {
                        self.hold(id, case);
                        return Decision::Wait;
                    }
                    Admission::Joined => {
                        self.telemetry.count(Plain::FetchCoalesced);
                        self.hold(id, case);
                        return Decision::Wait;
                    }
                    Admission::Refused => Knowledge::Overloaded,
                    Admission::Down => Knowledge::Unavailable,
                };
                self.judge_unheard(unheard, case)
            }
        }
    }

    pub(super) fn judge_waited(
        &mut self,
        case: &Case<'_, impl Circumstances, impl Store>,
        resolution: Resolution,
    ) -> Decision {
        match resolution {
            Resolution::Outdated(id, deadline) => self.look_up(case, id, deadline),
            Resolution::Passed(resolution) => self.judge_passed(case, *resolution),
            // A worker that stood still may come to it late.
            Resolution::Known(chain, confirmed)
                if case.now.instant.since(confirmed) < self.settings.freshness.max_staleness =>
            {
                self.telemetry.count(Plain::LookupFetched);
                self.judged(Ok(chain), case)
            }
            Resolution::Unknown => {
                self.telemetry.count(Plain::LookupFetched);
                self.judged(Err(Knowledge::Unknown), case)
            }
            Resolution::Known(chain, _) => self.judge_too_old(chain, Knowledge::Unavailable, case),
            Resolution::Unavailable => self.judge_unheard(Knowledge::Unavailable, case),
        }
    }

    /// Since its answer came, other requests may have been judged by what came later.
    fn judge_passed(
        &mut self,
        case: &Case<'_, impl Circumstances, impl Store>,
        resolution: Resolution,
    ) -> Decision {
        match self
            .cache
            .lookup(&case.digest, case.now.instant, case.store)
        {
            Lookup::Fresh(chain, _) | Lookup::Stale(chain, _) => {
                self.telemetry.count(Plain::LookupFetched);
                self.judged(Ok(chain), case)
            }
            Lookup::Negative => {
                self.telemetry.count(Plain::LookupFetched);
                self.judged(Err(Knowledge::Unknown), case)
            }
            Lookup::Expired(_) | Lookup::Miss => self.judge_waited(case, resolution),
        }
    }

    /// The key service has not said anything. A record that is too old to allow can still refuse: a
    /// revoked key does not become a matter of waiting.
    fn judge_unheard(
        &mut self,
        unheard: Knowledge<'static>,
        case: &Case<'_, impl Circumstances, impl Store>,
    ) -> Decision {
        match self
            .cache
            .lookup(&case.digest, case.now.instant, case.store)
        {
            Lookup::Expired(chain) => self.judge_too_old(chain, unheard, case),
            // Somebody has heard of it meanwhile.
            Lookup::Fresh(chain, _) | Lookup::Stale(chain, _) => {
                self.telemetry.count(Plain::LookupFetched);
                self.judged(Ok(chain), case)
            }
            Lookup::Negative | Lookup::Miss => self.judged(Err(unheard), case),
        }
    }

    /// All that is known is too old to allow.
    fn judge_too_old(
        &mut self,
        chain: Chain,
        unheard: Knowledge<'static>,
        case: &Case<'_, impl Circumstances, impl Store>,
    ) -> Decision {
        let facts = Facts {
            knowledge: Knowledge::Known(&chain),
            policies: case.policies,
            request: case.request,
            now: case.now.unix,
        };
        if decide(&facts).is_some() {
            return self.judged(Ok(chain), case);
        }
        self.telemetry.count(Plain::TrustedStaleRefused);
        let mut decision = self.judged(Err(unheard), case);
        if let Decision::Proceed(passage) = &mut decision {
            // It fails open, and what refuses it under another policy goes on refusing it there.
            let known = Knowledge::Known(&chain);
            passage.policies = self.told(known, case.request, case.now, None);
        }
        decision
    }

    /// Judges by a chain or, where none is known, by what is known instead.
    fn judged(
        &mut self,
        known: Result<Chain, Knowledge<'static>>,
        case: &Case<'_, impl Circumstances, impl Store>,
    ) -> Decision {
        let known = known.map(|chain| (EntityId::key(&case.digest), chain));
        self.conclude(known, case.policies, case.request, case.now)
    }

    fn conclude(
        &mut self,
        known: Result<(EntityId, Chain), Knowledge<'static>>,
        policies: Chosen<'_>,
        request: &Request<'_, impl Circumstances>,
        now: Now,
    ) -> Decision {
        let knowledge = match &known {
            Ok((_, chain)) => Knowledge::Known(chain),
            Err(other) => *other,
        };
        let facts = Facts {
            knowledge,
            policies,
            request,
            now: now.unix,
        };
        match decide(&facts) {
            Some(reason) => {
                if let Ok((id, chain)) = &known {
                    let source = || request.source_address();
                    self.usage
                        .count(*id, &chain.key, Some(reason), now, &source);
                }
                let chain = known.as_ref().ok().map(|(_, chain)| chain.clone());
                let mut decision = self.refuse(reason, chain);
                if let Decision::Proceed(passage) = &mut decision {
                    passage.policies = self.told(knowledge, request, now, None);
                }
                decision
            }
            None => {
                let passes = Passes {
                    counter: Plain::Allowed,
                    key: known.as_ref().ok().map(|(id, _)| *id),
                };
                let policies = self.told(knowledge, request, now, Some(passes));
                let identity = known.ok().map(|(_, chain)| chain);
                if policies.is_none() {
                    self.count(passes, identity.as_ref(), now, &|| request.source_address());
                }
                let notice = identity
                    .as_ref()
                    .and_then(|chain| self.notice(chain, now.unix));
                Decision::Proceed(Passage {
                    identity,
                    strip: true,
                    shadowed: None,
                    notice,
                    policies,
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
            self.telemetry.count(Plain::FailedOpen);
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
            self.telemetry.count(Plain::Expiring);
        }
        if key.replaced {
            self.telemetry.count(Plain::InGrace);
        }
        Some(Notice {
            sunset: key.expires_at,
            deprecation: key.replaced_at.filter(|_| key.replaced),
        })
    }
}

fn looked_up(source: Source) -> Plain {
    match source {
        Source::Local => Plain::LookupLocal,
        Source::Shared => Plain::LookupShared,
    }
}
