//! What becomes of an answer of the key service: the newer of it and what is known.

use std::rc::Rc;

use super::Cache;
use super::entry::{EntityId, Entry, Record};
use crate::credential::digest::Digest;
use crate::host::Store;
use crate::record::Chain;
use crate::record::Resolved;
use crate::time::Instant;

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

impl Cache {
    /// Takes in what the key service said of a digest when it was asked at a time, and gives what is true
    /// now: where a newer version of a record is known already, that one counts.
    pub fn learn(
        &mut self,
        digest: &Digest,
        resolved: Resolved,
        as_of: u64,
        asked: Instant,
        store: &impl Store,
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
        store: &impl Store,
    ) -> Learned {
        let (known, floor) = self.newest(&id, store);
        if as_of < floor || known.is_some_and(|known| known.version > as_of) {
            return Learned::Behind;
        }
        self.records.remove(&id);
        self.shared.remove(id, as_of, self.continuity.epoch, store);
        self.negatives.insert(id, asked);
        self.unknown_since = self.unknown_since.min(as_of);
        Learned::Unknown
    }

    /// Keeps the newer of what is known and what is new, here and in the shared cache, and gives it. Nothing
    /// where the answer is from before something that was known and is no longer.
    fn merge(
        &mut self,
        id: EntityId,
        record: Record,
        version: u64,
        answer: Answered,
        store: &impl Store,
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
    fn newest(&mut self, id: &EntityId, store: &impl Store) -> (Option<Entry>, u64) {
        let local = self.records.get(id).map(|local| local.clone());
        let (shared, floor) = self.shared.get_with_floor(id, self.continuity.epoch, store);
        let newest = local
            .into_iter()
            .chain(shared)
            .max_by_key(|entry| (entry.version, entry.confirmed));
        (newest, floor)
    }
}
