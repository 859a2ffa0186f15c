//! The cache that all workers of the process share: fixed buckets in a store that has neither delete nor
//! listing, or where the host has memory that all workers read in place, a `table` there.
//!
//! The number of buckets is fixed by the configuration and each holds a bounded number of bytes, so memory
//! is bounded by construction, whatever clients send. A bucket is changed by compare-and-swap. Only records
//! are kept here, never "unknown": what a client made up takes no room.

use std::cmp::Ordering;
#[cfg(target_pointer_width = "64")]
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Epoch;
use super::entry::{EntityId, Entry, Record};
#[cfg(target_pointer_width = "64")]
use super::table::Table;
use crate::host::Store;
use crate::knowledge::swap;
use crate::time::Instant;

/// Entries of a bucket. More make full buckets rarer and each look-up longer.
pub(super) const WAYS: usize = 16;

/// Bytes of a bucket at most. A record that does not fit into half of one is not shared.
pub(super) const BUCKET_BYTES: usize = 16 * 1024;

/// The buckets.
#[derive(Debug)]
pub struct Shared {
    /// What the names of the buckets begin with.
    prefix: String,
    buckets: u64,
    #[cfg(target_pointer_width = "64")]
    table: Option<Arc<Table>>,
}

/// What stands before the entries of a bucket; an empty bucket may lack it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Header {
    /// Which epoch of the change feed the entries belong to. Those of an earlier one count as absent.
    pub(super) epoch: u64,
    /// What was true before this sequence is not taken in: what this bucket does not hold any more, or
    /// never held, may have changed in between.
    pub(super) floor: u64,
    /// All entries were true as of this sequence or a later one.
    pub(super) since: u64,
}

/// One entry of a bucket: the id as it is and the length of the rest (16 bits, little-endian), so that a search
/// passes over the others unread; then the version, the time of confirmation and the record in the compact form of
/// the `postcard` crate.
struct Packed<'a> {
    id: EntityId,
    version: u64,
    confirmed: u64,
    record: &'a [u8],
}

/// What becomes of the place of an entry.
pub(super) struct Edit {
    /// Whether the new entry takes it; otherwise it is empty.
    pub(super) insert: bool,
    /// The bucket's new floor.
    pub(super) floor: u64,
}

impl Header {
    const fn empty(epoch: Epoch) -> Self {
        Self {
            epoch: epoch.number,
            floor: 0,
            since: u64::MAX,
        }
    }

    /// The same as an epoch sees it, and whether its entries are believed: those of an earlier epoch are not, but for
    /// those from before the first one that are no older than its beginning. Of a later one there is nothing to see.
    pub(super) fn seen_in(self, epoch: Epoch) -> Option<(Self, bool)> {
        let believed = self.epoch == 0 && epoch.began.is_some_and(|began| self.since >= began);
        match self.epoch.cmp(&epoch.number) {
            Ordering::Greater => None,
            Ordering::Less if believed => Some((
                Self {
                    epoch: epoch.number,
                    ..self
                },
                true,
            )),
            Ordering::Less => Some((Self::empty(epoch), false)),
            Ordering::Equal => Some((self, true)),
        }
    }
}

impl Shared {
    /// Buckets for about this many entries.
    pub fn new(namespace: &str, entries: usize) -> Self {
        Self {
            prefix: format!("{namespace}/bucket/"),
            buckets: u64::try_from(entries.div_ceil(WAYS))
                .unwrap_or(u64::MAX)
                .max(1),
            #[cfg(target_pointer_width = "64")]
            table: None,
        }
    }

    /// From now on it is this table.
    #[cfg(target_pointer_width = "64")]
    pub fn is_in(&mut self, table: Arc<Table>) {
        self.table = Some(table);
    }

    /// The table that it is, if it is one.
    #[cfg(target_pointer_width = "64")]
    pub fn table(&self) -> Option<&Arc<Table>> {
        self.table.as_ref()
    }

    fn bucket(&self, id: &EntityId) -> String {
        format!("{}{}", self.prefix, id.number() % self.buckets)
    }

    /// Reads an entry of an epoch.
    pub fn get(&self, id: &EntityId, epoch: Epoch, store: &impl Store) -> Option<Entry> {
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = &self.table {
            return table.get(id, epoch);
        }
        self.get_with_floor(id, epoch, store).0
    }

    /// Reads an entry of an epoch, and the sequence before which nothing is taken in beside it.
    pub fn get_with_floor(
        &self,
        id: &EntityId,
        epoch: Epoch,
        store: &impl Store,
    ) -> (Option<Entry>, u64) {
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = &self.table {
            return table.get_with_floor(id, epoch);
        }
        let (bucket, _) = store.get(&self.bucket(id)).unwrap_or_default();
        let Some((header, entries)) = open(&bucket, epoch) else {
            return (None, 0);
        };
        let entry = find(entries, id).and_then(|packed| {
            Some(Entry {
                record: postcard::from_bytes::<Record>(packed.record)
                    .ok()?
                    .with_owners(),
                version: packed.version,
                confirmed: Instant::from_millis(packed.confirmed),
            })
        });
        (entry, header.floor)
    }

    /// Adds or replaces an entry that was true as of a sequence, unless the bucket holds a newer version of
    /// it, or may have held one. Of the same version it keeps the later of the two times of confirmation.
    /// `anew` says that the version that is known has been given up, however new it is. An entry that is too
    /// large is not shared, but still takes the place of an older version.
    pub fn put(
        &self,
        id: EntityId,
        entry: &Entry,
        as_of: u64,
        anew: bool,
        epoch: Epoch,
        store: &impl Store,
    ) {
        self.replace(
            id,
            Some(entry),
            as_of,
            epoch,
            store,
            |floor, known, fits| {
                let newer = |known| known >= (entry.version, entry.confirmed.millis());
                if as_of < floor || (!anew && known.is_some_and(newer)) {
                    return None;
                }
                Some(Edit {
                    insert: fits,
                    floor: if fits { floor } else { floor.max(as_of) },
                })
            },
        );
    }

    /// Removes an entry that is no newer than a sequence as of which there is none.
    pub fn remove(&self, id: EntityId, as_of: u64, epoch: Epoch, store: &impl Store) {
        self.replace(id, None, as_of, epoch, store, |floor, known, _| {
            let (version, _) = known?;
            (version <= as_of).then(|| Edit {
                insert: false,
                floor: floor.max(as_of),
            })
        });
    }

    /// Takes in a change of a sequence: an entry that is held is replaced, or removed where there is no new
    /// one. What is not held stays so, for most changes are about what nobody here has asked for; but
    /// answers from before the change are not taken in any more. False where other workers were first too often.
    pub fn apply(
        &self,
        id: EntityId,
        entry: Option<&Entry>,
        sequence: u64,
        epoch: Epoch,
        store: &impl Store,
    ) -> bool {
        self.replace(id, entry, sequence, epoch, store, |floor, known, fits| {
            let raised = Edit {
                insert: false,
                floor: floor.max(sequence),
            };
            let Some(known) = known else {
                return (sequence > floor).then_some(raised);
            };
            match entry {
                Some(entry) if known > (entry.version, entry.confirmed.millis()) => None,
                Some(_) if fits => Some(Edit {
                    insert: true,
                    floor,
                }),
                None if known.0 > sequence => None,
                _ => Some(raised),
            }
        })
    }

    /// Puts a new entry, or none, in the place of the known one as `edit` says, which is given the bucket's
    /// floor, the version and the confirmation of the known one, and whether the new one is there and small enough;
    /// nothing leaves all as it is. A bucket of a later epoch is left alone. The new one is true as of a sequence.
    fn replace(
        &self,
        id: EntityId,
        new: Option<&Entry>,
        as_of: u64,
        epoch: Epoch,
        store: &impl Store,
        edit: impl Fn(u64, Option<(u64, u64)>, bool) -> Option<Edit>,
    ) -> bool {
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = &self.table {
            table.replace(id, new, as_of, epoch, edit);
            return true;
        }
        let record = new.and_then(|entry| postcard::to_allocvec(&entry.record).ok());
        let new = new.zip(record.as_deref()).map(|(entry, record)| Packed {
            id,
            version: entry.version,
            confirmed: entry.confirmed.millis(),
            record,
        });
        let fits = record
            .as_ref()
            .is_some_and(|record| record.len() <= BUCKET_BYTES / 2);
        swap::change(store, &self.bucket(&id), |bucket| {
            let (mut header, entries) = open(bucket, epoch)?;
            let known = find(entries, &id);
            let known = known.map(|known| (known.version, known.confirmed));
            let edit = edit(header.floor, known, fits)?;
            header.floor = edit.floor;
            if edit.insert {
                header.since = header.since.min(as_of);
            }
            let others = unpack(entries).filter(|packed| packed.id != id).collect();
            Some(pack(header, new.as_ref().filter(|_| edit.insert), others))
        })
    }
}

/// The header of a bucket and the bytes of its entries, as an epoch sees them.
fn open(bucket: &[u8], epoch: Epoch) -> Option<(Header, &[u8])> {
    let Ok((header, entries)) = postcard::take_from_bytes::<Header>(bucket) else {
        return Some((Header::empty(epoch), &[]));
    };
    let (header, believed) = header.seen_in(epoch)?;
    Some((header, if believed { entries } else { &[] }))
}

/// The ids of a bucket's entries, each with the rest of its entry. One that is cut off ends the bucket.
fn split(mut entries: &[u8]) -> impl Iterator<Item = (EntityId, &[u8])> {
    std::iter::from_fn(move || {
        let (id, rest) = entries.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        entries = rest;
        Some((EntityId(*id), entry))
    })
}

fn read(id: EntityId, entry: &[u8]) -> Option<Packed<'_>> {
    let ((version, confirmed), record) = postcard::take_from_bytes(entry).ok()?;
    Some(Packed {
        id,
        version,
        confirmed,
        record,
    })
}

/// Nothing where an entry is larger than any that fits into a bucket.
fn write(packed: &Packed<'_>, bucket: &mut Vec<u8>) -> Option<()> {
    let times = postcard::to_allocvec(&(packed.version, packed.confirmed)).ok()?;
    let length = times.len().saturating_add(packed.record.len());
    let length = u16::try_from(length).ok()?;
    bucket.extend(packed.id.0);
    bucket.extend(length.to_le_bytes());
    bucket.extend(times);
    bucket.extend(packed.record);
    Some(())
}

/// Finds the entry of an id.
fn find<'a>(entries: &'a [u8], id: &EntityId) -> Option<Packed<'a>> {
    let (id, entry) = split(entries).find(|(known, _)| known == id)?;
    read(id, entry)
}

/// Entries of a bucket. One that cannot be read is left out: it is fetched again.
fn unpack(entries: &[u8]) -> impl Iterator<Item = Packed<'_>> {
    split(entries).filter_map(|(id, entry)| read(id, entry))
}

/// A bucket of a new entry and others. Where they are too many or too large, those of the others that were
/// confirmed longest ago make room.
fn pack(mut header: Header, new: Option<&Packed<'_>>, mut others: Vec<Packed<'_>>) -> Vec<u8> {
    loop {
        let mut bucket = postcard::to_allocvec(&header).unwrap_or_default();
        for packed in new.into_iter().chain(&others) {
            let _ = write(packed, &mut bucket);
        }
        let entries = others.len().saturating_add(new.iter().count());
        let oldest =
            (0..others.len()).min_by_key(|at| others.get(*at).map(|other| other.confirmed));
        match oldest {
            Some(oldest) if entries > WAYS || bucket.len() > BUCKET_BYTES => {
                let evicted = others.swap_remove(oldest);
                header.floor = header.floor.max(evicted.version);
            }
            _ => return bucket,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::test_util::{SharedData, chain, test};

    fn entry(version: u64, confirmed: u64) -> Entry {
        Entry {
            record: Record::key(Rc::clone(&chain(|key, _, _| key.version = version).key)),
            version,
            confirmed: Instant::from_millis(confirmed),
        }
    }

    const EPOCH: Epoch = Epoch {
        number: 3,
        began: None,
    };

    /// In a store, and in a table.
    fn both(entries: usize) -> Vec<(Shared, SharedData)> {
        let in_store = || (Shared::new("k", entries), SharedData::default());
        #[cfg(target_pointer_width = "64")]
        {
            let (mut shared, store) = in_store();
            shared.is_in(crate::test_util::table(entries));
            vec![in_store(), (shared, store)]
        }
        #[cfg(not(target_pointer_width = "64"))]
        vec![in_store()]
    }

    fn put(shared: &Shared, name: &str, entry: &Entry, store: &SharedData) {
        shared.put(id(name), entry, 1000, false, EPOCH, store);
    }

    fn id(name: &str) -> EntityId {
        EntityId::user(name)
    }

    #[test]
    fn the_newer_version_stays_whoever_comes_last() {
        for (shared, store) in both(16) {
            for (version, confirmed, stays) in [
                (5, 10, (5, 10)),
                (4, 99, (5, 10)),
                (5, 9, (5, 10)),
                (5, 11, (5, 11)),
                (6, 1, (6, 1)),
            ] {
                put(&shared, "a", &entry(version, confirmed), &store);
                let known = shared.get(&id("a"), EPOCH, &store).unwrap();
                assert_eq!((known.version, known.confirmed.millis()), stays);
            }
            shared.remove(id("a"), 5, EPOCH, &store);
            assert!(shared.get(&id("a"), EPOCH, &store).is_some());
            shared.remove(id("a"), 6, EPOCH, &store);
            assert!(shared.get(&id("a"), EPOCH, &store).is_none());
        }
    }

    #[test]
    fn a_change_that_comes_late_takes_no_confirmation_back() {
        for (shared, store) in both(16) {
            put(&shared, "a", &entry(5, 10), &store);
            for (version, confirmed, stays) in [(5, 9, (5, 10)), (5, 11, (5, 11)), (6, 1, (6, 1))] {
                let change = entry(version, confirmed);
                assert!(shared.apply(id("a"), Some(&change), version, EPOCH, &store));
                let known = shared.get(&id("a"), EPOCH, &store).unwrap();
                assert_eq!((known.version, known.confirmed.millis()), stays);
            }
        }
    }

    #[test]
    fn who_was_confirmed_longest_ago_makes_room_for_the_new() {
        for (shared, store) in both(1) {
            for number in 0..20 {
                put(&shared, &number.to_string(), &entry(1, number % 3), &store);
                assert!(
                    shared
                        .get(&id(&number.to_string()), EPOCH, &store)
                        .is_some(),
                    "{number}"
                );
            }
            let known = |number: &u64| {
                shared
                    .get(&id(&number.to_string()), EPOCH, &store)
                    .is_some()
            };
            assert_eq!((0..20).filter(known).count(), WAYS);
            assert!(
                (0..20)
                    .filter(|number| number % 3 == 2)
                    .all(|number| known(&number))
            );
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_not_shared_and_leaves_no_older_one() {
        for (shared, store) in both(1) {
            put(&shared, "a", &entry(1, 1), &store);
            let mut large = entry(2, 2);
            let scopes = vec!["x".repeat(100); BUCKET_BYTES / 200];
            let key = chain(|key, _, _| {
                key.scopes = crate::record::Scopes::new(scopes.iter().map(String::as_str));
            });
            large.record = Record::key(key.key);
            put(&shared, "a", &large, &store);
            assert!(shared.get(&id("a"), EPOCH, &store).is_none());
        }
    }

    #[test]
    fn of_what_was_there_before_the_first_epoch_that_counts_which_is_not_older_than_its_beginning()
    {
        let before = Epoch::default();
        for (as_of, began, believed) in [
            (5, Some(5), true),
            (6, Some(5), true),
            (4, Some(5), false),
            (5, None, false),
        ] {
            for (shared, store) in both(1) {
                shared.put(id("a"), &entry(1, 1), 9, false, before, &store);
                shared.put(id("b"), &entry(2, 1), as_of, false, before, &store);
                let first = Epoch { number: 1, began };
                for name in ["a", "b"] {
                    let known = shared.get(&id(name), first, &store).is_some();
                    assert_eq!(known, believed, "{as_of} {began:?} {name}");
                }
                assert!(shared.apply(id("c"), None, 10, first, &store));
                let known = shared.get(&id("a"), first, &store).is_some();
                assert_eq!(known, believed, "after a change: {as_of} {began:?}");
                // Who has not noticed yet changes nothing any more.
                shared.put(id("a"), &entry(3, 2), 9, false, before, &store);
                assert_ne!(
                    shared
                        .get(&id("a"), first, &store)
                        .map(|known| known.version),
                    Some(3)
                );
                let second = Epoch {
                    number: 2,
                    began: None,
                };
                assert!(shared.get(&id("a"), second, &store).is_none());
            }
        }
    }

    #[test]
    fn a_bucket_that_cannot_be_read_is_empty() {
        let (shared, store) = (Shared::new("k", 16), SharedData::default());
        put(&shared, "a", &entry(1, 1), &store);
        let name = shared.bucket(&id("a"));
        store.set(&name, &[0xff; 40], None);
        assert!(shared.get(&id("a"), EPOCH, &store).is_none());
        put(&shared, "a", &entry(1, 1), &store);
        assert!(shared.get(&id("a"), EPOCH, &store).is_some());
    }
}
