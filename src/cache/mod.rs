//! What this VM knows of digests, and how well it knows it.
//!
//! Three kinds of records, not one verdict: a verdict is made for every request from the records, so that
//! nothing that time or another record can change is ever cached.

mod local;
mod shared;
pub mod store;

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{Freshness, Limits};
use crate::digest::Digest;
use crate::record::{Changed, Content, Key, Resolved, Tenant, User};
use crate::time::Instant;
use crate::verdict::Chain;
use local::Bounded;
pub use local::Spread;
use shared::Shared;
pub use store::Store;

/// What stands for a key, a user or a tenant in the caches: 128 bits of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityId([u8; 16]);

/// What is known of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Record {
    /// In the shared cache without the owners, which would be a tenth of it.
    Key(Rc<Key>, #[serde(skip)] Owners),
    /// A user, or that there is none of this id.
    User(Option<Rc<User>>),
    /// A tenant, or that there is none of this id.
    Tenant(Option<Rc<Tenant>>),
}

/// A record, and how well it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    record: Record,
    /// Number of the record's last write; of an absence, the sequence at which it was seen.
    version: u64,
    /// When the key service was last known to hold this to be true.
    confirmed: Instant,
}

/// Where a key's user and tenant are in the caches. Kept beside the key, since it takes two hashes to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Owners {
    user: Option<EntityId>,
    tenant: Option<EntityId>,
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
    /// This VM's own.
    Local,
    /// The one that all VMs share.
    Shared,
}

/// What the change feed says of everything in the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Continuity {
    /// Counts how often the feed had to begin anew; what was learned before such a moment is not believed.
    /// Zero where no feed was ever followed.
    pub epoch: u64,
    /// When all that is in the caches, with the changes that came, was last known to be true.
    pub confirmed: Instant,
    /// Until when the feed counts as followed without a gap.
    pub until: Instant,
}

/// Both caches.
#[derive(Debug)]
pub struct Cache {
    records: Bounded<Entry>,
    /// When a digest was last unknown. Apart from the records, so that made-up keys cannot push them out.
    negatives: Bounded<Instant>,
    shared: Shared,
    freshness: Freshness,
    continuity: Continuity,
    slept: Option<Sleep>,
}

/// The machine stood still: its monotonic clock did not count that time, but what was confirmed before is
/// older by it.
#[derive(Debug, Clone, Copy)]
struct Sleep {
    ended: Instant,
    lasted: Duration,
}

/// What one part in this many of the local cache is kept for unknown digests.
const NEGATIVE_SHARE: usize = 8;

impl EntityId {
    /// Of the key of a digest.
    pub fn key(digest: &Digest) -> Self {
        Self::first_half(digest.bytes())
    }

    /// Of the user of an id.
    pub fn user(id: &str) -> Self {
        Self::named("user", id)
    }

    /// Of the tenant of an id.
    pub fn tenant(id: &str) -> Self {
        Self::named("tenant", id)
    }

    /// Of what has changed.
    pub fn of(changed: &Changed) -> Self {
        match changed {
            Changed::Key(digest, _) => Self::key(digest),
            Changed::User(id, _) => Self::user(id),
            Changed::Tenant(id, _) => Self::tenant(id),
        }
    }

    fn named(kind: &str, id: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(id);
        Self::first_half(&hash.finalize().into())
    }

    fn first_half(hash: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        Self(half)
    }

    /// A number that is spread evenly.
    fn number(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Cache {
    /// Empty caches. What other VMs have put into the shared one of this namespace is found there.
    pub fn new(limits: &Limits, freshness: Freshness, namespace: &str) -> Self {
        let negatives = (limits.local_entries / NEGATIVE_SHARE).max(1);
        Self {
            records: Bounded::new(limits.local_entries.saturating_sub(negatives)),
            negatives: Bounded::new(negatives),
            shared: Shared::new(namespace, limits.shared_entries),
            freshness,
            continuity: Continuity::default(),
            slept: None,
        }
    }

    /// Takes over what the change feed says. Where it had to begin anew, this VM's own cache is emptied; the
    /// shared one tells its epochs apart itself.
    pub fn follow(&mut self, continuity: Continuity) {
        if continuity.epoch != self.continuity.epoch {
            self.clear();
        }
        self.continuity = continuity;
    }

    /// Forgets what this VM alone knows.
    pub fn clear(&mut self) {
        self.records.clear();
        self.negatives.clear();
    }

    /// Forgets what this VM knows of an entity that has changed. The change is in the shared cache.
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
        store: &dyn Store,
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
        self.shared
            .apply(id, entry.as_ref(), sequence, epoch, store)
    }

    /// The machine stood still until now.
    pub fn slept(&mut self, lasted: Duration, now: Instant) {
        let before = self.slept.map_or(Duration::ZERO, |slept| slept.lasted);
        self.slept = Some(Sleep {
            ended: now,
            lasted: before.saturating_add(lasted),
        });
    }

    /// What is known of a digest.
    pub fn lookup(&mut self, digest: &Digest, now: Instant, store: &dyn Store) -> Lookup {
        let id = EntityId::key(digest);
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
        let chain = Chain { key, user, tenant };
        if self.age(known.confirmed, now) >= self.freshness.max_staleness {
            Lookup::Expired(chain)
        } else if self.is_fresh(&id, known.confirmed, now) {
            Lookup::Fresh(chain, known.source)
        } else {
            Lookup::Stale(chain, known.source)
        }
    }

    /// Takes in what the key service said of a digest when it was asked at a time, and gives what is true
    /// now: where a newer version of a record is known already, that one counts.
    pub fn learn(
        &mut self,
        digest: &Digest,
        resolved: Resolved,
        as_of: u64,
        asked: Instant,
        store: &dyn Store,
    ) -> Learned {
        let id = EntityId::key(digest);
        let (key, user, tenant) = match resolved {
            Resolved::Unknown => return self.learn_unknown(id, as_of, asked, store),
            Resolved::Known { key, user, tenant } => (key, user, tenant),
        };
        let answer = Answered { as_of, asked };
        let user = key.user_id.as_deref().map(|name| {
            let version = user.as_ref().map_or(as_of, |user| user.version);
            let record = Record::User(user.map(Rc::new));
            self.merge(EntityId::user(name), record, version, answer, store)
        });
        let tenant = key.tenant_id.as_deref().map(|name| {
            let version = tenant.as_ref().map_or(as_of, |tenant| tenant.version);
            let record = Record::Tenant(tenant.map(Rc::new));
            self.merge(EntityId::tenant(name), record, version, answer, store)
        });
        let version = key.version;
        let key = self.merge(id, Record::key(Rc::from(key)), version, answer, store);
        self.joined(version, key, user, tenant, asked)
            .map_or(Learned::Behind, |(chain, confirmed)| {
                Learned::Known(chain, confirmed)
            })
    }

    /// The chain of what an answer has come to; nothing where it was asked for and says less than is known.
    fn joined(
        &self,
        version: u64,
        key: Option<Entry>,
        user: Option<Option<Entry>>,
        tenant: Option<Option<Entry>>,
        asked: Instant,
    ) -> Option<(Chain, Instant)> {
        let key = key?;
        let (user, tenant) = (
            user.map_or(Some(None), |user| user.map(Some))?,
            tenant.map_or(Some(None), |tenant| tenant.map(Some))?,
        );
        let owners = [&user, &tenant].into_iter().flatten();
        let confirmed = owners
            .map(|entry| entry.confirmed)
            .fold(key.confirmed, Instant::min)
            .max(self.continuity.confirmed);
        let too_old = self.age(confirmed, asked) >= self.freshness.max_staleness;
        // A newer key may have another user, of whom this answer says nothing.
        if too_old || key.version != version {
            return None;
        }
        let Record::Key(record, _) = key.record else {
            return None;
        };
        let chain = Chain {
            key: record,
            user: user.and_then(|entry| entry.record.user()).flatten(),
            tenant: tenant.and_then(|entry| entry.record.tenant()).flatten(),
        };
        Some((chain, confirmed))
    }

    fn learn_unknown(
        &mut self,
        id: EntityId,
        as_of: u64,
        asked: Instant,
        store: &dyn Store,
    ) -> Learned {
        let (known, floor) = self.newest(&id, store);
        if as_of < floor || known.is_some_and(|known| known.version > as_of) {
            return Learned::Behind;
        }
        self.records.remove(&id);
        self.shared.remove(id, as_of, self.continuity.epoch, store);
        self.negatives.insert(id, asked);
        Learned::Unknown
    }

    /// Entries of this VM's own cache.
    pub fn local_entries(&self) -> usize {
        self.records.len().saturating_add(self.negatives.len())
    }

    /// How many entries of this VM's own cache have made room for others since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        self.records
            .take_evicted()
            .saturating_add(self.negatives.take_evicted())
    }

    /// Keeps the newer of what is known and what is new, here and in the shared cache, and gives it. Nothing
    /// where the answer is from before something that was known and is no longer.
    fn merge(
        &mut self,
        id: EntityId,
        record: Record,
        version: u64,
        answer: Answered,
        store: &dyn Store,
    ) -> Option<Entry> {
        let (known, floor) = self.newest(&id, store);
        // An older version than is known, from a key service that has seen the newer one: its data has been
        // put back to an earlier state. What nobody has confirmed for so long does not stand against it.
        let anew = known.as_ref().is_some_and(|known| {
            known.version > version
                && known.version <= answer.as_of
                && self.age(known.confirmed, answer.asked) >= self.freshness.max_staleness
        });
        let (newer, older) = match known {
            Some(known) if known.version > version && !anew => (Some(known), None),
            known => (None, known.filter(|known| known.version < version)),
        };
        if let Some(newer) = newer {
            self.keep(id, newer.clone());
            return Some(newer);
        }
        let epoch = self.continuity.epoch;
        if answer.as_of < floor {
            // It may be outdated itself, but so is, for certain, what it is newer than.
            if let Some(older) = older {
                self.records.remove(&id);
                self.shared.remove(id, older.version, epoch, store);
            }
            return None;
        }
        // An absence is known again and again, each time as of a later sequence.
        let new = Entry {
            record,
            version,
            confirmed: answer.asked,
        };
        self.shared.put(id, &new, answer.as_of, anew, epoch, store);
        self.keep(id, new.clone());
        Some(new)
    }

    /// The newest that is known of an entity, and the sequence before which nothing is to be believed of it.
    fn newest(&mut self, id: &EntityId, store: &dyn Store) -> (Option<Entry>, u64) {
        let local = self.records.get(id).map(|local| local.clone());
        let (shared, floor) = self.shared.get_with_floor(id, self.continuity.epoch, store);
        let newest = local
            .into_iter()
            .chain(shared)
            .max_by_key(|entry| (entry.version, entry.confirmed));
        (newest, floor)
    }

    fn keep(&mut self, id: EntityId, entry: Entry) {
        self.records.insert(id, entry);
        // Whoever once knew a record does not go back to not knowing it.
        self.negatives.remove(&id);
    }

    /// Finds an entry in this VM's own cache or, where it is not there or no longer fresh, in the shared
    /// one: another VM may have asked since.
    fn find(&mut self, id: EntityId, now: Instant, store: &dyn Store) -> Option<(&Entry, Source)> {
        let local = self.records.get(&id).map(|local| local.confirmed);
        let fresh = local.is_some_and(|confirmed| self.is_fresh(&id, confirmed, now));
        let mut source = Source::Local;
        if !fresh && let Some(shared) = self.shared.get(&id, self.continuity.epoch, store) {
            let known = self.records.get(&id);
            let newer = known.is_none_or(|known| {
                (shared.version, shared.confirmed) > (known.version, known.confirmed)
            });
            if newer {
                self.keep(id, shared);
                source = Source::Shared;
            }
        }
        self.records.get(&id).map(|local| (&*local, source))
    }

    fn find_key(
        &mut self,
        id: EntityId,
        now: Instant,
        store: &dyn Store,
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
        store: &dyn Store,
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
        let slept = self.slept.filter(|slept| confirmed < slept.ended);
        now.since(confirmed)
            .saturating_add(slept.map_or(Duration::ZERO, |slept| slept.lasted))
    }

    /// Whether a record may be used without asking for it again.
    fn is_fresh(&self, id: &EntityId, confirmed: Instant, now: Instant) -> bool {
        let unbroken = now < self.continuity.until
            && self
                .slept
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

/// What an answer of the key service has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// A key, all of which was confirmed at a time or later.
    Known(Chain, Instant),
    /// Nobody knows it.
    Unknown,
    /// The answer is older than what was known already.
    Behind,
}

/// When an answer of the key service was asked for, and as of which sequence it is true.
#[derive(Debug, Clone, Copy)]
struct Answered {
    as_of: u64,
    asked: Instant,
}

struct Known {
    confirmed: Instant,
    source: Source,
}

impl Record {
    fn key(key: Rc<Key>) -> Self {
        let owners = Owners {
            user: key.user_id.as_deref().map(EntityId::user),
            tenant: key.tenant_id.as_deref().map(EntityId::tenant),
        };
        Self::Key(key, owners)
    }

    /// As it is kept in this VM's own cache, where it comes from the shared one.
    fn with_owners(self) -> Self {
        match self {
            Self::Key(key, _) => Self::key(key),
            other => other,
        }
    }

    fn user(&self) -> Option<Option<Rc<User>>> {
        match self {
            Self::User(user) => Some(user.clone()),
            Self::Key(..) | Self::Tenant(_) => None,
        }
    }

    fn tenant(&self) -> Option<Option<Rc<Tenant>>> {
        match self {
            Self::Tenant(tenant) => Some(tenant.clone()),
            Self::Key(..) | Self::User(_) => None,
        }
    }
}
