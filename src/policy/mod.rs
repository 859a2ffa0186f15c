//! Which policies a request is judged by.

pub mod alike;
mod chosen;
#[cfg(not(target_os = "wasi"))]
mod origin;
#[cfg(test)]
#[cfg(not(target_family = "wasm"))]
mod property;
mod route;
pub mod statement;

pub use chosen::Chosen;
#[cfg(not(target_os = "wasi"))]
pub use origin::Origin;
pub use route::{HostPattern, Route, RouteMatch};
pub use statement::Statement;

use crate::host::Circumstances;
use crate::request::Request;
use crate::request::path::{self, Case};

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

/// A policy's place in [`Policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyIndex(usize);

/// All policies and how one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    named: Vec<(String, Policy)>,
    routes: Vec<Route>,
    default: Policy,
    /// Whether the routes' own paths are such that a plain path has one reading only.
    plain: bool,
    /// What the routes name, each once.
    of_routes: Vec<PolicyIndex>,
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
        // In order without a sort, which would be a hundredth of the module.
        let of_routes = (0..named.len()).map(PolicyIndex);
        let of_routes = of_routes.filter(|index| routes.iter().any(|route| route.policy == *index));
        let of_routes = of_routes.collect();
        Self {
            named,
            routes,
            default,
            plain,
            of_routes,
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
    /// is written, the policies of all readings must be satisfied, and where these cannot be listed, every
    /// policy that a path can choose.
    ///
    /// # Errors
    /// The route's metadata names a policy that does not exist.
    pub fn choose(
        &self,
        request: &Request<'_, impl Circumstances>,
    ) -> Result<Chosen<'_>, UnknownPolicy> {
        if let Some(name) = request.route_policy() {
            return std::str::from_utf8(&name)
                .ok()
                .and_then(|name| self.named(name))
                .map(Chosen::one)
                .ok_or_else(|| UnknownPolicy(name.into_owned()));
        }
        Ok(self.of_target(request))
    }

    /// The policies that a request is judged by on a route whose metadata names none.
    #[inline]
    pub fn of_target(&self, request: &Request<'_, impl Circumstances>) -> Chosen<'_> {
        if self.routes.is_empty() {
            return Chosen::one(&self.default);
        }
        let path = request.target().path;
        let written = self.routed(|route| route.matches.holds(request, path));
        if self.plain && path::is_plain(path) {
            return Chosen::one(self.of(written));
        }
        let Some(readings) = path::readings(path, Case::Ignored) else {
            return Chosen::every(self);
        };
        let read = readings
            .iter()
            .map(|read| self.routed(|route| route.matches.holds(request, read)));
        let plainly = readings.iter().filter(|_| !self.plain);
        let plainly =
            plainly.map(|read| self.routed(|route| route.matches.holds_plainly(request, read)));
        let mut all: Vec<Option<PolicyIndex>> = read.chain(plainly).collect();
        all.dedup();
        match all.as_slice() {
            [one] => Chosen::one(self.of(*one)),
            all => Chosen::at(self, all.iter().map(|index| self.place(*index))),
        }
    }

    /// Every policy that the metadata of a route can name, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Chosen<'_>)> {
        let named = self.named.iter();
        named.map(|(name, policy)| (name.as_str(), Chosen::one(policy)))
    }

    /// Whether there is nothing to choose from.
    pub fn is_single(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether one is there for the metadata of Envoy's routes: nothing else names it.
    pub fn has_unrouted(&self) -> bool {
        self.of_routes.len() < self.named.len()
    }

    /// Every policy that there is, which whoever satisfies may take any route.
    pub const fn all(&self) -> Chosen<'_> {
        Chosen::all(self)
    }

    /// The policy of the first route that matches; nothing is the default.
    fn routed(&self, matches: impl Fn(&Route) -> bool) -> Option<PolicyIndex> {
        let route = self.routes.iter().find(|route| matches(route));
        route.map(|route| route.policy)
    }

    fn of(&self, index: Option<PolicyIndex>) -> &Policy {
        index
            .and_then(|index| self.named.get(index.0))
            .map_or(&self.default, |(_, policy)| policy)
    }

    /// The place of a policy among all that some path chooses.
    fn place(&self, index: Option<PolicyIndex>) -> usize {
        index
            .and_then(|index| self.of_routes.binary_search(&index).ok())
            .unwrap_or(self.of_routes.len())
    }

    /// Every policy that some path chooses, by its place among them: the default is the last.
    fn of_any_path(&self, place: usize) -> Option<&Policy> {
        match self.of_routes.get(place) {
            Some(index) => Some(self.of(Some(*index))),
            None => (place == self.of_routes.len()).then_some(&self.default),
        }
    }
}

/// The name of a policy that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy(pub Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{Sent, test};

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
            policies.choose(&sent.request()).map(|chosen| {
                let only = chosen.iter().next().unwrap();
                only.environment.clone().unwrap()
            })
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
    fn where_nobody_knows_the_path_every_policy_counts() {
        let named = |name: &str| {
            let policy = Policy {
                environment: Some(name.to_owned()),
                ..Policy::default()
            };
            (name.to_owned(), policy)
        };
        let below = |prefix: &str, policy: usize| Route {
            matches: RouteMatch {
                prefix: Some(prefix.to_owned()),
                methods: vec!["POST".to_owned()],
                ..RouteMatch::default()
            },
            policy: PolicyIndex(policy),
        };
        let policies = Policies::new(
            vec![named("a"), named("unused"), named("b")],
            vec![below("/b", 2), below("/a", 0), below("/c", 2)],
            named("default").1,
        );
        let chosen = |path: &str| {
            let sent = Sent::new(&[(":path", path), (":method", "POST")]);
            let chosen = policies.choose(&sent.request()).unwrap();
            let names = chosen
                .iter()
                .map(|policy| policy.environment.clone().unwrap());
            (chosen.is_every(), names.collect::<Vec<_>>())
        };
        let every = (
            true,
            vec!["a".to_owned(), "b".to_owned(), "default".to_owned()],
        );
        assert_eq!(chosen("/x/..;/y"), every);
        assert_eq!(chosen("/a/%252e%252e"), every);
        assert_eq!(
            chosen("/A"),
            (false, vec!["a".to_owned(), "default".to_owned()])
        );
        assert_eq!(chosen("/a/X;y/"), (false, vec!["a".to_owned()]));
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
