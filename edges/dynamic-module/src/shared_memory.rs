//! The store that all workers of the process share: a table under locks of its own, which misses and shared hits meet
//! and nothing else. What a compare-and-swap means is what it means in Envoy's shared data.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{LazyLock, Mutex, PoisonError};

use keybound::host::Store;

const SHARDS: usize = 64;

/// All values of the process.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory {
    shards: std::array::from_fn(|_| Mutex::default()),
    hasher: RandomState::new(),
    changes: AtomicU32::new(0),
    feeds: AtomicU64::new(0),
});

type Shard = Mutex<HashMap<Box<str>, (Box<[u8]>, u32)>>;

struct Memory {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    /// The number of the last change of all values together.
    changes: AtomicU32,
    /// How often the state of any change feed was written.
    feeds: AtomicU64,
}

/// The part of the store that plugins share which share their secrets, too.
#[derive(Debug, Clone)]
pub struct SharedMemory {
    space: String,
}

impl SharedMemory {
    /// A part of its own for each combination of secrets. These are hashed with a key that is made anew for each
    /// process, so that the part's name says nothing of them.
    pub fn new(token: Option<&str>, pepper: &[u8]) -> Self {
        Self {
            space: format!("{:016x}/", MEMORY.hasher.hash_one((token, pepper))),
        }
    }

    /// How often the state of a change feed was written: a worker that sees another number looks at its feed.
    pub fn feeds() -> u64 {
        MEMORY.feeds.load(Acquire)
    }

    fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&str, &mut HashMap<Box<str>, (Box<[u8]>, u32)>) -> T,
    ) -> Option<T> {
        let name = format!("{}{name}", self.space);
        let shard = usize::try_from(MEMORY.hasher.hash_one(&name)).unwrap_or_default() % SHARDS;
        let shard = MEMORY.shards.get(shard)?;
        // A value is replaced as a whole: none is half written where a thread has panicked.
        let mut values = shard.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&name, &mut values))
    }
}

impl Store for SharedMemory {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.with(name, |name, values| {
            let (value, change) = values.get(name)?;
            Some((value.to_vec(), Some(*change)))
        })?
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        let written = self.with(name, |name, values| {
            let known = values.get(name).map(|(_, change)| *change);
            let wanted = last_change.unwrap_or(0);
            if known.is_some_and(|known| wanted != 0 && wanted != known) {
                return false;
            }
            let mut change = MEMORY.changes.fetch_add(1, Relaxed).wrapping_add(1);
            if change == 0 {
                change = MEMORY.changes.fetch_add(1, Relaxed).wrapping_add(1);
            }
            values.insert(name.into(), (value.into(), change));
            true
        });
        let written = written.unwrap_or(false);
        if written && name.ends_with("/feed") {
            MEMORY.feeds.fetch_add(1, Release);
        }
        written
    }
}
