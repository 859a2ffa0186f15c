//! Where a credential is, what it must look like, and how it is removed.

pub mod digest;
mod format;
mod removal;

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use format::{BASE62, CRC32_LENGTH, Checksum, Foreign, KeyFormat, crc32};
pub use removal::remove;

use crate::request::headers::Headers;
use crate::request::percent::{self, Target};

/// A place of the request that may hold a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The raw value of a header; the name is lower case.
    Header(String),
    /// A header whose value is an authentication scheme and the credential (RFC 9110 section 11.4); the
    /// scheme is compared in any case.
    Scheme {
        /// Name of the header, lower case.
        header: String,
        /// Name of the scheme, as configured; `Bearer` for a bearer location.
        scheme: String,
    },
    /// The user name of `Authorization: Basic` (RFC 7617 section 2); whatever the password is.
    Basic,
    /// A query parameter, percent-decoded.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// Why a request's credential is not looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No location holds one.
    Missing,
    /// The first location that is present holds more than one.
    Duplicated,
    /// It does not look like a key.
    Malformed,
}

/// The credential of a request: what the first present of the locations holds.
///
/// A location is present where it holds something that is not empty; a header with another scheme, an empty
/// header and an empty parameter count as absent.
///
/// # Errors
/// Why there is none to look up.
pub fn find<'a>(
    locations: &'a [Location],
    format: &KeyFormat,
    headers: Headers<'a>,
) -> Result<Cow<'a, [u8]>, Fault> {
    for location in locations {
        let held = location.held(format, headers);
        if held.present {
            if held.count > 1 {
                return Err(Fault::Duplicated);
            }
            return match held.first {
                Some(credential) if format.accepts(&credential) => Ok(credential),
                _ => Err(Fault::Malformed),
            };
        }
    }
    Err(Fault::Missing)
}

/// Whether a request holds more than the one place that counts: something in a second place, or an empty
/// header, parameter or cookie. It is removed, and decides nothing about who is calling.
pub fn has_surplus(locations: &[Location], format: &KeyFormat, headers: Headers<'_>) -> bool {
    let mut used = false;
    locations
        .iter()
        .map(|location| location.held(format, headers))
        .filter(|held| held.count > 0)
        .any(|held| !held.present || std::mem::replace(&mut used, true))
}

/// What a location of a request holds.
#[derive(Default)]
struct Held<'a> {
    /// Whether any of it is not empty.
    present: bool,
    /// How often it is there.
    count: usize,
    first: Option<Cow<'a, [u8]>>,
}

impl<'a> Held<'a> {
    fn of(values: impl Iterator<Item = Cow<'a, [u8]>>) -> Self {
        // In place: a processor waits for what is written in small parts and read in a large one, as a move does.
        let mut held = Self::default();
        for value in values {
            held.present |= !value.is_empty();
            held.count = held.count.saturating_add(1);
            if held.first.is_none() {
                held.first = Some(value);
            }
        }
        held
    }
}

impl Location {
    fn held<'a>(&'a self, format: &KeyFormat, headers: Headers<'a>) -> Held<'a> {
        match self {
            Self::Header(name) => Held::of(headers.all(name).map(Cow::Borrowed)),
            Self::Scheme { header, .. } => self.held_in_scheme(header, format, headers),
            Self::Basic => self.held_in_scheme(AUTHORIZATION, format, headers),
            Self::Query(name) => {
                let target = Target::new(headers.first(":path").unwrap_or_default());
                Held::of(target.parameters(name).map(percent::decode))
            }
            Self::Cookie(name) => Held::of(
                headers
                    .all("cookie")
                    .flat_map(cookies)
                    .filter(move |(given, _)| *given == name.as_bytes())
                    .map(|(_, value)| Cow::Borrowed(unquoted(value))),
            ),
        }
    }

    fn held_in_scheme<'a>(
        &'a self,
        header: &'a str,
        format: &KeyFormat,
        headers: Headers<'a>,
    ) -> Held<'a> {
        let elements = headers.all(header).flat_map(elements);
        Held::of(elements.filter_map(|element| self.in_scheme(element, format)))
    }

    /// The credential in an element of a header's value, where the location is one of a scheme: of ours, and not
    /// of another kind.
    fn in_scheme<'a>(&self, element: &'a [u8], format: &KeyFormat) -> Option<Cow<'a, [u8]>> {
        let credential = match self {
            Self::Scheme { scheme, .. } => scheme_of(element, scheme).map(Cow::Borrowed),
            Self::Basic => scheme_of(element, "Basic").map(user_name),
            Self::Header(_) | Self::Query(_) | Self::Cookie(_) => None,
        };
        credential.filter(|credential| !format.is_foreign(credential))
    }

    /// The query parameter that may hold it.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Query(name) => Some(name),
            Self::Header(_) | Self::Scheme { .. } | Self::Basic | Self::Cookie(_) => None,
        }
    }

    /// The header that may hold it; none for a query, which is a part of the path.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) | Self::Scheme { header: name, .. } => Some(name),
            Self::Basic => Some(AUTHORIZATION),
            Self::Query(_) => None,
            Self::Cookie(_) => Some("cookie"),
        }
    }

    /// Whether removing from one has removed from the other as well.
    fn shares_header(&self, other: &Self) -> bool {
        self.header() == other.header()
    }

    /// Whether an element of a header's value is a credential of a scheme at this location, an empty one included.
    fn is_element(&self, name: &str, element: &[u8], format: &KeyFormat) -> bool {
        self.header() == Some(name) && self.in_scheme(element, format).is_some()
    }
}

/// The header of [`Location::Basic`].
const AUTHORIZATION: &str = "authorization";

/// Clients pad or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What has the form of no key.
const UNREADABLE: &[u8] = b" ";

/// The user name in credentials of the scheme Basic: what stands before the first colon (RFC 7617 section 2).
fn user_name(credentials: &[u8]) -> Cow<'_, [u8]> {
    let decoded = BASE64.decode(credentials).ok().and_then(|mut decoded| {
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        decoded.truncate(colon);
        Some(decoded)
    });
    match decoded {
        Some(name) => Cow::Owned(name),
        None if credentials.is_empty() => Cow::Borrowed(credentials),
        None => Cow::Borrowed(UNREADABLE),
    }
}

/// The elements of a list, as they stand between its commas. Envoy joins repeated `authorization` headers with a
/// comma, and a comma is no part of a token68 (RFC 9110 section 11.2): so each element of the list stands for
/// itself, and what is not of the scheme is not ours.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',')
}

fn scheme_of<'a>(element: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (given, credential) = element.trim_ascii().split_at_checked(scheme.len())?;
    if !given.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    match credential {
        [] => Some(credential),
        [b' ' | b'\t', ..] => Some(credential.trim_ascii_start()),
        _ => None,
    }
}

/// The pairs of a cookie header (RFC 6265 section 4.2.1), values as they came.
fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').map(cookie)
}

fn cookie(pair: &[u8]) -> (&[u8], &[u8]) {
    let pair = pair.trim_ascii();
    match pair.iter().position(|byte| *byte == b'=') {
        Some(equals) => {
            let (name, value) = pair.split_at_checked(equals).unwrap_or_default();
            (
                name.trim_ascii_end(),
                value.get(1..).unwrap_or_default().trim_ascii_start(),
            )
        }
        None => (pair, &[]),
    }
}

/// The value of a cookie without the quotes around it (RFC 6265 section 4.1.1), as servers read it too.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inside @ .., b'"'] => inside,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::{Sent, test};

    pub fn header(name: &str) -> Location {
        Location::Header(name.to_owned())
    }

    pub fn scheme(header: &str, scheme: &str) -> Location {
        Location::Scheme {
            header: header.to_owned(),
            scheme: scheme.to_owned(),
        }
    }

    pub fn query(name: &str) -> Location {
        Location::Query(name.to_owned())
    }

    pub fn cookie(name: &str) -> Location {
        Location::Cookie(name.to_owned())
    }

    fn found(locations: &[Location], request: &[(&str, &str)]) -> Result<String, Fault> {
        let sent = Sent::new(request);
        find(
            locations,
            &KeyFormat::default(),
            Headers::new(&sent.headers),
        )
        .map(|credential| String::from_utf8(credential.into_owned()).unwrap())
    }

    fn ok(text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    #[test]
    fn a_header_holds_it_raw() {
        let at = [header("x-api-key")];
        assert_eq!(found(&at, &[("x-api-key", "K%41")]), ok("K%41"));
        assert_eq!(found(&at, &[]), Err(Fault::Missing));
        assert_eq!(found(&at, &[("x-api-key", "")]), Err(Fault::Missing));
        assert_eq!(
            found(&at, &[("x-api-key", "K"), ("x-api-key", "K")]),
            Err(Fault::Duplicated)
        );
        assert_eq!(
            found(&at, &[("x-api-key", ""), ("x-api-key", "K")]),
            Err(Fault::Duplicated)
        );
        for malformed in ["a b", "a\tb", "caf\u{e9}", "K\u{7f}", "K\u{0}"] {
            assert_eq!(
                found(&at, &[("x-api-key", malformed)]),
                Err(Fault::Malformed)
            );
        }
    }

    #[test]
    fn a_scheme_is_compared_in_any_case_and_another_counts_as_absent() {
        let at = [scheme("authorization", "Bearer")];
        for value in ["Bearer K", "bearer K", "BEARER   K", "Bearer\tK"] {
            assert_eq!(found(&at, &[("authorization", value)]), ok("K"));
        }
        for value in ["", "K", "Basic K", "BearerK", "Bearer", "Bearer ", "Bear"] {
            assert_eq!(found(&at, &[("authorization", value)]), Err(Fault::Missing));
        }
        assert_eq!(
            found(&at, &[("authorization", "Bearer K L")]),
            Err(Fault::Malformed)
        );
    }

    #[test]
    fn each_element_of_a_list_of_credentials_stands_for_itself() {
        let at = [scheme("authorization", "Bearer")];
        for one in [
            "Bearer K",
            "Basic B,Bearer K",
            "Bearer K, Basic B",
            "Basic B , bearer K , Digest username=\"u\", realm=\"r\"",
            "Bearer K,",
            ",Bearer K,x",
        ] {
            assert_eq!(found(&at, &[("authorization", one)]), ok("K"), "{one}");
        }
        for twice in [
            "Bearer K,Bearer L",
            "Bearer K, bearer K",
            "Basic B,Bearer K , Bearer L",
            "Bearer K,Basic B,Bearer K",
            "Bearer ,Bearer K",
        ] {
            assert_eq!(
                found(&at, &[("authorization", twice)]),
                Err(Fault::Duplicated),
                "{twice}"
            );
        }
        for none in [
            "Basic B, Digest D",
            "Basic Bearer K",
            "Bearer , Basic B",
            ",",
        ] {
            assert_eq!(
                found(&at, &[("authorization", none)]),
                Err(Fault::Missing),
                "{none}"
            );
        }
        // Two places of one header: the order of the places decides, not that in the list.
        let at = [
            scheme("authorization", "Bearer"),
            scheme("authorization", "ApiKey"),
        ];
        for both in ["ApiKey L,Bearer K", "Bearer K,ApiKey L"] {
            assert_eq!(found(&at, &[("authorization", both)]), ok("K"), "{both}");
        }
    }

    #[test]
    fn the_user_name_of_basic_is_a_credential() {
        let at = [Location::Basic];
        let found = |value: &str| found(&at, &[("authorization", value)]);
        // "kb_1:", with and without padding, with a password, in any case of the scheme.
        for value in ["Basic a2JfMTo=", "basic a2JfMTo", "Basic a2JfMTpwYXNz"] {
            assert_eq!(found(value), ok("kb_1"), "{value}");
        }
        // No user name, no credentials, another scheme.
        for value in ["Basic OnBhc3M=", "Basic ", "Basic", "Bearer a2JfMTo="] {
            assert_eq!(found(value), Err(Fault::Missing), "{value}");
        }
        // No base64, no colon, a user name of two words.
        for value in ["Basic a2Jf!", "Basic a2JfMQ==", "Basic YSBiOg=="] {
            assert_eq!(found(value), Err(Fault::Malformed), "{value}");
        }
        assert_eq!(
            found("Basic a2JfMTo=, Basic a2JfMTo="),
            Err(Fault::Duplicated)
        );
    }

    #[test]
    fn a_token_of_another_kind_is_not_ours() {
        let at = [
            scheme("authorization", "Bearer"),
            Location::Basic,
            header("x-api-key"),
        ];
        let format = KeyFormat {
            prefixes: vec!["kb_".to_owned()],
            foreign: Foreign::Absent,
            ..KeyFormat::default()
        };
        let found = |request: &[(&str, &str)]| {
            let sent = Sent::new(request);
            let found = find(&at, &format, Headers::new(&sent.headers));
            found.map(|found| String::from_utf8(found.into_owned()).unwrap())
        };
        let jwt = ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.");
        assert_eq!(found(&[jwt]), Err(Fault::Missing));
        assert_eq!(found(&[jwt, ("x-api-key", "kb_2")]), ok("kb_2"));
        assert_eq!(found(&[("authorization", "Bearer kb_1")]), ok("kb_1"));
        assert_eq!(
            found(&[("authorization", "Bearer eyJ0, Bearer kb_1")]),
            ok("kb_1")
        );
        assert_eq!(
            found(&[("authorization", "Basic YW5uYTpwYXNz")]),
            Err(Fault::Missing)
        );
        // A header of ours alone holds keys alone, and what begins as ours is ours.
        assert_eq!(found(&[("x-api-key", "eyJ0")]), Err(Fault::Malformed));
        assert_eq!(
            found(&[("authorization", "Bearer kb_\u{e9}")]),
            Err(Fault::Malformed)
        );
    }

    #[test]
    fn a_query_parameter_is_decoded() {
        let at = [query("api_key")];
        assert_eq!(found(&at, &[(":path", "/?api_key=K%2d1")]), ok("K-1"));
        assert_eq!(found(&at, &[(":path", "/?a%70i_key=K+1")]), ok("K+1"));
        assert_eq!(
            found(&at, &[(":path", "/?api_key=K%201")]),
            Err(Fault::Malformed)
        );
        assert_eq!(found(&at, &[(":path", "/?api_key=")]), Err(Fault::Missing));
        assert_eq!(found(&at, &[(":path", "/api_key=K")]), Err(Fault::Missing));
        assert_eq!(
            found(&at, &[(":path", "/?api_key=K&api_key=K")]),
            Err(Fault::Duplicated)
        );
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let at = [cookie("key")];
        assert_eq!(found(&at, &[("cookie", "a=1; key=K; b")]), ok("K"));
        assert_eq!(
            found(&at, &[("cookie", "a=1"), ("cookie", "key=K=2")]),
            ok("K=2")
        );
        assert_eq!(found(&at, &[("cookie", "a=1; key=\"K\"; b")]), ok("K"));
        for none in ["key=\"\"", "key="] {
            assert_eq!(found(&at, &[("cookie", none)]), Err(Fault::Missing));
        }
        for odd in ["\"", "\"K", "K\"", "K\"L"] {
            let cookie = format!("key={odd}");
            assert_eq!(found(&at, &[("cookie", cookie.as_str())]), ok(odd));
        }
        assert_eq!(
            found(&at, &[("cookie", "KEY=K; xkey=1")]),
            Err(Fault::Missing)
        );
        assert_eq!(
            found(&at, &[("cookie", "key=K;key=L")]),
            Err(Fault::Duplicated)
        );
    }

    #[test]
    fn what_is_beside_the_place_that_counts_is_surplus() {
        let at = [header("x-api-key"), query("k"), cookie("key")];
        let surplus = |request: &[(&str, &str)]| {
            let sent = Sent::new(request);
            has_surplus(&at, &KeyFormat::default(), Headers::new(&sent.headers))
        };
        for request in [
            &[][..],
            &[("x-api-key", "K"), (":path", "/?a=1"), ("cookie", "a=1")],
            &[(":path", "/?k=K")],
            &[("cookie", "key=K")],
        ] {
            assert!(!surplus(request), "{request:?}");
        }
        for request in [
            &[("x-api-key", "K"), (":path", "/?k=1")][..],
            &[("x-api-key", "K"), (":path", "/?k=")],
            &[("x-api-key", ""), ("cookie", "key=K")],
            &[(":path", "/?k")],
            &[("x-api-key", "")],
        ] {
            assert!(surplus(request), "{request:?}");
        }
    }

    #[test]
    fn the_first_present_location_decides() {
        let at = [
            header("x-api-key"),
            scheme("authorization", "ApiKey"),
            query("k"),
        ];
        let all = [
            ("x-api-key", "1"),
            ("authorization", "ApiKey 2"),
            (":path", "/?k=3"),
        ];
        assert_eq!(found(&at, &all), ok("1"));
        assert_eq!(found(&at, all.get(1..).unwrap()), ok("2"));
        assert_eq!(found(&at, all.get(2..).unwrap()), ok("3"));
        assert_eq!(
            found(&at, &[("x-api-key", "\u{e9}"), (":path", "/?k=3")]),
            Err(Fault::Malformed)
        );
    }
}
