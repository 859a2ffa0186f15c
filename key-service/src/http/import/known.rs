//! What is there already that lines of an import speak of, read for many lines at once: the database may be a way over
//! a network.

use std::collections::{HashMap, HashSet};

use crate::domain::key::{Expired, Key, KeyImport};
use crate::domain::key_rules::{Checks, KeyRules};
use crate::domain::reach::Reach;
use crate::domain::refusal::Refusal;
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
    /// What keys of tenants must have, by the tenants' ids.
    rules: HashMap<String, Checks>,
    /// Users who are not among these do not exist for the caller.
    bounded: bool,
}

impl Known {
    /// Keys, users and rules, as they are now.
    pub(super) async fn now<'a>(
        view: &View,
        lines: impl Iterator<Item = &'a KeyImport> + Clone,
    ) -> Result<Self, StoreError> {
        let mut known = Self::bounded(view.reach());
        let (by_digest, by_id) = (digests(lines.clone()), ids(lines.clone()));
        known.add_keys(view.taken_keys(&by_digest, &by_id).await?);
        known.add_users(view.by_ids(&owners(lines.clone())).await?);
        let rules = view.key_rules_of(&known.tenants_of(lines)).await?;
        known.add_rules(rules);
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
        known.add_users(write.by_ids(&owners(lines.clone())).await?);
        let tenants = known.tenants_of(lines);
        let found: Vec<Tenant> = write.by_ids(&tenants).await?;
        let rules = write.key_rules_of(&tenants).await?;
        let found = found.into_iter().map(|tenant| tenant.id);
        known.tenants = found.collect();
        known.add_rules(rules);
        Ok(known)
    }

    /// The key of a line, held to the rules of its tenant. Its user is `new_owner` where it is made with it.
    pub(super) fn key(
        &self,
        line: KeyImport,
        expired: Expired,
        new_owner: Option<&User>,
        now: i64,
    ) -> Result<Key, Refusal> {
        let owner = line.user_id.as_ref().and_then(|id| self.users.get(id));
        let owner = owner.or(new_owner);
        let key = Key::import(line, expired, owner, now)?;
        if let Some(rules) = key.tenant_id.as_ref().and_then(|id| self.rules.get(id)) {
            rules.check(&key, owner)?;
        }
        Ok(key)
    }

    /// Those of the lines and of their users.
    fn tenants_of<'k, 'l: 'k>(
        &'k self,
        lines: impl Iterator<Item = &'l KeyImport>,
    ) -> Vec<&'k str> {
        let of_users = self.users.values();
        let of_users = of_users.filter_map(|user| user.tenant_id.as_deref());
        let of_lines = lines.filter_map(|line| line.terms.tenant_id.as_deref());
        let tenants: HashSet<&str> = of_users.chain(of_lines).collect();
        tenants.into_iter().collect()
    }

    fn add_rules(&mut self, rules: HashMap<String, KeyRules>) {
        let rules = rules
            .into_iter()
            .map(|(tenant, rules)| (tenant, rules.checks()));
        self.rules.extend(rules);
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
