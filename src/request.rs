//! The request as the core sees it: its header list, and what only the host can say about it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::headers::Headers;
use crate::percent::Target;

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
    /// What was noted of the request before the host began it anew.
    fn noted(&self) -> Option<Vec<u8>> {
        None
    }
    /// Notes something of the request that stays when the host begins it anew.
    fn note(&self, _: &[u8]) {}
    /// Tells a filter behind this one which policies the request satisfies.
    fn tell_policies(&self, _: &str) {}
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
    use crate::tests::{Sent, test};

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
