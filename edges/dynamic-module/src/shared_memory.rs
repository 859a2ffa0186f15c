//! What all workers of the process share: a store under locks of its own, in which they follow the change feed, with a
//! compare-and-swap that means what it means in Envoy's shared data; and the tables of what they know of keys, which
//! they read without a lock.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use keybound::gate::{Settings, namespace};
use keybound::host::Store;
use keybound::knowledge::cache::Table;
use keybound::worker::Worker;

use crate::mailbox::lock;
use crate::pages::Pages;

const SHARDS: usize = 64;

/// All values of the process.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory {
    shards: std::array::from_fn(|_| Mutex::default()),
    hasher: RandomState::new(),
    changes: AtomicU32::new(0),
    feeds: AtomicU64::new(0),
    tables: Mutex::default(),
});

type Shard = Mutex<HashMap<Box<str>, (Box<[u8]>, u32)>>;

struct Memory {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    /// The number of the last change of all values together.
    changes: AtomicU32,
    /// How often the state of any change feed was written.
    feeds: AtomicU64,
    /// Like all else that is written, they stay as long as the process: what is known of the feed stays, too.
    tables: Mutex<HashMap<String, Arc<Table>>>,
}

/// The part of the store that plugins share which share their secrets, too.
#[derive(Debug, Clone)]
pub struct SharedMemory {
    space: String,
    table: Option<Arc<Table>>,
}

impl SharedMemory {
    /// A part of its own for each combination of secrets. These are hashed with a key that is made anew for each
    /// process, so that the part's name says nothing of them.
    pub fn new(settings: &Settings) -> Self {
        let token = settings.key_service.token.as_ref();
        let token = token.map(|token| token.reveal());
        let pepper = settings.digester.fingerprint();
        let space = MEMORY.hasher.hash_one((token, pepper.bytes()));
        let space = format!("{space:016x}/");
        let table = table(format!("{space}{}", namespace(settings)), settings);
        Self { space, table }
    }

    /// A worker shares what is here. Where the system has no room for a table, its records go into the store.
    pub fn serves(&self, worker: &mut Worker) {
        if let Some(table) = &self.table {
            worker.shares(Arc::clone(table));
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

/// The table of a name, made when it is first needed.
fn table(name: String, settings: &Settings) -> Option<Arc<Table>> {
    let mut tables = lock(&MEMORY.tables);
    if let Some(known) = tables.get(&name) {
        return Some(Arc::clone(known));
    }
    let entries = settings.cache.shared_entries;
    let Some(pages) = Pages::new(Table::words(entries)) else {
        log::warn!("no room for a table of {entries} entries: known keys cost more");
        return None;
    };
    let table = Arc::new(Table::new(Box::new(pages), entries));
    tables.insert(name, Arc::clone(&table));
    Some(table)
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
