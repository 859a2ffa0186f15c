//! The change feed: records by the number of their last write. Nothing is kept beside the records
//! themselves, because only the last change of each needs to be told.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::rows::{Columns, key_columns, tenant_columns, user_columns};
use super::{Store, StoreError};
use crate::domain::audit::Kind;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::user::User;

/// A record that was written.
#[derive(Debug, Clone)]
pub enum Change {
    /// A tenant.
    Tenant(Tenant),
    /// A user.
    User(User),
    /// A key.
    Key(Box<Key>),
}

impl Change {
    /// What was written: a later change of the same makes this one needless.
    pub(super) fn entity(&self) -> (Kind, &str) {
        match self {
            Self::Tenant(tenant) => (Kind::Tenant, &tenant.id),
            Self::User(user) => (Kind::User, &user.id),
            Self::Key(key) => (Kind::Key, &key.id),
        }
    }

    /// The number of the write.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Tenant(tenant) => tenant.version,
            Self::User(user) => user.version,
            Self::Key(key) => key.version,
        }
    }
}

/// What was written after a number.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The sequence number at which this was read.
    pub as_of: i64,
    /// What to ask after next: the last change given, or `as_of` where none was left out.
    pub cursor: i64,
    /// In the order of their numbers.
    pub changes: Vec<Change>,
}

impl Store {
    /// At most `limit` changes after this number, from one snapshot.
    pub async fn changes(&self, after: i64, limit: usize) -> Result<Changes, StoreError> {
        let mut snapshot = self.readers.begin().await?;
        let as_of: i64 = sqlx::query_scalar("SELECT value FROM sequence")
            .fetch_one(&mut *snapshot)
            .await?;
        let mut changes = Vec::new();
        if after < as_of {
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let tenants = concat!(
                "SELECT ",
                tenant_columns!(),
                " FROM tenants WHERE version > ? ORDER BY version LIMIT ?"
            );
            for row in written_after(&mut snapshot, tenants, after, most).await? {
                changes.extend(Columns::of(&row).tenant()?.map(Change::Tenant));
            }
            let users = concat!(
                "SELECT ",
                user_columns!(),
                " FROM users WHERE version > ? ORDER BY version LIMIT ?"
            );
            for row in written_after(&mut snapshot, users, after, most).await? {
                changes.extend(Columns::of(&row).user()?.map(Change::User));
            }
            let keys = concat!(
                "SELECT ",
                key_columns!(),
                " FROM keys WHERE version > ? ORDER BY version LIMIT ?"
            );
            for row in written_after(&mut snapshot, keys, after, most).await? {
                let key = Columns::of(&row).key()?;
                changes.extend(key.map(|key| Change::Key(Box::new(key))));
            }
        }
        snapshot.rollback().await?;
        changes.sort_by_key(Change::seq);
        Ok(Changes::limited(as_of, changes, limit))
    }

    /// The same without the database, where it is known: after a commit it is, for whoever was not far
    /// behind.
    pub fn recent_changes(&self, after: i64, limit: usize) -> Option<Changes> {
        self.recent.after(after, *self.sequence.borrow(), limit)
    }
}

async fn written_after(
    snapshot: &mut SqliteConnection,
    sql: &'static str,
    after: i64,
    most: i64,
) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(sql).bind(after).bind(most).fetch_all(snapshot);
    Ok(rows.await?)
}

impl Changes {
    /// The first `limit` of all changes up to `as_of`, in their order.
    pub(super) fn limited(as_of: i64, mut changes: Vec<Change>, limit: usize) -> Self {
        changes.truncate(limit);
        let cursor = match changes.last() {
            // There may be more: go on after the last one given.
            Some(last) if changes.len() == limit => last.seq(),
            _ => as_of,
        };
        Self {
            as_of,
            cursor,
            changes,
        }
    }
}
