//! A header list, read in place in the packed form in which a Proxy-Wasm host hands it over.
//!
//! The form (Proxy-Wasm ABI 0.2.1, "serialized map"): the number of headers, then the lengths of each name
//! and value, all as little-endian 32-bit integers, then each name and value with a zero byte behind it.
//! Names are lower case. Reading it in place costs one host call and no allocation a header.

/// A header list in packed form. A list that is cut off ends early.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    packed: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads a packed list.
    pub const fn new(packed: &'a [u8]) -> Self {
        Self { packed }
    }

    /// All headers, in order, as name and value.
    pub fn iter(self) -> Iter<'a> {
        let count = integer(self.packed, 0).unwrap_or(0);
        let text = count.saturating_mul(8).saturating_add(4);
        let (lengths, _) = self.packed.get(4..).unwrap_or_default().as_chunks();
        Iter {
            packed: self.packed,
            lengths: lengths.get(..count).unwrap_or(lengths).iter(),
            text,
        }
    }

    /// The values of every header of a name.
    pub fn all(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let mut headers = self.iter();
        std::iter::from_fn(move || {
            loop {
                // Most names differ in length already: their texts are passed over unread.
                let lengths = headers.lengths()?;
                let place = headers.pass_over(lengths);
                if lengths.name == name.len() {
                    let (known, value) = headers.read(place, lengths)?;
                    if known == name.as_bytes() {
                        return Some(value);
                    }
                }
            }
        })
    }

    /// The headers whose names have one of these lengths: bit n of the set stands for n bytes, the highest
    /// for everything longer. Most headers are passed over unread.
    pub fn of_lengths(self, lengths: u64) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut headers = self.iter();
        std::iter::from_fn(move || {
            loop {
                let length = headers.lengths()?;
                let place = headers.pass_over(length);
                if lengths & length_bit(length.name) != 0 {
                    return headers.read(place, length);
                }
            }
        })
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

/// See [`Headers::iter`].
#[derive(Debug)]
pub struct Iter<'a> {
    packed: &'a [u8],
    lengths: std::slice::Iter<'a, [u8; 8]>,
    /// Where the next name begins.
    text: usize,
}

/// Of a name and its value, in bytes.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    name: usize,
    value: usize,
}

impl<'a> Iter<'a> {
    /// The lengths of the next name and value.
    #[inline]
    fn lengths(&mut self) -> Option<Lengths> {
        let both = u64::from_le_bytes(*self.lengths.next()?);
        Some(Lengths {
            name: usize::try_from(both & 0xffff_ffff).ok()?,
            value: usize::try_from(both >> 32).ok()?,
        })
    }

    /// Passes the next name and value over, and gives where they begin. Lengths that no list has may lead
    /// anywhere, but reading never leaves the list.
    #[inline]
    fn pass_over(&mut self, lengths: Lengths) -> usize {
        let both = lengths.name.wrapping_add(lengths.value).wrapping_add(2);
        let place = self.text;
        self.text = place.wrapping_add(both);
        place
    }

    /// The name and value of these lengths that begin at a place.
    #[inline]
    fn read(&self, place: usize, lengths: Lengths) -> Option<(&'a [u8], &'a [u8])> {
        let text = self.packed.get(place..)?;
        let (name, text) = text.split_at_checked(lengths.name)?;
        Some((name, text.get(1..)?.get(..lengths.value)?))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let lengths = self.lengths()?;
        let place = self.pass_over(lengths);
        self.read(place, lengths)
    }
}

/// The bit that stands for a length of a name, see [`Headers::of_lengths`].
#[inline]
pub fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// Packs a header list: what a host does, for tests and for explanations.
pub fn pack<'a>(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let headers: Vec<_> = headers.into_iter().collect();
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let parts = || headers.iter().flat_map(|(name, value)| [*name, *value]);
    let size = parts().map(|part| part.len().saturating_add(5)).sum();
    let mut packed = Vec::with_capacity(4_usize.saturating_add(size));
    packed.extend(count.to_le_bytes());
    for part in parts() {
        packed.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    for part in parts() {
        packed.extend(part);
        packed.push(0);
    }
    packed
}

fn integer(packed: &[u8], at: usize) -> Option<usize> {
    let bytes = packed.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::test;

    #[test]
    fn what_was_packed_is_read_in_order() {
        let packed = pack([
            (&b":path"[..], &b"/"[..]),
            (b"x", b"\xff\0"),
            (b"y", b""),
            (b"x", b"2"),
        ]);
        let headers = Headers::new(&packed);
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
        let packed = pack([
            (&b"a"[..], &b"1"[..]),
            (b"bb", b"2"),
            (long.as_bytes(), b"3"),
            (b"cc", b"4"),
        ]);
        let of = |lengths| {
            let found = Headers::new(&packed).of_lengths(lengths);
            found
                .map(|(_, value)| value.first().copied().unwrap_or_default())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(length_bit(2)), b"24");
        assert_eq!(of(length_bit(1) | length_bit(64)), b"13");
        assert_eq!(of(0), b"");
    }

    #[test]
    fn a_list_that_is_cut_off_ends_early() {
        let packed = pack([(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
        for end in 0..packed.len() {
            let cut = packed.get(..end).unwrap();
            assert!(Headers::new(cut).iter().count() < 2 || end == packed.len() - 1);
        }
        assert_eq!(Headers::new(&[0xff; 64]).iter().count(), 0);
    }
}
