//! Percent-encoding (RFC 3986 section 2.1) and the parameters of a query.

use std::borrow::Cow;

/// Decodes percent-encoded bytes. A percent sign without two hexadecimal digits stands for itself; a plus
/// sign too, since a path or query is not a form.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    decode_where(text, |_| true)
}

/// Decodes the percent-encoded bytes that are wanted, and leaves the others encoded.
pub fn decode_where(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match escaped(rest) {
            Some((byte, behind)) if is_wanted(byte) => {
                decoded.push(byte);
                rest = behind;
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(decoded)
}

/// Decodes again and again, until nothing is left to decode.
pub fn decode_entirely(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text {
        decoded.push(*byte);
        // No escape overlaps another, so it does not matter in which order they are decoded.
        while let [before @ .., _, _, _] = decoded.as_slice()
            && let Some((byte, [])) = decoded.get(before.len()..).and_then(escaped)
        {
            decoded.truncate(before.len());
            decoded.push(byte);
        }
    }
    Cow::Owned(decoded)
}

/// Whether each percent sign has its two digits.
pub fn is_well_formed(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(sign) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(sign..).and_then(escaped) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

/// The byte that is encoded at the beginning of a text, and what stands behind it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, behind @ ..] = text else {
        return None;
    };
    Some((hexadecimal(*high)? << 4 | hexadecimal(*low)?, behind))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A path as Envoy hands it over, cut into the path proper and the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Everything before the first question mark.
    pub path: &'a [u8],
    /// Everything behind it, if there is one.
    pub query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Cuts the value of `:path`.
    pub fn new(path_and_query: &'a [u8]) -> Self {
        match path_and_query.iter().position(|byte| *byte == b'?') {
            Some(mark) => Self {
                path: path_and_query.get(..mark).unwrap_or_default(),
                query: path_and_query.get(mark.saturating_add(1)..),
            },
            None => Self {
                path: path_and_query,
                query: None,
            },
        }
    }

    /// The values of every parameter of a name, neither of them decoded yet. The name is compared decoded,
    /// since `%6bey` and `key` are one parameter to whoever reads the query behind us.
    pub fn parameters(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        pieces(self.query).filter_map(move |piece| parameter(piece, name))
    }

    /// The same target without every parameter of the names, all other bytes as they came; nothing if none
    /// is there.
    pub fn without(self, names: &[&str]) -> Option<Vec<u8>> {
        let unwanted = |piece: &&[u8]| names.iter().any(|name| parameter(piece, name).is_some());
        if !pieces(self.query).any(|piece| unwanted(&piece)) {
            return None;
        }
        let mut target = self.path.to_vec();
        let mut separator = b'?';
        for piece in pieces(self.query).filter(|piece| !unwanted(piece)) {
            target.push(separator);
            target.extend(piece);
            separator = b'&';
        }
        Some(target)
    }
}

fn pieces(query: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    query
        .into_iter()
        .flat_map(|query| query.split(|byte| *byte == b'&'))
}

fn parameter<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = piece
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(piece.len());
    let (given, value) = piece.split_at_checked(equals)?;
    (*decode(given) == *name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn decodes_what_is_encoded_and_nothing_else() {
        for (text, decoded) in [
            (&b"plain+text"[..], &b"plain+text"[..]),
            (b"%41%62%7e%FF%00", b"Ab~\xff\0"),
            (b"%", b"%"),
            (b"%4", b"%4"),
            (b"%zz%4%41", b"%zz%4A"),
            (b"%2541", b"%41"),
            (b"", b""),
        ] {
            assert_eq!(*decode(text), *decoded);
        }
    }

    #[test]
    fn decodes_only_what_is_wanted() {
        let but_slashes = |text| decode_where(text, |byte| byte != b'/');
        assert_eq!(*but_slashes(b"%2fa%41%2F%zz%2"), *b"%2faA%2F%zz%2");
    }

    #[test]
    fn decodes_until_nothing_is_left() {
        for (text, decoded) in [
            (&b"%2541"[..], &b"A"[..]),
            (b"%25252541", b"A"),
            (b"%%34%31x", b"Ax"),
            (b"%2%35%2541", b"%A"),
            (b"%zz%25", b"%zz%"),
            (b"a%2", b"a%2"),
            (b"", b""),
        ] {
            let mut rounds = text.to_vec();
            while *decode(&rounds) != *rounds {
                rounds = decode(&rounds).into_owned();
            }
            assert_eq!(*decode_entirely(text), *rounds);
            assert_eq!(rounds, decoded);
        }
    }

    #[test]
    fn a_percent_sign_has_two_digits_behind_it() {
        for text in [&b""[..], b"a", b"%41", b"%25zz", b"%41%fF"] {
            assert!(is_well_formed(text));
        }
        for text in [&b"%"[..], b"%4", b"%zz", b"%41%4g", b"%u0041"] {
            assert!(!is_well_formed(text));
        }
    }

    #[test]
    fn removes_parameters_and_leaves_every_other_byte() {
        for (target, rest) in [
            ("/p?key=K", "/p"),
            ("/p?key", "/p"),
            ("/p?a=1&key=K&b=%20&&c", "/p?a=1&b=%20&&c"),
            ("/p?key=K&a", "/p?a"),
            ("/p?a&key=K", "/p?a"),
            ("/p?%6b%65y=K&key=L&a=?", "/p?a=?"),
            ("/p?&key=K", "/p?"),
            ("/p%3Fkey=x?key=K&keys=1&KEY=2", "/p%3Fkey=x?keys=1&KEY=2"),
            ("?key=K", ""),
        ] {
            let removed = Target::new(target.as_bytes()).without(&["key"]).unwrap();
            assert_eq!(String::from_utf8(removed).unwrap(), rest);
        }
        for target in ["/p", "/p?", "/p?a=key", "/key=K", "*", ""] {
            assert_eq!(Target::new(target.as_bytes()).without(&["key"]), None);
        }
    }

    #[test]
    fn finds_every_parameter_of_a_name() {
        let target = Target::new(b"/p?key=1&a=2&k%65y=3=4&key");
        assert_eq!(
            target.parameters("key").collect::<Vec<_>>(),
            [&b"1"[..], b"3=4", b""]
        );
    }
}
