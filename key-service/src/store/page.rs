//! Lists, a page at a time, in the order of creation.

use super::belongs::Belongs;
use super::database::Store;
use super::error::StoreError;
use super::shown::{REPORTED, Shown, select};
use super::sql::{Row, Statement, Value};
use crate::domain::key::KeyStatus;
use crate::domain::reach::Reach;
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::usage::UsedKey;
use crate::domain::user::{User, UserKind, UserStatus};
use crate::domain::words::words;

/// Which part of a list to give.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// The place of the last entry of the page before.
    pub after: Option<i64>,
    /// Entries at most.
    pub limit: usize,
}

impl PageRequest {
    /// One more than asked for tells whether there is a next page.
    pub(super) fn limit_and_one(self) -> i64 {
        i64::try_from(self.limit).map_or(i64::MAX, |limit| limit.saturating_add(1))
    }
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What the next page comes after; none where this is the last.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// Cuts off the entry that was read only to see whether there is more.
    pub(super) fn cut(mut entries: Vec<(i64, T)>, page: PageRequest) -> Self {
        let more = entries.len() > page.limit;
        entries.truncate(page.limit);
        let next = entries.last().filter(|_| more).map(|(place, _)| *place);
        Self {
            items: entries.into_iter().map(|(_, item)| item).collect(),
            next,
        }
    }
}

/// Which tenants to list.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// Only those of this status.
    pub status: Option<TenantStatus>,
    /// Only those whose id or name holds this text.
    pub search: Option<String>,
    /// Only the one of this id.
    pub id: Option<String>,
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those whose id, name or login holds this text.
    pub search: Option<String>,
    /// Only those of this tenant.
    pub tenant: Option<String>,
    /// Only those of this kind.
    pub kind: Option<UserKind>,
}

words! {
    /// Keys whose owner is not what it should be.
    OwnerState {
        /// The key names no user, or one that does not exist.
        Missing = "missing",
        /// The user exists and is not active.
        Inactive = "inactive",
    }
}

/// Which keys to list.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only those of this status.
    pub status: Option<KeyStatus>,
    /// Only those whose id, hint, name or user holds this text.
    pub search: Option<String>,
    /// Only those of this tenant.
    pub tenant: Option<String>,
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those of users of this kind.
    pub kind: Option<UserKind>,
    /// Only those whose owner is in this state.
    pub owner: Option<OwnerState>,
    /// Only those that expire from the first of these times on and before the second.
    pub expires: Option<(i64, i64)>,
    /// Only those that were never used.
    pub never_used: bool,
    /// Only those that were not used since this time, as far as is known.
    pub unused_since: Option<i64>,
}

/// Which records of a table to list.
pub trait Filter {
    /// What is listed of each.
    type Item: Shown;

    /// Leaves out the others.
    fn narrow(&self, list: &mut Narrowing);

    /// Whether each record has to be looked at to know whether it is listed.
    fn looks_at_all(&self) -> bool {
        false
    }
}

impl Filter for TenantFilter {
    type Item = Tenant;

    fn narrow(&self, list: &mut Narrowing) {
        list.equal("tenants.status", self.status.map(TenantStatus::word));
        list.hold(&["tenants.id", "tenants.name"], self.search.as_deref());
        list.equal("tenants.id", self.id.clone());
    }

    fn looks_at_all(&self) -> bool {
        self.search.is_some()
    }
}

impl Filter for UserFilter {
    type Item = User;

    fn narrow(&self, list: &mut Narrowing) {
        list.equal("users.status", self.status.map(UserStatus::word));
        let texts = [
            "users.id",
            "users.name",
            "users.login",
            "users.display_name",
        ];
        list.hold(&texts, self.search.as_deref());
        list.equal("users.tenant_id", self.tenant.clone());
        list.equal("users.kind", self.kind.map(UserKind::as_str));
    }

    fn looks_at_all(&self) -> bool {
        self.search.is_some()
    }
}

impl Filter for KeyFilter {
    type Item = UsedKey;

    fn narrow(&self, list: &mut Narrowing) {
        match self.status {
            Some(KeyStatus::Active) => list.equal_for_most("keys.status", KeyStatus::Active.word()),
            status => list.equal("keys.status", status.map(KeyStatus::word)),
        }
        let texts = ["keys.id", "keys.hint", "keys.name", "keys.user_id"];
        list.hold(&texts, self.search.as_deref());
        list.equal("keys.tenant_id", self.tenant.clone());
        list.equal("keys.user_id", self.user.clone());
        let Narrowing(sql) = list;
        if let Some(kind) = self.kind {
            sql.push(
                " AND EXISTS (SELECT 1 FROM users WHERE users.id = keys.user_id AND users.kind = ",
            );
            sql.push_bind(kind.as_str()).push(")");
        }
        match self.owner {
            None => {}
            Some(OwnerState::Missing) => {
                sql.push(" AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = keys.user_id)");
            }
            Some(OwnerState::Inactive) => {
                sql.push(
                    " AND EXISTS (SELECT 1 FROM users WHERE users.id = keys.user_id AND users.status <> 'active')",
                );
            }
        }
        if let Some((from, to)) = self.expires {
            sql.push(" AND keys.expires_at >= ").push_bind(from);
            sql.push(" AND keys.expires_at < ").push_bind(to);
        }
        if self.never_used {
            sql.push(" AND key_last_use.at IS NULL AND ").push(REPORTED);
        }
        if let Some(since) = self.unused_since {
            // Null, which is no match, where use was never reported.
            sql.push(
                " AND coalesce(key_last_use.at, (SELECT CASE WHEN since > keys.created_at THEN since \
                 ELSE keys.created_at END FROM usage_reporting)) < ",
            );
            sql.push_bind(since);
        }
    }

    fn looks_at_all(&self) -> bool {
        self.search.is_some()
    }
}

/// The conditions of a list.
pub struct Narrowing(Statement);

impl Narrowing {
    /// Conditions behind those of a statement.
    pub(super) fn of(sql: Statement) -> Self {
        Self(sql)
    }

    /// The statement with all of them.
    pub(super) fn into_statement(self) -> Statement {
        self.0
    }

    /// Only what lies within reach.
    pub(super) fn reach<T: Belongs>(&mut self, reach: &Reach) {
        reach.narrow::<T>(&mut self.0);
    }

    /// Only where the column holds exactly this, if it is given.
    pub(super) fn equal(&mut self, column: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let Self(sql) = self;
            sql.push(" AND ").push(column).push(" = ").push_bind(value);
        }
    }

    /// Only where the column holds this text, as most do: an index of them is no help, and would be taken for one.
    fn equal_for_most(&mut self, column: &str, value: &str) {
        let Self(sql) = self;
        sql.push(" AND ").push(column).push(" || '' = ");
        sql.push_bind(value);
    }

    /// Only where one of these columns holds the text, in any case of its letters.
    pub(super) fn hold(&mut self, columns: &[&str], text: Option<&str>) {
        let Self(sql) = self;
        let Some(text) = text else {
            return;
        };
        let mut literal = String::with_capacity(text.len());
        for letter in text.to_lowercase().chars() {
            if matches!(letter, '%' | '_' | '\\') {
                literal.push('\\');
            }
            literal.push(letter);
        }
        let pattern = format!("%{literal}%");
        let mut before = " AND (";
        for column in columns {
            sql.push(before).push("lower(").push(column).push(") LIKE ");
            sql.push_bind(pattern.clone()).push(" ESCAPE '\\'");
            before = " OR ";
        }
        sql.push(")");
    }
}

impl Store {
    /// A page of the records that this lets through, oldest first.
    pub async fn page<F: Filter>(
        &self,
        filter: &F,
        page: PageRequest,
    ) -> Result<Page<F::Item>, StoreError> {
        let place = F::Item::place();
        let mut sql = select::<F::Item>(&format!("{place} AS place, "));
        sql.push(place).push(" > ");
        sql.push_bind(page.after.unwrap_or(0));
        let mut list = Narrowing::of(sql);
        filter.narrow(&mut list);
        let mut sql = list.into_statement();
        sql.push(" ORDER BY ").push(place).push(" LIMIT ");
        sql.push_bind(page.limit_and_one());
        let rows = sql.fetch_all(&self.readers).await?;
        let entry = |row: &Row| Ok((row.get("place")?, F::Item::of_row(row)?));
        let entries: Result<Vec<_>, StoreError> = rows.iter().map(entry).collect();
        Ok(Page::cut(entries?, page))
    }
}
