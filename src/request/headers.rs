//! A header list, as borrowed names and values: no host has to bring it into another form.

use crate::host::Header;

/// A header list, in order. Names are lower case.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(&'a [Header<'a>]);

impl<'a> Headers<'a> {
    /// A list of names and values.
    pub const fn new(list: &'a [Header<'a>]) -> Self {
        Self(list)
    }

    /// All headers, in order, as name and value.
    pub fn iter(self) -> impl Iterator<Item = Header<'a>> {
        self.0.iter().copied()
    }

    /// The values of every header of a name.
    pub fn all(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(known, _)| *known == name.as_bytes())
            .map(|(_, value)| *value)
    }

    /// The headers whose names have one of these lengths: bit n of the set stands for n bytes, the highest
    /// for everything longer.
    pub fn of_lengths(self, lengths: u64) -> impl Iterator<Item = Header<'a>> {
        self.iter()
            .filter(move |(name, _)| lengths & length_bit(name.len()) != 0)
    }

    /// The value of the first header of a name.
    pub fn first(self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The value of a header that is there exactly once.
    pub fn only(self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// How many headers of a name there are.
    pub fn count(self, name: &'a str) -> usize {
        self.all(name).count()
    }
}

/// The bit that stands for a length of a name, see [`Headers::of_lengths`].
#[inline]
pub fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn headers_are_found_by_name_in_order() {
        let list: [Header<'_>; 4] = [
            (b":path", b"/"),
            (b"x", b"\xff\0"),
            (b"y", b""),
            (b"x", b"2"),
        ];
        let headers = Headers::new(&list);
        assert_eq!(headers.iter().count(), 4);
        assert_eq!(headers.all("x").collect::<Vec<_>>(), [&b"\xff\0"[..], b"2"]);
        assert_eq!(headers.first("y"), Some(&b""[..]));
        assert_eq!(headers.only("x"), None);
        assert_eq!(headers.only("y"), Some(&b""[..]));
        assert_eq!(headers.count("z"), 0);
    }

    #[test]
    fn headers_are_found_by_the_length_of_their_names() {
        let long = "l".repeat(100);
        let list: [Header<'_>; 4] = [
            (b"a", b"1"),
            (b"bb", b"2"),
            (long.as_bytes(), b"3"),
            (b"cc", b"4"),
        ];
        let of = |lengths| {
            let found = Headers::new(&list).of_lengths(lengths);
            found
                .map(|(_, value)| value.first().copied().unwrap_or_default())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(length_bit(2)), b"24");
        assert_eq!(of(length_bit(1) | length_bit(64)), b"13");
        assert_eq!(of(0), b"");
    }
}
