//! What servers do to a path before they look for what it names. Each changes the whole path once.

use super::Case;
use crate::request::percent::{decode, decode_where};

/// What becomes of a path by each of these changes, where it becomes another one.
pub fn all(path: &[u8], case: Case) -> Vec<Vec<u8>> {
    let by_case = (case == Case::Ignored).then_some(in_lower_case as Change);
    CHANGES
        .into_iter()
        .chain(by_case)
        .filter_map(|change| change(path).filter(|changed| changed != path))
        .collect()
}

/// Nothing where a path has not what would be changed.
type Change = fn(&[u8]) -> Option<Vec<u8>>;

const CHANGES: [Change; 11] = [
    decoded,
    decoded_but_slashes,
    decoded_but_reserved,
    decoded_unreserved,
    with_slashes_for_backslashes,
    without_the_first_parameters,
    up_to_a_parameter,
    up_to_a_query,
    with_slashes_merged,
    without_a_slash_at_the_end,
    with_names_trimmed,
];

fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'%').then(|| decode(path).into_owned())
}

fn decoded_but_slashes(path: &[u8]) -> Option<Vec<u8>> {
    decoded_where(path, |byte| !matches!(byte, b'/' | b'\\'))
}

/// As ECMAScript's `decodeURI` does.
fn decoded_but_reserved(path: &[u8]) -> Option<Vec<u8>> {
    decoded_where(path, |byte| !b";/?:@&=+$,#".contains(&byte))
}

/// What RFC 3986 section 6.2.2.2 asks of everybody.
fn decoded_unreserved(path: &[u8]) -> Option<Vec<u8>> {
    decoded_where(path, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
    })
}

fn decoded_where(path: &[u8], is_wanted: fn(u8) -> bool) -> Option<Vec<u8>> {
    path.contains(&b'%')
        .then(|| decode_where(path, is_wanted).into_owned())
}

fn with_slashes_for_backslashes(path: &[u8]) -> Option<Vec<u8>> {
    path.contains(&b'\\').then(|| {
        let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
        path.iter().map(slash).collect()
    })
}

/// Matrix parameters end with their segment. Some servers drop those of one name only: again and again, this
/// drops them all.
fn without_the_first_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let begin = path.iter().position(|byte| *byte == b';')?;
    let (before, parameters) = path.split_at_checked(begin)?;
    let length = parameters.iter().position(|byte| *byte == b'/');
    let behind = length.and_then(|length| parameters.get(length..));
    Some([before, behind.unwrap_or_default()].concat())
}

fn up_to_a_parameter(path: &[u8]) -> Option<Vec<u8>> {
    up_to(path, b";")
}

/// A question mark or a hash that was encoded.
fn up_to_a_query(path: &[u8]) -> Option<Vec<u8>> {
    up_to(path, b"?#")
}

fn up_to(path: &[u8], ends: &[u8]) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| ends.contains(byte))?;
    path.get(..end).map(<[u8]>::to_vec)
}

fn with_slashes_merged(path: &[u8]) -> Option<Vec<u8>> {
    path.windows(2).any(|pair| pair == b"//").then(|| {
        let mut merged = path.to_vec();
        merged.dedup_by(|next, last| *next == b'/' && *last == b'/');
        merged
    })
}

fn without_a_slash_at_the_end(path: &[u8]) -> Option<Vec<u8>> {
    match path {
        [rest @ .., b'/'] if !rest.is_empty() => Some(rest.to_vec()),
        _ => None,
    }
}

/// Blanks around a name and dots behind it, as Windows leaves them out.
fn with_names_trimmed(path: &[u8]) -> Option<Vec<u8>> {
    path.iter()
        .any(|byte| matches!(byte, b'.' | b' ' | b'+'))
        .then(|| {
            let trimmed = |mut name: &'_ [u8]| {
                while let [b' ' | b'+', rest @ ..] | [rest @ .., b' ' | b'+' | b'.'] = name {
                    name = rest;
                }
                name.to_vec()
            };
            let names: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(trimmed).collect();
            names.join(&b'/')
        })
}

fn in_lower_case(path: &[u8]) -> Option<Vec<u8>> {
    path.iter()
        .any(u8::is_ascii_uppercase)
        .then(|| path.to_ascii_lowercase())
}
