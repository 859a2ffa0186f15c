//! Memory that is read at random places by all workers: in pages as large as the system has them, so that the processor
//! need not look for a page as well as for what is in it. What is not used takes an address and nothing else.
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU64;

use keybound::host::Memory;

/// Bytes of a large page.
#[cfg(not(miri))]
const LARGE: usize = 2 << 20;

/// Memory for as long as the process lives.
#[derive(Debug)]
pub struct Pages(&'static [AtomicU64]);

impl Pages {
    /// So many words, all zero; nothing where the system has no room for them.
    #[cfg(not(miri))]
    pub fn new(words: usize) -> Option<Self> {
        let bytes = words.checked_mul(size_of::<AtomicU64>())?;
        let mut options = memmap2::MmapOptions::new();
        options.len(bytes.checked_add(LARGE)?).no_reserve_swap();
        let mut map = std::mem::ManuallyDrop::new(options.map_anon().ok()?);
        // Without large pages it is slower, and no less right.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let begin = map.as_ptr().align_offset(LARGE);
        let all = map.get_mut(begin..begin.checked_add(bytes)?)?;
        let first = all.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: these bytes begin where a page does, are zero, which is a value of such words, and are as many. They
        // are there for as long as the process, since the map is not dropped, and nobody else has them.
        Some(Self(unsafe { std::slice::from_raw_parts(first, words) }))
    }

    /// The interpreter knows no pages, and takes its time for each word.
    #[cfg(miri)]
    pub fn new(words: usize) -> Option<Self> {
        let words: &'static mut [u64] = vec![0; words.min(1 << 18)].leak();
        let first = words.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: both kinds of words have one size, and nobody else has these.
        Some(Self(unsafe {
            std::slice::from_raw_parts(first, words.len())
        }))
    }
}

impl Memory for Pages {
    fn words(&self) -> &[AtomicU64] {
        self.0
    }

    fn expect(&self, place: usize) {
        if let Some(word) = self.0.get(place) {
            expect(std::ptr::from_ref(word).addr());
        }
    }

    fn expect_at(&self, address: usize, bytes: usize) {
        lines(address, bytes).for_each(expect);
    }
}

/// Bytes of a line of the processor's caches.
const LINE: usize = 64;

/// Where the lines begin in which some bytes lie.
fn lines(address: usize, bytes: usize) -> impl Iterator<Item = usize> {
    let first = address - address % LINE;
    (first..address.saturating_add(bytes)).step_by(LINE)
}

/// Asks for the line of an address. Nothing is read by that, whatever is there.
#[inline]
fn expect(address: usize) {
    let _ = address;
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it changes nothing, and may be asked of any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: it changes nothing, and may be asked of any address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn there_is_as_much_as_was_asked_for_and_all_is_zero() {
        let pages = Pages::new(1_000_000).unwrap();
        let words = pages.words();
        assert_eq!(words.len(), 1_000_000);
        for place in [0, 1, 262_143, 262_144, 999_999] {
            pages.expect(place);
            assert_eq!(words[place].fetch_add(7, Relaxed), 0);
        }
        pages.expect(1_000_000);
        assert_eq!(words[999_999].load(Relaxed), 7);
    }

    #[test]
    fn bytes_lie_in_the_lines_from_their_first_to_their_last() {
        let of = |address, bytes| lines(address, bytes).collect::<Vec<_>>();
        assert_eq!(of(128, 64), [128]);
        assert_eq!(of(56, 80), [0, 64, 128]);
        assert_eq!(of(127, 2), [64, 128]);
    }

    #[test]
    fn more_than_the_system_has_is_nothing() {
        assert!(Pages::new(usize::MAX).is_none());
        assert!(Pages::new(usize::MAX / 16).is_none());
    }
}
