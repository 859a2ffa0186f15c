//! Reading the audit log. Writing it is part of each write.

use super::columns::{json, word};
use super::database::Store;
use super::error::StoreError;
use super::page::{Page, PageRequest};
use super::sql::Statement;
use crate::domain::audit::{Action, AuditEntry, Kind};

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
    /// A page of the audit log, newest first.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
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
