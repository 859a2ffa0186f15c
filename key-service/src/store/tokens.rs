//! Bearer tokens: registered, looked up and revoked by digest and name.

use std::sync::LazyLock;

use super::belongs::Belongs;
use super::columns::word;
use super::database::Store;
use super::error::StoreError;
use super::page::{Filter, Narrowing};
use super::shown::{Shown, select};
use super::sql::{On, Row, Statement};
use super::write::Write;
use crate::domain::audit::{Action, Kind};
use crate::domain::reach::Whose;
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::tenant::Tenant;
use crate::domain::token::{Grant, Role, Token, TokenDigest, TokenEntry};
use crate::domain::user::{User, UserStatus};

/// Which tokens to list.
#[derive(Debug, Clone, Default)]
pub struct TokenFilter {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those of this tenant, or of its users.
    pub tenant: Option<String>,
    /// Only those of this user.
    pub user: Option<String>,
}

/// The tenant of a token, or of its user.
const OWNER: &str = "coalesce(tokens.tenant_id, (SELECT users.tenant_id FROM users WHERE users.id = tokens.user_id))";

impl Belongs for TokenEntry {
    const TENANT: &'static str = OWNER;
    // Of no user: who has a developer's token makes none.
    const USER: Option<&'static str> = Some("NULL");

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: self.owner.as_deref(),
            user: Some(None),
        }
    }
}

impl Shown for TokenEntry {
    type Record = Self;

    fn place() -> &'static str {
        "tokens.place"
    }

    fn columns() -> &'static str {
        static COLUMNS: LazyLock<String> = LazyLock::new(|| {
            format!(
                "name, role, tenant_id, user_id, expires_at, created_at, revoked_at, {OWNER} AS owner"
            )
        });
        &COLUMNS
    }

    fn from() -> &'static str {
        "tokens"
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.get("name")?,
            grant: Grant {
                role: word(row, "role", Role::parse)?,
                tenant_id: row.get("tenant_id")?,
                user_id: row.get("user_id")?,
                expires_at: row.get("expires_at")?,
            },
            created_at: row.get("created_at")?,
            revoked_at: row.get("revoked_at")?,
            owner: row.get("owner")?,
        })
    }
}

impl Filter for TokenFilter {
    type Item = TokenEntry;

    fn narrow(&self, list: &mut Narrowing) {
        list.equal("tokens.role", self.role.map(Role::as_str));
        list.hold(&["tokens.name"], self.search.as_deref());
        list.equal(OWNER, self.tenant.clone());
        list.equal("tokens.user_id", self.user.clone());
    }
}

impl Store {
    /// The token of this digest, unless it is revoked or has expired.
    pub async fn token(
        &self,
        digest: &TokenDigest,
        now: i64,
    ) -> Result<Option<TokenEntry>, StoreError> {
        let mut sql = select::<TokenEntry>("");
        sql.push("digest = ").push_bind(digest.as_str());
        sql.push(" AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ");
        sql.push_bind(now).push(")");
        first(sql, (&self.readers).into()).await
    }

    /// All tokens, revoked ones too, oldest first.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, StoreError> {
        let mut sql = select::<TokenEntry>("");
        sql.push("true ORDER BY created_at, name");
        let rows = sql.fetch_all(&self.readers).await?;
        rows.iter().map(TokenEntry::of_row).collect()
    }
}

impl Write {
    /// The token of this name, revoked or not.
    pub async fn token(&mut self, name: &str) -> Result<Option<TokenEntry>, StoreError> {
        let found = self.token_of_any(name).await?;
        Ok(found.filter(|found| self.reach().sees(found)))
    }

    async fn token_of_any(&mut self, name: &str) -> Result<Option<TokenEntry>, StoreError> {
        let mut sql = select::<TokenEntry>("");
        sql.push("name = ").push_bind(name);
        first(sql, self.on().await?).await
    }

    /// Makes a token, and gives it with its entry. It reaches no further than who makes it.
    pub async fn make_token(
        &mut self,
        name: &str,
        grant: Grant,
    ) -> Result<Result<(Token, TokenEntry), Refusal>, StoreError> {
        if self.token_of_any(name).await?.is_some() {
            return Ok(Err(Refusal::conflict(format!(
                "There is or was a token named {name}: choose another name."
            ))));
        }
        let grant = match grant.made_within(self.reach()) {
            Ok(grant) => grant,
            Err(wrong) => return Ok(Err(Refusal::Invalid(vec![wrong]))),
        };
        // It would be somebody's who gets that id later.
        let mut nobody = Vec::new();
        if let Some(id) = &grant.tenant_id
            && self.by_id::<Tenant>(id).await?.is_none()
        {
            nobody.push(FieldError::new(
                "tenant_id",
                "there is no tenant of this id",
            ));
        }
        if let Some(id) = &grant.user_id {
            let user = self.by_id::<User>(id).await?;
            if user.is_none_or(|user| user.status == UserStatus::Deleted) {
                nobody.push(FieldError::new("user_id", "there is no user of this id"));
            }
        }
        if let Err(refusal) = Refusal::unless_empty(nobody) {
            return Ok(Err(refusal));
        }
        let token = Token::generate(grant.role);
        self.put_token(name, grant, &token.digest()).await?;
        match self.token(name).await? {
            Some(entry) => Ok(Ok((token, entry))),
            None => Err(StoreError::OutOfReach),
        }
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
        let mut sql = select::<TokenEntry>("");
        sql.push("digest = ").push_bind(digest.as_str());
        if let Some(holder) = first(sql, self.on().await?).await? {
            if holder.name != name {
                return Ok(false);
            }
            if holder.grant == grant && holder.revoked_at.is_none() {
                return Ok(true);
            }
        }
        let before = self.token_of_any(name).await?;
        let after = TokenEntry {
            name: name.to_owned(),
            grant: grant.clone(),
            created_at: self.now(),
            revoked_at: None,
            owner: None,
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

    /// Revokes a token, and gives what it is from now on. Its name stays taken, so that the audit log stays unambiguous.
    pub async fn revoke_token(&mut self, before: &TokenEntry) -> Result<TokenEntry, StoreError> {
        let after = TokenEntry {
            revoked_at: Some(self.now()),
            ..before.clone()
        };
        Statement::new("UPDATE tokens SET revoked_at = $1 WHERE name = $2")
            .bind(after.revoked_at)
            .bind(&before.name)
            .execute(self.on().await?)
            .await?;
        let name = &before.name;
        self.audit(
            Action::Revoke,
            Kind::Token,
            name,
            None,
            Some(before),
            &after,
        )
        .await?;
        Ok(after)
    }
}

async fn first(sql: Statement, on: On<'_>) -> Result<Option<TokenEntry>, StoreError> {
    let row = sql.fetch_optional(on).await?;
    row.as_ref().map(TokenEntry::of_row).transpose()
}
