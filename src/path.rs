//! How a path may be read by an upstream, where that is not how Envoy hands it over.
//!
//! Servers differ in what they make of a path: some drop matrix parameters (`/orders;v=1`, RFC 3986 section
//! 3.3) and only then resolve `..;`, some ignore case, a trailing slash or a doubled one, some decode once
//! more. A policy that is chosen by path must not be evaded by a spelling that the upstream reads as another
//! path, so a path of unusual spelling is looked at in both ways.

use crate::percent::decode;

/// Whether every server reads a path in the same way: lower-case letters, digits and a few marks, no empty
/// and no dot segment, no trailing slash.
pub fn is_plain(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else {
        return path.is_empty();
    };
    segments.is_empty()
        || segments.split(|byte| *byte == b'/').all(|segment| {
            segment.first().is_some_and(|first| *first != b'.')
                && segment.iter().all(
                    |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.'),
                )
        })
}

/// What a lenient server makes of a `..` that Envoy has left because of how it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dots {
    /// It goes up.
    Resolved,
    /// It is a name like any other.
    Kept,
}

/// The segments that a lenient server reads: percent-decoded once, with backslashes as slashes, without
/// matrix parameters, and after that without empty and dot segments.
pub fn lenient_segments(path: &[u8], dots: Dots) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in decode(path).split(|byte| matches!(byte, b'/' | b'\\')) {
        let parameters = segment.iter().position(|byte| *byte == b';');
        match segment.get(..parameters.unwrap_or(segment.len())) {
            None | Some(b"" | b".") => {}
            Some(b"..") if dots == Dots::Resolved => {
                segments.pop();
            }
            Some(name) => segments.push(name.to_vec()),
        }
    }
    segments
}

/// The path that a lenient server reads, in lower case.
pub fn lenient(path: &[u8], dots: Dots) -> Vec<u8> {
    if !path.starts_with(b"/") {
        return path.to_vec();
    }
    let mut read = b"/".to_vec();
    read.append(&mut lenient_segments(path, dots).join(&b'/'));
    read.make_ascii_lowercase();
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::test;

    #[test]
    fn a_plain_path_is_read_in_one_way_only() {
        for path in ["", "/", "/v1/orders/7", "/a.b/c-d_e~f", "/v1.0"] {
            assert!(is_plain(path.as_bytes()), "{path}");
            assert_eq!(
                lenient(path.as_bytes(), Dots::Resolved),
                path.as_bytes(),
                "{path}"
            );
        }
    }

    #[test]
    fn other_spellings_have_a_second_reading() {
        for (path, read) in [
            ("/V1/Orders", "/v1/orders"),
            ("/v1/orders/", "/v1/orders"),
            ("/v1//orders", "/v1/orders"),
            ("/v1/./orders", "/v1/orders"),
            ("/v1/x/../orders", "/v1/orders"),
            ("/v1/orders;a=1/7;b", "/v1/orders/7"),
            ("/public/..;/admin", "/admin"),
            ("/public/..;a=1/admin", "/admin"),
            ("/public/%2e%2E;/admin", "/admin"),
            ("/public%2F..%2Fadmin", "/admin"),
            ("/public\\..\\admin", "/admin"),
            ("/public/..%5cadmin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/../../admin", "/admin"),
            ("/..", "/"),
            ("//", "/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/caf\u{e9}", "/caf\u{e9}"),
        ] {
            assert!(!is_plain(path.as_bytes()), "{path}");
            assert_eq!(
                lenient(path.as_bytes(), Dots::Resolved),
                read.as_bytes(),
                "{path}"
            );
        }
        assert!(!is_plain(b"*"));
        assert_eq!(lenient(b"*", Dots::Resolved), b"*");
    }

    #[test]
    fn dots_that_are_left_may_also_be_names() {
        for (path, read) in [
            ("/ADMIN/..;/x", "/admin/../x"),
            ("/admin;v/%2e%2e;/./x", "/admin/../x"),
            ("/admin", "/admin"),
        ] {
            assert_eq!(
                lenient(path.as_bytes(), Dots::Kept),
                read.as_bytes(),
                "{path}"
            );
        }
    }
}
