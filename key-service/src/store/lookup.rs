//! What a plan is made from: the same questions before a write and within it.

use std::collections::HashMap;

use super::error::StoreError;
use super::key_rules::of_tenants;
use super::sql::On;
use super::stored::{self, Stored};
use super::view::View;
use super::write::Write;
use crate::domain::key::Key;
use crate::domain::key_rules::KeyRules;
use crate::domain::reach::Reach;
use crate::domain::user::User;

/// Where to look.
pub enum Lookup<'a> {
    /// What is there now.
    Before(&'a View),
    /// What is there while nobody else writes.
    Within(&'a mut Write),
}

/// A record that is there.
#[derive(Debug)]
pub struct There<T> {
    /// The record.
    pub record: T,
    /// Whether the caller may be told of it.
    pub seen: bool,
}

impl Lookup<'_> {
    /// How far the caller reaches.
    pub fn reach(&self) -> &Reach {
        match self {
            Self::Before(view) => view.reach(),
            Self::Within(write) => write.reach(),
        }
    }

    async fn on(&mut self) -> Result<On<'_>, StoreError> {
        match self {
            Self::Before(view) => Ok((&view.store().readers).into()),
            Self::Within(write) => write.on().await,
        }
    }

    /// The records of these ids, whoever they belong to.
    pub async fn by_ids<T: Stored>(&mut self, ids: &[&str]) -> Result<Vec<There<T>>, StoreError> {
        let found = stored::by_ids(self.on().await?, ids).await?;
        Ok(self.there(found))
    }

    /// The keys of these digests, whoever they belong to.
    pub async fn keys_by_digests(
        &mut self,
        digests: &[&str],
    ) -> Result<Vec<There<Key>>, StoreError> {
        let found = stored::keys_by_digests(self.on().await?, digests).await?;
        Ok(self.there(found))
    }

    /// The users of these logins, in whatever tenant.
    pub async fn users_by_logins(
        &mut self,
        logins: &[&str],
    ) -> Result<Vec<There<User>>, StoreError> {
        let found = stored::users_by_logins(self.on().await?, logins).await?;
        Ok(self.there(found))
    }

    /// The rules of these tenants, by their ids.
    pub async fn key_rules_of(
        &mut self,
        tenants: &[&str],
    ) -> Result<HashMap<String, KeyRules>, StoreError> {
        of_tenants(self.on().await?, tenants).await
    }

    fn there<T: Stored>(&self, found: Vec<T>) -> Vec<There<T>> {
        let found = found.into_iter().map(|record| There {
            seen: self.reach().sees(&record),
            record,
        });
        found.collect()
    }
}
