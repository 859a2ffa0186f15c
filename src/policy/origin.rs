//! Why a request is judged by a policy, for explanations.

use super::{Policies, Policy, Route};
use crate::host::Circumstances;
use crate::request::Request;
use crate::request::path::{self, Case};

/// Why a request is judged by a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The route's metadata names it.
    Metadata(&'a str),
    /// An entry of `routes` names it.
    Route {
        /// Its place in the list.
        index: usize,
        /// The policy's name.
        policy: &'a str,
    },
    /// Nothing names another.
    Default,
}

impl Policies {
    /// Why a policy is among those that [`Policies::choose`] gave for a request.
    pub fn origin(&self, chosen: &Policy, request: &Request<'_, impl Circumstances>) -> Origin<'_> {
        let is_chosen = |policy: &Policy| std::ptr::eq(policy, chosen);
        let Some((name, _)) = self.named.iter().find(|(_, policy)| is_chosen(policy)) else {
            return Origin::Default;
        };
        if request.route_policy().is_some() {
            return Origin::Metadata(name);
        }
        let readings = path::readings(request.target().path, Case::Ignored).unwrap_or_default();
        let named: Vec<(usize, &Route)> = self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| {
                let policy = self.named.get(route.policy.0);
                policy.is_some_and(|(_, policy)| is_chosen(policy))
            })
            .collect();
        // Where the readings cannot be listed, the path may be any route's.
        let route = named
            .iter()
            .find(|(_, route)| {
                readings.iter().any(|read| {
                    route.matches.holds(request, read) || route.matches.holds_plainly(request, read)
                })
            })
            .or(named.first())
            .map(|(index, _)| *index);
        route.map_or(Origin::Default, |index| Origin::Route {
            index,
            policy: name,
        })
    }

    /// The policy of requests for which nothing names another.
    pub const fn default_policy(&self) -> &Policy {
        &self.default
    }

    /// The names of all policies that have one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }
}
