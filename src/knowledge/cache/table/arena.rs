//! Pieces of memory for records. A place at which a piece once began is the beginning of a piece for good: whoever
//! comes with an old place finds the header of a piece there, never the middle of one, and so never takes what a
//! record says for what it is.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::fence;

/// Words behind the header that a piece has at most.
pub const MOST_WORDS: usize = 1024;

/// Sizes that are told apart, from one word on; further ones are an eighth larger each.
const EXACT: usize = 64;

/// How many more words than are asked for may be taken where none has fewer.
const SPARE: usize = 4;

/// The first word of a piece: what the piece holds, and how often that has changed. From the lowest bit on: whether it
/// is live (1 bit), how many words are used (11), how many there are (11), the epoch (16), the changes (25).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(pub u64);

impl Header {
    fn new(is_live: bool, used: usize, words: usize, epoch: u16, changes: u64) -> Self {
        let number = |count: usize| u64::try_from(count).unwrap_or(0) & 0x7ff;
        Self(
            u64::from(is_live)
                | number(used) << 1
                | number(words) << 12
                | u64::from(epoch) << 23
                | changes << 39,
        )
    }

    pub fn is_live(self) -> bool {
        self.0 & 1 == 1
    }

    pub fn used(self) -> usize {
        usize::try_from(self.0 >> 1 & 0x7ff).unwrap_or(0)
    }

    pub fn bytes(self) -> usize {
        self.used().saturating_mul(8)
    }

    fn words(self) -> usize {
        usize::try_from(self.0 >> 12 & 0x7ff).unwrap_or(0)
    }

    pub fn epoch(self) -> u16 {
        u16::try_from(self.0 >> 23 & 0xffff).unwrap_or(u16::MAX)
    }

    fn changes(self) -> u64 {
        self.0 >> 39
    }
}

/// What is free, and where nothing was yet. Only one thread at a time has it.
#[derive(Debug)]
pub struct Arena {
    /// The first place at which no piece was made yet.
    next: usize,
    /// The free pieces of each number of words.
    free: Vec<Vec<u32>>,
}

impl Arena {
    /// All from a place on.
    pub fn from(next: usize) -> Self {
        Self {
            next,
            free: Vec::new(),
        }
    }

    /// A piece for so many words behind its header; nothing where there is no room.
    pub fn take(&mut self, memory: &[AtomicU64], used: usize) -> Option<u32> {
        if used == 0 || used > MOST_WORDS {
            return None;
        }
        let words = rounded(used);
        self.take_free(words..=words.saturating_add(SPARE))
            .or_else(|| self.make(memory, words))
            .or_else(|| self.take_free(words..=MOST_WORDS))
    }

    fn take_free(&mut self, mut sizes: std::ops::RangeInclusive<usize>) -> Option<u32> {
        sizes.find_map(|words| self.free.get_mut(words)?.pop())
    }

    fn make(&mut self, memory: &[AtomicU64], words: usize) -> Option<u32> {
        let end = self.next.checked_add(1)?.checked_add(words)?;
        if end > memory.len() {
            return None;
        }
        let place = u32::try_from(self.next).ok()?;
        let header = Header::new(false, 0, words, 0, 0);
        memory.get(self.next)?.store(header.0, Relaxed);
        self.next = end;
        Some(place)
    }

    /// A piece holds nothing any more, and may hold something else.
    pub fn give_back(&mut self, memory: &[AtomicU64], place: u32) {
        let Some(words) = kill(memory, place) else {
            return;
        };
        if self.free.len() <= words {
            self.free.resize_with(words.saturating_add(1), Vec::new);
        }
        if let Some(free) = self.free.get_mut(words) {
            free.push(place);
        }
    }

    /// The words from the first place on that were ever used.
    #[cfg(test)]
    pub fn end(&self) -> usize {
        self.next
    }
}

/// So many words or a few more.
fn rounded(words: usize) -> usize {
    if words <= EXACT {
        return words;
    }
    let step = words.next_power_of_two() / 16;
    words.next_multiple_of(step)
}

/// The header and what is behind it.
fn piece(memory: &[AtomicU64], place: u32) -> Option<(&AtomicU64, &[AtomicU64])> {
    let (header, rest) = memory.get(usize::try_from(place).ok()?..)?.split_first()?;
    Some((header, rest))
}

/// From now on nobody takes what is there for a record. Gives the words of the piece.
fn kill(memory: &[AtomicU64], place: u32) -> Option<usize> {
    let (word, _) = piece(memory, place)?;
    let header = Header(word.load(Relaxed));
    let dead = Header::new(
        false,
        0,
        header.words(),
        0,
        header.changes().wrapping_add(1),
    );
    word.store(dead.0, Relaxed);
    // Whoever sees a word that is written from now on sees that, too.
    fence(Release);
    Some(header.words())
}

/// Whether a piece has as many words as so many bytes would be given.
pub fn suits(memory: &[AtomicU64], place: u32, bytes: usize) -> bool {
    let used = bytes.div_ceil(8);
    let words = piece(memory, place).map_or(0, |(word, _)| Header(word.load(Relaxed)).words());
    (used..=rounded(used).saturating_add(SPARE)).contains(&words)
}

/// Writes a record into a piece that has room for it. Nobody takes what is there for a record meanwhile.
pub fn write(memory: &[AtomicU64], place: u32, bytes: &[u8], epoch: u16) {
    let Some(words) = kill(memory, place) else {
        return;
    };
    let Some((word, rest)) = piece(memory, place) else {
        return;
    };
    for (to, from) in rest.iter().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole
            .iter_mut()
            .zip(from)
            .for_each(|(to, from)| *to = *from);
        to.store(u64::from_le_bytes(whole), Relaxed);
    }
    let header = Header(word.load(Relaxed));
    let live = Header::new(
        true,
        bytes.len().div_ceil(8),
        words,
        epoch,
        header.changes(),
    );
    word.store(live.0, Release);
}

/// The record of a piece was written in another epoch than it is of now.
pub fn move_to(memory: &[AtomicU64], place: u32, epoch: u16) {
    if let Some((word, _)) = piece(memory, place) {
        let header = Header(word.load(Relaxed));
        let changes = header.changes().wrapping_add(1);
        let moved = Header::new(
            header.is_live(),
            header.used(),
            header.words(),
            epoch,
            changes,
        );
        word.store(moved.0, Release);
    }
}

/// Copies what a piece holds. Gives its header, with which it was there all the time; nothing where it holds nothing, or
/// was changed meanwhile.
pub fn copy(memory: &[AtomicU64], place: u32, into: &mut [u8]) -> Option<Header> {
    let (word, rest) = piece(memory, place)?;
    let header = Header(word.load(Acquire));
    if !header.is_live() {
        return None;
    }
    let words = rest.get(..header.used())?;
    let bytes = into.get_mut(..header.bytes())?;
    for (to, from) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&from.load(Relaxed).to_le_bytes());
    }
    // What was read is read before it is looked whether it has changed.
    fence(Acquire);
    (word.load(Relaxed) == header.0).then_some(header)
}

/// Whether a piece has this header, and so holds what it held with it.
pub fn is(memory: &[AtomicU64], place: u32, header: Header) -> bool {
    piece(memory, place).is_some_and(|(word, _)| word.load(Acquire) == header.0)
}

/// Words that the record of a piece has.
pub fn used(memory: &[AtomicU64], place: u32) -> usize {
    piece(memory, place).map_or(0, |(word, _)| Header(word.load(Relaxed)).used())
}

/// The words behind the header of a piece.
pub fn words(memory: &[AtomicU64], place: u32) -> &[AtomicU64] {
    piece(memory, place).map_or(&[], |(_, words)| words)
}
