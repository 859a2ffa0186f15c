//! Names that some server takes for the same.
//!
//! PHP makes `_` of dots and blanks and drops brackets with what is in them, CGI makes `_` of hyphens, ASP.NET
//! ignores case, and programs in C end a name at a zero byte. Compared is what none of them touches: letters,
//! without case, and digits.

use crate::request::lookalike::may_be_ascii;

/// Whether some server may take a name, decoded, for another one.
pub fn are_alike(given: &[u8], name: &str) -> bool {
    let begin = given.iter().position(|byte| is_kept(*byte));
    let head = given
        .get(begin.unwrap_or(given.len())..)
        .unwrap_or_default();
    let end = head.iter().position(|byte| matches!(byte, b'[' | b']' | 0));
    let head = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    kept(given).eq(kept(name.as_bytes()))
        || kept(head).eq(kept(name.as_bytes()))
        || may_be_ascii(given)
}

fn kept(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter()
        .filter(|byte| is_kept(**byte))
        .map(u8::to_ascii_lowercase)
}

const fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}
