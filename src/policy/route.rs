//! Which requests a route is for.

use super::PolicyIndex;
use crate::host::Circumstances;
use crate::request::Request;
use crate::request::path;

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

impl RouteMatch {
    /// Whether a request matches with its path as it is written.
    pub(super) fn holds(&self, request: &Request<'_, impl Circumstances>, path: &[u8]) -> bool {
        let is = |own: &Option<String>, compare: fn(&[u8], &[u8]) -> bool| {
            own.as_ref().is_none_or(|own| compare(path, own.as_bytes()))
        };
        is(&self.path, <[u8]>::eq) && is(&self.prefix, has_prefix) && self.holds_otherwise(request)
    }

    /// Whether a request matches where an unusual path of the route's own means what the plain one does.
    pub(super) fn holds_plainly(
        &self,
        request: &Request<'_, impl Circumstances>,
        path: &[u8],
    ) -> bool {
        let path = path::plainest(path);
        let is = |own: &Option<String>, compare: fn(&[u8], &[u8]) -> bool| {
            own.as_ref()
                .is_none_or(|own| compare(&path, &path::plainest(own.as_bytes())))
        };
        is(&self.path, <[u8]>::eq) && is(&self.prefix, has_prefix) && self.holds_otherwise(request)
    }

    fn holds_otherwise(&self, request: &Request<'_, impl Circumstances>) -> bool {
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
    use crate::test_util::{Sent, test};

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
}
