//! A bucket of the table: what is said of all of its entries, and for each of them 16 bits of its id and its place. A
//! full one has a piece of memory for as many again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::super::entry::EntityId;
use super::super::shared::{Header, WAYS};
use super::arena::{self, Arena};
use super::mark;
use super::packed::Known;
use super::reader::Reader;

/// Words of a bucket: two lines of the processor's caches.
pub const BUCKET: usize = OWN_WAYS + WAY_WORDS;

/// Words of a bucket: first the place of its piece for more ways, then three of its header; of that piece none.
const OWN_WAYS: usize = 4;

/// Words of sixteen ways: those of the tags, then those of the places.
const WAY_WORDS: usize = TAG_WORDS + WAYS / 2;
const TAG_WORDS: usize = WAYS / 4;

/// Bytes of a record in which its id, its version and its confirmation are.
const BEGINNING: usize = 48;

/// A bucket. Its ways may be read at any time; all else belongs to whoever has the lock.
pub struct Bucket<'a> {
    pub words: &'a [AtomicU64],
    at: usize,
}

/// A way of a bucket: the words among which it is, and its number there.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    among: &'a [AtomicU64],
    number: usize,
}

/// An entry of a bucket.
pub struct Found<'a> {
    pub way: Way<'a>,
    pub place: u32,
    pub known: Known,
}

/// What a bucket has of an id: a part by which it was not chosen.
pub fn tag(id: &EntityId) -> u16 {
    let [.., low, high] = id.0;
    u16::from_le_bytes([low, high])
}

impl<'a> Bucket<'a> {
    /// The bucket that begins at a word.
    pub fn at(words: &'a [AtomicU64], at: usize) -> Self {
        Self { words, at }
    }

    fn word(&self, number: usize) -> &'a AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let word = self.words.get(self.at.saturating_add(number));
        word.unwrap_or(&NONE)
    }

    pub fn header(&self) -> Header {
        Header {
            epoch: self.word(1).load(Relaxed),
            floor: self.word(2).load(Relaxed),
            // Memory that was never written says that nothing is known.
            since: !self.word(3).load(Relaxed),
        }
    }

    pub fn set(&self, header: Header) {
        self.word(1).store(header.epoch, Relaxed);
        self.word(2).store(header.floor, Relaxed);
        self.word(3).store(!header.since, Relaxed);
    }

    /// Its entries are of this epoch from now on.
    pub fn enters(&self, epoch: u64) {
        if self.word(1).swap(epoch, Relaxed) != epoch {
            for (_, place) in self.ways() {
                arena::move_to(self.words, place, mark(epoch));
            }
        }
    }

    /// The words of its ways.
    fn groups(&self) -> impl Iterator<Item = &'a [AtomicU64]> + use<'a> {
        let begin = self.at.saturating_add(OWN_WAYS);
        let own = self.words.get(begin..begin.saturating_add(WAY_WORDS));
        let more = match self.more() {
            0 => None,
            more => arena::words(self.words, more).get(..WAY_WORDS),
        };
        own.into_iter().chain(more)
    }

    fn more(&self) -> u32 {
        u32::try_from(self.word(0).load(Acquire)).unwrap_or(0)
    }

    /// The ways that are taken, with the places of their entries.
    pub fn ways(&self) -> impl Iterator<Item = (Way<'a>, u32)> + use<'a> {
        let all = self.groups().flat_map(|among| {
            (0..WAYS).map(move |number| {
                let way = Way { among, number };
                (way, way.place())
            })
        });
        all.filter(|(_, place)| *place != 0)
    }

    /// The same, of those whose entry may be the one of a tag.
    pub fn candidates(&self, tag: u16) -> impl Iterator<Item = (Way<'a>, u32)> + use<'a> {
        let all = self.groups().flat_map(move |among| Tagged {
            among,
            left: tagged(among, tag),
        });
        all.filter(|(_, place)| *place != 0)
    }

    /// The entries, for whoever has the lock.
    pub fn entries(&self) -> impl Iterator<Item = Found<'a>> + use<'a> {
        let words = self.words;
        self.ways().filter_map(move |(way, place)| {
            let mut bytes = [0; BEGINNING];
            let known = beginning(words, place, &mut bytes)?.known()?;
            Some(Found { way, place, known })
        })
    }

    /// The entry of an id, likewise.
    pub fn find(&self, id: &EntityId) -> Option<Found<'a>> {
        self.candidates(tag(id)).find_map(|(way, place)| {
            let mut bytes = [0; BEGINNING];
            let record = beginning(self.words, place, &mut bytes)?;
            let known = record.is_of(id).then(|| record.known())??;
            Some(Found { way, place, known })
        })
    }

    /// A way that is not taken; nothing where there is no room.
    pub fn free_way(&self, arena: &mut Arena) -> Option<Way<'a>> {
        let free = self.groups().find_map(free_among);
        if free.is_some() || self.more() != 0 {
            return free;
        }
        // Kept for good, since somebody may be reading it.
        let more = arena.take(self.words, WAY_WORDS)?;
        let among = arena::words(self.words, more).get(..WAY_WORDS)?;
        among.iter().for_each(|word| word.store(0, Relaxed));
        self.word(0).store(more.into(), Release);
        free_among(among)
    }
}

fn free_among(among: &[AtomicU64]) -> Option<Way<'_>> {
    let mut all = (0..WAYS).map(|number| Way { among, number });
    all.find(|way| way.place() == 0)
}

fn beginning<'b>(
    words: &[AtomicU64],
    place: u32,
    bytes: &'b mut [u8; BEGINNING],
) -> Option<Reader<'b>> {
    for (to, from) in bytes.chunks_exact_mut(8).zip(arena::words(words, place)) {
        to.copy_from_slice(&from.load(Relaxed).to_le_bytes());
    }
    Reader::new(bytes)
}

impl Way<'_> {
    fn place(&self) -> u32 {
        let word = self.among.get(TAG_WORDS.saturating_add(self.number / 2));
        let word = word.map_or(0, |word| word.load(Acquire));
        u32::try_from(word >> (self.number % 2 * 32) & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// From now on this entry is here, or none where the place is 0. For whoever has the lock.
    pub fn point(&self, tag: u16, place: u32) {
        self.write(
            self.number / 4,
            self.number % 4 * 16,
            u16::MAX.into(),
            tag.into(),
        );
        let word = TAG_WORDS.saturating_add(self.number / 2);
        self.write(word, self.number % 2 * 32, u32::MAX.into(), place.into());
    }

    fn write(&self, word: usize, shift: usize, mask: u64, value: u64) {
        if let Some(word) = self.among.get(word) {
            let others = word.load(Relaxed) & !(mask << shift);
            word.store(others | value << shift, Release);
        }
    }
}

/// The ways of a tag: a bit for each. One more may be among them now and then.
fn tagged(among: &[AtomicU64], tag: u16) -> u16 {
    const LOW: u64 = 0x0001_0001_0001_0001;
    let all = u64::from(tag) * LOW;
    let mut bits = 0;
    for (number, word) in among.iter().take(TAG_WORDS).enumerate() {
        let differs = word.load(Relaxed) ^ all;
        // Of a lane that is zero the highest bit, as in "Hacker's Delight", section 6-1.
        let equal = differs.wrapping_sub(LOW) & !differs & (LOW << 15);
        let four = equal >> 15 & 1 | equal >> 30 & 2 | equal >> 45 & 4 | equal >> 60 & 8;
        bits |= four << (number * 4);
    }
    u16::try_from(bits).unwrap_or(u16::MAX)
}

struct Tagged<'a> {
    among: &'a [AtomicU64],
    left: u16,
}

impl<'a> Iterator for Tagged<'a> {
    type Item = (Way<'a>, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let number = usize::try_from(self.left.trailing_zeros()).ok()?;
        let others = self.left.checked_sub(1)?;
        self.left &= others;
        let way = Way {
            among: self.among,
            number,
        };
        Some((way, way.place()))
    }
}
