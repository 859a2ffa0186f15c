//! The single writer: records, their sequence numbers and the audit log change together or not
//! at all.

use std::sync::Arc;

use serde::Serialize;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::chain::{End, Stored};
use super::changes::Change;
use super::file::DatabaseFile;
use super::queue::{Turn, Urgency};
use super::recent::Recent;
use super::writable::Writable;
use super::{Store, StoreError, announce, rows};
use crate::domain::audit::{Action, Kind};
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::user::User;

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

impl Write {
    pub(super) fn new(
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

    /// The tenant of this id.
    pub async fn tenant(&mut self, id: &str) -> Result<Option<Tenant>, StoreError> {
        rows::tenant_by_id(self.connection(), id).await
    }

    /// The user of this id.
    pub async fn user(&mut self, id: &str) -> Result<Option<User>, StoreError> {
        rows::user_by_id(self.connection(), id).await
    }

    /// The key of this id.
    pub async fn key(&mut self, id: &str) -> Result<Option<Key>, StoreError> {
        rows::key_by_id(self.connection(), id).await
    }

    /// The key of this digest.
    pub async fn key_by_digest(&mut self, digest: &Digest) -> Result<Option<Key>, StoreError> {
        rows::key_by_digest(self.connection(), digest).await
    }

    /// Puts a tenant in the place of `before`. Where nothing differs, nothing is written.
    pub async fn put_tenant(
        &mut self,
        action: Action,
        before: Option<&Tenant>,
        mut after: Tenant,
    ) -> Result<Tenant, StoreError> {
        if before == Some(&after) {
            return Ok(after);
        }
        after.version = self.next_number().await?;
        after.updated_at = self.now;
        sqlx::query(
            "INSERT INTO tenants (id, version, name, status, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, name = excluded.name, \
             status = excluded.status, updated_at = excluded.updated_at",
        )
        .bind(&after.id)
        .bind(after.version)
        .bind(&after.name)
        .bind(after.status.as_str())
        .bind(after.created_at)
        .bind(after.updated_at)
        .execute(self.connection())
        .await?;
        self.audit(
            action,
            Kind::Tenant,
            &after.id,
            Some(after.version),
            before,
            &after,
        )
        .await?;
        self.changes.push(Change::Tenant(after.clone()));
        Ok(after)
    }

    /// Puts a user in the place of `before`. Where nothing differs, nothing is written.
    pub async fn put_user(
        &mut self,
        action: Action,
        before: Option<&User>,
        mut after: User,
    ) -> Result<User, StoreError> {
        if before == Some(&after) {
            return Ok(after);
        }
        after.version = self.next_number().await?;
        after.updated_at = self.now;
        sqlx::query(
            "INSERT INTO users (id, version, tenant_id, name, status, scopes, apis, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, tenant_id = excluded.tenant_id, \
             name = excluded.name, status = excluded.status, scopes = excluded.scopes, \
             apis = excluded.apis, updated_at = excluded.updated_at",
        )
        .bind(&after.id)
        .bind(after.version)
        .bind(&after.tenant_id)
        .bind(&after.name)
        .bind(after.status.as_str())
        .bind(after.scopes.as_ref().map(rows::json_text).transpose()?)
        .bind(after.apis.as_ref().map(rows::json_text).transpose()?)
        .bind(after.created_at)
        .bind(after.updated_at)
        .execute(self.connection())
        .await?;
        self.audit(
            action,
            Kind::User,
            &after.id,
            Some(after.version),
            before,
            &after,
        )
        .await?;
        self.changes.push(Change::User(after.clone()));
        Ok(after)
    }

    /// Puts a key in the place of `before`. Where nothing differs, nothing is written.
    pub async fn put_key(
        &mut self,
        action: Action,
        before: Option<&Key>,
        mut after: Key,
    ) -> Result<Key, StoreError> {
        if before == Some(&after) {
            return Ok(after);
        }
        after.version = self.next_number().await?;
        after.updated_at = self.now;
        sqlx::query(
            "INSERT INTO keys (id, version, digest, user_id, tenant_id, environment, name, hint, status, \
             not_before, expires_at, replaced_by, replaced_at, revoked_at, revoked_reason, scopes, networks, \
             hours, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, digest = excluded.digest, \
             hint = excluded.hint, user_id = excluded.user_id, \
             tenant_id = excluded.tenant_id, environment = excluded.environment, name = excluded.name, \
             status = excluded.status, not_before = excluded.not_before, expires_at = excluded.expires_at, \
             replaced_by = excluded.replaced_by, replaced_at = excluded.replaced_at, \
             revoked_at = excluded.revoked_at, revoked_reason = excluded.revoked_reason, \
             scopes = excluded.scopes, networks = excluded.networks, hours = excluded.hours, \
             updated_at = excluded.updated_at",
        )
        .bind(&after.id)
        .bind(after.version)
        .bind(after.digest.as_str())
        .bind(&after.user_id)
        .bind(&after.tenant_id)
        .bind(&after.environment)
        .bind(&after.name)
        .bind(&after.hint)
        .bind(after.status.as_str())
        .bind(after.not_before)
        .bind(after.expires_at)
        .bind(&after.replaced_by)
        .bind(after.replaced_at)
        .bind(after.revoked_at)
        .bind(&after.revoked_reason)
        .bind(rows::json_text(&after.scopes)?)
        .bind(after.networks.as_ref().map(rows::json_text).transpose()?)
        .bind(after.hours.as_ref().map(rows::json_text).transpose()?)
        .bind(after.created_at)
        .bind(after.updated_at)
        .execute(self.connection())
        .await?;
        self.audit(
            action,
            Kind::Key,
            &after.id,
            Some(after.version),
            before,
            &after,
        )
        .await?;
        self.changes.push(Change::Key(Box::new(after.clone())));
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
            None => self.end_of_chain().await?,
        };
        let entry = Stored {
            previous_hash: end.hash,
            id: end.id + 1,
            at: self.now,
            actor: self.actor.clone(),
            action: action.as_str().to_owned(),
            kind: kind.as_str().to_owned(),
            entity_id: entity_id.to_owned(),
            seq,
            before: before.map(rows::json_text).transpose()?,
            after: Some(rows::json_text(after)?),
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
