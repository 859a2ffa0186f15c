//! What is there already that lines of an import speak of, read for many lines at once: the database may be a way over
//! a network.

use std::collections::{HashMap, HashSet};

use crate::domain::key::{Key, KeyImport};
use crate::domain::tenant::Tenant;
use crate::domain::user::User;
use crate::store::{Store, StoreError, Write};

/// What is there already, and what lines before have written.
#[derive(Default)]
pub(super) struct Known {
    /// The ids of keys, by their digests.
    pub digests: HashMap<String, String>,
    /// The ids of keys.
    pub ids: HashSet<String>,
    /// Users by their ids.
    pub users: HashMap<String, User>,
    /// The ids of tenants.
    pub tenants: HashSet<String>,
}

impl Known {
    /// Keys alone, as they are now.
    pub(super) async fn keys<'a>(
        store: &Store,
        lines: impl Iterator<Item = &'a KeyImport> + Clone,
    ) -> Result<Self, StoreError> {
        let mut known = Self::default();
        known.add_keys(store.keys_by_digests(&digests(lines.clone())).await?);
        known.add_keys(store.by_ids(&ids(lines)).await?);
        Ok(known)
    }

    /// Keys, users and tenants, as they are in a write.
    pub(super) async fn all<'a>(
        write: &mut Write,
        lines: impl Iterator<Item = &'a KeyImport> + Clone,
    ) -> Result<Self, StoreError> {
        let mut known = Self::default();
        known.add_keys(write.keys_by_digests(&digests(lines.clone())).await?);
        known.add_keys(write.by_ids(&ids(lines.clone())).await?);
        let owners: HashSet<&str> = lines
            .clone()
            .filter_map(|line| line.user_id.as_deref())
            .collect();
        let owners: Vec<&str> = owners.into_iter().collect();
        let users: Vec<User> = write.by_ids(&owners).await?;
        let of_users = users.iter().filter_map(|user| user.tenant_id.as_deref());
        let of_lines = lines.filter_map(|line| line.terms.tenant_id.as_deref());
        let tenants: HashSet<&str> = of_users.chain(of_lines).collect();
        let tenants: Vec<&str> = tenants.into_iter().collect();
        let found: Vec<Tenant> = write.by_ids(&tenants).await?;
        known
            .tenants
            .extend(found.into_iter().map(|tenant| tenant.id));
        known
            .users
            .extend(users.into_iter().map(|user| (user.id.clone(), user)));
        Ok(known)
    }

    fn add_keys(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.add(&key);
        }
    }

    /// Takes note of a key that is there.
    pub(super) fn add(&mut self, key: &Key) {
        self.ids.insert(key.id.clone());
        self.digests
            .insert(key.digest.as_str().to_owned(), key.id.clone());
    }
}

fn digests<'a>(lines: impl Iterator<Item = &'a KeyImport>) -> Vec<&'a str> {
    lines.map(|line| line.digest.as_str()).collect()
}

fn ids<'a>(lines: impl Iterator<Item = &'a KeyImport>) -> Vec<&'a str> {
    lines.filter_map(|line| line.terms.id.as_deref()).collect()
}
