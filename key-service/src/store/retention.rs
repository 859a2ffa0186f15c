//! Taking out what is older than it is kept for: a little at a time, so that nobody waits for it.

use super::chain::Pruned;
use super::database::Store;
use super::error::StoreError;
use super::queue::Urgency;
use super::retries::REMEMBERED;
use super::sql::Statement;
use crate::domain::audit::{Action, Kind};
use crate::domain::time::DAY;

/// Rows that are taken out in one write.
const PART: i64 = 1000;
/// How long a report is remembered: nobody sends one again after that.
const REPORTS_KEPT: i64 = 2 * DAY;

/// Takes a part of the counts before a day out of each table that has them.
const USAGE: [&str; 4] = [
    "DELETE FROM key_usage WHERE (key_id, day) IN \
     (SELECT key_id, day FROM key_usage WHERE day < $1 LIMIT $2)",
    "DELETE FROM key_refusals WHERE (key_id, day, code) IN \
     (SELECT key_id, day, code FROM key_refusals WHERE day < $1 LIMIT $2)",
    "DELETE FROM key_networks WHERE (key_id, day, network) IN \
     (SELECT key_id, day, network FROM key_networks WHERE day < $1 LIMIT $2)",
    "DELETE FROM use_by_hour WHERE (tenant_id, hour, code) IN \
     (SELECT tenant_id, hour, code FROM use_by_hour WHERE hour < $1 * 24 LIMIT $2)",
];

/// How long things are kept, in seconds; none is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries of the audit log.
    pub audit: Option<i64>,
    /// Counts of days of use, of refusals and of networks, and sums of hours. When a key was last used and refused stays known.
    pub usage: Option<i64>,
}

impl Store {
    /// Takes out what is old at this time, whole days of it.
    pub async fn prune(&self, retention: Retention, now: i64) -> Result<(), StoreError> {
        let day = |kept: i64| (now - kept) / DAY;
        while self.prune_reports(now - REPORTS_KEPT, now).await? == PART {}
        while self.prune_retries(now - REMEMBERED, now).await? == PART {}
        while self.prune_sessions(now).await? == PART {}
        if let Some(kept) = retention.usage {
            for sql in USAGE {
                while self.take_out(sql, day(kept), now).await? == PART {}
            }
        }
        if let Some(kept) = retention.audit {
            while self.prune_audit(day(kept) * DAY, now).await? == PART {}
        }
        Ok(())
    }

    async fn prune_reports(&self, before: i64, now: i64) -> Result<i64, StoreError> {
        self.take_out(
            "DELETE FROM usage_reports WHERE (reporter, batch) IN \
             (SELECT reporter, batch FROM usage_reports WHERE received_at < $1 LIMIT $2)",
            before,
            now,
        )
        .await
    }

    async fn prune_retries(&self, before: i64, now: i64) -> Result<i64, StoreError> {
        self.take_out(
            "DELETE FROM retries WHERE id IN (SELECT id FROM retries WHERE made_at <= $1 LIMIT $2)",
            before,
            now,
        )
        .await
    }

    async fn prune_sessions(&self, now: i64) -> Result<i64, StoreError> {
        self.take_out(
            "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE expires_at <= $1 LIMIT $2)",
            now,
            now,
        )
        .await
    }

    async fn take_out(&self, sql: &'static str, before: i64, now: i64) -> Result<i64, StoreError> {
        let mut write = self.write_as(Urgency::Usage, "retention", now).await?;
        let taken = Statement::new(sql)
            .bind(before)
            .bind(PART)
            .execute(write.on().await?)
            .await?;
        write.commit().await?;
        Ok(i64::try_from(taken).unwrap_or(PART))
    }

    /// The oldest entries go first, up to the first that is to be kept: what is left is a chain. An entry says what is
    /// gone, and with which hash it ended.
    async fn prune_audit(&self, before: i64, now: i64) -> Result<i64, StoreError> {
        // Without holding up anybody: most of the time there is nothing.
        let oldest = Statement::new("SELECT at FROM audit ORDER BY id LIMIT 1");
        let oldest = oldest.fetch_optional(&self.readers).await?;
        if !matches!(oldest, Some(row) if row.get::<i64>(0)? < before) {
            return Ok(0);
        }
        let mut write = self.write_as(Urgency::Import, "retention", now).await?;
        let rows = Statement::new("SELECT id, at, hash FROM audit ORDER BY id LIMIT $1")
            .bind(PART)
            .fetch_all(write.on().await?)
            .await?;
        let mut pruned = Pruned {
            entries: 0,
            to: 0,
            hash: None,
        };
        for row in &rows {
            if row.get::<i64>("at")? >= before {
                break;
            }
            pruned.entries += 1;
            pruned.to = row.get("id")?;
            pruned.hash = row.get("hash")?;
        }
        if pruned.entries == 0 {
            return Ok(0);
        }
        Statement::new("DELETE FROM audit WHERE id <= $1")
            .bind(pruned.to)
            .execute(write.on().await?)
            .await?;
        write
            .audit(
                Action::Prune,
                Kind::Database,
                "audit",
                None,
                None::<&Pruned>,
                &pruned,
            )
            .await?;
        write.commit().await?;
        Ok(pruned.entries)
    }
}
