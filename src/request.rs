//! The request as the core sees it: its header list, and what only the host can say about it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::headers::Headers;
use crate::path::{self, Dots};
use crate::percent::{self, Target};
use crate::policy::Statement;

/// A request. What costs a call to the host is asked only where a check needs it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its header list, pseudo-headers included.
    pub headers: Headers<'a>,
    /// What only the host can say.
    pub host: &'a dyn Circumstances,
    /// Whether more follows the headers: a body, or what becomes of an upgraded connection.
    pub has_body: bool,
}

/// What only the host can say about a request.
pub trait Circumstances {
    /// Address of the client as Envoy trusts it: `address:port` or `[address]:port`.
    fn source_address(&self) -> Option<Vec<u8>>;
    /// `metadata.filter_metadata.keybound.policy` of the route that Envoy chose.
    fn route_policy(&self) -> Option<Vec<u8>>;
}

impl fmt::Debug for Request<'_> {
    /// Shows nothing: a request holds credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Request(…)")
    }
}

/// What no browser sends with a preflight, and what would make another request of it.
const NOT_IN_A_PREFLIGHT: [&str; 6] = [
    ":protocol",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

impl<'a> Request<'a> {
    /// The method.
    pub fn method(&self) -> &'a [u8] {
        self.headers.first(":method").unwrap_or_default()
    }

    /// Path and query; empty where there is none (CONNECT).
    pub fn target(&self) -> Target<'a> {
        Target::new(self.headers.first(":path").unwrap_or_default())
    }

    /// The host without its port, else as it was sent.
    pub fn host_name(&self) -> &'a [u8] {
        let host = without_port(self.headers.first(":authority").unwrap_or_default());
        // A name with a trailing dot is the same name (RFC 1034 section 3.1).
        host.strip_suffix(b".").unwrap_or(host)
    }

    /// The client's address as Envoy trusts it.
    pub fn source_address(&self) -> Option<IpAddr> {
        let text = String::from_utf8(self.host.source_address()?).ok()?;
        text.parse::<SocketAddr>()
            .map(|address| address.ip())
            .or_else(|_| text.parse())
            .ok()
    }

    /// Whether the request is a CORS preflight as a browser sends it (Fetch standard, "CORS-preflight
    /// fetch"): it says its origin and the method that is to come, and is nothing else besides. What has a
    /// body, asks for another method or protocol, or speaks gRPC, is no question about a request but one.
    pub fn is_preflight(&self) -> bool {
        let says = |name| {
            self.headers
                .only(name)
                .is_some_and(|value| !value.is_empty())
        };
        self.method() == b"OPTIONS"
            && says("origin")
            && says("access-control-request-method")
            && !self.has_body
            && self
                .headers
                .all("content-length")
                .all(|length| length == b"0")
            && !self.headers.all("content-type").any(|media_type| {
                media_type
                    .to_ascii_lowercase()
                    .starts_with(b"application/grpc")
            })
            && NOT_IN_A_PREFLIGHT
                .into_iter()
                .all(|name| self.headers.first(name).is_none())
    }

    /// Whether the client speaks gRPC.
    pub fn is_grpc(&self) -> bool {
        let media_type = self.headers.first("content-type").unwrap_or_default();
        media_type
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    }

    /// Whether the request states this id where a policy says it must. What is stated twice is not stated,
    /// since nobody knows which of the two the upstream will believe.
    pub fn states(&self, statement: &Statement, id: Option<&str>) -> bool {
        let Some(id) = id.map(str::as_bytes) else {
            return false;
        };
        match statement {
            Statement::Header(name) => self.headers.only(name) == Some(id),
            Statement::Value(value) => value.as_bytes() == id,
            Statement::PathSegment(index) => {
                let path = self.target().path;
                let written = path
                    .strip_prefix(b"/")
                    .and_then(|path| path.split(|byte| *byte == b'/').nth(*index))
                    .map(percent::decode);
                let reads = |dots| {
                    path::lenient_segments(path, dots)
                        .get(*index)
                        .is_some_and(|read| *read == *id)
                };
                written.is_some_and(|written| *written == *id)
                    && (path::is_plain(path) || (reads(Dots::Resolved) && reads(Dots::Kept)))
            }
            Statement::Query(name) => {
                let mut values = self.target().parameters(name);
                let first = values.next();
                values.next().is_none() && first.is_some_and(|value| *percent::decode(value) == *id)
            }
            // Hosts have no case (RFC 9110 section 4.2.3): the lower-case form is the one compared.
            Statement::HostLabel(index) => self
                .host_name()
                .split(|byte| *byte == b'.')
                .nth(*index)
                .is_some_and(|label| label.to_ascii_lowercase() == id),
        }
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let bracket = authority.iter().rposition(|byte| *byte == b']');
    match colon {
        Some(colon) if bracket.is_none_or(|bracket| bracket < colon) => {
            authority.get(..colon).unwrap_or_default()
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Sent, test};

    fn states(headers: &[(&str, &str)], statement: &Statement, id: &str) -> bool {
        Sent::new(headers).request().states(statement, Some(id))
    }

    #[test]
    fn a_request_states_what_is_there_exactly_once() {
        let header = Statement::Header("x-tenant".to_owned());
        assert!(states(&[("x-tenant", "ten_1")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "ten_2")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "TEN_1")], &header, "ten_1"));
        assert!(!states(&[("x-tenant", "")], &header, "ten_1"));
        assert!(!states(
            &[("x-tenant", "ten_1"), ("x-tenant", "ten_1")],
            &header,
            "ten_1"
        ));
        assert!(!states(&[], &header, "ten_1"));
        assert!(
            !Sent::new(&[("x-tenant", "")])
                .request()
                .states(&header, None)
        );

        let query = Statement::Query("tenant".to_owned());
        assert!(states(
            &[(":path", "/?a=1&tenant=ten%5f1")],
            &query,
            "ten_1"
        ));
        assert!(!states(
            &[(":path", "/?tenant=ten_1&tenant=ten_1")],
            &query,
            "ten_1"
        ));
        assert!(!states(&[(":path", "/tenant=ten_1")], &query, "ten_1"));
        assert!(!states(&[(":path", "/?tenant")], &query, "ten_1"));

        let value = Statement::Value("ten_1".to_owned());
        assert!(states(&[], &value, "ten_1"));
        assert!(!states(&[], &value, "ten_2"));
    }

    #[test]
    fn path_segments_are_counted_from_the_left() {
        let at = Statement::PathSegment;
        assert!(states(
            &[(":path", "/v1/ten_1/orders?x=/a/b")],
            &at(1),
            "ten_1"
        ));
        assert!(states(&[(":path", "/v1/te%6E_1")], &at(1), "ten_1"));
        // What an upstream may read as another path states nothing.
        assert!(!states(&[(":path", "/v1/a%2Fb")], &at(1), "a/b"));
        assert!(!states(
            &[(":path", "/v1/ten_1/..;/ten_2")],
            &at(1),
            "ten_1"
        ));
        assert!(!states(
            &[(":path", "/v1/ten_1/..;/ten_2")],
            &at(1),
            "ten_2"
        ));
        assert!(states(&[(":path", "/V1/Ten_1;v=1/")], &at(0), "V1"));
        assert!(!states(&[(":path", "/V1/ten_1;v=1/")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/v1/ten_1")], &at(0), "ten_1"));
        assert!(!states(&[(":path", "/v1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/v1//ten_1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "/?/ten_1")], &at(1), "ten_1"));
        assert!(!states(&[(":path", "*")], &at(0), "*"));
        assert!(!states(&[], &at(0), "ten_1"));
    }

    #[test]
    fn host_labels_have_no_case_and_no_port() {
        let at = Statement::HostLabel;
        for host in ["ten1.api.example.com", "TEN1.api.example.com:8443"] {
            assert!(states(&[(":authority", host)], &at(0), "ten1"), "{host}");
            assert!(states(&[(":authority", host)], &at(3), "com"), "{host}");
            assert!(!states(&[(":authority", host)], &at(4), "com"), "{host}");
        }
        assert!(!states(
            &[(":authority", "ten1.example.com")],
            &at(0),
            "TEN1"
        ));
        assert!(states(
            &[(":authority", "[2001:db8::1]:80")],
            &at(0),
            "[2001:db8::1]"
        ));
        assert!(states(
            &[(":authority", "[2001:db8::1]")],
            &at(0),
            "[2001:db8::1]"
        ));
    }

    #[test]
    fn a_preflight_is_what_a_browser_sends_and_nothing_else() {
        let browser = [
            (":method", "OPTIONS"),
            (":path", "/orders"),
            ("origin", "https://shop.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "content-type"),
            ("accept", "*/*"),
            ("sec-fetch-mode", "cors"),
        ];
        let with = |more: &[(&str, &str)]| {
            let mut headers = browser.to_vec();
            headers.extend(more);
            Sent::new(&headers).request().is_preflight()
        };
        assert!(with(&[]));
        assert!(with(&[("content-length", "0")]));
        for more in [
            ("content-length", "1"),
            ("content-length", "00"),
            ("transfer-encoding", "chunked"),
            ("x-http-method-override", "POST"),
            ("x-http-method", "POST"),
            ("x-method-override", ""),
            ("content-type", "application/grpc"),
            ("content-type", "Application/gRPC-Web+proto"),
            ("upgrade", "websocket"),
            (":protocol", "websocket"),
            ("origin", "https://twice.example"),
        ] {
            assert!(!with(&[more]), "{more:?}");
        }
        for (index, (name, _)) in browser.iter().enumerate().skip(2).take(2) {
            for value in [None, Some("")] {
                let mut headers = browser.to_vec();
                headers.remove(index);
                headers.extend(value.map(|value| (*name, value)));
                assert!(!Sent::new(&headers).request().is_preflight(), "{name}");
            }
        }
        let mut sent = Sent::new(&browser);
        sent.has_body = true;
        assert!(!sent.request().is_preflight());
    }

    #[test]
    fn grpc_is_known_by_its_media_type() {
        for (media_type, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(
                Sent::new(&[("content-type", media_type)])
                    .request()
                    .is_grpc(),
                grpc
            );
        }
    }

    #[test]
    fn the_source_address_comes_with_or_without_a_port() {
        for (text, address) in [
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("/run/socket", None),
            ("", None),
        ] {
            let mut sent = Sent::new(&[]);
            sent.source = Some(text.to_owned());
            let parsed = sent.request().source_address();
            assert_eq!(
                parsed,
                address.map(|address| address.parse().unwrap()),
                "{text}"
            );
        }
    }
}
