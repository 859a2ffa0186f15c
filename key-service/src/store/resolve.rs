//! What gateways ask: records by digest.

use super::rows::{Columns, key_columns, tenant_columns, user_columns};
use super::{Store, StoreError};
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::user::User;

/// A known key, with its user and tenant as far as they exist.
#[derive(Debug, Clone)]
pub struct Found {
    /// The key.
    pub key: Key,
    /// Its user.
    pub user: Option<User>,
    /// Its tenant.
    pub tenant: Option<Tenant>,
}

/// The answer to a batch.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The sequence number at which all of it was true.
    pub as_of: i64,
    /// One entry a digest, in the order asked.
    pub results: Vec<Option<Found>>,
}

impl Store {
    /// Looks a batch up. It is one statement, hence one snapshot, however many digests there are.
    pub async fn resolve(&self, digests: &[Digest]) -> Result<Resolved, StoreError> {
        let asked: Vec<&str> = digests.iter().map(Digest::as_str).collect();
        let sql = concat!(
            "SELECT sequence.value, ",
            key_columns!(),
            ", ",
            user_columns!(),
            ", ",
            tenant_columns!(),
            " FROM json_each(?) AS asked JOIN sequence \
             LEFT JOIN keys ON keys.digest = asked.value \
             LEFT JOIN users ON users.id = keys.user_id \
             LEFT JOIN tenants ON tenants.id = keys.tenant_id \
             ORDER BY asked.key"
        );
        let rows = sqlx::query(sql)
            .bind(super::rows::json_text(&asked)?)
            .fetch_all(&self.readers)
            .await?;
        let mut as_of = 0;
        let mut results = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::of(row);
            as_of = columns.take()?;
            let (key, user, tenant) = (columns.key()?, columns.user()?, columns.tenant()?);
            results.push(key.map(|key| Found { key, user, tenant }));
        }
        Ok(Resolved { as_of, results })
    }
}
