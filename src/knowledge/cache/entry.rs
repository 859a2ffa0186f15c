//! What the caches hold, and under which id.

use std::hash::Hasher;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::local::Weighed;
use crate::credential::digest::Digest;
use crate::knowledge::Spread;
use crate::record::{Changed, Key, Networks, Tenant, Text, User, bytes_apart};
use crate::time::Instant;

/// What stands for a key, a user or a tenant in the caches: 128 bits of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntityId(pub(super) [u8; 16]);

/// What is known of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    /// In the shared cache without the owners, which would be a tenth of it.
    Key(Rc<Key>, #[serde(skip)] Owners),
    /// A user, or that there is none of this id.
    User(Option<Rc<User>>),
    /// A tenant, or that there is none of this id.
    Tenant(Option<Rc<Tenant>>),
}

/// A record, and how well it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// Number of the record's last write; of an absence, the sequence at which it was seen.
    pub(super) version: u64,
    /// When the key service was last known to hold this to be true.
    pub(super) confirmed: Instant,
}

/// Where a key's user and tenant are in the caches. Kept beside the key, since it takes two hashes to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Owners {
    pub(super) user: Option<EntityId>,
    pub(super) tenant: Option<EntityId>,
}

impl Owners {
    pub(super) fn of(key: &Key) -> Self {
        Self {
            user: key.user_id.as_deref().map(EntityId::user),
            tenant: key.tenant_id.as_deref().map(EntityId::tenant),
        }
    }
}

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

    /// Ids are hashes already: their first eight bytes are as good as any hash of them.
    pub fn spread(&self) -> u64 {
        let mut spread = Spread::default();
        spread.write_u64(self.number());
        spread.finish()
    }

    /// A number that is spread evenly.
    pub(super) fn number(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Record {
    pub(super) fn key(key: Rc<Key>) -> Self {
        let owners = Owners::of(&key);
        Self::Key(key, owners)
    }

    /// As it is kept in this worker's own cache, where it comes from the shared one.
    pub(super) fn with_owners(self) -> Self {
        match self {
            Self::Key(key, _) => Self::key(key),
            other => other,
        }
    }

    /// Bytes that it takes on the heap, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Key(key, _) => key_bytes(key),
            Self::User(user) => user.as_deref().map_or(0, user_bytes),
            Self::Tenant(tenant) => tenant.as_deref().map_or(0, tenant_bytes),
        }
    }

    pub(super) fn user(&self) -> Option<Option<Rc<User>>> {
        match self {
            Self::User(user) => Some(user.clone()),
            Self::Key(..) | Self::Tenant(_) => None,
        }
    }

    pub(super) fn tenant(&self) -> Option<Option<Rc<Tenant>>> {
        match self {
            Self::Tenant(tenant) => Some(tenant.clone()),
            Self::Key(..) | Self::User(_) => None,
        }
    }
}

impl Weighed for Entry {
    fn bytes(&self) -> usize {
        self.record.bytes()
    }
}

/// When a digest was last unknown.
impl Weighed for Instant {
    fn bytes(&self) -> usize {
        0
    }
}

/// What an allocator takes for itself, and for rounding up, of each allocation.
const ALLOCATION: usize = 16;

fn text_bytes(text: &Text) -> usize {
    match bytes_apart(text) {
        0 => 0,
        bytes => ALLOCATION.saturating_add(bytes),
    }
}

fn optional_bytes(text: Option<&Text>) -> usize {
    text.map_or(0, text_bytes)
}

/// What stands behind an `Rc`.
fn shared_bytes<T>() -> usize {
    ALLOCATION
        .saturating_add(size_of::<T>())
        .saturating_add(2 * size_of::<usize>())
}

pub(super) fn key_bytes(key: &Key) -> usize {
    let networks = match &key.networks {
        Some(Networks::Ranges(ranges)) => ALLOCATION.saturating_add(size_of_val(&**ranges)),
        Some(Networks::Unreadable) | None => 0,
    };
    [
        text_bytes(&key.id),
        optional_bytes(key.user_id.as_ref()),
        optional_bytes(key.tenant_id.as_ref()),
        optional_bytes(key.environment.as_ref()),
        text_bytes(key.scopes.text()),
        networks,
    ]
    .into_iter()
    .fold(shared_bytes::<Key>(), usize::saturating_add)
}

pub(super) fn user_bytes(user: &User) -> usize {
    let scopes = user.scopes.as_ref().map(|scopes| scopes.text());
    let apis = user.apis.iter().flatten();
    let apis = apis.map(|api| text_bytes(api).saturating_add(size_of::<Text>()));
    [
        text_bytes(&user.id),
        optional_bytes(user.tenant_id.as_ref()),
        optional_bytes(scopes),
    ]
    .into_iter()
    .chain(apis)
    .fold(shared_bytes::<User>(), usize::saturating_add)
}

pub(super) fn tenant_bytes(tenant: &Tenant) -> usize {
    shared_bytes::<Tenant>().saturating_add(text_bytes(&tenant.id))
}
