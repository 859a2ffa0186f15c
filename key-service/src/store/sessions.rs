//! Sessions of the console, looked up by the digest of what the browser holds.

use super::columns::word;
use super::database::Store;
use super::error::StoreError;
use super::sql::{Row, Statement};
use super::write::Write;
use crate::domain::session::{Session, SignedInBy};
use crate::domain::token::{Grant, Role, TokenDigest};

impl Store {
    /// The session of this digest, unless it is over, or its token is revoked or has expired.
    pub async fn session(
        &self,
        digest: &TokenDigest,
        now: i64,
    ) -> Result<Option<Session>, StoreError> {
        let row = Statement::new(
            "SELECT token_digest, name, role, tenant_id, user_id, expires_at FROM sessions \
             WHERE digest = $1 AND expires_at > $2",
        )
        .bind(digest.as_str())
        .bind(now)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let expires_at = row.get("expires_at")?;
        let by = match row.get::<Option<String>>("token_digest")? {
            None => Some(identity(&row)?),
            Some(text) => {
                let digest = TokenDigest::stored(text);
                let entry = self.token(&digest, now).await?;
                entry.map(|entry| SignedInBy::Token { digest, entry })
            }
        };
        Ok(by.map(|by| Session { by, expires_at }))
    }
}

fn identity(row: &Row) -> Result<SignedInBy, StoreError> {
    Ok(SignedInBy::Identity {
        name: row.get("name")?,
        grant: Grant {
            role: word(row, "role", Role::parse)?,
            tenant_id: row.get("tenant_id")?,
            user_id: row.get("user_id")?,
            expires_at: None,
        },
    })
}

impl Write {
    /// Begins a session.
    pub async fn put_session(
        &mut self,
        digest: &TokenDigest,
        session: &Session,
    ) -> Result<(), StoreError> {
        let grant = session.grant();
        let token = match &session.by {
            SignedInBy::Token { digest, .. } => Some(digest.as_str().to_owned()),
            SignedInBy::Identity { .. } => None,
        };
        Statement::new(
            "INSERT INTO sessions (digest, token_digest, name, role, tenant_id, user_id, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(digest.as_str())
        .bind(token)
        .bind(session.name())
        .bind(grant.role.as_str())
        .bind(grant.tenant_id.clone())
        .bind(grant.user_id.clone())
        .bind(session.expires_at)
        .execute(self.on().await?)
        .await
        .map(drop)
    }

    /// Ends a session.
    pub async fn end_session(&mut self, digest: &TokenDigest) -> Result<(), StoreError> {
        Statement::new("DELETE FROM sessions WHERE digest = $1")
            .bind(digest.as_str())
            .execute(self.on().await?)
            .await
            .map(drop)
    }

    /// Ends all sessions of somebody, wherever they are signed in.
    pub async fn end_sessions_of(&mut self, name: &str) -> Result<(), StoreError> {
        Statement::new("DELETE FROM sessions WHERE name = $1")
            .bind(name)
            .execute(self.on().await?)
            .await
            .map(drop)
    }
}
