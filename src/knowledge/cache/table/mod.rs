//! The cache of a process whose workers read one memory in place: no lock, no copy of their own.
//!
//! It means what [the buckets](super::shared) in a store mean: entries of an epoch, floors below which nothing is taken
//! in, and an end to entries and bytes. Who changes it holds a lock; who reads it does not, and looks at the header of
//! a record before and after instead (a sequence lock: H.-J. Boehm, "Can Seqlocks Get Along With Programming Language
//! Memory Models?", 2012).

mod arena;
mod bucket;
mod packed;
mod reader;
mod recent;
mod scratch;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Epoch;
use super::entry::{EntityId, Entry, Owners, Record};
use super::shared::{BUCKET_BYTES, Edit, Header, WAYS};
use crate::host::Memory;
use arena::Arena;
use bucket::{BUCKET, Bucket, Found, tag};
use packed::Hints;
use reader::Reader;
pub(super) use scratch::Scratch;

/// Bytes of a record that goes into the table at most.
const RECORD_BYTES: usize = BUCKET_BYTES / 2;

/// What stands for an epoch that no record is marked with.
const NO_EPOCH: u16 = u16::MAX;

/// The cache.
pub struct Table {
    memory: Box<dyn Memory>,
    buckets: usize,
    /// Entries at most, about: a bucket that has none to let go takes one in all the same.
    limit: usize,
    arena: Mutex<Arena>,
    entries: AtomicUsize,
    evicted: AtomicU64,
    /// How often it was changed.
    changes: AtomicU64,
    /// Who says how full it is, of all that read it.
    teller: Mutex<Weak<()>>,
}

/// Where a record was read, and the header that it had.
#[derive(Debug, Clone, Copy)]
struct Piece {
    place: u32,
    header: arena::Header,
}

/// Counts a change of the table once it is done.
struct Changes<'a>(&'a AtomicU64);

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Release);
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = formatter.debug_struct("Table");
        table
            .field("entries", &self.count())
            .finish_non_exhaustive()
    }
}

fn buckets(entries: usize) -> usize {
    entries.div_ceil(WAYS).max(1)
}

impl Table {
    /// Words of memory for about this many entries. Those that are not used are not touched.
    pub fn words(entries: usize) -> usize {
        buckets(entries).saturating_mul(BUCKET.saturating_add(BUCKET_BYTES / 8))
    }

    /// An empty table for about this many entries, in memory that is all zero.
    pub fn new(memory: Box<dyn Memory>, entries: usize) -> Self {
        let buckets = buckets(entries);
        Self {
            memory,
            buckets,
            limit: buckets.saturating_mul(WAYS),
            arena: Mutex::new(Arena::from(buckets.saturating_mul(BUCKET))),
            entries: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            teller: Mutex::default(),
        }
    }

    /// Whether it is for this one to say how full it is: for the first who asks, as long as that one is there.
    pub(super) fn is_told_of_by(&self, one: &Arc<()>) -> bool {
        let mut teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        match teller.upgrade() {
            Some(known) => Arc::ptr_eq(&known, one),
            None => {
                *teller = Arc::downgrade(one);
                true
            }
        }
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries.load(Relaxed)
    }

    /// How many entries have made room since the last call.
    pub(super) fn take_evicted(&self) -> u64 {
        self.evicted.swap(0, Relaxed)
    }

    /// An entity will be looked up soon.
    pub(super) fn expect(&self, id: &EntityId) {
        self.memory.expect(self.bucket(id));
        self.memory
            .expect(self.bucket(id).saturating_add(BUCKET / 2));
    }

    /// Bytes that are not in the table will be read soon, most likely.
    pub(super) fn expect_bytes(&self, address: usize, bytes: usize) {
        self.memory.expect_at(address, bytes);
    }

    /// The record at a place will be read soon, of which most have two lines.
    fn expect_at(&self, place: u32) {
        if let Ok(place) = usize::try_from(place) {
            self.memory.expect(place);
            self.memory.expect(place.saturating_add(BUCKET / 2));
        }
    }

    /// The first word of an id's bucket.
    fn bucket(&self, id: &EntityId) -> usize {
        let buckets = u64::try_from(self.buckets).unwrap_or(u64::MAX);
        usize::try_from(id.number() % buckets)
            .unwrap_or(0)
            .saturating_mul(BUCKET)
    }

    /// How often it was changed. What was read after this was asked for is there still as long as this stays.
    fn changes(&self) -> u64 {
        self.changes.load(Acquire)
    }

    /// Whether what was read in a place is there still.
    fn holds(&self, piece: Piece) -> bool {
        arena::is(self.memory.words(), piece.place, piece.header)
    }

    /// Copies the record of an entity, without a lock; nothing where none is there for sure at this moment.
    fn copy<'a>(
        &self,
        id: &EntityId,
        epoch: Epoch,
        into: &'a mut [u8],
    ) -> Option<(Reader<'a>, Piece)> {
        let words = self.memory.words();
        let bucket = Bucket::at(words, self.bucket(id));
        for (_, place) in bucket.candidates(tag(id)) {
            let Some(header) = arena::copy(words, place, into) else {
                continue;
            };
            let record = Reader::new(into.get(..header.bytes())?);
            if is_of(header, epoch) && record.is_some_and(|record| record.is_of(id)) {
                let record = Reader::new(into.get(..header.bytes())?)?;
                return Some((record, Piece { place, header }));
            }
        }
        None
    }

    /// Copies the record at a place, likewise.
    fn copy_at<'a>(
        &self,
        place: u32,
        epoch: Epoch,
        into: &'a mut [u8],
    ) -> Option<(Reader<'a>, Piece)> {
        let header = arena::copy(self.memory.words(), place, into)?;
        let record = Reader::new(into.get(..header.bytes())?)?;
        is_of(header, epoch).then_some((record, Piece { place, header }))
    }

    fn lock(&self) -> MutexGuard<'_, Arena> {
        // Whoever panicked has left records whole: each is dead until it is.
        self.arena.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an entry of an epoch.
    pub(super) fn get(&self, id: &EntityId, epoch: Epoch) -> Option<Entry> {
        let words = self.memory.words();
        let bucket = Bucket::at(words, self.bucket(id));
        // Most that is not there is told without a lock.
        bucket.candidates(tag(id)).next()?;
        self.get_with_floor(id, epoch).0
    }

    /// Reads an entry of an epoch, and the sequence before which nothing is taken in beside it.
    pub(super) fn get_with_floor(&self, id: &EntityId, epoch: Epoch) -> (Option<Entry>, u64) {
        let _lock = self.lock();
        let words = self.memory.words();
        let bucket = Bucket::at(words, self.bucket(id));
        let Some((header, is_believed)) = bucket.header().seen_in(epoch) else {
            return (None, 0);
        };
        if !is_believed {
            return (None, header.floor);
        }
        // What was known before the epoch, and is believed in it, is found without a lock from now on.
        if bucket.header().epoch != header.epoch {
            let _counted = Changes(&self.changes);
            bucket.enters(header.epoch);
        }
        let mut bytes = [0; RECORD_BYTES];
        let entry = bucket
            .find(id)
            .and_then(|found| arena::copy(words, found.place, &mut bytes))
            .and_then(|header| Reader::new(bytes.get(..header.bytes())?)?.entry());
        (entry, header.floor)
    }

    /// As in [`super::shared::Shared`]: puts a new entry, or none, in the place of the known one as `edit` says. The
    /// new one is true as of a sequence.
    pub(super) fn replace(
        &self,
        id: EntityId,
        new: Option<&Entry>,
        as_of: u64,
        epoch: Epoch,
        edit: impl Fn(u64, Option<(u64, u64)>, bool) -> Option<Edit>,
    ) {
        let mut arena = self.lock();
        let words = self.memory.words();
        let bucket = Bucket::at(words, self.bucket(&id));
        let Some((mut header, is_believed)) = bucket.header().seen_in(epoch) else {
            return;
        };
        let found = bucket.find(&id).filter(|_| is_believed);
        let record = new.map(|entry| packed::write(&id, entry, self.hints(entry)));
        let record = record.filter(|record| record.len() <= RECORD_BYTES);
        let known = found
            .as_ref()
            .map(|found| (found.known.version, found.known.confirmed.millis()));
        let Some(edit) = edit(header.floor, known, record.is_some()) else {
            return;
        };
        let _counted = Changes(&self.changes);
        header.floor = edit.floor;
        if !is_believed {
            self.clear(&bucket, &mut arena);
        }
        bucket.enters(header.epoch);
        let Some(record) = record.filter(|_| edit.insert) else {
            if let Some(found) = &found {
                self.remove(&bucket, found, &mut arena);
            }
            bucket.set(header);
            return;
        };
        let is_in = self.insert(&bucket, &id, &record, found, &mut header, &mut arena);
        if is_in {
            header.since = header.since.min(as_of);
        } else {
            header.floor = header.floor.max(as_of);
        }
        bucket.set(header);
    }

    /// Where an entry's owners are now.
    fn hints(&self, entry: &Entry) -> Hints {
        let Record::Key(key, owners) = &entry.record else {
            return Hints::default();
        };
        // What comes from the feed is without them.
        let owners = match *owners == Owners::default() {
            true => Owners::of(key),
            false => *owners,
        };
        let place = |id: Option<EntityId>| {
            let id = id?;
            let found = Bucket::at(self.memory.words(), self.bucket(&id)).find(&id)?;
            Some(found.place)
        };
        Hints {
            user: place(owners.user).unwrap_or_default(),
            tenant: place(owners.tenant).unwrap_or_default(),
        }
    }

    /// Puts a record into the place of the found one or into a new one. False where there is no room: then there is
    /// none of this entity any more.
    fn insert(
        &self,
        bucket: &Bucket<'_>,
        id: &EntityId,
        record: &[u8],
        found: Option<Found<'_>>,
        header: &mut Header,
        arena: &mut Arena,
    ) -> bool {
        let words = bucket.words;
        let epoch = mark(header.epoch);
        if let Some(found) = &found {
            if arena::suits(words, found.place, record.len()) {
                // Whoever has its place finds the new one there.
                arena::write(words, found.place, record, epoch);
                return true;
            }
            self.remove(bucket, found, arena);
        }
        let length = record.len().div_ceil(8);
        self.make_room(bucket, length, header, arena);
        let Some(way) = bucket.free_way(arena) else {
            return false;
        };
        let Some(place) = arena.take(words, length) else {
            return false;
        };
        arena::write(words, place, record, epoch);
        way.point(tag(id), place);
        self.entries.fetch_add(1, Relaxed);
        true
    }

    /// Lets entries of a bucket go that were confirmed longest ago, until there is room for one more of so many words.
    fn make_room(&self, bucket: &Bucket<'_>, words: usize, header: &mut Header, arena: &mut Arena) {
        loop {
            let (mut count, mut held) = (0_usize, words);
            for (_, place) in bucket.ways() {
                count = count.saturating_add(1);
                held = held.saturating_add(arena::used(bucket.words, place));
            }
            let lacks = count >= 2 * WAYS || held > BUCKET_BYTES / 8 || self.count() >= self.limit;
            let oldest = || bucket.entries().min_by_key(|found| found.known.confirmed);
            let Some(oldest) = lacks.then(oldest).flatten() else {
                return;
            };
            header.floor = header.floor.max(oldest.known.version);
            self.evicted.fetch_add(1, Relaxed);
            self.remove(bucket, &oldest, arena);
        }
    }

    fn clear(&self, bucket: &Bucket<'_>, arena: &mut Arena) {
        let all: Vec<Found<'_>> = bucket.entries().collect();
        all.iter()
            .for_each(|found| self.remove(bucket, found, arena));
    }

    fn remove(&self, bucket: &Bucket<'_>, found: &Found<'_>, arena: &mut Arena) {
        arena.give_back(bucket.words, found.place);
        found.way.point(0, 0);
        self.entries.fetch_sub(1, Relaxed);
    }
}

/// What marks the records of an epoch.
fn mark(epoch: u64) -> u16 {
    u16::try_from(epoch).unwrap_or(NO_EPOCH)
}

fn is_of(header: arena::Header, epoch: Epoch) -> bool {
    let mark = header.epoch();
    mark != NO_EPOCH && u64::from(mark) == epoch.number
}
