//! Where a credential is, what it must look like, and how it is removed.

use std::borrow::Cow;

use crate::edit::EditRequest;
use crate::headers::Headers;
use crate::percent::{self, Target};

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
    /// A query parameter, percent-decoded.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// What a credential must look like to be looked up at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat {
    /// It must start with one of these; an empty list allows any start.
    pub prefixes: Vec<String>,
    /// How it proves that it was not mistyped.
    pub checksum: Checksum,
    /// Fewest bytes.
    pub min_length: usize,
    /// Most bytes.
    pub max_length: usize,
}

impl Default for KeyFormat {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            checksum: Checksum::None,
            min_length: 1,
            max_length: 512,
        }
    }
}

/// How a credential proves that it was not mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not at all.
    None,
    /// The last six characters are the base62 CRC-32 (IEEE 802.3) of everything before them.
    Crc32,
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
        let held = location.held(headers);
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

/// Removes the credential from every location, leaving every other byte of the request as it came.
pub fn remove(locations: &[Location], headers: Headers<'_>, request: &mut impl EditRequest) {
    for (index, location) in locations.iter().enumerate() {
        let earlier = locations.get(..index).unwrap_or_default();
        if earlier
            .iter()
            .any(|earlier| earlier.shares_header(location))
        {
            continue;
        }
        match location {
            Location::Query(_) => {
                let names: Vec<&str> = locations.iter().filter_map(Location::query).collect();
                let path = headers.first(":path").unwrap_or_default();
                if let Some(rest) = Target::new(path).without(&names) {
                    request.set(":path", &rest);
                }
            }
            Location::Header(name) | Location::Scheme { header: name, .. } => {
                rewrite(name, headers, request, |value| {
                    let holds = |location: &Location| location.is_header_value(name, value);
                    (!locations.iter().any(holds)).then_some(Cow::Borrowed(value))
                });
            }
            Location::Cookie(_) => {
                rewrite("cookie", headers, request, |value| {
                    without_cookies(value, locations)
                });
            }
        }
    }
}

/// Replaces each value of a header by what `keep` leaves of it, and does nothing where it leaves all.
fn rewrite<'a>(
    name: &'a str,
    headers: Headers<'a>,
    request: &mut impl EditRequest,
    keep: impl Fn(&'a [u8]) -> Option<Cow<'a, [u8]>>,
) {
    if headers
        .all(name)
        .all(|value| keep(value).as_deref() == Some(value))
    {
        return;
    }
    request.remove(name);
    for value in headers.all(name).filter_map(keep) {
        request.add(name, &value);
    }
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
        values.fold(Self::default(), |held, value| Self {
            present: held.present || !value.is_empty(),
            count: held.count.saturating_add(1),
            first: held.first.or(Some(value)),
        })
    }
}

impl Location {
    fn held<'a>(&'a self, headers: Headers<'a>) -> Held<'a> {
        match self {
            Self::Header(name) => Held::of(headers.all(name).map(Cow::Borrowed)),
            Self::Scheme { header, scheme } => Held::of(
                headers
                    .all(header)
                    .flat_map(move |value| credentials_of_scheme(value, scheme))
                    .map(Cow::Borrowed),
            ),
            Self::Query(name) => {
                let target = Target::new(headers.first(":path").unwrap_or_default());
                Held::of(target.parameters(name).map(percent::decode))
            }
            Self::Cookie(name) => Held::of(
                headers
                    .all("cookie")
                    .flat_map(cookies)
                    .filter(move |(given, _)| *given == name.as_bytes())
                    .map(|(_, value)| Cow::Borrowed(value)),
            ),
        }
    }

    fn query(&self) -> Option<&str> {
        match self {
            Self::Query(name) => Some(name),
            _ => None,
        }
    }

    /// Whether removing from one has removed from the other as well.
    fn shares_header(&self, other: &Self) -> bool {
        fn header(location: &Location) -> &str {
            match location {
                Location::Header(name) | Location::Scheme { header: name, .. } => name,
                Location::Query(_) => ":path",
                Location::Cookie(_) => "cookie",
            }
        }
        header(self) == header(other)
    }

    /// Whether a value of a header is a credential at this location, an empty one included.
    fn is_header_value(&self, name: &str, value: &[u8]) -> bool {
        match self {
            Self::Header(header) => header == name,
            Self::Scheme { header, scheme } => {
                header == name && credentials_of_scheme(value, scheme).next().is_some()
            }
            Self::Query(_) | Self::Cookie(_) => false,
        }
    }
}

/// The credentials of a scheme in one value. Envoy joins repeated `authorization` headers with a comma, and
/// a comma is no part of a token68 (RFC 9110 section 11.2), so each element of the list is looked at.
fn credentials_of_scheme<'a>(value: &'a [u8], scheme: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let mut elements = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let whole = elements.clone().nth(1).is_none();
    let more = elements
        .clone()
        .skip(1)
        .any(|element| scheme_of(element, scheme).is_some());
    let several = !whole && more;
    let single = (!several)
        .then(|| scheme_of(value.trim_ascii(), scheme))
        .flatten();
    single.into_iter().chain(std::iter::from_fn(move || {
        if !several {
            return None;
        }
        elements.find_map(|element| scheme_of(element, scheme))
    }))
}

fn scheme_of<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let (given, credential) = value.split_at_checked(scheme.len())?;
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

/// A cookie header without the cookies that are locations; nothing where none is left.
fn without_cookies<'a>(header: &'a [u8], locations: &[Location]) -> Option<Cow<'a, [u8]>> {
    let unwanted = |pair: &&[u8]| {
        let (given, _) = cookie(pair);
        locations
            .iter()
            .any(|location| matches!(location, Location::Cookie(name) if name.as_bytes() == given))
    };
    let pairs = || header.split(|byte| *byte == b';');
    if !pairs().any(|pair| unwanted(&pair)) {
        return Some(Cow::Borrowed(header));
    }
    let mut rest = Vec::new();
    for pair in pairs().filter(|pair| !unwanted(pair)) {
        if rest.is_empty() {
            rest.extend(pair.trim_ascii_start());
        } else {
            rest.push(b';');
            rest.extend(pair);
        }
    }
    (!rest.is_empty()).then_some(Cow::Owned(rest))
}

impl KeyFormat {
    /// Whether a credential may be a key at all.
    pub fn accepts(&self, credential: &[u8]) -> bool {
        (self.min_length..=self.max_length).contains(&credential.len())
            && credential.iter().all(u8::is_ascii_graphic)
            && (self.prefixes.is_empty()
                || self
                    .prefixes
                    .iter()
                    .any(|prefix| credential.starts_with(prefix.as_bytes())))
            && match self.checksum {
                Checksum::None => true,
                Checksum::Crc32 => has_crc32(credential),
            }
    }
}

fn has_crc32(credential: &[u8]) -> bool {
    let Some(at) = credential.len().checked_sub(CRC32_LENGTH) else {
        return false;
    };
    let (text, checksum) = credential.split_at_checked(at).unwrap_or_default();
    checksum == base62(crc32fast::hash(text))
}

/// Characters of a base62 CRC-32.
pub const CRC32_LENGTH: usize = 6;

/// A CRC-32 as base62 (0-9A-Za-z), padded with zeroes to the left.
pub fn base62(mut checksum: u32) -> [u8; CRC32_LENGTH] {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; CRC32_LENGTH];
    for character in text.iter_mut().rev() {
        let digit = usize::try_from(checksum % 62).unwrap_or_default();
        *character = ALPHABET.get(digit).copied().unwrap_or(b'0');
        checksum /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::pack;
    use crate::tests::test;

    fn header(name: &str) -> Location {
        Location::Header(name.to_owned())
    }

    fn scheme(header: &str, scheme: &str) -> Location {
        Location::Scheme {
            header: header.to_owned(),
            scheme: scheme.to_owned(),
        }
    }

    fn query(name: &str) -> Location {
        Location::Query(name.to_owned())
    }

    fn cookie(name: &str) -> Location {
        Location::Cookie(name.to_owned())
    }

    fn packed(request: &[(&str, &str)]) -> Vec<u8> {
        pack(
            request
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        )
    }

    fn found(locations: &[Location], request: &[(&str, &str)]) -> Result<String, Fault> {
        let packed = packed(request);
        find(locations, &KeyFormat::default(), Headers::new(&packed))
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
        for twice in [
            "Bearer K,Bearer L",
            "Bearer K, bearer K",
            "Basic B,Bearer K , Bearer L",
        ] {
            assert_eq!(
                found(&at, &[("authorization", twice)]),
                Err(Fault::Duplicated)
            );
        }
        assert_eq!(
            found(&at, &[("authorization", "Basic B,Bearer K")]),
            ok("K")
        );
        assert_eq!(found(&at, &[("authorization", "Bearer K,x")]), ok("K,x"));
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

    #[test]
    fn the_format_is_checked_byte_by_byte() {
        let format = KeyFormat {
            prefixes: vec!["kb_live_".to_owned(), "kb_test_".to_owned()],
            checksum: Checksum::Crc32,
            min_length: 20,
            max_length: 30,
        };
        let key = |text: &str| {
            let checksum = base62(crc32fast::hash(text.as_bytes()));
            [text.as_bytes(), checksum.as_slice()].concat()
        };
        assert!(format.accepts(&key("kb_live_abcdefgh")));
        assert!(format.accepts(&key("kb_test_abcdefgh")));
        assert!(!format.accepts(&key("kb_dev_abcdefghi")));
        assert!(!format.accepts(&key("kb_live_abcde")));
        assert!(!format.accepts(&key("kb_live_abcdefghijklmnopq")));
        let good = key("kb_live_abcdefgh");
        for index in 0..good.len() {
            let mut mistyped = good.clone();
            mistyped[index] = if mistyped[index] == b'x' { b'y' } else { b'x' };
            assert!(!format.accepts(&mistyped), "position {index}");
        }
    }

    #[test]
    fn a_checksum_is_base62_of_the_ieee_crc() {
        // CRC-32 of "123456789" is 0xCBF43926: the check value of the IEEE 802.3 polynomial.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(&base62(0xCBF4_3926), b"3jZRME");
        assert_eq!(&base62(0), b"000000");
        assert_eq!(&base62(61), b"00000z");
        assert_eq!(&base62(62), b"000010");
    }

    fn left(locations: &[Location], request: &[(&str, &str)]) -> Vec<(String, String)> {
        let packed = packed(request);
        let mut edited: Vec<(String, Vec<u8>)> = request
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        remove(locations, Headers::new(&packed), &mut edited);
        edited
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).unwrap()))
            .collect()
    }

    fn owned(request: &[(&str, &str)]) -> Vec<(String, String)> {
        request
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn removal_reaches_every_location_and_no_other_byte() {
        let at = [
            header("x-api-key"),
            scheme("authorization", "Bearer"),
            scheme("authorization", "ApiKey"),
            query("k"),
            query("api_key"),
            cookie("key"),
            cookie("token"),
        ];
        for (request, rest) in [
            (
                &[("x-api-key", "1"), ("x-api-key", "2"), ("x-other", "3")][..],
                &[("x-other", "3")][..],
            ),
            (&[("authorization", "bearer K")], &[]),
            (
                &[("authorization", "Basic B")],
                &[("authorization", "Basic B")],
            ),
            (
                &[("authorization", "Basic B"), ("authorization", "ApiKey K")],
                &[("authorization", "Basic B")],
            ),
            (
                &[(":path", "/a//b?x=%20&k=1&API_KEY=2&api_key=3#&y")],
                &[(":path", "/a//b?x=%20&API_KEY=2&y")],
            ),
            (&[("cookie", "a=1;  key=K; b=2")], &[("cookie", "a=1; b=2")]),
            (&[("cookie", "key=K; b=2; token=T")], &[("cookie", "b=2")]),
            (&[("cookie", "key=K")], &[]),
            (
                &[("cookie", "key=K"), ("cookie", "c=3")],
                &[("cookie", "c=3")],
            ),
            (&[("cookie", "a=\"key=K\"")], &[("cookie", "a=\"key=K\"")]),
        ] {
            assert_eq!(left(&at, request), owned(rest), "{request:?}");
        }
    }
}
