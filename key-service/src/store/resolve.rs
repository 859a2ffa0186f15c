//! What gateways ask: records by digest.

use std::sync::LazyLock;

use super::columns::json_text;
use super::database::Store;
use super::error::StoreError;
use super::shown::Shown;
use super::sql::Statement;
use super::stored::joined;
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
        static SQLITE: LazyLock<String> = LazyLock::new(|| select("json_each($1) AS asked"));
        static POSTGRES: LazyLock<String> = LazyLock::new(|| {
            select("json_array_elements_text($1::json) WITH ORDINALITY AS asked (value, key)")
        });
        let asked: Vec<&str> = digests.iter().map(Digest::as_str).collect();
        let rows = Statement::each(SQLITE.as_str(), POSTGRES.as_str())
            .bind(json_text(&asked)?)
            .fetch_all(&self.readers)
            .await?;
        let mut as_of = 0;
        let mut results = Vec::with_capacity(rows.len());
        for row in &rows {
            as_of = row.get("as_of")?;
            results.push(match joined(row)? {
                Some(key) => Some(Found {
                    key,
                    user: joined(row)?,
                    tenant: joined(row)?,
                }),
                None => None,
            });
        }
        Ok(Resolved { as_of, results })
    }
}

/// The statement, by what makes rows of the digests asked for.
fn select(asked: &str) -> String {
    let (keys, users, tenants) = (Key::columns(), User::columns(), Tenant::columns());
    format!(
        "SELECT sequence.value AS as_of, {keys}, {users}, {tenants} \
         FROM {asked} CROSS JOIN sequence \
         LEFT JOIN keys ON keys.digest = asked.value \
         LEFT JOIN users ON users.id = keys.user_id \
         LEFT JOIN tenants ON tenants.id = keys.tenant_id \
         ORDER BY asked.key"
    )
}
