//! What requests with an `Idempotency-Key` have made, for a day: sent again, they make nothing more.

use super::error::StoreError;
use super::sql::Statement;
use super::write::Write;
use crate::domain::time::DAY;

/// How long such a request is remembered.
pub const REMEMBERED: i64 = DAY;

/// A request, by digests alone.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Of the header and of the token that it came with.
    pub id: String,
    /// Of what it asks for.
    pub request: String,
}

/// What a request has made.
#[derive(Debug)]
pub struct MadeBefore {
    /// The digest of what it asked for.
    pub request: String,
    /// The id of what it made.
    pub entity_id: String,
}

impl Write {
    /// What the request of this id has made, unless that is too long ago.
    pub async fn made_by(&mut self, id: &str) -> Result<Option<MadeBefore>, StoreError> {
        let since = self.now() - REMEMBERED;
        let row =
            Statement::new("SELECT request, entity_id FROM retries WHERE id = $1 AND made_at > $2")
                .bind(id)
                .bind(since)
                .fetch_optional(self.on().await?)
                .await?;
        let made = row.map(|row| {
            Ok(MadeBefore {
                request: row.get("request")?,
                entity_id: row.get("entity_id")?,
            })
        });
        made.transpose()
    }

    /// Takes note of what a request makes.
    pub async fn remember(&mut self, attempt: &Attempt, entity: &str) -> Result<(), StoreError> {
        let now = self.now();
        Statement::new(
            "INSERT INTO retries (id, request, entity_id, made_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET request = excluded.request, entity_id = excluded.entity_id, \
             made_at = excluded.made_at",
        )
        .bind(&attempt.id)
        .bind(&attempt.request)
        .bind(entity)
        .bind(now)
        .execute(self.on().await?)
        .await
        .map(drop)
    }
}
