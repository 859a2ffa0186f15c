//! How many keys there are, for monitors.

use super::database::Store;
use super::error::StoreError;
use super::sql::Statement;
use crate::domain::time::DAY;

/// How many keys there are, by what an operator wants to know of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// By status: the word and the number.
    pub by_status: Vec<(String, i64)>,
    /// Active keys without a successor that end within 1, 7 and 30 days. Each holds the one before.
    pub expiring: [i64; 3],
}

impl Store {
    /// Counts the keys as they are at this time.
    pub async fn key_counts(&self, now: i64) -> Result<KeyCounts, StoreError> {
        let by_status = Statement::new("SELECT status, count(*) FROM keys GROUP BY status")
            .fetch_all(&self.readers)
            .await?;
        let by_status = by_status.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
        let sql = "SELECT \
             count(*) FILTER (WHERE expires_at <= $1 + $2), \
             count(*) FILTER (WHERE expires_at <= $1 + 7 * $2), \
             count(*) FROM keys \
             WHERE expires_at > $1 AND expires_at <= $1 + 30 * $2 AND status = 'active' AND replaced_by IS NULL";
        let within = Statement::new(sql)
            .bind(now)
            .bind(DAY)
            .fetch_one(&self.readers)
            .await?;
        Ok(KeyCounts {
            by_status: by_status.collect::<Result<_, StoreError>>()?,
            expiring: [within.get(0)?, within.get(1)?, within.get(2)?],
        })
    }
}
