//! Reading the audit log. Writing it is part of each write.

use super::columns::{json, word};
use super::database::{Engine, Store};
use super::error::StoreError;
use super::page::{Page, PageRequest};
use super::sql::Statement;
use crate::domain::audit::{Action, AuditEntry, Kind};
use crate::domain::reach::Reach;

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only about this kind of thing.
    pub kind: Option<Kind>,
    /// Only about the thing of this id.
    pub entity_id: Option<String>,
    /// Only what this actor did.
    pub actor: Option<String>,
    /// Only from this second on.
    pub since: Option<i64>,
    /// Only before this second.
    pub until: Option<i64>,
}

impl Store {
    /// A page of the audit log as far as somebody reaches, newest first.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        reach: &Reach,
        page: PageRequest,
    ) -> Result<Page<AuditEntry>, StoreError> {
        let mut sql = Statement::new(
            "SELECT id, at, actor, action, kind, entity_id, seq, before, after, previous_hash, hash FROM audit WHERE id < ",
        );
        sql.push_bind(page.after.unwrap_or(i64::MAX));
        if let Some(kind) = filter.kind {
            sql.push(" AND kind = ").push_bind(kind.as_str());
        }
        if let Some(id) = &filter.entity_id {
            sql.push(" AND entity_id = ").push_bind(id.clone());
        }
        if let Some(actor) = &filter.actor {
            sql.push(" AND actor = ").push_bind(actor.clone());
        }
        if let Some(since) = filter.since {
            sql.push(" AND at >= ").push_bind(since);
        }
        if let Some(until) = filter.until {
            sql.push(" AND at < ").push_bind(until);
        }
        narrow(reach, &self.engine, &mut sql);
        sql.push(" ORDER BY id DESC LIMIT ")
            .push_bind(page.limit_and_one());
        let rows = sql.fetch_all(&self.readers).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = AuditEntry {
                id: row.get("id")?,
                at: row.get("at")?,
                actor: row.get("actor")?,
                action: word(row, "action", Action::parse)?,
                kind: word(row, "kind", Kind::parse)?,
                entity_id: row.get("entity_id")?,
                seq: row.get("seq")?,
                before: json(row, "before")?,
                after: json(row, "after")?,
                previous_hash: row.get("previous_hash")?,
                hash: row.get("hash")?,
            };
            entries.push((entry.id, entry));
        }
        Ok(Page::cut(entries, page))
    }
}

/// Leaves out what is out of reach. The expressions are those of its indexes.
fn narrow(reach: &Reach, engine: &Engine, sql: &mut Statement) {
    let [of_tenant, of_user] = match engine {
        Engine::Sqlite(_) => [
            "CASE kind WHEN 'tenant' THEN entity_id ELSE json_extract(after, '$.tenant_id') END",
            "CASE kind WHEN 'user' THEN entity_id WHEN 'key' THEN json_extract(after, '$.user_id') \
             WHEN 'approval' THEN json_extract(after, '$.user_id') END",
        ],
        Engine::Postgres(_) => [
            "(CASE kind WHEN 'tenant' THEN entity_id ELSE after::json ->> 'tenant_id' END) COLLATE \"C\"",
            "(CASE kind WHEN 'user' THEN entity_id WHEN 'key' THEN after::json ->> 'user_id' \
             WHEN 'approval' THEN after::json ->> 'user_id' END) COLLATE \"C\"",
        ],
    };
    match reach {
        Reach::Everything => {}
        Reach::Tenant(id) => {
            sql.push(" AND ").push(of_tenant).push(" = ");
            sql.push_bind(id.clone());
        }
        Reach::User { id, tenant } => {
            sql.push(" AND (").push(of_user).push(" = ");
            sql.push_bind(id.clone());
            sql.push(" OR kind = 'tenant' AND entity_id = ");
            sql.push_bind(tenant.clone()).push(")");
        }
    }
}
