//! The cache that all VMs of the process share: fixed buckets in a store that has neither delete nor
//! listing.
//!
//! The number of buckets is fixed by the configuration and each holds a bounded number of bytes, so memory
//! is bounded by construction, whatever clients send. A bucket is changed by compare-and-swap. Only records
//! are kept here, never "unknown": what a client made up takes no room.

use serde::{Deserialize, Serialize};

use super::{EntityId, Entry};
use crate::time::Instant;

/// A store of values by name, shared by all VMs of a process: Envoy's shared data.
pub trait Store {
    /// A value and the number of its last change.
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)>;
    /// Changes a value if its last change is still this one; without a number, always. A host writes an
    /// absent value whatever the number. False where somebody else was first, or the host refuses.
    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool;
}

/// Entries of a bucket. More make full buckets rarer and each look-up longer.
const WAYS: usize = 16;

/// Bytes of a bucket at most. A record that does not fit into half of one is not shared.
const BUCKET_BYTES: usize = 16 * 1024;

/// How often a change is tried again when another VM was first.
const ATTEMPTS: usize = 8;

/// The buckets.
#[derive(Debug)]
pub struct Shared {
    buckets: u64,
}

/// One entry of a bucket, in the compact form of the `postcard` crate.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    id: EntityId,
    version: u64,
    confirmed: u64,
    record: &'a [u8],
}

impl Shared {
    /// Buckets for about this many entries.
    pub fn new(entries: usize) -> Self {
        Self {
            buckets: u64::try_from(entries.div_ceil(WAYS))
                .unwrap_or(u64::MAX)
                .max(1),
        }
    }

    /// The bucket that an id belongs to. The name carries the form's number: a filter of another version in
    /// the same process must not read it.
    fn bucket(&self, id: &EntityId) -> String {
        format!("keybound/1/bucket/{}", id.number() % self.buckets)
    }

    /// Reads an entry.
    pub fn get(&self, id: &EntityId, store: &dyn Store) -> Option<Entry> {
        let (bucket, _) = store.get(&self.bucket(id))?;
        let packed = unpack(&bucket).find(|packed| packed.id == *id)?;
        Some(Entry {
            record: postcard::from_bytes(packed.record).ok()?,
            version: packed.version,
            confirmed: Instant::from_millis(packed.confirmed),
        })
    }

    /// Adds or replaces an entry, unless the bucket holds a newer version of it. An entry of the same
    /// version keeps the later of the two times of confirmation. One that is too large is not shared, but
    /// still takes the place of an older version.
    pub fn put(&self, id: EntityId, entry: &Entry, store: &dyn Store) {
        let Ok(record) = postcard::to_allocvec(&entry.record) else {
            return;
        };
        let new = Packed {
            id,
            version: entry.version,
            confirmed: entry.confirmed.millis(),
            record: &record,
        };
        let fits = record.len() <= BUCKET_BYTES / 2;
        let newer =
            |known: &Packed<'_>| (known.version, known.confirmed) >= (new.version, new.confirmed);
        self.replace(id, store, newer, fits.then_some(&new));
    }

    /// Removes an entry that is no newer than a version.
    pub fn remove(&self, id: EntityId, version: u64, store: &dyn Store) {
        self.replace(id, store, |known| known.version > version, None);
    }

    /// Puts a new entry, or none, in the place of the known one, unless that is to be kept.
    fn replace(
        &self,
        id: EntityId,
        store: &dyn Store,
        keep: impl Fn(&Packed<'_>) -> bool,
        new: Option<&Packed<'_>>,
    ) {
        let name = self.bucket(&id);
        for _ in 0..ATTEMPTS {
            let (bucket, last_change) = store.get(&name).unwrap_or_default();
            let known = unpack(&bucket).find(|packed| packed.id == id);
            let done = known.as_ref().map_or(new.is_none(), &keep);
            if done {
                return;
            }
            let others = unpack(&bucket).filter(|packed| packed.id != id).collect();
            if store.set(&name, &pack(new, others), last_change) {
                return;
            }
        }
    }
}

/// Entries of a bucket. One that cannot be read ends it: the rest is fetched again.
fn unpack(mut bucket: &[u8]) -> impl Iterator<Item = Packed<'_>> {
    std::iter::from_fn(move || {
        let (packed, rest) = postcard::take_from_bytes(bucket).ok()?;
        bucket = rest;
        Some(packed)
    })
}

/// A bucket of a new entry and others. Where they are too many or too large, those of the others that were
/// confirmed longest ago make room.
fn pack(new: Option<&Packed<'_>>, mut others: Vec<Packed<'_>>) -> Vec<u8> {
    loop {
        let mut bucket = Vec::new();
        for packed in new.into_iter().chain(&others) {
            bucket.extend(postcard::to_allocvec(packed).unwrap_or_default());
        }
        let entries = others.len().saturating_add(new.iter().count());
        let oldest =
            (0..others.len()).min_by_key(|at| others.get(*at).map(|other| other.confirmed));
        match oldest {
            Some(oldest) if entries > WAYS || bucket.len() > BUCKET_BYTES => {
                others.swap_remove(oldest);
            }
            _ => return bucket,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::cache::Record;
    use crate::tests::{MemoryStore, chain, test};

    fn entry(version: u64, confirmed: u64) -> Entry {
        Entry {
            record: Record::Key(Rc::clone(&chain(|key, _, _| key.version = version).key)),
            version,
            confirmed: Instant::from_millis(confirmed),
        }
    }

    fn id(name: &str) -> EntityId {
        EntityId::user(name)
    }

    #[test]
    fn the_newer_version_stays_whoever_comes_last() {
        let (shared, store) = (Shared::new(16), MemoryStore::default());
        for (version, confirmed, stays) in [
            (5, 10, (5, 10)),
            (4, 99, (5, 10)),
            (5, 9, (5, 10)),
            (5, 11, (5, 11)),
            (6, 1, (6, 1)),
        ] {
            shared.put(id("a"), &entry(version, confirmed), &store);
            let known = shared.get(&id("a"), &store).unwrap();
            assert_eq!((known.version, known.confirmed.millis()), stays);
        }
        shared.remove(id("a"), 5, &store);
        assert!(shared.get(&id("a"), &store).is_some());
        shared.remove(id("a"), 6, &store);
        assert!(shared.get(&id("a"), &store).is_none());
    }

    /// A store in which another VM is always first, for a while.
    struct Busy {
        store: MemoryStore,
        others: Cell<u64>,
    }

    impl Store for Busy {
        fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
            let value = self.store.get(name);
            if let Some(left) = self.others.get().checked_sub(1) {
                self.others.set(left);
                Shared::new(16).put(id(&format!("other_{left}")), &entry(1, 1), &self.store);
            }
            value
        }

        fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
            self.store.set(name, value, last_change)
        }
    }

    #[test]
    fn what_another_vm_has_written_meanwhile_is_not_lost() {
        let shared = Shared::new(16);
        let busy = Busy {
            store: MemoryStore::default(),
            others: Cell::new(0),
        };
        shared.put(id("first"), &entry(1, 1), &busy);
        busy.others.set(3);
        shared.put(id("a"), &entry(1, 1), &busy);
        for name in ["first", "other_0", "other_1", "other_2", "a"] {
            assert!(shared.get(&id(name), &busy).is_some(), "{name}");
        }
    }

    #[test]
    fn who_was_confirmed_longest_ago_makes_room_for_the_new() {
        let (shared, store) = (Shared::new(1), MemoryStore::default());
        for number in 0..20 {
            shared.put(id(&number.to_string()), &entry(1, number % 3), &store);
            assert!(
                shared.get(&id(&number.to_string()), &store).is_some(),
                "{number}"
            );
        }
        let known = |number: &u64| shared.get(&id(&number.to_string()), &store).is_some();
        assert_eq!((0..20).filter(known).count(), WAYS);
        assert!(
            (0..20)
                .filter(|number| number % 3 == 2)
                .all(|number| known(&number))
        );
    }

    #[test]
    fn a_record_that_is_too_large_is_not_shared_and_leaves_no_older_one() {
        let (shared, store) = (Shared::new(1), MemoryStore::default());
        shared.put(id("a"), &entry(1, 1), &store);
        let mut large = entry(2, 2);
        let scopes = vec!["x".repeat(100); BUCKET_BYTES / 200];
        let key = chain(|key, _, _| {
            key.scopes = crate::record::Scopes::new(scopes.iter().map(String::as_str));
        });
        large.record = Record::Key(key.key);
        shared.put(id("a"), &large, &store);
        assert!(shared.get(&id("a"), &store).is_none());
    }

    #[test]
    fn a_bucket_that_cannot_be_read_is_empty() {
        let (shared, store) = (Shared::new(16), MemoryStore::default());
        shared.put(id("a"), &entry(1, 1), &store);
        let name = shared.bucket(&id("a"));
        store.set(&name, &[0xff; 40], None);
        assert!(shared.get(&id("a"), &store).is_none());
        shared.put(id("a"), &entry(1, 1), &store);
        assert!(shared.get(&id("a"), &store).is_some());
    }
}
