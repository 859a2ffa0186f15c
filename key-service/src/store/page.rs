//! Lists, a page at a time, in the order of creation.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::StoreError;
use super::rows::{Columns, key_columns, tenant_columns, user_columns};
use super::usage::{use_columns, used_key};
use crate::domain::key::KeyStatus;
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::text::words;
use crate::domain::usage::UsedKey;
use crate::domain::user::{User, UserStatus};

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
}

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those whose id or name holds this text.
    pub search: Option<String>,
    /// Only those of this tenant.
    pub tenant: Option<String>,
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
    /// Only those whose owner is in this state.
    pub owner: Option<OwnerState>,
    /// Only those that expire from the first of these times on and before the second.
    pub expires: Option<(i64, i64)>,
    /// Only those that were never used.
    pub never_used: bool,
    /// Only those that were not used since this time, as far as is known.
    pub unused_since: Option<i64>,
}

pub(super) async fn tenants(
    pool: &SqlitePool,
    filter: &TenantFilter,
    page: PageRequest,
) -> Result<Page<Tenant>, StoreError> {
    let mut sql = begin(
        concat!(
            "SELECT tenants.place, ",
            tenant_columns!(),
            " FROM tenants WHERE tenants.place > "
        ),
        page,
    );
    if let Some(status) = filter.status {
        sql.push(" AND tenants.status = ")
            .push_bind(status.as_str());
    }
    hold(
        &mut sql,
        &["tenants.id", "tenants.name"],
        filter.search.as_deref(),
    );
    finish(pool, sql, page, |columns| columns.tenant()).await
}

pub(super) async fn users(
    pool: &SqlitePool,
    filter: &UserFilter,
    page: PageRequest,
) -> Result<Page<User>, StoreError> {
    let mut sql = begin(
        concat!(
            "SELECT users.place, ",
            user_columns!(),
            " FROM users WHERE users.place > "
        ),
        page,
    );
    if let Some(status) = filter.status {
        sql.push(" AND users.status = ").push_bind(status.as_str());
    }
    hold(
        &mut sql,
        &["users.id", "users.name"],
        filter.search.as_deref(),
    );
    if let Some(tenant) = &filter.tenant {
        sql.push(" AND users.tenant_id = ")
            .push_bind(tenant.clone());
    }
    finish(pool, sql, page, |columns| columns.user()).await
}

pub(super) async fn keys(
    pool: &SqlitePool,
    filter: &KeyFilter,
    page: PageRequest,
) -> Result<Page<UsedKey>, StoreError> {
    let mut sql = begin(
        concat!(
            "SELECT keys.place, ",
            key_columns!(),
            ", ",
            use_columns!(),
            " FROM keys LEFT JOIN key_last_use ON key_last_use.key_id = keys.id \
             WHERE keys.place > "
        ),
        page,
    );
    if let Some(status) = filter.status {
        sql.push(" AND keys.status = ").push_bind(status.as_str());
    }
    let texts = ["keys.id", "keys.hint", "keys.name", "keys.user_id"];
    hold(&mut sql, &texts, filter.search.as_deref());
    if let Some(tenant) = &filter.tenant {
        sql.push(" AND keys.tenant_id = ").push_bind(tenant.clone());
    }
    if let Some(user) = &filter.user {
        sql.push(" AND keys.user_id = ").push_bind(user.clone());
    }
    match filter.owner {
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
    if let Some((from, to)) = filter.expires {
        sql.push(" AND keys.expires_at >= ").push_bind(from);
        sql.push(" AND keys.expires_at < ").push_bind(to);
    }
    if filter.never_used {
        sql.push(" AND key_last_use.at IS NULL AND EXISTS (SELECT 1 FROM usage_reporting)");
    }
    if let Some(since) = filter.unused_since {
        // Null, which is no match, where use was never reported.
        sql.push(
            " AND coalesce(key_last_use.at, max(keys.created_at, (SELECT since FROM usage_reporting))) < ",
        );
        sql.push_bind(since);
    }
    finish(pool, sql, page, used_key).await
}

/// Only where one of these columns holds the text, in any case of its letters.
fn hold(sql: &mut QueryBuilder<Sqlite>, columns: &[&'static str], text: Option<&str>) {
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
        sql.push(before)
            .push("lower(")
            .push(*column)
            .push(") LIKE ");
        sql.push_bind(pattern.clone()).push(" ESCAPE '\\'");
        before = " OR ";
    }
    sql.push(")");
}

fn begin(select: &'static str, page: PageRequest) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(select);
    sql.push_bind(page.after.unwrap_or(0));
    sql
}

async fn finish<T>(
    pool: &SqlitePool,
    mut sql: QueryBuilder<Sqlite>,
    page: PageRequest,
    read: for<'a, 'r> fn(&'a mut Columns<'r>) -> Result<Option<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    sql.push(" ORDER BY 1 LIMIT ")
        .push_bind(page.limit_and_one());
    let rows = sql.build().fetch_all(pool).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of(row);
        let place = columns.take()?;
        entries.extend(read(&mut columns)?.map(|item| (place, item)));
    }
    Ok(Page::cut(entries, page))
}
