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
    /// version keeps the later of the two times of confirmation.
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
        let newer =
            |known: &Packed<'_>| (known.version, known.confirmed) >= (new.version, new.confirmed);
        self.replace(id, store, newer, Some(&new));
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
            let others = unpack(&bucket).filter(|packed| packed.id != id);
            let packed = others.chain(new.map(Packed::borrowed)).collect();
            if store.set(&name, &pack(packed), last_change) {
                return;
            }
        }
    }
}

impl Packed<'_> {
    fn borrowed(&self) -> Packed<'_> {
        Packed { ..*self }
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

/// A bucket of entries; those confirmed longest ago are left out where there are too many.
fn pack(mut packed: Vec<Packed<'_>>) -> Vec<u8> {
    packed.sort_unstable_by_key(|packed| std::cmp::Reverse(packed.confirmed));
    let mut bucket = Vec::new();
    for packed in packed.iter().take(WAYS) {
        let Ok(bytes) = postcard::to_allocvec(packed) else {
            continue;
        };
        if bytes.len() <= BUCKET_BYTES / 2
            && bucket.len().saturating_add(bytes.len()) <= BUCKET_BYTES
        {
            bucket.extend(bytes);
        }
    }
    bucket
}
