//! What a credential must look like to be looked up at all.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Without a table: it would be a twentieth of the module, and a credential is short.
const CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What a credential must look like to be looked up at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFormat {
    /// It must start with one of these; an empty list allows any start.
    pub prefixes: Vec<String>,
    /// How it proves that it was not mistyped.
    pub checksum: Checksum,
    /// Fewest bytes.
    pub min_length: usize,
    /// Most bytes.
    pub max_length: usize,
    /// What a value behind a scheme is that starts with none of the prefixes.
    pub foreign: Foreign,
}

/// What a value behind a scheme is that starts with none of the prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A malformed key.
    Refuse,
    /// Nothing of ours, such as a JWT for another filter: it counts as not there, and stays.
    Absent,
}

impl Default for KeyFormat {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            checksum: Checksum::None,
            min_length: 1,
            max_length: 512,
            foreign: Foreign::Refuse,
        }
    }
}

/// How a credential proves that it was not mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not at all.
    None,
    /// The last six characters are the base62 CRC-32 (IEEE 802.3) of everything before them.
    Crc32,
}

impl KeyFormat {
    /// Whether a value behind a scheme is not meant for us. An empty one is nobody's.
    pub fn is_foreign(&self, credential: &[u8]) -> bool {
        self.foreign == Foreign::Absent && !credential.is_empty() && !self.has_prefix(credential)
    }

    fn has_prefix(&self, credential: &[u8]) -> bool {
        let mut prefixes = self.prefixes.iter();
        prefixes.any(|prefix| credential.starts_with(prefix.as_bytes()))
    }

    /// Whether a credential may be a key at all.
    pub fn accepts(&self, credential: &[u8]) -> bool {
        (self.min_length..=self.max_length).contains(&credential.len())
            && are_visible(credential)
            && (self.prefixes.is_empty() || self.has_prefix(credential))
            && match self.checksum {
                Checksum::None => true,
                Checksum::Crc32 => has_crc32(credential),
            }
    }
}

/// Whether all bytes are visible ASCII. All are looked at, for so a processor looks at many at once.
fn are_visible(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |all, byte| all & byte.is_ascii_graphic())
}

fn has_crc32(credential: &[u8]) -> bool {
    let Some(at) = credential.len().checked_sub(CRC32_LENGTH) else {
        return false;
    };
    let (text, checksum) = credential.split_at_checked(at).unwrap_or_default();
    checksum == crc32(text)
}

/// Characters of a base62 CRC-32.
pub const CRC32_LENGTH: usize = 6;

/// Digits of base62 in the order of their value.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The CRC-32 (IEEE 802.3) of a text in base62: what a key of [`Checksum::Crc32`] ends with.
pub fn crc32(text: &[u8]) -> [u8; CRC32_LENGTH] {
    base62(CRC32.checksum(text))
}

/// A CRC-32 as base62, padded with zeroes to the left.
fn base62(mut checksum: u32) -> [u8; CRC32_LENGTH] {
    let mut text = [b'0'; CRC32_LENGTH];
    for character in text.iter_mut().rev() {
        let digit = usize::try_from(checksum % 62).unwrap_or_default();
        *character = BASE62.get(digit).copied().unwrap_or(b'0');
        checksum /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn the_format_is_checked_byte_by_byte() {
        let format = KeyFormat {
            prefixes: vec!["kb_live_".to_owned(), "kb_test_".to_owned()],
            checksum: Checksum::Crc32,
            min_length: 20,
            max_length: 30,
            foreign: Foreign::Refuse,
        };
        let key = |text: &str| [text.as_bytes(), crc32(text.as_bytes()).as_slice()].concat();
        assert!(format.accepts(&key("kb_live_abcdefgh")));
        assert!(format.accepts(&key("kb_test_abcdefgh")));
        assert!(!format.accepts(&key("kb_dev_abcdefghi")));
        assert!(!format.accepts(&key("kb_live_abcde")));
        assert!(!format.accepts(&key("kb_live_abcdefghijklmnopq")));
        let good = key("kb_live_abcdefgh");
        for index in 0..good.len() {
            let mut mistyped = good.clone();
            mistyped[index] = if mistyped[index] == b'x' { b'y' } else { b'x' };
            assert!(!format.accepts(&mistyped), "position {index}");
        }
    }

    #[test]
    fn a_checksum_is_base62_of_the_ieee_crc() {
        // CRC-32 of "123456789" is 0xCBF43926: the check value of the IEEE 802.3 polynomial.
        assert_eq!(CRC32.checksum(b"123456789"), 0xCBF4_3926);
        assert_eq!(&crc32(b"123456789"), b"3jZRME");
        assert_eq!(&base62(0xCBF4_3926), b"3jZRME");
        assert_eq!(&base62(0), b"000000");
        assert_eq!(&base62(61), b"00000z");
        assert_eq!(&base62(62), b"000010");
    }
}
