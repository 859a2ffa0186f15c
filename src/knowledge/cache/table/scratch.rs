//! Records that are filled anew for each request whose key is not among the most recent ones, so that a hit allocates
//! nothing.

use std::rc::Rc;

use super::packed::{Kind, Known};
use super::reader::{Reader, blank_key, blank_tenant, blank_user};
use super::recent::{Read, Recent};
use super::{Piece, RECORD_BYTES, Table};
use crate::knowledge::cache::Epoch;
use crate::knowledge::cache::entry::EntityId;
use crate::record::{Chain, Key, Tenant, User};
use crate::time::Instant;

/// See above. Records that somebody else still has are left to them.
#[derive(Debug)]
pub struct Scratch {
    key: Rc<Key>,
    user: Rc<User>,
    tenant: Rc<Tenant>,
    bytes: Box<[u8]>,
    recent: Recent,
}

/// What all that belongs to a key has in common.
struct Search<'a> {
    table: &'a Table,
    epoch: Epoch,
    bytes: &'a mut [u8],
    confirmed: Instant,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            key: Rc::new(blank_key()),
            user: Rc::new(blank_user()),
            tenant: Rc::new(blank_tenant()),
            bytes: vec![0; RECORD_BYTES].into(),
            recent: Recent::default(),
        }
    }
}

impl Scratch {
    /// Nothing is kept of what was read.
    pub fn forget(&mut self) {
        self.recent = Recent::default();
    }

    /// Of how many keys something is kept.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.recent.len()
    }

    /// A key will be looked up soon.
    pub fn expect(&self, table: &Table, id: &EntityId) {
        if !self.recent.expect(table, id) {
            table.expect(id);
        }
    }

    /// A key, its user and its tenant, read without a lock, and when all of it was last confirmed. Nothing where one of
    /// them is not there, or was being changed.
    pub fn look_up(
        &mut self,
        table: &Table,
        id: &EntityId,
        epoch: Epoch,
    ) -> Option<(Chain, Instant)> {
        if let Some(kept) = self.recent.find(table, id, epoch) {
            return Some((kept.chain.clone(), kept.confirmed));
        }
        let read = self.read(table, id, epoch)?;
        self.recent.keep(*id, &read);
        Some((read.chain, read.confirmed))
    }

    fn read(&mut self, table: &Table, id: &EntityId, epoch: Epoch) -> Option<Read> {
        let changes = table.changes();
        let (record, of_key) = table.copy(id, epoch, &mut self.bytes)?;
        // Both are on their way while the key is read.
        let hints = record.hints()?;
        table.expect_at(hints.user);
        table.expect_at(hints.tenant);
        let known = record.key(own(&mut self.key, blank_key)?)?;
        let mut search = Search {
            table,
            epoch,
            bytes: &mut self.bytes,
            confirmed: known.confirmed,
        };
        let key = &*self.key;
        let (user, of_user) = match &key.user_id {
            None => (None, None),
            Some(name) => {
                let user = own(&mut self.user, blank_user)?;
                let read = |record: Reader<'_>| match record.kind() {
                    Kind::NoUser => record.known().map(|known| (known, false)),
                    _ => Some((record.user(user, Some(key))?, true)),
                };
                let (is_there, piece) =
                    search.owner(hints.user, Kind::User, name, EntityId::user, read)?;
                (is_there.then(|| Rc::clone(&self.user)), Some(piece))
            }
        };
        let (tenant, of_tenant) = match &key.tenant_id {
            None => (None, None),
            Some(name) => {
                let tenant = own(&mut self.tenant, blank_tenant)?;
                let read = |record: Reader<'_>| match record.kind() {
                    Kind::NoTenant => record.known().map(|known| (known, false)),
                    _ => Some((record.tenant(tenant, Some(key))?, true)),
                };
                let (is_there, piece) =
                    search.owner(hints.tenant, Kind::Tenant, name, EntityId::tenant, read)?;
                (is_there.then(|| Rc::clone(&self.tenant)), Some(piece))
            }
        };
        let chain = Chain {
            key: Rc::clone(&self.key),
            user,
            tenant,
        };
        Some(Read {
            chain,
            confirmed: search.confirmed,
            changes,
            epoch: epoch.number,
            pieces: [Some(of_key), of_user, of_tenant],
        })
    }
}

impl Search<'_> {
    /// Reads a user or tenant at the place where it was, or where it is now. Whether it is there at all.
    fn owner(
        &mut self,
        hint: u32,
        kind: Kind,
        name: &str,
        id: impl FnOnce(&str) -> EntityId,
        mut read: impl FnMut(Reader<'_>) -> Option<(Known, bool)>,
    ) -> Option<(bool, Piece)> {
        let there = self.table.copy_at(hint, self.epoch, self.bytes);
        // Of one that is not there the place does not say whose absence it is.
        let there = there.filter(|(record, _)| record.kind() == kind);
        let there = there.and_then(|(record, piece)| Some((read(record)?, piece)));
        let ((known, is_there), piece) = match there {
            Some(there) => there,
            None => {
                let (record, piece) = self.table.copy(&id(name), self.epoch, self.bytes)?;
                (read(record)?, piece)
            }
        };
        self.confirmed = self.confirmed.min(known.confirmed);
        Some((is_there, piece))
    }
}

/// A record that nobody else has.
fn own<T>(shared: &mut Rc<T>, blank: impl FnOnce() -> T) -> Option<&mut T> {
    if Rc::strong_count(shared) != 1 {
        *shared = Rc::new(blank());
    }
    Rc::get_mut(shared)
}
