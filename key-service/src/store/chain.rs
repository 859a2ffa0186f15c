//! The chain of the audit log: each entry carries the hash of the one before, and its own, which covers that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::columns::{json_text, plain};
use super::database::Store;
use super::error::StoreError;

/// Entries that are read at a time.
const PAGE: i64 = 1000;

/// An entry as it is stored: what its hash covers.
#[derive(Serialize)]
pub(super) struct Entry {
    pub previous_hash: Option<String>,
    pub id: i64,
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub kind: String,
    pub entity_id: String,
    pub seq: Option<i64>,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Entry {
    /// The hash of the entry.
    pub(super) fn hash(&self) -> Result<String, StoreError> {
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(json_text(self)?)))
    }
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The number of the last entry; 0 where there is none.
    pub id: i64,
    /// Its hash.
    pub hash: Option<String>,
}

/// What became of checking the chain.
#[derive(Debug)]
pub enum Chain {
    /// It holds.
    Whole {
        /// How many entries there are.
        entries: u64,
        /// The last of them.
        end: End,
    },
    /// It does not.
    Broken {
        /// The first entry at which it does not.
        id: i64,
        /// What is wrong there.
        why: &'static str,
    },
}

async fn page(
    connection: &mut SqliteConnection,
    after: i64,
) -> Result<Vec<(Entry, Option<String>)>, StoreError> {
    let sql = "SELECT hash, previous_hash, id, at, actor, action, kind, entity_id, seq, before, after FROM audit \
               WHERE id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(sql)
        .bind(after)
        .bind(PAGE)
        .fetch_all(connection)
        .await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &SqliteRow) -> Result<(Entry, Option<String>), StoreError> {
    let entry = Entry {
        previous_hash: plain(row, "previous_hash")?,
        id: plain(row, "id")?,
        at: plain(row, "at")?,
        actor: plain(row, "actor")?,
        action: plain(row, "action")?,
        kind: plain(row, "kind")?,
        entity_id: plain(row, "entity_id")?,
        seq: plain(row, "seq")?,
        before: plain(row, "before")?,
        after: plain(row, "after")?,
    };
    Ok((entry, plain(row, "hash")?))
}

/// The number that was given to an entry last. It stays when the entry is gone.
const LAST_NUMBER: &str =
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)";

impl Store {
    /// Checks the chain of the audit log from its begin.
    pub async fn verify_audit(&self) -> Result<Chain, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let last_number: i64 = sqlx::query_scalar(LAST_NUMBER)
            .fetch_one(&mut *connection)
            .await?;
        let mut entries = 0;
        let mut end = End { id: 0, hash: None };
        loop {
            let page = page(&mut connection, end.id).await?;
            if page.is_empty() {
                break;
            }
            for (entry, hash) in page {
                let why = if hash.is_none() {
                    Some("it has no hash: the key service did not write it")
                } else if entry.previous_hash != end.hash {
                    Some("the entry before it is not the one that was there when it was written")
                } else if Some(entry.hash()?) != hash {
                    Some("it is not as it was written")
                } else {
                    None
                };
                if let Some(why) = why {
                    return Ok(Chain::Broken { id: entry.id, why });
                }
                entries += 1;
                end = End { id: entry.id, hash };
            }
        }
        if end.id < last_number {
            let why = "it and what followed it was taken away";
            return Ok(Chain::Broken {
                id: end.id + 1,
                why,
            });
        }
        Ok(Chain::Whole { entries, end })
    }

    /// Gives hashes to the entries of a database that was written by a version without, once: an entry that
    /// has none later is not made to look as if it had.
    pub(super) async fn begin_chain(&self) -> Result<(), StoreError> {
        let begun: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_chain)")
            .fetch_one(&self.readers)
            .await?;
        if begun {
            return Ok(());
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let begun =
            sqlx::query("INSERT INTO audit_chain (only_row) VALUES (1) ON CONFLICT DO NOTHING")
                .execute(&mut *transaction)
                .await?;
        if begun.rows_affected() == 0 {
            return Ok(());
        }
        let mut end = End { id: 0, hash: None };
        loop {
            let page = page(&mut transaction, end.id).await?;
            if page.is_empty() {
                break;
            }
            for (mut entry, _) in page {
                entry.previous_hash = end.hash;
                let hash = entry.hash()?;
                sqlx::query("UPDATE audit SET previous_hash = ?, hash = ? WHERE id = ?")
                    .bind(&entry.previous_hash)
                    .bind(&hash)
                    .bind(entry.id)
                    .execute(&mut *transaction)
                    .await?;
                end = End {
                    id: entry.id,
                    hash: Some(hash),
                };
            }
        }
        Ok(transaction.commit().await?)
    }
}

/// The end of the chain, as this connection sees it.
pub(super) async fn end(connection: &mut SqliteConnection) -> Result<End, StoreError> {
    let id = sqlx::query_scalar(LAST_NUMBER)
        .fetch_one(&mut *connection)
        .await?;
    let hash = sqlx::query_scalar("SELECT hash FROM audit ORDER BY id DESC LIMIT 1")
        .fetch_optional(connection)
        .await?
        .flatten();
    Ok(End { id, hash })
}
