//! Bearer tokens: registered, looked up and revoked by digest and name.

use super::columns::{plain, word};
use super::database::Store;
use super::error::StoreError;
use super::write::Write;
use crate::domain::audit::{Action, Kind};
use crate::domain::token::{Role, TokenDigest, TokenEntry};

fn entry(row: &sqlx::sqlite::SqliteRow) -> Result<TokenEntry, StoreError> {
    Ok(TokenEntry {
        name: plain(row, "name")?,
        role: word(row, "role", Role::parse)?,
        created_at: plain(row, "created_at")?,
        revoked_at: plain(row, "revoked_at")?,
    })
}

impl Store {
    /// The token of this digest, unless it is revoked.
    pub async fn token(&self, digest: &TokenDigest) -> Result<Option<TokenEntry>, StoreError> {
        let sql = "SELECT name, role, created_at, revoked_at FROM tokens WHERE digest = ? AND revoked_at IS NULL";
        let row = sqlx::query(sql)
            .bind(digest.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// All tokens, revoked ones too, oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, StoreError> {
        let sql = "SELECT name, role, created_at, revoked_at FROM tokens ORDER BY created_at, name";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        rows.iter().map(entry).collect()
    }
}

impl Write {
    /// The token of this name, revoked or not.
    pub async fn token(&mut self, name: &str) -> Result<Option<TokenEntry>, StoreError> {
        let sql = "SELECT name, role, created_at, revoked_at FROM tokens WHERE name = ?";
        let row = sqlx::query(sql)
            .bind(name)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// Registers a token under this name, in place of an earlier one. Registering what is there
    /// already changes nothing. `false` means that another name holds this very token.
    pub async fn put_token(
        &mut self,
        name: &str,
        role: Role,
        digest: &TokenDigest,
    ) -> Result<bool, StoreError> {
        let holder: Option<(String, String, Option<i64>)> =
            sqlx::query_as("SELECT name, role, revoked_at FROM tokens WHERE digest = ?")
                .bind(digest.as_str())
                .fetch_optional(self.connection())
                .await?;
        if let Some((holder, held_role, revoked_at)) = holder {
            if holder != name {
                return Ok(false);
            }
            if held_role == role.as_str() && revoked_at.is_none() {
                return Ok(true);
            }
        }
        let before = self.token(name).await?;
        let after = TokenEntry {
            name: name.to_owned(),
            role,
            created_at: self.now(),
            revoked_at: None,
        };
        sqlx::query(
            "INSERT INTO tokens (name, digest, role, created_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, role = excluded.role, \
             created_at = excluded.created_at, revoked_at = NULL",
        )
        .bind(name)
        .bind(digest.as_str())
        .bind(role.as_str())
        .bind(after.created_at)
        .execute(self.connection())
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
        sqlx::query("UPDATE tokens SET revoked_at = ? WHERE name = ?")
            .bind(after.revoked_at)
            .bind(&before.name)
            .execute(self.connection())
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
