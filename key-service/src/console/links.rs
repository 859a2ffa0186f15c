//! Where pages are. Ids may hold any visible character, so that they are encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded in a segment of a path and in a value of a query (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as it stands in a segment of a path or a value of a query.
pub fn encoded(text: &str) -> String {
    match text {
        // Browsers take these segments out of paths.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        // The page on which one is made.
        "new" => "%6Eew".to_owned(),
        _ => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

/// The page of a key.
pub fn key(id: &str) -> String {
    format!("/console/keys/{}", encoded(id))
}

/// The page of a user.
pub fn user(id: &str) -> String {
    format!("/console/users/{}", encoded(id))
}

/// The page of a tenant.
pub fn tenant(id: &str) -> String {
    format!("/console/tenants/{}", encoded(id))
}

/// The page of whatever an audit entry is about, where it has one.
pub fn record(kind: &str, id: &str) -> Option<String> {
    match kind {
        "key" => Some(key(id)),
        "user" => Some(user(id)),
        "tenant" | "key_rules" => Some(tenant(id)),
        _ => None,
    }
}
