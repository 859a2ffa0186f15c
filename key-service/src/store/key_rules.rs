//! The rules of tenants for their keys.

use std::collections::HashMap;

use super::columns::{json, json_text};
use super::database::Store;
use super::error::StoreError;
use super::sql::{On, Row, Statement};
use super::write::Write;
use crate::domain::audit::{Action, Kind};
use crate::domain::input::read;
use crate::domain::key_rules::KeyRules;

impl Store {
    /// The rules of a tenant; none where it has none.
    pub async fn key_rules(&self, tenant: &str) -> Result<Option<KeyRules>, StoreError> {
        of_tenant(&self.readers, tenant).await
    }

    /// The rules of these tenants, by their ids.
    pub async fn key_rules_of(
        &self,
        tenants: &[&str],
    ) -> Result<HashMap<String, KeyRules>, StoreError> {
        of_tenants(&self.readers, tenants).await
    }

    /// All rules, by the ids of their tenants.
    pub async fn all_key_rules(&self) -> Result<HashMap<String, KeyRules>, StoreError> {
        let all = Statement::new("SELECT tenant_id, rules FROM key_rules");
        by_tenant(&all.fetch_all(&self.readers).await?)
    }
}

impl Write {
    /// The rules of a tenant; none where it has none.
    pub async fn key_rules(&mut self, tenant: &str) -> Result<Option<KeyRules>, StoreError> {
        of_tenant(self.on().await?, tenant).await
    }

    /// The rules of these tenants, by their ids.
    pub async fn key_rules_of(
        &mut self,
        tenants: &[&str],
    ) -> Result<HashMap<String, KeyRules>, StoreError> {
        of_tenants(self.on().await?, tenants).await
    }

    /// Gives a tenant these rules, in the place of those before; none takes them away. Where nothing differs, nothing
    /// is written.
    pub async fn put_key_rules(
        &mut self,
        tenant: &str,
        rules: Option<&KeyRules>,
    ) -> Result<(), StoreError> {
        let before = self.key_rules(tenant).await?;
        if before.as_ref() == rules {
            return Ok(());
        }
        let (statement, action) = match rules {
            Some(rules) => {
                let sql = "INSERT INTO key_rules (tenant_id, rules) VALUES ($1, $2) \
                           ON CONFLICT (tenant_id) DO UPDATE SET rules = excluded.rules";
                let put = Statement::new(sql).bind(tenant).bind(json_text(rules)?);
                let action = if before.is_some() {
                    Action::Update
                } else {
                    Action::Create
                };
                (put, action)
            }
            None => (
                Statement::new("DELETE FROM key_rules WHERE tenant_id = $1").bind(tenant),
                Action::Delete,
            ),
        };
        statement.execute(self.on().await?).await?;
        let after = rules.cloned().unwrap_or_default();
        self.audit(
            action,
            Kind::KeyRules,
            tenant,
            None,
            before.as_ref(),
            &after,
        )
        .await
    }
}

async fn of_tenant(on: impl Into<On<'_>>, tenant: &str) -> Result<Option<KeyRules>, StoreError> {
    Ok(of_tenants(on, &[tenant]).await?.remove(tenant))
}

pub(super) async fn of_tenants(
    on: impl Into<On<'_>>,
    tenants: &[&str],
) -> Result<HashMap<String, KeyRules>, StoreError> {
    if tenants.is_empty() {
        return Ok(HashMap::new());
    }
    let among = Statement::each(
        "SELECT tenant_id, rules FROM key_rules WHERE tenant_id IN (SELECT value FROM json_each($1))",
        "SELECT tenant_id, rules FROM key_rules WHERE tenant_id IN (SELECT json_array_elements_text($1::json))",
    );
    by_tenant(&among.bind(json_text(&tenants)?).fetch_all(on).await?)
}

fn by_tenant(rows: &[Row]) -> Result<HashMap<String, KeyRules>, StoreError> {
    let of_row = |row: &Row| {
        let tenant: String = row.get("tenant_id")?;
        let rules = json(row, "rules")?.unwrap_or_default();
        let rules = read(rules).map_err(|_| {
            StoreError::Corrupt(format!("the key rules of {tenant} cannot be read"))
        })?;
        Ok((tenant, rules))
    };
    rows.iter().map(of_row).collect()
}
