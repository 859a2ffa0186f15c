//! What one worker has read of a table and is asked for again and again: kept as records, so that they need not be read
//! out of it anew. Nothing of it is used that is not in the table at that moment.

use std::rc::Rc;

use super::super::Epoch;
use super::super::entry::{EntityId, key_bytes, tenant_bytes, user_bytes};
use super::super::local::{Bounded, Weighed};
use super::{Piece, Table};
use crate::record::{Chain, Tenant, User};
use crate::time::Instant;

/// Keys that are kept at most, and bytes of their records.
const ENTRIES: usize = 1024;
const BYTES: usize = 1024 * 1024;

/// Keys of which is remembered that they came, where there is no room for all.
const CAME: usize = 4096;

/// Users that are remembered for the next key of theirs, and tenants likewise.
const OWNERS: usize = 256;

/// Changes of a table after which what was looked at before is read again: a header counts to more than four times as
/// many before it may look as it once did, and one change of a table changes it no more than four times.
const MOST_CHANGES: u64 = 1 << 22;

/// See above.
#[derive(Debug)]
pub struct Recent {
    kept: Bounded<Kept>,
    /// Whether one had to go for another already.
    is_full: bool,
    /// A part of the id of the key that came last and how many had come then, by another part of the id.
    came: Box<[(u16, u16)]>,
    /// How many keys have come of which nothing was kept.
    count: u16,
    users: Owners<User>,
    tenants: Owners<Tenant>,
}

/// What was read of a table: a key with its user and its tenant.
pub struct Read {
    pub chain: Chain,
    /// When all of it was last confirmed.
    pub confirmed: Instant,
    /// As the table was found before.
    pub changes: u64,
    pub epoch: u64,
    /// Where each was read.
    pub pieces: Pieces,
}

/// The same, as it is kept.
#[derive(Debug)]
pub struct Kept {
    pub chain: Chain,
    pub confirmed: Instant,
    /// As the table was found when it was last looked at.
    changes: u64,
    epoch: u64,
    /// Apart, for they are looked at where the table was changed alone.
    pieces: Box<Pieces>,
}

/// Of the key, of its user and of its tenant, where it names any.
pub type Pieces = [Option<Piece>; 3];

impl Default for Recent {
    fn default() -> Self {
        Self {
            kept: Bounded::new(ENTRIES, BYTES),
            is_full: false,
            came: vec![(0, 0); CAME].into(),
            count: 0,
            users: Owners::default(),
            tenants: Owners::default(),
        }
    }
}

impl Recent {
    /// What is kept of a key, if the table holds it still.
    pub fn find(&mut self, table: &Table, id: &EntityId, epoch: Epoch) -> Option<&Kept> {
        let kept = self.kept.get(id)?;
        let changes = table.changes();
        if kept.epoch != epoch.number {
            return None;
        }
        if kept.changes != changes {
            let is_long_ago = changes.wrapping_sub(kept.changes) >= MOST_CHANGES;
            let mut pieces = kept.pieces.iter().flatten();
            if is_long_ago || !pieces.all(|piece| table.holds(*piece)) {
                return None;
            }
            kept.changes = changes;
        }
        Some(kept)
    }

    /// Asks for what is kept of a key, which will be looked up soon. Whether there is anything.
    pub fn expect(&self, table: &Table, id: &EntityId) -> bool {
        let Some(kept) = self.kept.peek(id) else {
            return false;
        };
        expect_record(table, &kept.chain.key);
        if let Some(user) = &kept.chain.user {
            expect_record(table, user);
        }
        true
    }

    /// Keeps what was just read of a key. Where another one has to go for that, only if this one came before.
    pub fn keep(&mut self, id: EntityId, read: &Read) {
        if self.is_full && self.kept.peek(&id).is_none() && !self.came_before(&id) {
            return;
        }
        let Chain { key, user, tenant } = &read.chain;
        let [_, of_user, of_tenant] = read.pieces;
        let kept = Kept {
            chain: Chain {
                key: Rc::clone(key),
                user: self.users.shared(of_user, user.as_ref()),
                tenant: self.tenants.shared(of_tenant, tenant.as_ref()),
            },
            confirmed: read.confirmed,
            changes: read.changes,
            epoch: read.epoch,
            pieces: Box::new(read.pieces),
        };
        self.kept.insert(id, kept);
        self.is_full |= self.kept.take_evicted() > 0;
    }

    /// How many keys are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether a key came not long ago: since then no more have come than are kept. Then to keep it is worth its price.
    fn came_before(&mut self, id: &EntityId) -> bool {
        let [.., a, b, c, d] = id.0;
        let place = usize::from(u16::from_le_bytes([a, b])) % CAME;
        let part = u16::from_le_bytes([c, d]);
        self.count = self.count.wrapping_add(1);
        let Some(came) = self.came.get_mut(place) else {
            return false;
        };
        let (last, when) = std::mem::replace(came, (part, self.count));
        last == part && usize::from(self.count.wrapping_sub(when)) < ENTRIES
    }
}

/// A record will be read soon, and how often it is shared, which is counted right before it.
fn expect_record<T>(table: &Table, record: &Rc<T>) {
    const COUNTS: usize = 2 * size_of::<usize>();
    let address = Rc::as_ptr(record).addr().saturating_sub(COUNTS);
    table.expect_bytes(address, size_of::<T>().saturating_add(COUNTS));
}

impl Weighed for Kept {
    fn bytes(&self) -> usize {
        let Chain { key, user, tenant } = &self.chain;
        key_bytes(key)
            .saturating_add(size_of::<Pieces>())
            .saturating_add(user.as_deref().map_or(0, user_bytes))
            .saturating_add(tenant.as_deref().map_or(0, tenant_bytes))
    }
}

/// Users or tenants of keys that are kept: so one of several keys is there once.
#[derive(Debug)]
struct Owners<T>(Box<[Option<Rc<T>>]>);

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self((0..OWNERS).map(|_| None).collect())
    }
}

impl<T: PartialEq> Owners<T> {
    /// One that was read in a place, or the same one that was read there before.
    fn shared(&mut self, piece: Option<Piece>, read: Option<&Rc<T>>) -> Option<Rc<T>> {
        let (piece, read) = (piece?, read?);
        let place = usize::try_from(piece.place).ok()? % OWNERS;
        let known = self.0.get_mut(place)?;
        match known {
            Some(known) if known == read => Some(Rc::clone(known)),
            _ => known.insert(Rc::clone(read)).clone().into(),
        }
    }
}
