//! What this worker knows of digests, and how well it knows it.
//!
//! Three kinds of records, not one verdict: a verdict is made for every request from the records, so that
//! nothing that time or another record can change is ever cached.

mod entry;
mod learn;
mod local;
mod shared;
#[cfg(target_pointer_width = "64")]
mod table;

use std::rc::Rc;
#[cfg(target_pointer_width = "64")]
use std::sync::Arc;
use std::time::Duration;

use crate::credential::digest::Digest;
use crate::host::Store;
use crate::record::Chain;
use crate::record::{Changed, Content, Key};
use crate::time::Instant;
pub use entry::EntityId;
use entry::{Entry, Owners, Record};
pub use learn::Learned;
use local::Bounded;
use shared::Shared;
#[cfg(target_pointer_width = "64")]
use table::Scratch;
#[cfg(target_pointer_width = "64")]
pub use table::Table;

/// How long records are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// A record is used for this long without asking again.
    pub fresh_for: Duration,
    /// No request is allowed on a record that has not been confirmed for this long.
    pub max_staleness: Duration,
    /// How long "unknown" is remembered.
    pub negative_for: Duration,
}

/// Bounds on the memory of a worker's caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of a worker's own cache.
    pub local_entries: usize,
    /// Bytes that the records of a worker's own cache take at most.
    pub local_bytes: usize,
    /// Entries of the cache that the workers share.
    pub shared_entries: usize,
}

/// What is known of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A key, known well enough to be used without asking.
    Fresh(Chain, Source),
    /// A key, to be asked for again while it is used.
    Stale(Chain, Source),
    /// A key that nobody has confirmed for so long that it allows nothing.
    Expired(Chain),
    /// Nobody knew it a moment ago.
    Negative,
    /// Nothing is known.
    Miss,
}

/// Which cache it came from: the farther of those that were needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This worker's own.
    Local,
    /// The one that all workers share.
    Shared,
}

/// What the change feed says of everything in the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Continuity {
    /// In which epoch of the feed this worker is.
    pub epoch: Epoch,
    /// When all that is in the caches, with the changes that came, was last known to be true.
    pub confirmed: Instant,
    /// Until when the feed counts as followed without a gap.
    pub until: Instant,
}

/// The time between two moments at which the feed had to begin anew: what was learned in an earlier one is not
/// believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// How often the feed had to begin anew; zero where none was ever followed.
    pub number: u64,
    /// The cursor with which the feed was first followed. What was learned before, as of this sequence or a later
    /// one, is believed: the feed tells of all that came after. Nothing where no such knowledge is.
    pub began: Option<u64>,
}

/// Both caches.
#[derive(Debug)]
pub struct Cache {
    records: Bounded<Entry>,
    /// When a digest was last unknown. Apart from the records, so that made-up keys cannot push them out.
    negatives: Bounded<Instant>,
    /// The oldest sequence as of which one of those was unknown.
    unknown_since: u64,
    shared: Shared,
    /// What a hit in a table reads its records into.
    #[cfg(target_pointer_width = "64")]
    scratch: Scratch,
    /// What was read of a table last, by whoever needs more than a hit.
    #[cfg(target_pointer_width = "64")]
    read: Option<Entry>,
    /// By which this worker is known where it may say for all how full a table is.
    #[cfg(target_pointer_width = "64")]
    teller: Option<Arc<()>>,
    freshness: Freshness,
    continuity: Continuity,
    /// Times that the machine stood still, in order.
    sleeps: Vec<Sleep>,
}

/// The machine stood still: its monotonic clock did not count that time, but what was confirmed before is
/// older by it.
#[derive(Debug, Clone, Copy)]
struct Sleep {
    ended: Instant,
    lasted: Duration,
}

/// Sleeps that are told apart. Of more, the shortest counts as a part of the one after it: what was learned in
/// between then seems older by that.
const SLEEPS: usize = 16;

/// What one part in this many of the local cache is kept for unknown digests.
const NEGATIVE_SHARE: usize = 8;

impl Cache {
    /// Empty caches. What other workers have put into the shared one of this namespace is found there.
    pub fn new(limits: &Limits, freshness: Freshness, namespace: &str) -> Self {
        let Room { records, negatives } = Room::of(limits.local_entries, limits.local_bytes);
        Self {
            records: Bounded::new(records.0, records.1),
            negatives: Bounded::new(negatives.0, negatives.1),
            shared: Shared::new(namespace, limits.shared_entries),
            #[cfg(target_pointer_width = "64")]
            scratch: Scratch::default(),
            #[cfg(target_pointer_width = "64")]
            read: None,
            #[cfg(target_pointer_width = "64")]
            teller: Some(Arc::default()),
            unknown_since: u64::MAX,
            freshness,
            continuity: Continuity::default(),
            sleeps: Vec::new(),
        }
    }

    /// From now on this worker's own cache has so much room, and nothing in it.
    pub fn limit(&mut self, entries: usize, bytes: usize) {
        let Room { records, negatives } = Room::of(entries, bytes);
        self.records.limit(records.0, records.1);
        #[cfg(target_pointer_width = "64")]
        self.scratch.forget();
        self.negatives.limit(negatives.0, negatives.1);
        self.unknown_since = u64::MAX;
    }

    /// What the workers share is in this table, of which one of them tells how full it is. This worker keeps for
    /// itself what has no room there.
    #[cfg(target_pointer_width = "64")]
    pub fn is_in(&mut self, table: Arc<Table>) {
        self.scratch.forget();
        self.shared.is_in(table);
    }

    /// Another worker says how full the table is.
    #[cfg(target_pointer_width = "64")]
    pub fn is_told_of_by_another(&mut self) {
        self.teller = None;
    }

    /// The table of which this worker says for all how full it is.
    #[cfg(target_pointer_width = "64")]
    fn table_to_tell_of(&self) -> Option<&Table> {
        let table = self.shared.table()?;
        let teller = self.teller.as_ref()?;
        table.is_told_of_by(teller).then_some(table)
    }

    /// Whether it is in a table.
    #[cfg(target_pointer_width = "64")]
    pub fn is_read_in_place(&self) -> bool {
        self.shared.table().is_some()
    }

    /// A key will be looked up soon.
    #[cfg(target_pointer_width = "64")]
    pub fn expect(&self, id: &EntityId) {
        if let Some(table) = self.shared.table() {
            self.scratch.expect(table, id);
        }
    }

    /// A value will be read soon, of whomever it is.
    #[cfg(target_pointer_width = "64")]
    pub fn expect_value<T>(&self, value: &T) {
        if let Some(table) = self.shared.table() {
            table.expect_bytes(std::ptr::from_ref(value).addr(), size_of::<T>());
        }
    }

    /// Takes over what the change feed says.
    pub fn follow(&mut self, continuity: Continuity) {
        self.continuity = continuity;
    }

    /// Forgets what this worker alone knows, but what was unknown as of a sequence or a later one. The shared cache
    /// tells for itself what is to be believed.
    pub fn clear(&mut self, believed_from: Option<u64>) {
        self.records.clear();
        if believed_from.is_none_or(|from| self.unknown_since < from) {
            self.negatives.clear();
            self.unknown_since = u64::MAX;
        }
    }

    /// Forgets what this worker knows of an entity that has changed. The change is in the shared cache.
    pub fn forget(&mut self, id: &EntityId) {
        self.records.remove(id);
        self.negatives.remove(id);
    }

    /// Takes a change of the feed, known to be true at a time, into the shared cache. False where that did
    /// not succeed.
    pub fn apply(
        &self,
        changed: &Changed,
        sequence: u64,
        confirmed: Instant,
        epoch: u64,
        store: &impl Store,
    ) -> bool {
        let record = match changed {
            Changed::Key(_, Content::Record(key)) => {
                // For the shared cache alone, which leaves the owners out.
                let record = Record::Key(Rc::clone(key), Owners::default());
                Some((record, key.version))
            }
            Changed::User(_, Content::Record(user)) => {
                Some((Record::User(Some(Rc::clone(user))), user.version))
            }
            Changed::User(_, Content::Gone) => Some((Record::User(None), sequence)),
            Changed::Tenant(_, Content::Record(tenant)) => {
                Some((Record::Tenant(Some(Rc::clone(tenant))), tenant.version))
            }
            Changed::Tenant(_, Content::Gone) => Some((Record::Tenant(None), sequence)),
            Changed::Key(_, Content::Gone | Content::Unreadable)
            | Changed::User(_, Content::Unreadable)
            | Changed::Tenant(_, Content::Unreadable) => None,
        };
        let entry = record.map(|(record, version)| Entry {
            record,
            version,
            confirmed,
        });
        let id = EntityId::of(changed);
        let epoch = Epoch {
            number: epoch,
            ..self.continuity.epoch
        };
        self.shared
            .apply(id, entry.as_ref(), sequence, epoch, store)
    }

    /// The machine stood still until now.
    pub fn slept(&mut self, lasted: Duration, now: Instant) {
        // What was confirmed before such a sleep is too old without it.
        self.sleeps
            .retain(|slept| now.since(slept.ended) < self.freshness.max_staleness);
        self.sleeps.push(Sleep { ended: now, lasted });
        if self.sleeps.len() > SLEEPS {
            let shortest =
                (0..SLEEPS).min_by_key(|at| self.sleeps.get(*at).map(|slept| slept.lasted));
            let shortest = shortest.unwrap_or_default();
            let merged = self.sleeps.remove(shortest);
            if let Some(next) = self.sleeps.get_mut(shortest) {
                next.lasted = next.lasted.saturating_add(merged.lasted);
            }
        }
    }

    /// What is known of a digest.
    pub fn lookup(&mut self, digest: &Digest, now: Instant, store: &impl Store) -> Lookup {
        let id = EntityId::key(digest);
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = self.shared.table()
            && let Some((chain, confirmed)) =
                self.scratch.look_up(table, &id, self.continuity.epoch)
        {
            // As in [`Self::keep`].
            if self.negatives.len() > 0 {
                self.negatives.remove(&id);
            }
            let known = Known {
                confirmed,
                source: Source::Shared,
            };
            return self.found(chain, &id, known, now);
        }
        let Some((key, owners, mut known)) = self.find_key(id, now, store) else {
            return match self.negatives.get(&id) {
                Some(since) if now.since(*since) < self.freshness.negative_for => Lookup::Negative,
                _ => Lookup::Miss,
            };
        };
        let Some(user) = self.find_owner(owners.user, &mut known, now, store, Record::user) else {
            return Lookup::Miss;
        };
        let Some(tenant) = self.find_owner(owners.tenant, &mut known, now, store, Record::tenant)
        else {
            return Lookup::Miss;
        };
        self.found(Chain { key, user, tenant }, &id, known, now)
    }

    /// What a chain is worth now.
    fn found(&self, chain: Chain, id: &EntityId, known: Known, now: Instant) -> Lookup {
        if self.age(known.confirmed, now) >= self.freshness.max_staleness {
            Lookup::Expired(chain)
        } else if self.is_fresh(id, known.confirmed, now) {
            Lookup::Fresh(chain, known.source)
        } else {
            Lookup::Stale(chain, known.source)
        }
    }

    /// Entries of this worker's own cache.
    pub fn local_entries(&self) -> usize {
        let entries = self.records.len().saturating_add(self.negatives.len());
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = self.table_to_tell_of() {
            return entries.saturating_add(table.count());
        }
        entries
    }

    /// How many entries of this worker's own cache have made room for others since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        let evicted = self
            .records
            .take_evicted()
            .saturating_add(self.negatives.take_evicted());
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = self.table_to_tell_of() {
            return evicted.saturating_add(table.take_evicted());
        }
        evicted
    }

    fn keep(&mut self, id: EntityId, entry: Entry) {
        if self.is_in_table(&id, &entry) {
            self.records.remove(&id);
        } else {
            self.records.insert(id, entry);
        }
        // Whoever once knew a record does not go back to not knowing it.
        self.negatives.remove(&id);
    }

    /// Whether all workers have an entry in place, or a newer one.
    fn is_in_table(&self, id: &EntityId, entry: &Entry) -> bool {
        #[cfg(target_pointer_width = "64")]
        if let Some(table) = self.shared.table() {
            let known = table.get(id, self.continuity.epoch);
            return known.is_some_and(|known| known.version >= entry.version);
        }
        let _ = (id, entry);
        false
    }

    /// Finds an entry in this worker's own cache or, where it is not there or no longer fresh, in the shared
    /// one: another worker may have asked since.
    fn find(&mut self, id: EntityId, now: Instant, store: &impl Store) -> Option<(&Entry, Source)> {
        let mut source = Source::Local;
        let mut place = self.records.find(&id);
        let known = place.and_then(|place| self.records.at(place));
        let fresh = known.is_some_and(|known| self.is_fresh(&id, known.confirmed, now));
        if !fresh && let Some(shared) = self.shared.get(&id, self.continuity.epoch, store) {
            let newer = known.is_none_or(|known| {
                (shared.version, shared.confirmed) > (known.version, known.confirmed)
            });
            #[cfg(target_pointer_width = "64")]
            if newer && self.shared.table().is_some() {
                self.negatives.remove(&id);
                return Some((self.read.insert(shared), Source::Shared));
            }
            if newer {
                self.keep(id, shared);
                source = Source::Shared;
                place = self.records.find(&id);
            }
        }
        let entry = self.records.at(place?)?;
        Some((entry, source))
    }

    fn find_key(
        &mut self,
        id: EntityId,
        now: Instant,
        store: &impl Store,
    ) -> Option<(Rc<Key>, Owners, Known)> {
        let (local, source) = self.find(id, now, store)?;
        let Record::Key(key, owners) = &local.record else {
            return None;
        };
        let known = Known {
            confirmed: local.confirmed,
            source,
        };
        Some((Rc::clone(key), *owners, known))
    }

    /// Finds a key's user or tenant: nothing where nothing is known of it, nothing within where it is known
    /// that there is none.
    fn find_owner<T>(
        &mut self,
        id: Option<EntityId>,
        known: &mut Known,
        now: Instant,
        store: &impl Store,
        kind: impl Fn(&Record) -> Option<Option<T>>,
    ) -> Option<Option<T>> {
        let Some(id) = id else {
            return Some(None);
        };
        let (local, source) = self.find(id, now, store)?;
        known.confirmed = known.confirmed.min(local.confirmed);
        known.source = known.source.max(source);
        kind(&local.record)
    }

    /// How long ago a record was last known to be true, by an answer or by the change feed.
    fn age(&self, confirmed: Instant, now: Instant) -> Duration {
        let confirmed = confirmed.max(self.continuity.confirmed);
        self.sleeps
            .iter()
            .filter(|slept| confirmed < slept.ended)
            .fold(now.since(confirmed), |age, slept| {
                age.saturating_add(slept.lasted)
            })
    }

    /// Whether a record may be used without asking for it again.
    fn is_fresh(&self, id: &EntityId, confirmed: Instant, now: Instant) -> bool {
        let unbroken = now < self.continuity.until
            && self
                .sleeps
                .last()
                .is_none_or(|slept| slept.ended <= self.continuity.confirmed);
        unbroken || self.age(confirmed, now) < self.fresh_for(id)
    }

    /// A tenth more or less for each id, so that what was learned together is not asked for together.
    fn fresh_for(&self, id: &EntityId) -> Duration {
        let [.., last] = id.0;
        let parts = 900_u32.saturating_add(u32::from(last).saturating_mul(200) / 255);
        self.freshness.fresh_for.saturating_mul(parts) / 1000
    }
}

/// Entries and bytes of the two maps of this worker's own cache.
struct Room {
    records: (usize, usize),
    negatives: (usize, usize),
}

impl Room {
    fn of(entries: usize, bytes: usize) -> Self {
        let negatives = (entries / NEGATIVE_SHARE).max(1);
        Self {
            records: (entries.saturating_sub(negatives), bytes),
            negatives: (negatives, bytes / NEGATIVE_SHARE),
        }
    }
}

struct Known {
    confirmed: Instant,
    source: Source,
}
