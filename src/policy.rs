//! Which policies a request is judged by.

#[cfg(not(target_os = "wasi"))]
mod origin;

#[cfg(not(target_os = "wasi"))]
pub use origin::Origin;

use crate::path;
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

/// The policies that a request must satisfy: one, or two where its path can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen<'a> {
    policy: &'a Policy,
    also: Option<&'a Policy>,
}

impl<'a> Chosen<'a> {
    /// One policy.
    pub const fn one(policy: &'a Policy) -> Self {
        Self { policy, also: None }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a Policy> {
        std::iter::once(self.policy).chain(self.also)
    }

    /// Whether a key is needed: the strictest of them decides.
    pub fn authentication(self) -> Authentication {
        let also = self.also.map(|also| also.authentication);
        also.map_or(self.policy.authentication, |also| {
            also.max(self.policy.authentication)
        })
    }
}

/// Requests of one shape and the policy they are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What a request must look like.
    pub matches: RouteMatch,
    /// The policy, as an index of the named ones.
    pub policy: PolicyIndex,
}

/// What a request must look like; all that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteMatch {
    /// The path without query, exactly.
    pub path: Option<String>,
    /// Whole leading segments of the path without query.
    pub prefix: Option<String>,
    /// One of these methods; an empty list is any.
    pub methods: Vec<String>,
    /// One of these hosts; an empty list is any.
    pub hosts: Vec<HostPattern>,
}

/// A host that a route is for; lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any host below this domain, which is kept with its leading dot (`*.example.com` is `.example.com`).
    Below(String),
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
        let read = path::lenient(path);
        let also = self.routed(|route| route.matches.holds_leniently(request, &read));
        Ok(Chosen {
            policy,
            also: (also != policy).then_some(also),
        })
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

impl RouteMatch {
    /// Whether a request matches with its path as it is written.
    fn holds(&self, request: &Request<'_>, path: &[u8]) -> bool {
        let is = |own: &Option<String>, compare: fn(&[u8], &[u8]) -> bool| {
            own.as_ref().is_none_or(|own| compare(path, own.as_bytes()))
        };
        is(&self.path, <[u8]>::eq) && is(&self.prefix, has_prefix) && self.holds_otherwise(request)
    }

    /// Whether a request matches with its path as a lenient server reads it; it reads ours likewise.
    fn holds_leniently(&self, request: &Request<'_>, read: &[u8]) -> bool {
        let is = |own: &Option<String>, compare: fn(&[u8], &[u8]) -> bool| {
            own.as_ref()
                .is_none_or(|own| compare(read, &path::lenient(own.as_bytes())))
        };
        is(&self.path, <[u8]>::eq) && is(&self.prefix, has_prefix) && self.holds_otherwise(request)
    }

    fn holds_otherwise(&self, request: &Request<'_>) -> bool {
        (self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|method| request.method() == method.as_bytes()))
            && (self.hosts.is_empty()
                || self
                    .hosts
                    .iter()
                    .any(|host| host.holds(request.host_name())))
    }
}

/// Whether a path begins with whole segments: `/v1/orders` is one of `/v1/orders/7` and not of `/v1/orders2`.
fn has_prefix(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    // A request without a path (CONNECT, OPTIONS *) is in no folder, not even in the root.
    path.starts_with(b"/")
        && path
            .strip_prefix(prefix)
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

impl HostPattern {
    fn holds(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => host.eq_ignore_ascii_case(exact.as_bytes()),
            Self::Below(domain) => host
                .len()
                .checked_sub(domain.len())
                .filter(|label| *label > 0)
                .and_then(|label| host.get(label..))
                .is_some_and(|end| end.eq_ignore_ascii_case(domain.as_bytes())),
        }
    }
}

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

    fn holds(matches: &RouteMatch, headers: &[(&str, &str)]) -> bool {
        let sent = Sent::new(headers);
        let request = sent.request();
        matches.holds(&request, request.target().path)
    }

    #[test]
    fn a_prefix_is_of_whole_segments() {
        let prefix = |prefix: &str| RouteMatch {
            prefix: Some(prefix.to_owned()),
            ..RouteMatch::default()
        };
        for path in [
            "/v1/orders",
            "/v1/orders/",
            "/v1/orders/7",
            "/v1/orders?a=/b",
        ] {
            assert!(holds(&prefix("/v1/orders"), &[(":path", path)]), "{path}");
            assert!(holds(&prefix("/v1/orders/"), &[(":path", path)]), "{path}");
            assert!(holds(&prefix("/"), &[(":path", path)]), "{path}");
        }
        for path in [
            "/v1/orders2",
            "/v1/Orders",
            "/v1/orders;a=1",
            "/v1/order",
            "/",
            "/v1?/orders",
            "",
            "*",
        ] {
            assert!(!holds(&prefix("/v1/orders"), &[(":path", path)]), "{path}");
        }
        for path in ["", "*"] {
            assert!(!holds(&prefix("/"), &[(":path", path)]), "{path}");
        }
        assert!(!holds(&prefix("/"), &[]));
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let matches = RouteMatch {
            path: Some("/v1/orders".to_owned()),
            prefix: None,
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            hosts: vec![
                HostPattern::Exact("api.example.com".to_owned()),
                HostPattern::Below(".example.org".to_owned()),
            ],
        };
        let request = |method, path, host| {
            holds(
                &matches,
                &[(":method", method), (":path", path), (":authority", host)],
            )
        };
        assert!(request("GET", "/v1/orders?x", "API.example.com:443"));
        assert!(request("HEAD", "/v1/orders", "a.b.EXAMPLE.org"));
        assert!(!request("POST", "/v1/orders", "api.example.com"));
        assert!(!request("get", "/v1/orders", "api.example.com"));
        assert!(!request("GET", "/v1/orders/", "api.example.com"));
        assert!(!request("GET", "/v1/orders", "example.com"));
        assert!(!request("GET", "/v1/orders", "example.org"));
        assert!(!request("GET", "/v1/orders", ".example.org"));
        assert!(!request("GET", "/v1/orders", "evil-example.org"));
        assert!(holds(&RouteMatch::default(), &[]));
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
