//! The single writer: records, their sequence numbers and the audit log change together or not
//! at all.

use std::sync::Arc;

use serde::Serialize;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::chain::{self, End, Entry};
use super::columns::json_text;
use super::database::{Store, announce};
use super::error::StoreError;
use super::file::DatabaseFile;
use super::queue::{Turn, Urgency};
use super::recent::Recent;
use super::stored::{self, Change, Stored};
use super::writable::Writable;
use crate::domain::audit::{Action, Kind};
use crate::domain::credential::Digest;
use crate::domain::key::Key;

/// A write under way. Dropped without [`Write::commit`], it has not happened.
#[derive(Debug)]
pub struct Write {
    transaction: Transaction<'static, Sqlite>,
    sequence: watch::Sender<i64>,
    recent: Arc<Recent>,
    writable: Arc<Writable>,
    file: Arc<DatabaseFile>,
    changes: Vec<Change>,
    actor: String,
    now: i64,
    /// The last audit entry, once one is written.
    end_of_chain: Option<End>,
    /// Behind the transaction: whoever comes next finds the connection free.
    turn: Turn,
}

impl Store {
    /// Begins the only write there is at a time. `actor` is named in the audit log.
    pub async fn write(&self, actor: &str, now: i64) -> Result<Write, StoreError> {
        self.write_as(Urgency::Change, actor, now).await
    }

    /// The same, before or behind others that wait.
    pub async fn write_as(
        &self,
        urgency: Urgency,
        actor: &str,
        now: i64,
    ) -> Result<Write, StoreError> {
        let turn = self.queue.turn(urgency).await.ok_or(StoreError::Queue)?;
        let begun = async {
            self.file.check().map_err(StoreError::Gone)?;
            let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            Ok::<_, StoreError>(transaction)
        };
        match begun.await {
            Ok(transaction) => Ok(Write::new(transaction, turn, self, actor, now)),
            Err(error) => {
                self.writable.failed(&error);
                Err(error)
            }
        }
    }
}

impl Write {
    fn new(
        transaction: Transaction<'static, Sqlite>,
        turn: Turn,
        store: &Store,
        actor: &str,
        now: i64,
    ) -> Self {
        Self {
            transaction,
            sequence: store.sequence.clone(),
            recent: Arc::clone(&store.recent),
            writable: Arc::clone(&store.writable),
            file: Arc::clone(&store.file),
            changes: Vec::new(),
            actor: actor.to_owned(),
            now,
            end_of_chain: None,
            turn,
        }
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// The time of this write, in Unix seconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether something more urgent than an import waits for this write to end.
    pub fn is_waited_for(&self) -> bool {
        self.turn.is_wanted(Urgency::Import)
    }

    /// The record of this id.
    pub async fn by_id<T: Stored>(&mut self, id: &str) -> Result<Option<T>, StoreError> {
        stored::by_id(self.connection(), id).await
    }

    /// The key of this digest.
    pub async fn key_by_digest(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        stored::key_by_digest(self.connection(), digest).await
    }

    /// Puts a record in the place of `before`. Where nothing differs, nothing is written.
    pub async fn put<T: Stored>(
        &mut self,
        action: Action,
        before: Option<&T>,
        mut after: T,
    ) -> Result<T, StoreError> {
        if before == Some(&after) {
            return Ok(after);
        }
        after.stamp(self.next_number().await?, self.now);
        let table = T::table();
        sqlx::query_with(table.sql.put.as_str(), after.values()?)
            .execute(self.connection())
            .await?;
        let seq = Some(after.version());
        self.audit(action, table.kind, after.id(), seq, before, &after)
            .await?;
        self.changes.push(after.clone().into_change());
        Ok(after)
    }

    /// Makes it true, and wakes whoever follows the changes.
    pub async fn commit(self) -> Result<(), StoreError> {
        // In a task of its own: a client that leaves now must not keep the announcement back.
        match tokio::spawn(self.commit_now()).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Database(sqlx::Error::WorkerCrashed)),
        }
    }

    async fn commit_now(self) -> Result<(), StoreError> {
        // Until the end, also of what is told of it.
        let _turn = self.turn;
        if let Err(error) = self.transaction.commit().await {
            let error = StoreError::from(error);
            self.writable.failed(&error);
            return Err(error);
        }
        if let Some(last) = self.changes.last().map(Change::seq) {
            self.recent.add(self.changes);
            announce(&self.sequence, last);
        }
        // Obeyed, but perhaps not kept: whoever asked for it must not believe that it is.
        if let Err(what) = self.file.check() {
            let error = StoreError::Gone(what);
            self.writable.failed(&error);
            return Err(error);
        }
        self.writable.succeeded();
        Ok(())
    }

    async fn next_number(&mut self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("UPDATE sequence SET value = value + 1 RETURNING value")
                .fetch_one(self.connection())
                .await?,
        )
    }

    pub(super) async fn audit<T: Serialize>(
        &mut self,
        action: Action,
        kind: Kind,
        entity_id: &str,
        seq: Option<i64>,
        before: Option<&T>,
        after: &T,
    ) -> Result<(), StoreError> {
        let end = match self.end_of_chain.take() {
            Some(end) => end,
            None => chain::end(self.connection()).await?,
        };
        let entry = Entry {
            previous_hash: end.hash,
            id: end.id + 1,
            at: self.now,
            actor: self.actor.clone(),
            action: action.as_str().to_owned(),
            kind: kind.as_str().to_owned(),
            entity_id: entity_id.to_owned(),
            seq,
            before: before.map(json_text).transpose()?,
            after: Some(json_text(after)?),
        };
        let hash = entry.hash()?;
        sqlx::query(
            "INSERT INTO audit (id, at, actor, action, kind, entity_id, seq, before, after, previous_hash, hash) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(entry.id)
        .bind(entry.at)
        .bind(entry.actor)
        .bind(entry.action)
        .bind(entry.kind)
        .bind(entry.entity_id)
        .bind(entry.seq)
        .bind(entry.before)
        .bind(entry.after)
        .bind(entry.previous_hash)
        .bind(&hash)
        .execute(self.connection())
        .await?;
        self.end_of_chain = Some(End {
            id: entry.id,
            hash: Some(hash),
        });
        Ok(())
    }
}
