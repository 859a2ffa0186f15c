//! Which policies a request is judged by.

#[cfg(not(target_os = "wasi"))]
mod origin;
mod route;

#[cfg(not(target_os = "wasi"))]
pub use origin::Origin;
pub use route::{HostPattern, Route, RouteMatch};

use crate::path::{self, Dots};
use crate::request::Request;

/// What a route asks of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether a key is needed.
    pub authentication: Authentication,
    /// The key's environment must be this.
    pub environment: Option<String>,
    /// This API must be approved for the user.
    pub api: Option<String>,
    /// Scopes that must be covered.
    pub scopes: Option<RequiredScopes>,
    /// Where the request states whose it is; must equal the key's user.
    pub user: Option<Statement>,
    /// Where the request states whose it is; must equal the key's tenant.
    pub tenant: Option<Statement>,
}

/// Whether a key is needed; a later one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Authentication {
    /// Nothing is looked at.
    None,
    /// Without a credential the request is anonymous; one that is present is judged as usual.
    Optional,
    /// Without a key nothing passes.
    #[default]
    Required,
}

/// Scopes that must be covered; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequiredScopes {
    /// Each of them.
    All(Vec<String>),
    /// At least one of them.
    Any(Vec<String>),
}

/// Where a request states a user or a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A request header; the name is lower case.
    Header(String),
    /// A segment of the path without query, from 0, percent-decoded.
    PathSegment(usize),
    /// A query parameter, percent-decoded.
    Query(String),
    /// A label of the host, from 0, from the left.
    HostLabel(usize),
    /// This value, whatever the request says.
    Value(String),
}

/// A policy's place in [`Policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyIndex(usize);

/// All policies and how one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    named: Vec<(String, Policy)>,
    routes: Vec<Route>,
    default: Policy,
    /// Whether the routes' own paths are such that a plain path has one reading only.
    plain: bool,
}

/// The policies that a request must satisfy: one, or several where its path can be read in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen<'a> {
    policy: &'a Policy,
    also: [Option<&'a Policy>; 2],
    /// All that there are besides.
    all: Option<&'a Policies>,
}

impl<'a> Chosen<'a> {
    /// One policy.
    pub const fn one(policy: &'a Policy) -> Self {
        Self {
            policy,
            also: [None; 2],
            all: None,
        }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a Policy> {
        let all = self.all.into_iter().flat_map(|policies| &policies.named);
        std::iter::once(self.policy)
            .chain(self.also.into_iter().flatten())
            .chain(all.map(|(_, policy)| policy))
    }

    /// Whether it is every policy that there is.
    pub const fn is_every(self) -> bool {
        self.all.is_some()
    }

    /// Whether a key is needed: the strictest of them decides.
    pub fn authentication(self) -> Authentication {
        let strictest = self.iter().map(|policy| policy.authentication).max();
        strictest.unwrap_or_default()
    }
}

impl Policies {
    /// Policies by name, the routes that choose among them in order of precedence, and the policy where
    /// none matches.
    pub fn new(named: Vec<(String, Policy)>, routes: Vec<Route>, default: Policy) -> Self {
        let is_plain = |path: &Option<String>| {
            path.as_ref()
                .is_none_or(|path| path::is_plain(path.as_bytes()))
        };
        let plain = routes
            .iter()
            .all(|route| is_plain(&route.matches.path) && is_plain(&route.matches.prefix));
        Self {
            named,
            routes,
            default,
            plain,
        }
    }

    /// The place of a named policy.
    pub fn index(named: &[(String, Policy)], name: &str) -> Option<PolicyIndex> {
        named
            .iter()
            .position(|(known, _)| known == name)
            .map(PolicyIndex)
    }

    /// The policy of a name.
    pub fn named(&self, name: &str) -> Option<&Policy> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, policy)| policy)
    }

    /// The policies that a request is judged by: the one that the route's metadata names, else that of the
    /// first matching route, else the default. Where an upstream may read the path in another way than it
    /// is written, the policy of that reading must be satisfied too.
    ///
    /// # Errors
    /// The route's metadata names a policy that does not exist.
    pub fn choose(&self, request: &Request<'_>) -> Result<Chosen<'_>, UnknownPolicy> {
        if let Some(name) = request.host.route_policy() {
            return std::str::from_utf8(&name)
                .ok()
                .and_then(|name| self.named(name))
                .map(Chosen::one)
                .ok_or(UnknownPolicy(name));
        }
        if self.routes.is_empty() {
            return Ok(Chosen::one(&self.default));
        }
        let path = request.target().path;
        let policy = self.routed(|route| route.matches.holds(request, path));
        if self.plain && path::is_plain(path) {
            return Ok(Chosen::one(policy));
        }
        let reading = |dots| {
            let read = path::lenient(path, dots);
            self.routed(|route| route.matches.holds_leniently(request, &read))
        };
        let (resolved, kept) = (reading(Dots::Resolved), reading(Dots::Kept));
        Ok(Chosen {
            policy,
            also: [
                (resolved != policy).then_some(resolved),
                (kept != policy && kept != resolved).then_some(kept),
            ],
            all: None,
        })
    }

    /// Whether there is nothing to choose from.
    pub fn is_single(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether one is there for the metadata of Envoy's routes: nothing else names it.
    pub fn has_unrouted(&self) -> bool {
        let mut places = (0..self.named.len()).map(PolicyIndex);
        places.any(|place| self.routes.iter().all(|route| route.policy != place))
    }

    /// Every policy that there is, which whoever satisfies may take any route.
    pub fn every(&self) -> Chosen<'_> {
        Chosen {
            all: Some(self),
            ..Chosen::one(&self.default)
        }
    }

    /// The policy of the first route that matches, else the default.
    fn routed(&self, matches: impl Fn(&Route) -> bool) -> &Policy {
        self.routes
            .iter()
            .find(|route| matches(route))
            .and_then(|route| self.named.get(route.policy.0))
            .map_or(&self.default, |(_, policy)| policy)
    }
}

/// The name of a policy that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy(pub Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Sent, test};

    fn route(matches: RouteMatch) -> Route {
        Route {
            matches,
            policy: PolicyIndex(0),
        }
    }

    #[test]
    fn metadata_comes_before_routes_and_routes_before_the_default() {
        let named = |environment: &str| Policy {
            environment: Some(environment.to_owned()),
            ..Policy::default()
        };
        let everything = RouteMatch {
            prefix: Some("/".to_owned()),
            ..RouteMatch::default()
        };
        let policies = Policies::new(
            vec![
                ("routed".to_owned(), named("routed")),
                ("other".to_owned(), named("other")),
            ],
            vec![route(everything)],
            named("default"),
        );
        let chosen = |sent: &Sent| {
            policies
                .choose(&sent.request())
                .map(|chosen| chosen.policy.environment.clone().unwrap())
        };
        let sent = || Sent::new(&[(":path", "/")]);
        assert_eq!(chosen(&sent()), Ok("routed".to_owned()));
        assert_eq!(chosen(&Sent::new(&[])), Ok("default".to_owned()));
        assert_eq!(chosen(&sent().on_route("other")), Ok("other".to_owned()));
        assert_eq!(
            chosen(&sent().on_route("Other")),
            Err(UnknownPolicy(b"Other".to_vec()))
        );
        assert_eq!(chosen(&sent().on_route("")), Err(UnknownPolicy(Vec::new())));
    }

    #[test]
    fn no_spelling_reaches_a_looser_policy() {
        let open = Policy {
            authentication: Authentication::None,
            ..Policy::default()
        };
        let below = |prefix: &str, policy: usize| Route {
            matches: RouteMatch {
                prefix: Some(prefix.to_owned()),
                ..RouteMatch::default()
            },
            policy: PolicyIndex(policy),
        };
        let named = || {
            vec![
                ("open".to_owned(), open.clone()),
                ("strict".to_owned(), Policy::default()),
            ]
        };
        let strict_route = Policies::new(named(), vec![below("/admin", 1)], open.clone());
        let loose_route = Policies::new(named(), vec![below("/public", 0)], Policy::default());
        let capital = Policies::new(named(), vec![below("/Admin/", 1)], open.clone());
        let authentication = |policies: &Policies, path: &str| {
            policies
                .choose(&Sent::new(&[(":path", path)]).request())
                .unwrap()
                .authentication()
        };
        for path in [
            "/admin",
            "/admin?x",
            "/admin/",
            "/ADMIN",
            "/admin;x",
            "/x/..;/admin",
            "/%61dmin",
            "/x/%2e%2e/admin",
            "//admin",
            "/./admin",
            "/x%2F..%2Fadmin",
            "\\admin",
            "/\\admin",
            "/x\\..\\admin/7",
            "/admin/..;/admin",
        ] {
            if path.starts_with('/') {
                assert_eq!(
                    authentication(&strict_route, path),
                    Authentication::Required,
                    "{path}"
                );
                assert_eq!(
                    authentication(&capital, path),
                    Authentication::Required,
                    "{path}"
                );
            }
            assert_eq!(
                authentication(&loose_route, path),
                Authentication::Required,
                "{path}"
            );
        }
        for path in [
            "/public/..;/admin",
            "/public/%2e%2e/admin",
            "/public/..%2fadmin",
            "/public\\..\\admin",
        ] {
            assert_eq!(
                authentication(&loose_route, path),
                Authentication::Required,
                "{path}"
            );
            assert_eq!(
                authentication(&strict_route, path),
                Authentication::Required,
                "{path}"
            );
        }
        for path in ["/public", "/public/7", "/public/7;v=1", "/public/A"] {
            assert_eq!(
                authentication(&loose_route, path),
                Authentication::None,
                "{path}"
            );
            assert_eq!(
                authentication(&strict_route, path),
                Authentication::None,
                "{path}"
            );
        }
        for path in ["", "*"] {
            assert_eq!(
                authentication(&loose_route, path),
                Authentication::Required,
                "{path}"
            );
        }
    }
}
