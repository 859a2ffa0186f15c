//! The records as one caller sees them. Whatever is read or written for a caller of the admin API, or for a directory,
//! goes through here: what is out of its reach does not exist for it.

use std::collections::HashMap;

use super::audit::AuditFilter;
use super::belongs::{Taken, taken};
use super::database::Store;
use super::error::StoreError;
use super::page::{Filter, Narrowing, Page, PageRequest};
use super::queue::Urgency;
use super::resolve::{Found, Resolved};
use super::review::Reviewing;
use super::shown::Shown;
use super::sorted::{SortedPage, SortedRequest};
use super::stored::Stored;
use super::use_of_days::Of;
use super::write::Write;
use crate::domain::audit::AuditEntry;
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::key_rules::KeyRules;
use crate::domain::reach::Reach;
use crate::domain::review::Review;
use crate::domain::tenant::Tenant;
use crate::domain::usage::{KeyUsage, Use, UserUsage};
use crate::domain::user::User;

/// The records as one caller sees them, and may change them.
#[derive(Debug, Clone)]
pub struct View {
    store: Store,
    reach: Reach,
    actor: String,
}

impl View {
    /// What somebody sees who reaches so far, and is named so in the audit log.
    pub fn new(store: Store, reach: Reach, actor: String) -> Self {
        Self {
            store,
            reach,
            actor,
        }
    }

    /// How far it reaches.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// What it is called in the audit log.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The record of this id.
    pub async fn by_id<T: Stored>(&self, id: &str) -> Result<Option<T>, StoreError> {
        let found = self.store.by_id::<T>(id).await?;
        Ok(found.filter(|record| self.reach.sees(record)))
    }

    /// The records of these ids, as far as there are any.
    pub async fn by_ids<T: Stored>(&self, ids: &[&str]) -> Result<Vec<T>, StoreError> {
        let mut found = self.store.by_ids::<T>(ids).await?;
        found.retain(|record| self.reach.sees(record));
        Ok(found)
    }

    /// A page of the records that this lets through, oldest first.
    pub async fn page<F: Filter>(
        &self,
        filter: &F,
        page: PageRequest,
    ) -> Result<Page<F::Item>, StoreError> {
        let within = Within {
            filter,
            reach: &self.reach,
        };
        self.store.page(&within, page).await
    }

    /// A page of the records that this lets through, sorted as the request says.
    pub async fn sorted<F: Filter>(
        &self,
        filter: &F,
        page: SortedRequest,
    ) -> Result<SortedPage<F::Item>, StoreError> {
        let within = Within {
            filter,
            reach: &self.reach,
        };
        self.store.sorted(&within, page).await
    }

    /// A page of the audit log, newest first.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        page: PageRequest,
    ) -> Result<Page<AuditEntry>, StoreError> {
        self.store.audit(filter, &self.reach, page).await
    }

    /// The key of this id, with its use.
    pub async fn key_usage(&self, id: &str) -> Result<Option<KeyUsage>, StoreError> {
        let found = self.store.key_usage(id).await?;
        Ok(found.filter(|found| self.reach.sees(&found.key.key)))
    }

    /// The user of this id, with the use of its keys.
    pub async fn user_usage(&self, id: &str) -> Result<Option<UserUsage>, StoreError> {
        match self.by_id::<User>(id).await? {
            Some(user) => self.store.user_usage(user, &self.reach).await.map(Some),
            None => Ok(None),
        }
    }

    /// The use of the key of this id since a time, day by day.
    pub async fn use_of_key(&self, id: &str, since: i64) -> Result<Option<Use>, StoreError> {
        match self.by_id::<Key>(id).await? {
            Some(key) => self.use_of_days(Of::Key(&key.id), since).await.map(Some),
            None => Ok(None),
        }
    }

    /// The use of all keys of the user of this id since a time, day by day.
    pub async fn use_of_user(&self, id: &str, since: i64) -> Result<Option<Use>, StoreError> {
        match self.by_id::<User>(id).await? {
            Some(user) => self.use_of_days(Of::User(&user.id), since).await.map(Some),
            None => Ok(None),
        }
    }

    async fn use_of_days(&self, of: Of<'_>, since: i64) -> Result<Use, StoreError> {
        self.store.use_of_days(of, since, &self.reach).await
    }

    /// Whether any gateway has ever reported use.
    pub async fn usage_reported(&self) -> Result<bool, StoreError> {
        self.store.usage_reported().await
    }

    /// The keys of these digests, with users and tenants. One whose user or tenant is out of reach is shown as if that
    /// did not exist.
    pub async fn resolve(&self, digests: &[Digest]) -> Result<Resolved, StoreError> {
        let mut resolved = self.store.resolve(digests).await?;
        for found in &mut resolved.results {
            *found = found.take().filter(|found| self.reach.sees(&found.key));
            if let Some(Found { user, tenant, .. }) = found {
                *user = user.take().filter(|user| self.reach.sees(user));
                *tenant = tenant.take().filter(|tenant| self.reach.sees(tenant));
            }
        }
        Ok(resolved)
    }

    /// The keys that have one of these digests, or one of these ids, whoever they belong to: neither is free again
    /// anywhere. Those out of reach must be told of as taken, and no more.
    pub async fn taken_keys(
        &self,
        digests: &[&str],
        ids: &[&str],
    ) -> Result<Vec<Taken>, StoreError> {
        let mut keys = self.store.keys_by_digests(digests).await?;
        keys.extend(self.store.by_ids::<Key>(ids).await?);
        Ok(taken(&self.reach, keys))
    }

    /// The rules of these tenants, by their ids, as far as they are within reach.
    pub async fn key_rules_of(
        &self,
        tenants: &[&str],
    ) -> Result<HashMap<String, KeyRules>, StoreError> {
        let mut rules = self.store.key_rules_of(tenants).await?;
        rules.retain(|tenant, _| self.reach.holds_tenant(tenant));
        Ok(rules)
    }

    /// The rules of a tenant, where that is within reach; none within where it has none.
    pub async fn key_rules(&self, tenant: &str) -> Result<Option<Option<KeyRules>>, StoreError> {
        match self.by_id::<Tenant>(tenant).await? {
            Some(tenant) => self.store.key_rules(&tenant.id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Since when gateways report use; none where none has yet.
    pub async fn usage_reported_since(&self) -> Result<Option<i64>, StoreError> {
        self.store.usage_reported_since().await
    }

    /// Begins a review of the keys within reach, or of those of one tenant, behind this place.
    pub async fn review(
        &self,
        review: Review,
        tenant: Option<String>,
        after: i64,
    ) -> Result<Reviewing<'_>, StoreError> {
        let reach = self.reach.clone();
        self.store.review(review, reach, tenant, after).await
    }

    /// Begins the only write there is at a time.
    pub async fn write(&self, now: i64) -> Result<Write, StoreError> {
        self.write_as(Urgency::Change, now).await
    }

    /// The same, before or behind others that wait.
    pub async fn write_as(&self, urgency: Urgency, now: i64) -> Result<Write, StoreError> {
        let write = self.store.write_as(urgency, &self.actor, now).await?;
        Ok(write.within(self.reach.clone()))
    }
}

/// A list, as far as a token reaches.
struct Within<'a, F> {
    filter: &'a F,
    reach: &'a Reach,
}

impl<F: Filter> Filter for Within<'_, F> {
    type Item = F::Item;

    fn narrow(&self, list: &mut Narrowing) {
        self.filter.narrow(list);
        list.reach::<<F::Item as Shown>::Record>(self.reach);
    }

    fn looks_at_all(&self) -> bool {
        self.filter.looks_at_all()
    }
}
