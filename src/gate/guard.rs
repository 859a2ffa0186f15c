//! What is known of a request for the route that serves it.
//!
//! Envoy chooses the route once more when headers have changed. A host that sees which one asks for its policy here.
//! A Proxy-Wasm filter cannot see it, and Envoy's own RBAC filter behind it can: it compares the policy that the route
//! names with those of which it is told that they hold.

use std::net::IpAddr;

use super::{Decision, Gate, Passage, Refusal};
use crate::host::Circumstances;
use crate::knowledge::cache::EntityId;
use crate::policy::{Chosen, UnknownPolicy};
use crate::record::Chain;
use crate::request::Request;
use crate::telemetry::Plain;
use crate::time::Now;
use crate::verdict::{Facts, Knowledge, Reason, decide};

/// What stands first where the policies hold that count on a route which names none. No name of a policy stands
/// there: each has a space before and behind it.
const UNNAMED: &str = "unnamed";

/// Which policies hold of a request that passes, and what refuses it under each of the others.
#[derive(Debug)]
pub struct Told {
    /// On a route that names none.
    unnamed: Option<Reason>,
    /// Of each policy that a route can name, in their order.
    named: Vec<Option<Reason>>,
    /// What it is counted as, once it is known that it passes; nothing where it is counted already.
    passes: Option<Passes>,
    /// Where it comes from, where that is counted too.
    source: Option<IpAddr>,
}

/// What a request is counted as that passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passes {
    pub(super) counter: Plain,
    /// Whose use it is.
    pub(super) key: Option<EntityId>,
}

impl Gate {
    /// Which policies hold of a request that passes, where somebody wants to know.
    #[inline]
    pub(super) fn told(
        &self,
        knowledge: Knowledge<'_>,
        request: &Request<'_, impl Circumstances>,
        now: Now,
        passes: Option<Passes>,
    ) -> Option<Told> {
        self.settings
            .guarded_routes
            .then(|| self.known(knowledge, request, now, passes))
    }

    #[cold]
    fn known(
        &self,
        knowledge: Knowledge<'_>,
        request: &Request<'_, impl Circumstances>,
        now: Now,
        passes: Option<Passes>,
    ) -> Told {
        let told = self.of_each(request, passes, &|policies| {
            let facts = Facts {
                knowledge,
                policies,
                request,
                now: now.unix,
            };
            decide(&facts).filter(|reason| !self.fails_open(*reason))
        });
        let source = match (knowledge, passes.and_then(|passes| passes.key)) {
            (Knowledge::Known(chain), Some(id)) if self.usage.looks(id, &chain.key) => {
                request.source_address()
            }
            _ => None,
        };
        Told { source, ..told }
    }

    /// The same of a request about whose key nothing is known.
    pub(super) fn told_of_anonymous(
        &self,
        request: &Request<'_, impl Circumstances>,
        holds: impl Fn(Chosen<'_>) -> bool,
    ) -> Option<Told> {
        let refuses = |policies: Chosen<'_>| (!holds(policies)).then_some(Reason::KeyMissing);
        let passes = Passes {
            counter: Plain::Anonymous,
            key: None,
        };
        self.settings
            .guarded_routes
            .then(|| self.of_each(request, Some(passes), &refuses))
    }

    fn of_each(
        &self,
        request: &Request<'_, impl Circumstances>,
        passes: Option<Passes>,
        refuses: &dyn Fn(Chosen<'_>) -> Option<Reason>,
    ) -> Told {
        // In shadow everything passes.
        let refuses = |policies| self.edits().then(|| refuses(policies)).flatten();
        let policies = &self.settings.policies;
        Told {
            unnamed: refuses(policies.of_target(request)),
            named: policies.iter().map(|(_, policy)| refuses(policy)).collect(),
            passes,
            source: None,
        }
    }

    /// The policies that hold, for a filter behind: each name between spaces.
    pub fn policies_that_hold(&self, told: &Told) -> String {
        let mut text = String::new();
        if told.unnamed.is_none() {
            text.push_str(UNNAMED);
        }
        text.push(' ');
        for ((name, _), refused) in self.settings.policies.iter().zip(&told.named) {
            if refused.is_none() {
                text.push_str(name);
                text.push(' ');
            }
        }
        text
    }

    /// Looks once more at a request that is to go upstream, by the policy that the route names which serves it. Counts
    /// it if it passes, and gives the refusal if not.
    pub fn look_again(
        &mut self,
        passage: &Passage,
        serving: Option<Vec<u8>>,
        now: Now,
    ) -> Option<Refusal> {
        let told = passage.policies.as_ref()?;
        let chain = passage.identity.as_ref();
        let refused = match serving {
            // In shadow nothing is refused, and nothing was changed.
            _ if !self.edits() => Ok(None),
            None => Ok(told.unnamed),
            Some(name) => {
                let mut all = self.settings.policies.iter().zip(&told.named);
                let found = all.find(|((known, _), _)| known.as_bytes() == name);
                found
                    .map(|(_, refused)| *refused)
                    .ok_or(UnknownPolicy(name))
            }
        };
        let Some(refused) = refused.transpose() else {
            self.passes(passage, now);
            return None;
        };
        if let Some((id, chain)) = told.passes.and_then(|passes| passes.key).zip(chain) {
            let reason = match refused {
                Ok(reason) => reason,
                Err(_) => Reason::PolicyUnknown,
            };
            let source = || told.source;
            self.usage.count(id, &chain.key, Some(reason), now, &source);
        }
        let decision = match refused {
            Ok(reason) => self.refuse(reason, chain.cloned()),
            Err(unknown) => self.refuse_unknown_policy(&unknown, now),
        };
        match decision {
            Decision::Refuse(refusal) => Some(refusal),
            Decision::Proceed(_) | Decision::Wait => None,
        }
    }

    /// Counts a request that goes upstream, where that was left until now.
    pub fn passes(&mut self, passage: &Passage, now: Now) {
        let Some(told) = &passage.policies else {
            return;
        };
        if let Some(passes) = told.passes {
            self.count(passes, passage.identity.as_ref(), now, &|| told.source);
        }
    }

    /// Counts a request that passes.
    pub(super) fn count(
        &mut self,
        passes: Passes,
        chain: Option<&Chain>,
        now: Now,
        source: &dyn Fn() -> Option<IpAddr>,
    ) {
        self.telemetry.count(passes.counter);
        if let Some((id, chain)) = passes.key.zip(chain) {
            self.usage.count(id, &chain.key, None, now, source);
        }
    }
}
