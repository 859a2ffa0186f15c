//! Which policy a request is judged by.

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

/// Whether a key is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Without a key nothing passes.
    #[default]
    Required,
    /// Without a credential the request is anonymous; one that is present is judged as usual.
    Optional,
    /// Nothing is looked at.
    None,
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
        Self {
            named,
            routes,
            default,
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

    /// The policy that a request is judged by: the one that the route's metadata names, else that of the
    /// first matching route, else the default.
    ///
    /// # Errors
    /// The route's metadata names a policy that does not exist.
    pub fn choose(&self, request: &Request<'_>) -> Result<&Policy, UnknownPolicy> {
        if let Some(name) = request.host.route_policy() {
            return std::str::from_utf8(&name)
                .ok()
                .and_then(|name| self.named(name))
                .ok_or(UnknownPolicy(name));
        }
        let route = self
            .routes
            .iter()
            .find(|route| route.matches.holds(request));
        Ok(route
            .and_then(|route| self.named.get(route.policy.0))
            .map_or(&self.default, |(_, policy)| policy))
    }
}

/// The name of a policy that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy(pub Vec<u8>);

impl RouteMatch {
    fn holds(&self, request: &Request<'_>) -> bool {
        let path = request.target().path;
        self.path
            .as_ref()
            .is_none_or(|exact| path == exact.as_bytes())
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| has_prefix(path, prefix.as_bytes()))
            && (self.methods.is_empty()
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
        matches.holds(&Sent::new(headers).request())
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
                .map(|policy| policy.environment.clone().unwrap())
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
}
