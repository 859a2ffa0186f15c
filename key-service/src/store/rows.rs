//! Rows to records. Columns are read by position, in the order in which the lists below name them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, SqliteExecutor, Type};

use super::StoreError;
use crate::domain::credential::Digest;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::user::{User, UserStatus};

macro_rules! tenant_columns {
    () => {
        "tenants.id, tenants.version, tenants.name, tenants.status, tenants.created_at, tenants.updated_at"
    };
}
macro_rules! user_columns {
    () => {
        "users.id, users.version, users.tenant_id, users.name, users.status, users.scopes, users.apis, \
         users.created_at, users.updated_at"
    };
}
macro_rules! key_columns {
    () => {
        "keys.id, keys.version, keys.digest, keys.user_id, keys.tenant_id, keys.environment, keys.name, \
         keys.hint, keys.status, keys.not_before, keys.expires_at, keys.replaced_by, keys.replaced_at, \
         keys.revoked_at, keys.revoked_reason, keys.scopes, keys.networks, keys.hours, keys.created_at, \
         keys.updated_at"
    };
}
pub(super) use {key_columns, tenant_columns, user_columns};

/// Takes the columns of a row one after the other.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StoreError> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// Whether a joined record is there at all: its id is not null.
    fn present(&self) -> Result<bool, StoreError> {
        Ok(self.row.try_get::<Option<&str>, _>(self.next)?.is_some())
    }

    pub(super) fn word<T>(
        &mut self,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        parse(text).map_err(|_| StoreError::Corrupt(format!("unknown word \"{text}\"")))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.take::<Option<&str>>()?
            .map(|text| {
                serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
            })
            .transpose()
    }

    pub(super) fn tenant(&mut self) -> Result<Option<Tenant>, StoreError> {
        if !self.present()? {
            self.next += 6;
            return Ok(None);
        }
        Ok(Some(Tenant {
            id: self.take()?,
            version: self.take()?,
            name: self.take()?,
            status: self.word(TenantStatus::parse)?,
            created_at: self.take()?,
            updated_at: self.take()?,
        }))
    }

    pub(super) fn user(&mut self) -> Result<Option<User>, StoreError> {
        if !self.present()? {
            self.next += 9;
            return Ok(None);
        }
        Ok(Some(User {
            id: self.take()?,
            version: self.take()?,
            tenant_id: self.take()?,
            name: self.take()?,
            status: self.word(UserStatus::parse)?,
            scopes: self.json()?,
            apis: self.json()?,
            created_at: self.take()?,
            updated_at: self.take()?,
        }))
    }

    pub(super) fn key(&mut self) -> Result<Option<Key>, StoreError> {
        if !self.present()? {
            self.next += 20;
            return Ok(None);
        }
        Ok(Some(Key {
            id: self.take()?,
            version: self.take()?,
            digest: Digest::stored(self.take()?),
            user_id: self.take()?,
            tenant_id: self.take()?,
            environment: self.take()?,
            name: self.take()?,
            hint: self.take()?,
            status: self.word(KeyStatus::parse)?,
            not_before: self.take()?,
            expires_at: self.take()?,
            replaced_by: self.take()?,
            replaced_at: self.take()?,
            revoked_at: self.take()?,
            revoked_reason: self.take()?,
            scopes: self.json()?.unwrap_or_default(),
            networks: self.json()?,
            hours: self.json()?,
            created_at: self.take()?,
            updated_at: self.take()?,
        }))
    }
}

/// The JSON text of a column.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) async fn tenant_by_id(
    executor: impl SqliteExecutor<'_>,
    id: &str,
) -> Result<Option<Tenant>, StoreError> {
    let sql = concat!("SELECT ", tenant_columns!(), " FROM tenants WHERE id = ?");
    let row = sqlx::query(sql).bind(id).fetch_optional(executor).await?;
    row.map_or(Ok(None), |row| Columns::of(&row).tenant())
}

pub(super) async fn user_by_id(
    executor: impl SqliteExecutor<'_>,
    id: &str,
) -> Result<Option<User>, StoreError> {
    let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE id = ?");
    let row = sqlx::query(sql).bind(id).fetch_optional(executor).await?;
    row.map_or(Ok(None), |row| Columns::of(&row).user())
}

pub(super) async fn key_by_id(
    executor: impl SqliteExecutor<'_>,
    id: &str,
) -> Result<Option<Key>, StoreError> {
    let sql = concat!("SELECT ", key_columns!(), " FROM keys WHERE id = ?");
    let row = sqlx::query(sql).bind(id).fetch_optional(executor).await?;
    row.map_or(Ok(None), |row| Columns::of(&row).key())
}

pub(super) async fn key_by_digest(
    executor: impl SqliteExecutor<'_>,
    digest: &Digest,
) -> Result<Option<Key>, StoreError> {
    let sql = concat!("SELECT ", key_columns!(), " FROM keys WHERE digest = ?");
    let row = sqlx::query(sql)
        .bind(digest.as_str())
        .fetch_optional(executor)
        .await?;
    row.map_or(Ok(None), |row| Columns::of(&row).key())
}
