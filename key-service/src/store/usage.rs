//! Counts of use: written as gateways report them, read beside the records.

use super::rows::{Columns, key_columns};
use super::{Store, StoreError, Write};
use crate::domain::time::DAY;
use crate::domain::usage::{DayCount, KeyUsage, RECENTLY, Report, UsedKey, UserUsage};

/// How long a report is remembered: nobody sends one again after that.
const REPORTS_KEPT: i64 = 2 * DAY;
/// Days of use that are shown.
const DAYS_SHOWN: i64 = 30;

impl Store {
    /// The key of this id, with its use.
    pub async fn key_usage(&self, id: &str) -> Result<Option<KeyUsage>, StoreError> {
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            ", key_last_use.at FROM keys LEFT JOIN key_last_use ON key_last_use.key_id = keys.id WHERE keys.id = ?"
        );
        let Some(row) = sqlx::query(sql)
            .bind(id)
            .fetch_optional(&self.readers)
            .await?
        else {
            return Ok(None);
        };
        let Some(key) = used_key(&mut Columns::of(&row))? else {
            return Ok(None);
        };
        let days = sqlx::query(
            "SELECT day * 86400, allowed, rejected FROM key_usage WHERE key_id = ? ORDER BY day DESC LIMIT ?",
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
        let Some(user) = self.user(id).await? else {
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
            "SELECT day * 86400, sum(allowed), sum(rejected) FROM keys JOIN key_usage ON key_usage.key_id = keys.id \
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
            usage,
        }))
    }
}

pub(super) fn used_key(columns: &mut Columns<'_>) -> Result<Option<UsedKey>, StoreError> {
    let key = columns.key()?;
    let last_used_at = columns.take()?;
    Ok(key.map(|key| UsedKey { key, last_used_at }))
}

fn day_count(row: &sqlx::sqlite::SqliteRow) -> Result<DayCount, StoreError> {
    let mut columns = Columns::of(row);
    Ok(DayCount {
        day: columns.take()?,
        allowed: columns.take()?,
        rejected: columns.take()?,
    })
}

impl Write {
    /// Counts a report, unless it was counted before. Keys that do not exist are left out.
    pub async fn count(&mut self, report: &Report) -> Result<(), StoreError> {
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
        for count in &report.keys {
            // A gateway's clock may be ahead, but nothing was used in the future.
            let last_at = count.last_at.min(now);
            let known = sqlx::query(
                "INSERT INTO key_usage (key_id, day, allowed, rejected) SELECT id, ?, ?, ? FROM keys WHERE id = ? \
                 ON CONFLICT (key_id, day) DO UPDATE SET \
                 allowed = allowed + excluded.allowed, rejected = rejected + excluded.rejected",
            )
            .bind(last_at / DAY)
            .bind(count.allowed)
            .bind(count.rejected)
            .bind(&count.id)
            .execute(self.connection())
            .await?;
            if known.rows_affected() == 0 || count.allowed == 0 {
                continue;
            }
            sqlx::query(
                "INSERT INTO key_last_use (key_id, at) VALUES (?, ?) \
                 ON CONFLICT (key_id) DO UPDATE SET at = max(at, excluded.at)",
            )
            .bind(&count.id)
            .bind(last_at)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// The working keys of a user that were used lately, last used first.
    pub async fn recently_used(&mut self, user_id: &str) -> Result<Vec<UsedKey>, StoreError> {
        let now = self.now();
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            ", key_last_use.at FROM keys JOIN key_last_use ON key_last_use.key_id = keys.id \
             WHERE keys.user_id = ? AND keys.status = 'active' AND key_last_use.at >= ? \
             AND (keys.expires_at IS NULL OR keys.expires_at > ?) ORDER BY key_last_use.at DESC LIMIT 100"
        );
        let rows = sqlx::query(sql)
            .bind(user_id)
            .bind(now - RECENTLY)
            .bind(now)
            .fetch_all(self.connection())
            .await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            keys.extend(used_key(&mut Columns::of(row))?);
        }
        Ok(keys)
    }
}
