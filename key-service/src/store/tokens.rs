//! Bearer tokens: registered, looked up and revoked by digest and name.

use super::columns::word;
use super::database::Store;
use super::error::StoreError;
use super::sql::{Row, Statement};
use super::write::Write;
use crate::domain::audit::{Action, Kind};
use crate::domain::token::{Grant, Role, TokenDigest, TokenEntry};

/// What is read of a token, up to the condition.
const SELECT: &str =
    "SELECT name, role, tenant_id, user_id, expires_at, created_at, revoked_at FROM tokens";

fn entry(row: &Row) -> Result<TokenEntry, StoreError> {
    Ok(TokenEntry {
        name: row.get("name")?,
        grant: Grant {
            role: word(row, "role", Role::parse)?,
            tenant_id: row.get("tenant_id")?,
            user_id: row.get("user_id")?,
            expires_at: row.get("expires_at")?,
        },
        created_at: row.get("created_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

impl Store {
    /// The token of this digest, unless it is revoked or has expired.
    pub async fn token(
        &self,
        digest: &TokenDigest,
        now: i64,
    ) -> Result<Option<TokenEntry>, StoreError> {
        let sql =
            "WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
        let row = Statement::new(format!("{SELECT} {sql}"))
            .bind(digest.as_str())
            .bind(now)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// All tokens, revoked ones too, oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, StoreError> {
        let sql = format!("{SELECT} ORDER BY created_at, name");
        let rows = Statement::new(sql).fetch_all(&self.readers).await?;
        rows.iter().map(entry).collect()
    }
}

impl Write {
    /// The token of this name, revoked or not.
    pub async fn token(&mut self, name: &str) -> Result<Option<TokenEntry>, StoreError> {
        let row = Statement::new(format!("{SELECT} WHERE name = $1"))
            .bind(name)
            .fetch_optional(self.on().await?)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// Registers a token under this name, in place of an earlier one. Registering what is there
    /// already changes nothing. `false` means that another name holds this very token.
    pub async fn put_token(
        &mut self,
        name: &str,
        grant: impl Into<Grant>,
        digest: &TokenDigest,
    ) -> Result<bool, StoreError> {
        let grant = grant.into();
        let holder = Statement::new(format!("{SELECT} WHERE digest = $1"))
            .bind(digest.as_str())
            .fetch_optional(self.on().await?)
            .await?;
        if let Some(holder) = holder.as_ref().map(entry).transpose()? {
            if holder.name != name {
                return Ok(false);
            }
            if holder.grant == grant && holder.revoked_at.is_none() {
                return Ok(true);
            }
        }
        let before = self.token(name).await?;
        let after = TokenEntry {
            name: name.to_owned(),
            grant: grant.clone(),
            created_at: self.now(),
            revoked_at: None,
        };
        Statement::new(
            "INSERT INTO tokens (name, digest, role, created_at, tenant_id, user_id, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, role = excluded.role, \
             created_at = excluded.created_at, tenant_id = excluded.tenant_id, user_id = excluded.user_id, \
             expires_at = excluded.expires_at, revoked_at = NULL",
        )
        .bind(name)
        .bind(digest.as_str())
        .bind(grant.role.as_str())
        .bind(after.created_at)
        .bind(grant.tenant_id)
        .bind(grant.user_id)
        .bind(grant.expires_at)
        .execute(self.on().await?)
        .await?;
        let action = if before.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        self.audit(action, Kind::Token, name, None, before.as_ref(), &after)
            .await?;
        Ok(true)
    }

    /// Revokes a token. Its name stays taken, so that the audit log stays unambiguous.
    pub async fn revoke_token(&mut self, before: &TokenEntry) -> Result<(), StoreError> {
        let after = TokenEntry {
            revoked_at: Some(self.now()),
            ..before.clone()
        };
        Statement::new("UPDATE tokens SET revoked_at = $1 WHERE name = $2")
            .bind(after.revoked_at)
            .bind(&before.name)
            .execute(self.on().await?)
            .await?;
        self.audit(
            Action::Revoke,
            Kind::Token,
            &before.name,
            None,
            Some(before),
            &after,
        )
        .await
    }
}
