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
        Iter {
            packed: self.packed,
            lengths: 4,
            text,
            left: count,
        }
    }

    /// The values of every header of a name.
    pub fn all(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let mut headers = self.iter();
        std::iter::from_fn(move || {
            loop {
                // Most names differ in length already: their texts are passed over unread.
                let (name_length, value_length) = headers.lengths()?;
                if name_length != name.len() {
                    headers.pass_over(name_length, value_length)?;
                    continue;
                }
                let (known, value) = headers.read(name_length, value_length)?;
                if known == name.as_bytes() {
                    return Some(value);
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
    lengths: usize,
    text: usize,
    left: usize,
}

impl<'a> Iter<'a> {
    /// The lengths of the next name and value.
    fn lengths(&mut self) -> Option<(usize, usize)> {
        self.left = self.left.checked_sub(1)?;
        let lengths = self
            .packed
            .get(self.lengths..self.lengths.checked_add(8)?)?;
        self.lengths = self.lengths.checked_add(8)?;
        Some((integer(lengths, 0)?, integer(lengths, 4)?))
    }

    /// The next name and value, of these lengths.
    fn read(&mut self, name_length: usize, value_length: usize) -> Option<(&'a [u8], &'a [u8])> {
        let name_end = self.text.checked_add(name_length)?;
        let value_start = name_end.checked_add(1)?;
        let value_end = value_start.checked_add(value_length)?;
        let name = self.packed.get(self.text..name_end)?;
        let value = self.packed.get(value_start..value_end)?;
        self.text = value_end.checked_add(1)?;
        Some((name, value))
    }

    /// Passes the next name and value over.
    fn pass_over(&mut self, name_length: usize, value_length: usize) -> Option<()> {
        let both = name_length.checked_add(value_length)?.checked_add(2)?;
        self.text = self.text.checked_add(both)?;
        Some(())
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_length, value_length) = self.lengths()?;
        self.read(name_length, value_length)
    }
}

/// Packs a header list: what a host does, for tests and for explanations.
pub fn pack<'a>(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut lengths = Vec::new();
    let mut text = Vec::new();
    let mut count = 0_u32;
    for (name, value) in headers {
        count = count.saturating_add(1);
        for part in [name, value] {
            lengths.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            text.extend(part);
            text.push(0);
        }
    }
    let mut packed = count.to_le_bytes().to_vec();
    packed.append(&mut lengths);
    packed.append(&mut text);
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
    fn a_list_that_is_cut_off_ends_early() {
        let packed = pack([(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
        for end in 0..packed.len() {
            let cut = packed.get(..end).unwrap();
            assert!(Headers::new(cut).iter().count() < 2 || end == packed.len() - 1);
        }
        assert_eq!(Headers::new(&[0xff; 64]).iter().count(), 0);
    }
}
