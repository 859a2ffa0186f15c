//! What lies in the tenants of a file and is not named in it.

use std::collections::{HashMap, HashSet};

use super::Described;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::user::UserStatus;
use crate::store::page::{Filter, KeyFilter, PageRequest, UserFilter};
use crate::store::{StoreError, View};

/// Records that are read at once.
const PART: usize = 1000;

/// Users and keys that no entry names, by their ids.
#[derive(Default)]
pub struct Unnamed {
    /// Users, but for those who come from a directory: it says who is there.
    pub users: Vec<String>,
    /// Keys, but for those that rotations have put in the place of named ones.
    pub keys: Vec<String>,
}

impl Unnamed {
    /// Those in the tenants that the file names.
    pub async fn of(view: &View, described: &Described) -> Result<Self, StoreError> {
        let mut unnamed = Self::default();
        let users = described.users.iter().map(|user| user.id.as_str());
        let users: HashSet<&str> = users.collect();
        let named: Vec<&str> = described.keys.iter().map(|key| key.id.as_str()).collect();
        for tenant in &described.tenants {
            let of_tenant = || Some(tenant.id.clone());
            let filter = UserFilter {
                tenant: of_tenant(),
                ..UserFilter::default()
            };
            for user in all(view, &filter).await? {
                let gone = matches!(user.status, UserStatus::Deactivated | UserStatus::Deleted);
                if !gone && user.external_id.is_none() && !users.contains(user.id.as_str()) {
                    unnamed.users.push(user.id);
                }
            }
            let filter = KeyFilter {
                tenant: of_tenant(),
                ..KeyFilter::default()
            };
            let keys = all(view, &filter).await?;
            let keys: Vec<Key> = keys.into_iter().map(|used| used.key).collect();
            let kept = with_successors(&named, &keys);
            let lost = keys
                .iter()
                .filter(|key| key.status != KeyStatus::Revoked && !kept.contains(key.id.as_str()));
            unnamed.keys.extend(lost.map(|key| key.id.clone()));
        }
        Ok(unnamed)
    }
}

async fn all<F: Filter>(view: &View, filter: &F) -> Result<Vec<F::Item>, StoreError> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let request = PageRequest { after, limit: PART };
        let page = view.page(filter, request).await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(items);
        }
    }
}

/// These keys, and those that took their place.
fn with_successors<'k>(named: &[&'k str], keys: &'k [Key]) -> HashSet<&'k str> {
    let successors: HashMap<&str, &str> = keys
        .iter()
        .filter_map(|key| Some((key.id.as_str(), key.replaced_by.as_deref()?)))
        .collect();
    let mut kept = HashSet::new();
    for id in named {
        let mut next = Some(*id);
        while let Some(id) = next.filter(|id| kept.insert(*id)) {
            next = successors.get(id).copied();
        }
    }
    kept
}
