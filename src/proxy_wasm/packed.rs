//! The packed form in which a Proxy-Wasm host hands header lists over, and takes them (ABI 0.2.1, "serialized
//! map"): the number of headers, then the lengths of each name and value, all as little-endian 32-bit integers,
//! then each name and value with a zero byte behind it.

use smallvec::SmallVec;

use crate::host::Header;

/// Lists of so many headers are read without an allocation.
const USUAL: usize = 32;

/// A header list, read in place.
pub type Unpacked<'a> = SmallVec<[Header<'a>; USUAL]>;

/// Reads a packed list. One that is cut off ends early, and lengths that no list has lead nowhere.
pub fn unpack(packed: &[u8]) -> Unpacked<'_> {
    let mut list = Unpacked::new();
    let Some((count, rest)) = packed.split_first_chunk() else {
        return list;
    };
    let count = usize::try_from(u32::from_le_bytes(*count)).unwrap_or(usize::MAX);
    let Some((lengths, mut text)) = rest.split_at_checked(count.saturating_mul(8)) else {
        return list;
    };
    let (lengths, _) = lengths.as_chunks::<8>();
    for both in lengths {
        let both = u64::from_le_bytes(*both);
        let (Some(name), Some(value)) = (
            cut(&mut text, both & 0xffff_ffff),
            cut(&mut text, both >> 32),
        ) else {
            break;
        };
        list.push((name, value));
    }
    list
}

/// The next text, of a length, and passes the zero byte behind it.
#[inline]
fn cut<'a>(text: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (part, rest) = text.split_at_checked(usize::try_from(length).ok()?)?;
    *text = rest.get(1..)?;
    Some(part)
}

/// Packs a header list.
pub fn pack<'a>(headers: impl Iterator<Item = Header<'a>> + Clone) -> Vec<u8> {
    let parts = || headers.clone().flat_map(|(name, value)| [name, value]);
    let count = u32::try_from(headers.clone().count()).unwrap_or(u32::MAX);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn what_was_packed_is_read_in_order() {
        let list: [Header<'_>; 3] = [(b":path", b"/"), (b"x", b"\xff\0"), (b"y", b"")];
        assert_eq!(unpack(&pack(list.iter().copied())).as_slice(), list);
    }

    #[test]
    fn a_list_that_is_cut_off_ends_early() {
        let list: [Header<'_>; 2] = [(b"a", b"1"), (b"b", b"2")];
        let packed = pack(list.iter().copied());
        for end in 0..packed.len() {
            assert!(unpack(packed.get(..end).unwrap()).len() < 2);
        }
        assert!(unpack(&[0xff; 64]).is_empty());
    }
}
