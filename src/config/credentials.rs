//! Where a credential may be, what it looks like, and the headers that replace it.

use super::error::ConfigError;
use super::names::{COOKIE_NAME, HEADER_NAME, NOT_EMPTY, SCHEME, VISIBLE};
use super::reader::{Object, Value};
use super::settings::IdentityHeaders;
use crate::credential::{Checksum, KeyFormat, Location};

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

pub(super) fn locations(value: Value) -> Result<Vec<Location>, ConfigError> {
    let mut locations = Vec::new();
    for item in value.filled_list()? {
        let twice = item.error("names the same place as an entry before: remove one");
        let location = location(item)?;
        if locations.iter().any(|other| same_place(other, &location)) {
            return Err(twice);
        }
        locations.push(location);
    }
    Ok(locations)
}

fn location(value: Value) -> Result<Location, ConfigError> {
    let mut object = value.object()?;
    let scheme = object.take_optional("scheme")?;
    let (kind, name) = object.take_only(["header", "bearer", "query", "cookie"])?;
    if let Some(scheme) = &scheme
        && kind != "header"
    {
        return Err(scheme.error(format!("goes with \"header\" only, not with \"{kind}\"")));
    }
    Ok(match kind {
        "header" => match scheme {
            Some(scheme) => Location::Scheme {
                header: header_name(&name)?,
                scheme: scheme.text(&SCHEME)?.to_owned(),
            },
            None => Location::Header(header_name(&name)?),
        },
        "bearer" => Location::Scheme {
            header: header_name(&name)?,
            scheme: "Bearer".to_owned(),
        },
        "query" => Location::Query(name.text(&NOT_EMPTY)?.to_owned()),
        _ => Location::Cookie(name.text(&COOKIE_NAME)?.to_owned()),
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
        _ => left == right,
    }
}

/// The name of a header that the filter takes from requests or sets, in lower case.
fn header_name(value: &Value) -> Result<String, ConfigError> {
    let name = value.text(&HEADER_NAME)?.to_ascii_lowercase();
    if ESSENTIAL.contains(&name.as_str()) {
        return Err(value.error(format!(
            "\"{name}\" is needed to carry the request and cannot be used: choose another header"
        )));
    }
    Ok(name)
}

pub(super) fn key_format(value: Value) -> Result<KeyFormat, ConfigError> {
    let mut object = value.object()?;
    let prefixes = object.take_optional("prefixes")?;
    let checksum = object
        .take("checksum")?
        .choice(&[("none", Checksum::None), ("crc32", Checksum::Crc32)])?;
    let least = object.take("min_length")?;
    let min_length = least.number(1..=MAX_LENGTH)?;
    let max_length = object.take("max_length")?.number(1..=MAX_LENGTH)?;
    if min_length > max_length {
        return Err(least.error(format!(
            "{min_length} is more than key_format.max_length ({max_length}): no key fits"
        )));
    }
    Ok(KeyFormat {
        prefixes: match prefixes {
            Some(prefixes) => prefixes
                .filled_list()?
                .iter()
                .map(|prefix| fitting_prefix(prefix, max_length))
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        },
        checksum,
        min_length,
        max_length,
    })
}

fn fitting_prefix(value: &Value, max_length: usize) -> Result<String, ConfigError> {
    let prefix = value.text(&VISIBLE)?;
    if prefix.len() > max_length {
        return Err(value.error(format!(
            "longer than key_format.max_length ({max_length}): no key fits"
        )));
    }
    Ok(prefix.to_owned())
}

pub(super) fn identity_headers(
    value: Value,
    credentials: &[Location],
) -> Result<IdentityHeaders, ConfigError> {
    let mut object = value.object()?;
    let mut taken = Vec::new();
    for location in credentials {
        taken.push(match location {
            Location::Header(header) | Location::Scheme { header, .. } => {
                (header.clone(), "one of the \"credentials\"")
            }
            Location::Cookie(_) => ("cookie".to_owned(), "one of the \"credentials\""),
            Location::Query(_) => continue,
        });
    }
    Ok(IdentityHeaders {
        key_id: identity_header(&mut object, "key_id", &mut taken)?,
        user_id: identity_header(&mut object, "user_id", &mut taken)?,
        tenant_id: identity_header(&mut object, "tenant_id", &mut taken)?,
        scopes: identity_header(&mut object, "scopes", &mut taken)?,
        environment: identity_header(&mut object, "environment", &mut taken)?,
    })
}

/// A header's name and what it is already used for.
type Taken = Vec<(String, &'static str)>;

fn identity_header(
    object: &mut Object,
    field: &'static str,
    taken: &mut Taken,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = object.take_optional(field)? else {
        return Ok(None);
    };
    let name = header_name(&value)?;
    if let Some((_, other)) = taken.iter().find(|(known, _)| *known == name) {
        return Err(value.error(format!(
            "\"{name}\" is also the header of {other}: choose another name, or null"
        )));
    }
    taken.push((name.clone(), field));
    Ok(Some(name))
}
