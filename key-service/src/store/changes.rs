//! The change feed: records by the number of their last write. Nothing is kept beside the records
//! themselves, because only the last change of each needs to be told.

use futures_util::TryStreamExt;
use sqlx::SqliteConnection;

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

/// Bytes of records that are read at most for one answer, and then as much as one record more. An answer
/// is smaller, so more would be read in vain, and many who ask at once would fill the memory.
const MOST_BYTES: usize = 1024 * 1024;

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

    /// Bytes of its texts: less than what it takes as JSON.
    pub(super) fn bytes(&self) -> usize {
        let list = |list: &[String]| list.iter().map(String::len).sum::<usize>();
        match self {
            Self::Tenant(tenant) => tenant.id.len(),
            Self::User(user) => {
                user.id.len()
                    + user.scopes.as_deref().map_or(0, list)
                    + user.apis.as_deref().map_or(0, list)
            }
            Self::Key(key) => {
                key.id.len()
                    + list(&key.scopes)
                    + key.networks.as_ref().map_or(0, |networks| {
                        // None is written shorter than "::/0".
                        networks.len() * "::/0".len()
                    })
            }
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
        let mut found = Reading::default();
        if after < as_of {
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let tenants = concat!(
                "SELECT ",
                tenant_columns!(),
                " FROM tenants WHERE version > ? ORDER BY version LIMIT ?"
            );
            found
                .read(&mut snapshot, tenants, (after, most), |mut columns| {
                    Ok(columns.tenant()?.map(Change::Tenant))
                })
                .await?;
            let users = concat!(
                "SELECT ",
                user_columns!(),
                " FROM users WHERE version > ? ORDER BY version LIMIT ?"
            );
            found
                .read(&mut snapshot, users, (after, most), |mut columns| {
                    Ok(columns.user()?.map(Change::User))
                })
                .await?;
            let keys = concat!(
                "SELECT ",
                key_columns!(),
                " FROM keys WHERE version > ? ORDER BY version LIMIT ?"
            );
            found
                .read(&mut snapshot, keys, (after, most), |mut columns| {
                    Ok(columns.key()?.map(|key| Change::Key(Box::new(key))))
                })
                .await?;
        }
        snapshot.rollback().await?;
        Ok(found.changes(as_of, limit))
    }

    /// The same without the database, where it is known: after a commit it is, for whoever was not far
    /// behind.
    pub fn recent_changes(&self, after: i64, limit: usize) -> Option<Changes> {
        self.recent.after(after, *self.sequence.borrow(), limit)
    }
}

/// What was read of the three kinds of records.
#[derive(Default)]
struct Reading {
    changes: Vec<Change>,
    /// Nothing is missing up to here, where a kind was not read to its end.
    whole_to: Option<i64>,
}

impl Reading {
    /// Reads one kind of records, until there are `most` or they are large enough together.
    async fn read(
        &mut self,
        snapshot: &mut SqliteConnection,
        sql: &'static str,
        (after, most): (i64, i64),
        record: impl Fn(Columns<'_>) -> Result<Option<Change>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query(sql).bind(after).bind(most).fetch(snapshot);
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let Some(change) = record(Columns::of(&row))? else {
                continue;
            };
            bytes += change.bytes();
            let seq = change.seq();
            self.changes.push(change);
            if bytes > MOST_BYTES {
                self.whole_to = Some(self.whole_to.map_or(seq, |other| other.min(seq)));
                break;
            }
        }
        Ok(())
    }

    fn changes(mut self, as_of: i64, limit: usize) -> Changes {
        let whole_to = self.whole_to.unwrap_or(as_of);
        self.changes.retain(|change| change.seq() <= whole_to);
        self.changes.sort_by_key(Change::seq);
        Changes::limited((as_of, whole_to), self.changes, limit)
    }
}

impl Changes {
    /// The first `limit` of all changes up to `whole_to`, in their order, as they are at `as_of`.
    pub(super) fn limited(
        (as_of, whole_to): (i64, i64),
        changes: Vec<Change>,
        limit: usize,
    ) -> Self {
        let all = Self {
            as_of,
            cursor: whole_to,
            changes,
        };
        // At the limit there may be more, which were not read: go on after the last one given.
        if all.changes.len() < limit {
            all
        } else {
            all.first(limit)
        }
    }

    /// The first `count` of them.
    pub fn first(mut self, count: usize) -> Self {
        self.changes.truncate(count);
        if let Some(last) = self.changes.last() {
            self.cursor = last.seq();
        }
        self
    }
}
