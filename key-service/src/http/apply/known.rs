//! What is there already that entries speak of, read for many entries at once.

use std::collections::{HashMap, HashSet};

use super::plan::{Step, login_of};
use crate::domain::Patch;
use crate::domain::key::Key;
use crate::domain::key_rules::{Checks, KeyRules};
use crate::domain::tenant::Tenant;
use crate::domain::user::{User, login_key};
use crate::store::lookup::{Lookup, There};
use crate::store::{StoreError, stored::Stored};

/// What is there, and what the steps before have planned.
#[derive(Default)]
pub struct Known {
    tenants: Records<Tenant>,
    users: Records<User>,
    keys: Records<Key>,
    /// The ids of keys, by their digests; none where the key is out of reach.
    digests: HashMap<String, Option<String>>,
    /// The ids of users, by tenant and login.
    logins: HashMap<(String, String), Option<String>>,
    rules: HashMap<String, KeyRules>,
    checks: HashMap<String, Checks>,
}

/// Records by their ids; none where one is out of reach.
struct Records<T>(HashMap<String, Option<T>>);

impl<T> Default for Records<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Stored> Records<T> {
    fn add(&mut self, found: Vec<There<T>>) {
        self.0.extend(found.into_iter().map(|there| {
            let id = there.record.id().to_owned();
            (id, there.seen.then_some(there.record))
        }));
    }

    fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id)?.as_ref()
    }

    fn is_taken(&self, id: &str) -> bool {
        matches!(self.0.get(id), Some(None))
    }

    /// Those that are not known yet.
    fn missing<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Vec<&'i str> {
        let ids: HashSet<&str> = ids.filter(|id| !self.0.contains_key(*id)).collect();
        ids.into_iter().collect()
    }
}

impl Known {
    /// Reads what these steps need: keys, then their users, then the tenants of both, and what follows from each.
    pub async fn of(
        lookup: &mut Lookup<'_>,
        steps: &[Step<'_>],
        digests: &[&str],
    ) -> Result<Self, StoreError> {
        let mut known = Self::default();
        let ids: Vec<&str> = steps.iter().filter_map(Step::key).collect();
        known.keys.add(lookup.by_ids(&ids).await?);
        let successors: Vec<String> = known.seen_keys(|key| key.replaced_by.clone());
        let successors = known.keys.missing(successors.iter().map(String::as_str));
        let found = lookup.by_ids(&successors).await?;
        known.keys.add(found);
        for There { record, seen } in lookup.keys_by_digests(digests).await? {
            let id = seen.then_some(record.id);
            known.digests.insert(record.digest.as_str().to_owned(), id);
        }

        let owners: Vec<String> = known.seen_keys(|key| key.user_id.clone());
        let owners = owners.iter().map(String::as_str);
        let users: HashSet<&str> = steps.iter().filter_map(Step::user).chain(owners).collect();
        let users: Vec<&str> = users.into_iter().collect();
        known.users.add(lookup.by_ids(&users).await?);
        let logins: Vec<String> = steps
            .iter()
            .filter_map(|step| step.login())
            .map(login_key)
            .collect();
        let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
        for There { record, seen } in lookup.users_by_logins(&logins).await? {
            if let Some(login) = login_of(&record) {
                known.logins.insert(login, seen.then_some(record.id));
            }
        }

        let of_keys: Vec<String> = known.seen_keys(|key| key.tenant_id.clone());
        let of_users = known.users.0.values().flatten();
        let of_users = of_users.filter_map(|user| user.tenant_id.as_deref());
        let own = lookup.reach().tenant().map(str::to_owned);
        let tenants: HashSet<&str> = steps
            .iter()
            .filter_map(Step::tenant)
            .chain(of_keys.iter().map(String::as_str))
            .chain(of_users)
            .chain(own.as_deref())
            .collect();
        let tenants: Vec<&str> = tenants.into_iter().collect();
        let found = lookup.by_ids(&tenants).await?;
        known.rules = lookup.key_rules_of(&tenants).await?;
        known.tenants.add(found);
        let checks = known.rules.iter();
        let checks = checks.map(|(tenant, rules)| (tenant.clone(), rules.clone().checks()));
        known.checks = checks.collect();
        Ok(known)
    }

    fn seen_keys(&self, of: impl Fn(&Key) -> Option<String>) -> Vec<String> {
        self.keys.0.values().flatten().filter_map(of).collect()
    }

    /// The tenant of this id.
    pub fn tenant(&self, id: &str) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// The user of this id.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    /// Whether a user of this id is there who is out of reach.
    pub fn user_is_taken(&self, id: &str) -> bool {
        self.users.is_taken(id)
    }

    /// Whether a key of this id is there that is out of reach.
    pub fn key_is_taken(&self, id: &str) -> bool {
        self.keys.is_taken(id)
    }

    /// The key of this digest, if there is one: its id, where that is within reach.
    pub fn key_of(&self, digest: &str) -> Option<Option<&str>> {
        self.digests.get(digest).map(Option::as_deref)
    }

    /// Another user who has the login of this one: its id, where that is within reach.
    pub fn other_of_login(&self, user: &User) -> Option<Option<&str>> {
        let id = self.logins.get(&login_of(user)?)?.as_deref();
        (id != Some(user.id.as_str())).then_some(id)
    }

    /// The rules of a tenant; none where it has none.
    pub fn rules(&self, tenant: &str) -> Option<&KeyRules> {
        self.rules.get(tenant)
    }

    /// The rules of a tenant, ready to be asked.
    pub fn checks(&self, tenant: &str) -> Option<&Checks> {
        self.checks.get(tenant)
    }

    /// Takes note of a tenant as it will be, with its rules where those change.
    pub fn plan_tenant(&mut self, tenant: &Tenant, rules: &Patch<Option<KeyRules>>) {
        let id = &tenant.id;
        self.tenants.0.insert(id.clone(), Some(tenant.clone()));
        if let Patch::Set(rules) = rules {
            self.rules.remove(id);
            self.checks.remove(id);
            if let Some(rules) = rules {
                self.rules.insert(id.clone(), rules.clone());
                self.checks.insert(id.clone(), rules.clone().checks());
            }
        }
    }

    /// Takes note of a user as it will be.
    pub fn plan_user(&mut self, before: Option<&User>, user: &User) {
        if let Some(login) = before.and_then(login_of) {
            self.logins.remove(&login);
        }
        if let Some(login) = login_of(user) {
            self.logins.insert(login, Some(user.id.clone()));
        }
        self.users.0.insert(user.id.clone(), Some(user.clone()));
    }

    /// Takes note of a key as it will be.
    pub fn plan_key(&mut self, key: &Key) {
        let digest = key.digest.as_str().to_owned();
        self.digests.insert(digest, Some(key.id.clone()));
        self.keys.0.insert(key.id.clone(), Some(key.clone()));
    }
}
