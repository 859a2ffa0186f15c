//! How a path may be read by an upstream, where that is not how Envoy hands it over.
//!
//! Servers differ in what they make of a path: some drop matrix parameters (`/orders;v=1`, RFC 3986 section
//! 3.3), some ignore case, a trailing slash or a doubled one, some decode twice, and they do it in different
//! orders. A policy that is chosen by path must not be evaded by a spelling that the upstream reads as another
//! path, so all that any order can make of it is listed. Where such a list would have no end in sight, nobody
//! knows what the path is.

mod change;

use crate::request::lookalike::may_be_ascii;
use crate::request::percent::{decode_entirely, is_well_formed};

/// Paths with more readings than this, or with longer ones altogether, are not listed: people's paths have
/// fewer than ten.
const MOST_READINGS: usize = 64;
const MOST_BYTES: usize = 32 * 1024;

/// Whether servers that ignore case are looked at too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They are, and a path with capital letters is also one without.
    Ignored,
    /// They are not: what is looked for has a case.
    Kept,
}

/// Whether every server reads a path in the same way: lower-case letters, digits and a few marks, no empty
/// segment, none that begins or ends with a dot, no trailing slash.
pub fn is_plain(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else {
        return path.is_empty();
    };
    segments.is_empty()
        || segments.split(|byte| *byte == b'/').all(|segment| {
            !matches!(segment, [] | [b'.', ..] | [.., b'.'])
                && segment.iter().all(
                    |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.'),
                )
        })
}

/// All paths that a server may make of one, itself the first; nothing where they cannot be listed.
pub fn readings(path: &[u8], case: Case) -> Option<Vec<Vec<u8>>> {
    // CONNECT and `OPTIONS *` have no path.
    if matches!(path, b"" | b"*") {
        return Some(vec![path.to_vec()]);
    }
    if !is_listable(path) {
        return None;
    }
    let mut readings = vec![path.to_vec()];
    let mut bytes = path.len();
    let mut looked_at: usize = 0;
    while let Some(reading) = readings.get(looked_at) {
        if is_host(reading) || has_dot_segment(reading) {
            return None;
        }
        for changed in change::all(reading, case) {
            if readings.contains(&changed) {
                continue;
            }
            bytes = bytes.saturating_add(changed.len());
            if readings.len() == MOST_READINGS || bytes > MOST_BYTES {
                return None;
            }
            readings.push(changed);
        }
        looked_at = looked_at.saturating_add(1);
    }
    Some(readings)
}

/// The plainest path that a lenient server may take one for.
pub fn plainest(path: &[u8]) -> Vec<u8> {
    if !path.starts_with(b"/") {
        return path.to_vec();
    }
    let mut names: Vec<&[u8]> = Vec::new();
    let decoded = decode_entirely(path);
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment.split(|byte| *byte == b';').next() {
            None | Some(b"" | b".") => {}
            Some(b"..") => {
                names.pop();
            }
            Some(name) => names.push(name),
        }
    }
    let mut plainest = [&b"/"[..], &names.join(&b'/')].concat();
    plainest.make_ascii_lowercase();
    plainest
}

/// Whether a path is made of what servers agree on how to decode. Control characters cut a path off, or are
/// left out; other characters may become dots and slashes.
fn is_listable(path: &[u8]) -> bool {
    let decoded = decode_entirely(path);
    path.starts_with(b"/")
        && is_well_formed(path)
        && !decoded.iter().any(u8::is_ascii_control)
        && !may_be_ascii(&decoded)
        // `%u002e` is a dot to some.
        && !decoded.windows(2).any(|pair| matches!(pair, b"%u" | b"%U"))
}

/// Whether a path begins like the reference to another host (RFC 3986 section 4.2): what follows the host is
/// then the path.
fn is_host(path: &[u8]) -> bool {
    matches!(path, [_, b'/' | b'\\', ..])
}

/// Whether a segment is, or becomes by decoding or by leaving out what is no part of a name, one that goes up
/// or stays: `..`, `%2e.`, `..;v=1`, `.. `.
fn has_dot_segment(path: &[u8]) -> bool {
    decode_entirely(path)
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| {
            let mut bytes = segment
                .iter()
                .skip_while(|byte| **byte != b'.' && !is_of_a_name(**byte));
            bytes.next() == Some(&b'.')
                && bytes
                    .find(|byte| **byte != b'.')
                    .is_none_or(|byte| !is_of_a_name(*byte))
        })
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'-' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    fn read(path: &str, case: Case) -> Option<Vec<String>> {
        let text = |reading| String::from_utf8(reading).unwrap();
        readings(path.as_bytes(), case).map(|readings| readings.into_iter().map(text).collect())
    }

    #[test]
    fn a_plain_path_is_read_in_one_way_only() {
        for path in ["", "/", "/v1/orders/7", "/a.b/c-d_e~f", "/v1.0"] {
            assert!(is_plain(path.as_bytes()), "{path}");
            assert_eq!(read(path, Case::Ignored).unwrap(), [path]);
        }
        assert!(!is_plain(b"*"));
        assert_eq!(read("*", Case::Ignored).unwrap(), ["*"]);
    }

    #[test]
    fn other_spellings_have_more_readings() {
        for (path, others) in [
            ("/V1/Orders", &[][..]),
            ("/v1/orders/", &["/v1/orders"]),
            ("/v1//orders", &["/v1/orders"]),
            (
                "/v1//orders/",
                &["/v1/orders/", "/v1//orders", "/v1/orders"],
            ),
            ("/orders;a=1", &["/orders"]),
            (
                "/v1;a/orders;b/7",
                &["/v1/orders;b/7", "/v1", "/v1/orders/7", "/v1/orders"],
            ),
            ("/%61dmin", &["/admin"]),
            ("/%2561dmin", &["/%61dmin", "/admin"]),
            ("/admin%3Bv", &["/admin;v", "/admin"]),
            ("/a%2Fb", &["/a/b"]),
            ("/a%5Cb", &["/a\\b", "/a/b"]),
            ("/a\\b", &["/a/b"]),
            // Decoded before parameters are dropped, and after.
            ("/a;%2Fb", &["/a;/b", "/a", "/a/b"]),
            ("/a%3Fb", &["/a?b", "/a"]),
            ("/a%23b", &["/a#b", "/a"]),
            ("/a%20./b.", &["/a ./b.", "/a /b", "/a%20/b", "/a/b"]),
            ("/.well-known/x", &[]),
            ("/caf%C3%A9", &["/caf\u{e9}"]),
        ] {
            assert!(!is_plain(path.as_bytes()), "{path}");
            let mut found = read(path, Case::Kept).unwrap();
            assert_eq!(found.remove(0), path);
            found.sort();
            let mut others = others.to_vec();
            others.sort_unstable();
            assert_eq!(found, others, "{path}");
        }
        assert_eq!(
            read("/V1/", Case::Ignored).unwrap(),
            ["/V1/", "/V1", "/v1/", "/v1"]
        );
    }

    #[test]
    fn where_a_dot_segment_may_come_to_be_no_list_is_complete() {
        for segment in [
            ".",
            "..",
            "...",
            "%2e%2e",
            ".%2E",
            "%252e%252e",
            "..;",
            "..;a=1",
            ".;x",
            "..%3b",
            "..%253B",
            "%2e%2e%3Bx",
            "..%2f",
            "..%5c",
            "..\\",
            "%2e%2e%5Cx",
            "..%00",
            ".%00.",
            "..%20",
            "%20..",
            ".%20.",
            "..+",
            "+..",
            ".+.",
            "..%09",
            "..%3F",
            "..%23",
            "..,",
            "..:x",
            "...;",
            "%%32%65%%32%65",
            "%25252e.",
            "..%",
            ".%zz.",
            "%u002e%u002e",
            "%25u002e.",
            "%c0%ae%c0%ae",
            "%e0%80%ae.",
            "%ef%bc%8e.",
            "%E2%80%A5",
            "%ae%ae",
            "a%00",
            "a%0Ab",
            "%7F",
            "a%",
            "a%2",
            "%zz",
            "..%2561",
            "x%2f..",
            "x%5C..;y",
            ";..",
            "(..)",
        ] {
            // Decoded, it is a name that begins with dots.
            let hidden = segment == "..%2561";
            for path in [
                format!("/{segment}"),
                format!("/{segment}/"),
                format!("/x/{segment}/admin"),
                format!("/x/{segment}"),
            ] {
                let listed = read(&path, Case::Kept).is_some();
                assert_eq!(listed, hidden, "{path}");
            }
        }
        for path in [
            "//x/admin",
            "/\\x/admin",
            "/%2Fx/admin",
            "/%5cx",
            "x/y",
            "\\x",
            "/;/x",
        ] {
            assert_eq!(read(path, Case::Kept), None, "{path}");
        }
    }

    #[test]
    fn dots_within_names_are_names() {
        for path in [
            "/.well-known/X",
            "/..a/",
            "/a..b;",
            "/v1.0/A",
            "/.a%20b",
            "/-../x/",
        ] {
            assert!(read(path, Case::Kept).is_some(), "{path}");
        }
    }

    #[test]
    fn the_plainest_path_of_a_route_is_what_lenient_servers_look_for() {
        for (path, plainest_path) in [
            ("/admin", "/admin"),
            ("/Admin/", "/admin"),
            ("/%61dmin;v//x/./y/../z", "/admin/x/z"),
            ("/", "/"),
            ("*", "*"),
        ] {
            assert_eq!(plainest(path.as_bytes()), plainest_path.as_bytes());
        }
    }

    #[test]
    fn a_list_has_an_end() {
        let long = [
            "/%61".repeat(10_000),
            format!("/%{}61", "25".repeat(5_000)),
            format!("/a{}", ";/".repeat(10_000)),
            format!("/a{}", "/".repeat(10_000)),
            format!("/A{}", "x".repeat(60_000)),
        ];
        for path in long {
            assert!(read(&path, Case::Ignored).is_none(), "{:.20}", path);
        }
    }
}
