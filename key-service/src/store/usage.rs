//! Counts of use, read beside the records.

use super::database::Store;
use super::error::StoreError;
use super::page::PageRequest;
use super::shown::{REPORTED, Shown, select};
use super::sql::{On, Row, Statement};
use super::write::Write;
use crate::domain::key::Key;
use crate::domain::reach::Reach;
use crate::domain::usage::{DayCount, KeyUsage, RECENTLY, UsedKey, UserUsage};
use crate::domain::user::User;

/// Days of use that are shown.
const DAYS_SHOWN: i64 = 30;
/// Keys that are named to who would stop them.
const MOST_SHOWN: PageRequest = PageRequest {
    after: None,
    limit: 100,
};

/// The keys that a write would stop.
#[derive(Debug, Clone, Copy)]
pub enum Stopped<'a> {
    /// Those of the user of this id.
    OfUser(&'a str),
    /// Those of the tenant of this id.
    OfTenant(&'a str),
    /// The key of this id.
    Key(&'a str),
    /// The keys of these ids, at least one.
    Keys(&'a [&'a str]),
}

/// Keys that are in use, or may be.
#[derive(Debug)]
pub struct InUse {
    /// The keys, last used first.
    pub keys: Vec<UsedKey>,
    /// Whether there are more than these.
    pub more: bool,
    /// Whether use is reported. Where it is not, these are all keys that work.
    pub reported: bool,
}

impl Store {
    /// Whether any gateway has ever reported use.
    pub async fn usage_reported(&self) -> Result<bool, StoreError> {
        reported(&self.readers).await
    }

    /// The key of this id, with its use.
    pub async fn key_usage(&self, id: &str) -> Result<Option<KeyUsage>, StoreError> {
        let mut sql = select::<UsedKey>("");
        sql.push("keys.id = ").push_bind(id.to_owned());
        let Some(row) = sql.fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        let key = UsedKey::of_row(&row)?;
        let days = Statement::new(
            "SELECT day * 86400 AS day_at, allowed, rejected FROM key_usage WHERE key_id = $1 ORDER BY day DESC LIMIT $2",
        );
        let rows = days
            .bind(id)
            .bind(DAYS_SHOWN)
            .fetch_all(&self.readers)
            .await?;
        let usage = rows.iter().map(day_count).collect::<Result<_, _>>()?;
        let last = Statement::new("SELECT max(at) FROM key_last_refusal WHERE key_id = $1");
        let last_rejected_at = last.bind(id).scalar(&self.readers).await?;
        Ok(Some(KeyUsage {
            key,
            last_rejected_at,
            usage,
        }))
    }

    /// A user with the use of its keys, as far as they are within reach.
    pub(super) async fn user_usage(
        &self,
        user: User,
        reach: &Reach,
    ) -> Result<UserUsage, StoreError> {
        let mut last = Statement::new(
            "SELECT max(key_last_use.at) FROM keys JOIN key_last_use ON key_last_use.key_id = keys.id \
             WHERE keys.user_id = ",
        );
        last.push_bind(user.id.clone());
        reach.narrow::<Key>(&mut last);
        let last_used_at = last.scalar(&self.readers).await?;
        let mut days = Statement::new(
            "SELECT day * 86400 AS day_at, CAST(sum(allowed) AS BIGINT) AS allowed, \
             CAST(sum(rejected) AS BIGINT) AS rejected FROM keys JOIN key_usage ON key_usage.key_id = keys.id \
             WHERE keys.user_id = ",
        );
        days.push_bind(user.id.clone());
        reach.narrow::<Key>(&mut days);
        days.push(" GROUP BY day ORDER BY day DESC LIMIT ")
            .push_bind(DAYS_SHOWN);
        let rows = days.fetch_all(&self.readers).await?;
        let usage = rows.iter().map(day_count).collect::<Result<_, _>>()?;
        Ok(UserUsage {
            user,
            last_used_at,
            usage_reported: self.usage_reported().await?,
            usage,
        })
    }
}

async fn reported(on: impl Into<On<'_>>) -> Result<bool, StoreError> {
    Statement::new(format!("SELECT {REPORTED}"))
        .scalar(on)
        .await
}

fn day_count(row: &Row) -> Result<DayCount, StoreError> {
    Ok(DayCount {
        day: row.get("day_at")?,
        allowed: row.get("allowed")?,
        rejected: row.get("rejected")?,
    })
}

impl Write {
    /// The working keys among those that a write would stop, which were used lately; where nobody reports
    /// use, all that work.
    pub async fn in_use(&mut self, stopped: Stopped<'_>) -> Result<InUse, StoreError> {
        let now = self.now();
        let reported = reported(self.on().await?).await?;
        let mut sql = select::<UsedKey>("");
        sql.push("keys.status = 'active' AND (keys.expires_at IS NULL OR keys.expires_at > ");
        sql.push_bind(now).push(")");
        let (column, ids) = match &stopped {
            Stopped::OfUser(id) => ("keys.user_id", std::slice::from_ref(id)),
            Stopped::OfTenant(id) => ("keys.tenant_id", std::slice::from_ref(id)),
            Stopped::Key(id) => ("keys.id", std::slice::from_ref(id)),
            Stopped::Keys(ids) => ("keys.id", *ids),
        };
        sql.push(" AND ").push(column);
        let mut before = " IN (";
        for id in ids {
            sql.push(before).push_bind(*id);
            before = ", ";
        }
        sql.push(")");
        self.reach().narrow::<Key>(&mut sql);
        if reported {
            sql.push(" AND key_last_use.at >= ")
                .push_bind(now - RECENTLY)
                .push(" ORDER BY key_last_use.at DESC");
        } else {
            sql.push(" ORDER BY keys.place");
        }
        sql.push(" LIMIT ").push_bind(MOST_SHOWN.limit_and_one());
        let rows = sql.fetch_all(self.on().await?).await?;
        let keys: Result<Vec<_>, _> = rows.iter().map(UsedKey::of_row).collect();
        let mut keys = keys?;
        let more = keys.len() > MOST_SHOWN.limit;
        keys.truncate(MOST_SHOWN.limit);
        Ok(InUse {
            keys,
            more,
            reported,
        })
    }
}
