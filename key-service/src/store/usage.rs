//! Counts of use: written as gateways report them, read beside the records.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteExecutor};

use super::columns::{json_text, plain};
use super::database::Store;
use super::error::StoreError;
use super::page::PageRequest;
use super::shown::{REPORTED, Shown, select};
use super::write::Write;
use crate::domain::time::DAY;
use crate::domain::usage::{DayCount, KeyUsage, RECENTLY, UsageReport, UsedKey, UserUsage};

/// How long a report is remembered: nobody sends one again after that.
const REPORTS_KEPT: i64 = 2 * DAY;
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
        let Some(row) = sql.build().fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        let key = UsedKey::of_row(&row)?;
        let days = sqlx::query(
            "SELECT day * 86400 AS day_at, allowed, rejected FROM key_usage WHERE key_id = ? ORDER BY day DESC LIMIT ?",
        );
        let rows = days
            .bind(id)
            .bind(DAYS_SHOWN)
            .fetch_all(&self.readers)
            .await?;
        let usage = rows.iter().map(day_count).collect::<Result<_, _>>()?;
        Ok(Some(KeyUsage { key, usage }))
    }

    /// The user of this id, with the use of its keys.
    pub async fn user_usage(&self, id: &str) -> Result<Option<UserUsage>, StoreError> {
        let Some(user) = self.by_id(id).await? else {
            return Ok(None);
        };
        let last_used_at = sqlx::query_scalar(
            "SELECT max(key_last_use.at) FROM keys JOIN key_last_use ON key_last_use.key_id = keys.id \
             WHERE keys.user_id = ?",
        )
        .bind(id)
        .fetch_one(&self.readers)
        .await?;
        let days = sqlx::query(
            "SELECT day * 86400 AS day_at, sum(allowed) AS allowed, sum(rejected) AS rejected FROM keys JOIN key_usage ON key_usage.key_id = keys.id \
             WHERE keys.user_id = ? GROUP BY day ORDER BY day DESC LIMIT ?",
        );
        let rows = days
            .bind(id)
            .bind(DAYS_SHOWN)
            .fetch_all(&self.readers)
            .await?;
        let usage = rows.iter().map(day_count).collect::<Result<_, _>>()?;
        Ok(Some(UserUsage {
            user,
            last_used_at,
            usage_reported: self.usage_reported().await?,
            usage,
        }))
    }
}

async fn reported(executor: impl SqliteExecutor<'_>) -> Result<bool, StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(REPORTED);
    Ok(sql.build_query_scalar().fetch_one(executor).await?)
}

fn day_count(row: &SqliteRow) -> Result<DayCount, StoreError> {
    Ok(DayCount {
        day: plain(row, "day_at")?,
        allowed: plain(row, "allowed")?,
        rejected: plain(row, "rejected")?,
    })
}

impl Write {
    /// Counts a report, unless it was counted before. Keys that do not exist are left out.
    pub async fn count(&mut self, report: &UsageReport) -> Result<(), StoreError> {
        let now = self.now();
        sqlx::query("DELETE FROM usage_reports WHERE received_at < ?")
            .bind(now - REPORTS_KEPT)
            .execute(self.connection())
            .await?;
        let new = sqlx::query(
            "INSERT INTO usage_reports (reporter, batch, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&report.reporter)
        .bind(report.batch)
        .bind(now)
        .execute(self.connection())
        .await?;
        if new.rows_affected() == 0 {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO usage_reporting (only_row, since) VALUES (1, ?) ON CONFLICT DO NOTHING",
        )
        .bind(now)
        .execute(self.connection())
        .await?;
        // Two statements for all keys: every other write waits meanwhile.
        let counts: Vec<_> = report
            .keys
            .iter()
            .map(|count| {
                // A gateway's clock may be ahead, but nothing was used in the future.
                let last_at = count.last_at.min(now);
                (&count.id, last_at, count.allowed, count.rejected)
            })
            .collect();
        let counts = json_text(&counts)?;
        sqlx::query(
            "INSERT INTO key_usage (key_id, day, allowed, rejected) \
             SELECT keys.id, (counted.value ->> 1) / ?, counted.value ->> 2, counted.value ->> 3 \
             FROM json_each(?) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 WHERE true \
             ON CONFLICT (key_id, day) DO UPDATE SET \
             allowed = allowed + excluded.allowed, rejected = rejected + excluded.rejected",
        )
        .bind(DAY)
        .bind(&counts)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "INSERT INTO key_last_use (key_id, at) \
             SELECT keys.id, counted.value ->> 1 \
             FROM json_each(?) AS counted CROSS JOIN keys ON keys.id = counted.value ->> 0 \
             WHERE counted.value ->> 2 > 0 \
             ON CONFLICT (key_id) DO UPDATE SET at = max(at, excluded.at)",
        )
        .bind(&counts)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The working keys among those that a write would stop, which were used lately; where nobody reports
    /// use, all that work.
    pub async fn in_use(&mut self, stopped: Stopped<'_>) -> Result<InUse, StoreError> {
        let now = self.now();
        let reported = reported(self.connection()).await?;
        let mut sql = select::<UsedKey>("");
        sql.push("keys.status = 'active' AND (keys.expires_at IS NULL OR keys.expires_at > ");
        sql.push_bind(now).push(")");
        let (column, id) = match stopped {
            Stopped::OfUser(id) => (" AND keys.user_id = ", id),
            Stopped::OfTenant(id) => (" AND keys.tenant_id = ", id),
            Stopped::Key(id) => (" AND keys.id = ", id),
        };
        sql.push(column).push_bind(id.to_owned());
        if reported {
            sql.push(" AND key_last_use.at >= ")
                .push_bind(now - RECENTLY)
                .push(" ORDER BY key_last_use.at DESC");
        }
        sql.push(" LIMIT ").push_bind(MOST_SHOWN.limit_and_one());
        let rows = sql.build().fetch_all(self.connection()).await?;
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
