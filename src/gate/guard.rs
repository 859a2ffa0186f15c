//! What is told of a request to a filter behind this one, which sees the route that serves.
//!
//! Envoy chooses the route once more when headers have changed, and a Proxy-Wasm filter cannot see which. Envoy's
//! own RBAC filter can: it compares the policy that the route names with those that hold.

use super::Gate;
use crate::host::Circumstances;
use crate::policy::Chosen;
use crate::request::Request;
use crate::time::Now;
use crate::verdict::{Facts, Knowledge, decide};

/// What stands first where the policies hold that count on a route which names none. No name of a policy stands
/// there: each has a space before and behind it.
const UNNAMED: &str = "unnamed";

impl Gate {
    /// Which policies hold of a request that passes, where somebody wants to know.
    #[inline]
    pub(super) fn told(
        &self,
        knowledge: Knowledge<'_>,
        request: &Request<'_, impl Circumstances>,
        now: Now,
    ) -> Option<String> {
        self.settings
            .guarded_routes
            .then(|| self.known(knowledge, request, now))
    }

    #[cold]
    fn known(
        &self,
        knowledge: Knowledge<'_>,
        request: &Request<'_, impl Circumstances>,
        now: Now,
    ) -> String {
        self.of_each(request, &|policies| {
            let facts = Facts {
                knowledge,
                policies,
                request,
                now: now.unix,
            };
            decide(&facts).is_none_or(|reason| self.fails_open(reason))
        })
    }

    /// The same of a request about whose key nothing is known.
    pub(super) fn told_of_anonymous(
        &self,
        request: &Request<'_, impl Circumstances>,
        holds: impl Fn(Chosen<'_>) -> bool,
    ) -> Option<String> {
        self.settings
            .guarded_routes
            .then(|| self.of_each(request, &holds))
    }

    fn of_each(
        &self,
        request: &Request<'_, impl Circumstances>,
        holds: &dyn Fn(Chosen<'_>) -> bool,
    ) -> String {
        // In shadow everything passes.
        let holds = |policies| !self.edits() || holds(policies);
        let policies = &self.settings.policies;
        let mut told = String::new();
        if holds(policies.of_target(request)) {
            told.push_str(UNNAMED);
        }
        told.push(' ');
        for (name, policy) in policies.iter() {
            if holds(policy) {
                told.push_str(name);
                told.push(' ');
            }
        }
        told
    }
}
