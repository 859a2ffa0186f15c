//! The chain of the audit log: each entry carries the hash of the one before, and its own, which covers that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::columns::{json, json_text};
use super::database::Store;
use super::error::StoreError;
use super::pool::Transaction;
use super::sql::{On, Row, Statement};

/// Entries that are read at a time.
const PAGE: i64 = 1000;

/// What an entry tells of those before it that were taken out because they were old.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pruned {
    /// How many.
    pub entries: i64,
    /// The number of the last.
    pub to: i64,
    /// Its hash: the next one that is there carries it.
    pub hash: Option<String>,
}

/// An entry as it is stored: what its hash covers.
#[derive(Debug, Serialize)]
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

async fn page(on: On<'_>, after: i64) -> Result<Vec<(Entry, Option<String>)>, StoreError> {
    let sql = "SELECT hash, previous_hash, id, at, actor, action, kind, entity_id, seq, before, after FROM audit \
               WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = Statement::new(sql)
        .bind(after)
        .bind(PAGE)
        .fetch_all(on)
        .await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &Row) -> Result<(Entry, Option<String>), StoreError> {
    let entry = Entry {
        previous_hash: row.get("previous_hash")?,
        id: row.get("id")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        kind: row.get("kind")?,
        entity_id: row.get("entity_id")?,
        seq: row.get("seq")?,
        before: row.get("before")?,
        after: row.get("after")?,
    };
    Ok((entry, row.get("hash")?))
}

/// The number that was given to an entry last. It stays when the entry is gone.
fn last_number() -> Statement {
    Statement::each(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)",
        "SELECT audit_id FROM sequence",
    )
}

/// The last entry that was taken out because it was old, as the entry that tells of it names it.
async fn pruned(on: On<'_>) -> Result<End, StoreError> {
    let sql = "SELECT after FROM audit WHERE action = 'prune' ORDER BY id DESC LIMIT 1";
    let row = Statement::new(sql).fetch_optional(on).await?;
    let pruned = match &row {
        Some(row) => json::<Pruned>(row, 0)?,
        None => None,
    };
    Ok(pruned.map_or(End { id: 0, hash: None }, |pruned| End {
        id: pruned.to,
        hash: pruned.hash,
    }))
}

impl Store {
    /// Checks the chain of the audit log from its begin, or from what was taken out because it was old.
    pub async fn verify_audit(&self) -> Result<Chain, StoreError> {
        let mut snapshot = self.readers.snapshot().await?;
        let chain = verify(&mut snapshot).await?;
        snapshot.end().await?;
        Ok(chain)
    }

    /// Gives hashes to the entries of a database that was written by a version without, once: an entry that
    /// has none later is not made to look as if it had.
    pub(super) async fn begin_chain(&self) -> Result<(), StoreError> {
        let begun: bool = Statement::new("SELECT EXISTS (SELECT 1 FROM audit_chain)")
            .scalar(&self.readers)
            .await?;
        if begun {
            return Ok(());
        }
        let mut transaction = self.writer.write().await?;
        let begin = "INSERT INTO audit_chain (only_row) VALUES (1) ON CONFLICT DO NOTHING";
        if Statement::new(begin).execute(transaction.on()?).await? == 0 {
            return Ok(());
        }
        let mut end = End { id: 0, hash: None };
        loop {
            let page = page(transaction.on()?, end.id).await?;
            if page.is_empty() {
                break;
            }
            for (mut entry, _) in page {
                entry.previous_hash = end.hash;
                let hash = entry.hash()?;
                Statement::new("UPDATE audit SET previous_hash = $1, hash = $2 WHERE id = $3")
                    .bind(entry.previous_hash.clone())
                    .bind(&hash)
                    .bind(entry.id)
                    .execute(transaction.on()?)
                    .await?;
                end = End {
                    id: entry.id,
                    hash: Some(hash),
                };
            }
        }
        transaction.commit().await
    }
}

async fn verify(snapshot: &mut Transaction) -> Result<Chain, StoreError> {
    let last_number: i64 = last_number().scalar(snapshot.on()?).await?;
    let mut entries = 0;
    let mut end = pruned(snapshot.on()?).await?;
    let mut read = 0;
    loop {
        let page = page(snapshot.on()?, read).await?;
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
            read = entry.id;
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

/// The end of the chain in a file.
pub(super) async fn end(transaction: &mut Transaction) -> Result<End, StoreError> {
    let id = last_number().scalar(transaction.on()?).await?;
    let last = Statement::new("SELECT hash FROM audit ORDER BY id DESC LIMIT 1");
    let hash = match last.fetch_optional(transaction.on()?).await? {
        Some(row) => row.get(0)?,
        None => None,
    };
    Ok(End { id, hash })
}
