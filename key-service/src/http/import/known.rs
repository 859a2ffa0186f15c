//! What is there already that lines of an import speak of, read for many lines at once: the database may be a way over
//! a network.

use std::collections::{HashMap, HashSet};

use crate::domain::key::{Key, KeyImport};
use crate::domain::reach::Reach;
use crate::domain::tenant::Tenant;
use crate::domain::user::User;
use crate::store::{StoreError, Taken, View, Write};

/// What is there already, and what lines before have written.
#[derive(Default)]
pub(super) struct Known {
    /// The ids of keys, by their digests; none where the key is out of reach.
    pub digests: HashMap<String, Option<String>>,
    /// The ids of keys.
    pub ids: HashSet<String>,
    /// Users by their ids.
    pub users: HashMap<String, User>,
    /// The ids of tenants.
    pub tenants: HashSet<String>,
    /// Users who are not among these do not exist for the caller.
    bounded: bool,
}

impl Known {
    /// Keys alone, as they are now.
    pub(super) async fn keys<'a>(
        view: &View,
        lines: impl Iterator<Item = &'a KeyImport> + Clone,
    ) -> Result<Self, StoreError> {
        let mut known = Self::bounded(view.reach());
        if known.bounded {
            let users: Vec<User> = view.by_ids(&owners(lines.clone())).await?;
            known.add_users(users);
        }
        let taken = view
            .taken_keys(&digests(lines.clone()), &ids(lines))
            .await?;
        known.add_keys(taken);
        Ok(known)
    }

    /// Keys, users and tenants, as they are in a write.
    pub(super) async fn all<'a>(
        write: &mut Write,
        reach: &Reach,
        lines: impl Iterator<Item = &'a KeyImport> + Clone,
    ) -> Result<Self, StoreError> {
        let mut known = Self::bounded(reach);
        let (by_digest, by_id) = (digests(lines.clone()), ids(lines.clone()));
        known.add_keys(write.taken_keys(&by_digest, &by_id).await?);
        let users: Vec<User> = write.by_ids(&owners(lines.clone())).await?;
        let of_users = users.iter().filter_map(|user| user.tenant_id.as_deref());
        let of_lines = lines.filter_map(|line| line.terms.tenant_id.as_deref());
        let tenants: HashSet<&str> = of_users.chain(of_lines).collect();
        let tenants: Vec<&str> = tenants.into_iter().collect();
        let found: Vec<Tenant> = write.by_ids(&tenants).await?;
        known
            .tenants
            .extend(found.into_iter().map(|tenant| tenant.id));
        known.add_users(users);
        Ok(known)
    }

    fn bounded(reach: &Reach) -> Self {
        Self {
            bounded: *reach != Reach::Everything,
            ..Self::default()
        }
    }

    /// Whether a line names an owner who does not exist for a caller who does not see everything. For one who does, a
    /// key may have an owner who is missing.
    pub(super) fn lacks_owner(&self, line: &KeyImport) -> bool {
        let owner = line.user_id.as_ref();
        self.bounded && owner.is_some_and(|id| !self.users.contains_key(id))
    }

    fn add_users(&mut self, users: Vec<User>) {
        self.users
            .extend(users.into_iter().map(|user| (user.id.clone(), user)));
    }

    fn add_keys(&mut self, keys: Vec<Taken>) {
        for Taken { key, seen } in keys {
            let id = seen.then(|| key.id.clone());
            self.digests.insert(key.digest.as_str().to_owned(), id);
            self.ids.insert(key.id);
        }
    }

    /// Takes note of a key that was written.
    pub(super) fn add(&mut self, key: &Key) {
        self.ids.insert(key.id.clone());
        self.digests
            .insert(key.digest.as_str().to_owned(), Some(key.id.clone()));
    }
}

fn owners<'a>(lines: impl Iterator<Item = &'a KeyImport>) -> Vec<&'a str> {
    let owners: HashSet<&str> = lines.filter_map(|line| line.user_id.as_deref()).collect();
    owners.into_iter().collect()
}

fn digests<'a>(lines: impl Iterator<Item = &'a KeyImport>) -> Vec<&'a str> {
    lines.map(|line| line.digest.as_str()).collect()
}

fn ids<'a>(lines: impl Iterator<Item = &'a KeyImport>) -> Vec<&'a str> {
    lines.filter_map(|line| line.terms.id.as_deref()).collect()
}
