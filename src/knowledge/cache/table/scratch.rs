//! Records that are filled anew for each request, so that a hit allocates nothing.

use std::rc::Rc;

use super::packed::{Kind, Known};
use super::reader::{Reader, blank_key, blank_tenant, blank_user};
use super::{RECORD_BYTES, Table};
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
        }
    }
}

impl Scratch {
    /// Reads a key, its user and its tenant, without a lock, and when all of it was last confirmed. Nothing where one
    /// of them is not there, or was being changed.
    pub fn look_up(
        &mut self,
        table: &Table,
        id: &EntityId,
        epoch: Epoch,
    ) -> Option<(Chain, Instant)> {
        let record = table.copy(id, epoch, &mut self.bytes)?;
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
        let user = match &key.user_id {
            None => None,
            Some(name) => {
                let user = own(&mut self.user, blank_user)?;
                let read = |record: Reader<'_>| match record.kind() {
                    Kind::NoUser => record.known().map(|known| (known, false)),
                    _ => Some((record.user(user, Some(key))?, true)),
                };
                search
                    .owner(hints.user, Kind::User, name, EntityId::user, read)?
                    .then(|| Rc::clone(&self.user))
            }
        };
        let tenant = match &key.tenant_id {
            None => None,
            Some(name) => {
                let tenant = own(&mut self.tenant, blank_tenant)?;
                let read = |record: Reader<'_>| match record.kind() {
                    Kind::NoTenant => record.known().map(|known| (known, false)),
                    _ => Some((record.tenant(tenant, Some(key))?, true)),
                };
                search
                    .owner(hints.tenant, Kind::Tenant, name, EntityId::tenant, read)?
                    .then(|| Rc::clone(&self.tenant))
            }
        };
        let chain = Chain {
            key: Rc::clone(&self.key),
            user,
            tenant,
        };
        Some((chain, search.confirmed))
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
    ) -> Option<bool> {
        let there = self.table.copy_at(hint, self.epoch, self.bytes);
        // Of one that is not there the place does not say whose absence it is.
        let there = there.filter(|record| record.kind() == kind);
        let (known, is_there) = match there.and_then(&mut read) {
            Some(known) => known,
            None => read(self.table.copy(&id(name), self.epoch, self.bytes)?)?,
        };
        self.confirmed = self.confirmed.min(known.confirmed);
        Some(is_there)
    }
}

/// A record that nobody else has.
fn own<T>(shared: &mut Rc<T>, blank: impl FnOnce() -> T) -> Option<&mut T> {
    if Rc::strong_count(shared) != 1 {
        *shared = Rc::new(blank());
    }
    Rc::get_mut(shared)
}
