//! Where a credential may be, what it looks like, and the headers that replace it.

use super::names::{COOKIE_NAME, HEADER_NAME, NOT_EMPTY, SCHEME, VISIBLE};
use super::reader::{Object, Value};
use crate::closed::closed_set;
use crate::credential::{Checksum, Foreign, KeyFormat, Location};
use crate::edit::IdentityHeaders;

/// Most bytes that a credential may be configured to have.
const MAX_LENGTH: usize = 8192;

/// Headers without which a request does not arrive: never credentials and never overwritten.
const ESSENTIAL: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn locations(value: &Value<'_>) -> Vec<Location> {
    let mut locations: Vec<Location> = Vec::new();
    for item in value.filled_list() {
        if let Some(location) = location(&item) {
            if locations.iter().any(|other| same_place(other, &location)) {
                item.refuse(format_args!(
                    "names the same place as an entry before: remove one"
                ));
            }
            locations.push(location);
        }
    }
    locations
}

closed_set! {
    /// What kind of a place a credential is in.
    pub enum Kind {
        /// The whole value of a header, or what stands there behind a scheme.
        Header = "header",
        /// A header, behind the scheme Bearer.
        Bearer = "bearer",
        /// The user name of the scheme Basic.
        Basic = "basic",
        /// A parameter of the query.
        Query = "query",
        /// A cookie.
        Cookie = "cookie",
    }
}

fn location(value: &Value<'_>) -> Option<Location> {
    let object = value.object();
    let scheme = object.optional("scheme");
    let (kind, name) = object.only(&Kind::ALL.map(Kind::word))?;
    let kind = Kind::named(kind)?;
    if let (Some(scheme), false) = (&scheme, kind == Kind::Header) {
        scheme.refuse(format_args!(
            "goes with \"header\" only, not with \"{}\"",
            kind.word()
        ));
        return None;
    }
    Some(match (kind, scheme) {
        (Kind::Header, None) => Location::Header(header_name(&name)),
        (Kind::Header, Some(scheme)) => Location::Scheme {
            header: header_name(&name),
            scheme: scheme.text(&SCHEME),
        },
        (Kind::Bearer, _) => Location::Scheme {
            header: header_name(&name),
            scheme: "Bearer".to_owned(),
        },
        (Kind::Basic, _) => {
            let _ = name.word(&["username"]);
            Location::Basic
        }
        (Kind::Query, _) => Location::Query(name.text(&NOT_EMPTY)),
        (Kind::Cookie, _) => Location::Cookie(name.text(&COOKIE_NAME)),
    })
}

fn same_place(left: &Location, right: &Location) -> bool {
    match (left, right) {
        (
            Location::Scheme {
                header: left_header,
                scheme: left_scheme,
            },
            Location::Scheme {
                header: right_header,
                scheme: right_scheme,
            },
        ) => left_header == right_header && left_scheme.eq_ignore_ascii_case(right_scheme),
        (Location::Basic, Location::Scheme { header, scheme })
        | (Location::Scheme { header, scheme }, Location::Basic) => {
            header == "authorization" && scheme.eq_ignore_ascii_case("basic")
        }
        _ => left == right,
    }
}

/// The name of a header that the filter takes from requests or sets, in lower case.
fn header_name(value: &Value<'_>) -> String {
    let name = value.text(&HEADER_NAME).to_ascii_lowercase();
    if ESSENTIAL.contains(&name.as_str()) {
        value.refuse(format_args!(
            "\"{name}\" is needed to carry the request and cannot be used: choose another header"
        ));
    }
    name
}

pub(super) fn key_format(value: &Value<'_>) -> KeyFormat {
    let object = value.object();
    let checksum = match object.word("checksum", &["none", "crc32"]) {
        "crc32" => Checksum::Crc32,
        _ => Checksum::None,
    };
    let least = object.value("min_length");
    let min_length = least.number(1..=MAX_LENGTH);
    let max_length = object.number("max_length", 1..=MAX_LENGTH);
    if min_length > max_length {
        least.refuse(format_args!(
            "{min_length} is more than key_format.max_length ({max_length}): no key fits"
        ));
    }
    let mut prefixes = Vec::new();
    if let Some(given) = object.optional("prefixes") {
        for value in given.filled_list() {
            let prefix = value.text(&VISIBLE);
            if prefix.len() > max_length {
                value.refuse(format_args!(
                    "longer than key_format.max_length ({max_length}): no key fits"
                ));
            }
            prefixes.push(prefix);
        }
    }
    let foreign = match object.word("foreign", &["refuse", "absent"]) {
        "absent" => Foreign::Absent,
        _ => Foreign::Refuse,
    };
    if foreign == Foreign::Absent && prefixes.is_empty() {
        object.value("foreign").refuse(format_args!(
            "needs key_format.prefixes: nothing else tells a key from a token of another kind"
        ));
    }
    KeyFormat {
        prefixes,
        checksum,
        min_length,
        max_length,
        foreign,
    }
}

pub(super) fn identity_headers(value: &Value<'_>, credentials: &[Location]) -> IdentityHeaders {
    let object = value.object();
    let mut taken = Vec::new();
    for location in credentials {
        let header = location.header().map(str::to_owned);
        taken.extend(header.map(|header| (header, "one of the \"credentials\"")));
    }
    IdentityHeaders {
        key_id: identity_header(object, "key_id", &mut taken),
        user_id: identity_header(object, "user_id", &mut taken),
        tenant_id: identity_header(object, "tenant_id", &mut taken),
        scopes: identity_header(object, "scopes", &mut taken),
        environment: identity_header(object, "environment", &mut taken),
    }
}

/// A header's name and what it is already used for.
type Taken = Vec<(String, &'static str)>;

fn identity_header(object: Object<'_>, field: &'static str, taken: &mut Taken) -> Option<String> {
    let value = object.optional(field)?;
    let name = header_name(&value);
    if let Some((_, other)) = taken.iter().find(|(known, _)| *known == name) {
        value.refuse(format_args!(
            "\"{name}\" is also the header of {other}: choose another name, or null"
        ));
    }
    taken.push((name.clone(), field));
    Some(name)
}
