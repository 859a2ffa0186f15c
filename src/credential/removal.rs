//! How a credential is removed without touching another byte.

use std::borrow::Cow;

use super::{KeyFormat, Location, cookie, elements};
use crate::host::EditRequest;
use crate::request::headers::Headers;
use crate::request::percent::Target;

/// Removes the credential from every location, leaving every other byte of the request as it came.
pub fn remove(
    locations: &[Location],
    format: &KeyFormat,
    headers: Headers<'_>,
    request: &mut impl EditRequest,
) {
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
            Location::Header(_) | Location::Scheme { .. } | Location::Basic => {
                let name = location.header().unwrap_or_default();
                let whole = |location: &Location| matches!(location, Location::Header(known) if known == name);
                if !locations.iter().any(whole) {
                    rewrite(name, headers, request, |value| {
                        without_elements(name, value, locations, format)
                    });
                } else if headers.first(name).is_some() {
                    request.remove(name);
                }
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

/// A list of credentials without those that are locations; nothing where none is left.
fn without_elements<'a>(
    name: &str,
    value: &'a [u8],
    locations: &[Location],
    format: &KeyFormat,
) -> Option<Cow<'a, [u8]>> {
    let unwanted = |element: &&[u8]| {
        locations
            .iter()
            .any(|location| location.is_element(name, element, format))
    };
    if !elements(value).any(|element| unwanted(&element)) {
        return Some(Cow::Borrowed(value));
    }
    let left = elements(value).filter(|element| !unwanted(element));
    let rest = left.collect::<Vec<_>>().join(&b',');
    let rest = rest.trim_ascii();
    (!rest.is_empty()).then(|| Cow::Owned(rest.to_vec()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Foreign;
    use crate::credential::tests::{cookie, header, query, scheme};
    use crate::test_util::{Sent, test};

    fn left(locations: &[Location], request: &[(&str, &str)]) -> Vec<(String, String)> {
        left_with(Foreign::Refuse, locations, request)
    }

    fn left_with(
        foreign: Foreign,
        locations: &[Location],
        request: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut sent = Sent::new(request);
        let format = KeyFormat {
            prefixes: vec!["kb_".to_owned()],
            foreign,
            ..KeyFormat::default()
        };
        let headers = Headers::new(&sent.headers);
        remove(locations, &format, headers, &mut sent.handed);
        sent.handed
            .headers
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
    fn what_is_not_ours_stays_where_it_is() {
        let at = [scheme("authorization", "Bearer"), Location::Basic];
        // The user names kb_1 and anna.
        let (ours, annas) = ("Basic a2JfMTo=", "Basic YW5uYTpwYXNz");
        for (value, foreign, rest) in [
            ("Bearer eyJ0.e.s", Foreign::Absent, Some("Bearer eyJ0.e.s")),
            ("Bearer eyJ0.e.s", Foreign::Refuse, None),
            ("Bearer kb_1", Foreign::Absent, None),
            (
                "Bearer eyJ0.e.s, bearer kb_1",
                Foreign::Absent,
                Some("Bearer eyJ0.e.s"),
            ),
            (annas, Foreign::Absent, Some(annas)),
            (annas, Foreign::Refuse, None),
            (ours, Foreign::Absent, None),
            ("Digest x", Foreign::Refuse, Some("Digest x")),
        ] {
            let left = left_with(foreign, &at, &[("authorization", value)]);
            let left: Vec<&str> = left.iter().map(|(_, value)| value.as_str()).collect();
            assert_eq!(left, Vec::from_iter(rest), "{value} {foreign:?}");
        }
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
                &[("authorization", "Basic B, Bearer K,Digest u=\"v\", r=s")],
                &[("authorization", "Basic B,Digest u=\"v\", r=s")],
            ),
            (&[("authorization", "Bearer K , ApiKey L")], &[]),
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
