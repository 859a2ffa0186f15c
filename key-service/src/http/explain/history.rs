//! What the audit log says of the records behind a verdict: who changed what, and what they were at a time.

use keybound::verdict::Reason;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::domain::approval::Approval;
use crate::domain::audit::{Action, AuditEntry, Kind};
use crate::domain::key::Key;
use crate::explain::concerned;
use crate::store::audit::AuditFilter;
use crate::store::page::PageRequest;
use crate::store::{StoreError, View};

/// Entries of one record that are looked at, from the newest on.
const MOST_ENTRIES: usize = 200;
/// Changes of one record that are told, beside those that concern the verdict.
const MOST_TOLD: usize = 10;
/// What changes with every write, or says again what another field does.
const NOT_TOLD: [&str; 8] = [
    "id",
    "version",
    "created_at",
    "updated_at",
    "replaced_at",
    "revoked_at",
    "decided_at",
    "decided_by",
];

/// One field of a record that was changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryEntry {
    /// When, in Unix seconds.
    at: i64,
    /// Name of the token that did it, or of the command on the database.
    actor: String,
    /// What was done.
    action: Action,
    /// Of what kind the record is: `key`, `user`, `tenant`, or `approval` for a request for an API.
    kind: Kind,
    /// Id of the record.
    id: String,
    /// The field that changed.
    #[schema(example = "status")]
    field: String,
    /// Its value before; null where there was none.
    #[schema(example = "active")]
    from: Value,
    /// Its value since.
    #[schema(example = "suspended")]
    to: Value,
    /// Whether the verdict, or the one of then, depends on it.
    cause: bool,
    /// Number of the entry of the audit log.
    audit_id: i64,
}

/// What the audit log says of one record, newest first.
#[derive(Debug, Default)]
pub struct Trail {
    entries: Vec<AuditEntry>,
    /// Whether there are no older ones.
    complete: bool,
}

/// A moment within a second: after the entry of this number, if that is of the same second.
#[derive(Debug, Clone, Copy)]
struct Moment {
    second: i64,
    entry: i64,
}

impl Moment {
    fn is_after(self, entry: &AuditEntry) -> bool {
        entry.at < self.second || (entry.at == self.second && entry.id <= self.entry)
    }
}

/// The records of a key as they were at some time.
#[derive(Debug)]
pub struct Past {
    /// The key; nothing where it was not there yet.
    pub key: Option<Value>,
    user: Option<Value>,
    tenant: Option<Value>,
}

/// What the audit log says of a key and those it stands for.
#[derive(Debug)]
pub struct Trails {
    key: Trail,
    user: Trail,
    tenant: Trail,
    /// The last requests of the user for APIs, newest first.
    approvals: Vec<(Approval, Trail)>,
}

impl Trail {
    async fn of(view: &View, kind: Kind, id: Option<&str>) -> Result<Self, StoreError> {
        let Some(id) = id else {
            return Ok(Self::default());
        };
        let filter = AuditFilter {
            kind: Some(kind),
            entity_id: Some(id.to_owned()),
            ..AuditFilter::default()
        };
        let page = PageRequest {
            after: None,
            limit: MOST_ENTRIES,
        };
        let page = view.audit(&filter, page).await?;
        Ok(Self {
            complete: page.next.is_none(),
            entries: page.items,
        })
    }

    /// The record at a moment, nothing where it did not exist. `None` where the log does not reach back so far.
    fn at(&self, moment: Moment) -> Option<Option<&Value>> {
        if let Some(entry) = self.entries.iter().find(|entry| moment.is_after(entry)) {
            return Some(entry.after.as_ref());
        }
        let oldest = self.entries.last().filter(|_| self.complete)?;
        Some(oldest.before.as_ref())
    }

    fn told(&self, concerns: &[(&str, &str)], told: &mut Vec<HistoryEntry>) {
        let mut told_here = 0;
        let mut seen = Vec::new();
        for entry in &self.entries {
            for (field, from, to) in changed(entry, concerns) {
                let cause = concerns.contains(&(entry.kind.as_str(), field.as_str()));
                let is_newest_cause = cause && !seen.contains(&field);
                if told_here == MOST_TOLD && !is_newest_cause {
                    continue;
                }
                told_here = MOST_TOLD.min(told_here + 1);
                seen.push(field.clone());
                told.push(HistoryEntry {
                    at: entry.at,
                    actor: entry.actor.clone(),
                    action: entry.action,
                    kind: entry.kind,
                    id: entry.entity_id.clone(),
                    field,
                    from,
                    to,
                    cause,
                    audit_id: entry.id,
                });
            }
        }
    }
}

impl Trails {
    /// Reads what is written of a key, of the user and tenant that it names, and of these requests of the user.
    pub async fn read(
        view: &View,
        key: &Key,
        approvals: Vec<Approval>,
    ) -> Result<Self, StoreError> {
        let mut with_trails = Vec::with_capacity(approvals.len());
        for approval in approvals {
            let trail = Trail::of(view, Kind::Approval, Some(&approval.id)).await?;
            with_trails.push((approval, trail));
        }
        Ok(Self {
            key: Trail::of(view, Kind::Key, Some(&key.id)).await?,
            user: Trail::of(view, Kind::User, key.user_id.as_deref()).await?,
            tenant: Trail::of(view, Kind::Tenant, key.tenant_id.as_deref()).await?,
            approvals: with_trails,
        })
    }

    /// The last requests of the key's user for APIs, newest first.
    pub fn approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().map(|(approval, _)| approval)
    }

    /// When the status of the key's user was last changed, and by whom.
    pub fn user_status(&self) -> Option<(i64, &str)> {
        let status = |record: &Option<Value>| record.as_ref()?.get("status").cloned();
        let mut entries = self.user.entries.iter();
        let last = entries.find(|entry| {
            entry.before.is_some() && status(&entry.before) != status(&entry.after)
        })?;
        Some((last.at, &last.actor))
    }

    /// The records as they were within a second, in the order of time: there are several where they changed in
    /// it. Nothing where the log does not reach back so far.
    pub fn during(&self, second: i64) -> Vec<Past> {
        let trails = [&self.key, &self.user, &self.tenant];
        let mut entries: Vec<i64> = trails
            .iter()
            .flat_map(|trail| &trail.entries)
            .filter(|entry| entry.at == second)
            .map(|entry| entry.id)
            .collect();
        entries.sort_unstable();
        let moments = std::iter::once(0).chain(entries);
        moments
            .filter_map(|entry| self.at(Moment { second, entry }))
            .collect()
    }

    /// Who owns a key does not change; an owner of whom nothing is written did not exist.
    fn at(&self, moment: Moment) -> Option<Past> {
        let owner = |trail: &Trail| match trail.entries.is_empty() {
            true => Some(None),
            false => trail.at(moment).map(Option::<&Value>::cloned),
        };
        Some(Past {
            key: self.key.at(moment)?.cloned(),
            user: owner(&self.user)?,
            tenant: owner(&self.tenant)?,
        })
    }

    /// The last changes of each record, newest first, with those that the verdicts depend on however old; of requests
    /// for APIs, those of these ids.
    pub fn told(&self, verdicts: &[Option<Reason>], approvals: &[String]) -> Vec<HistoryEntry> {
        let concerns: Vec<(&str, &str)> = verdicts
            .iter()
            .flatten()
            .flat_map(|reason| concerned(*reason))
            .copied()
            .collect();
        let mut told = Vec::new();
        let asked = self.approvals.iter();
        let asked = asked.filter(|(approval, _)| approvals.contains(&approval.id));
        let records = [&self.key, &self.user, &self.tenant];
        for trail in records.into_iter().chain(asked.map(|(_, trail)| trail)) {
            trail.told(&concerns, &mut told);
        }
        told.sort_by_key(|entry| std::cmp::Reverse(entry.audit_id));
        told
    }
}

impl Past {
    /// The answer of the protocol that these records were.
    pub fn answer(&self, digest: &str) -> Value {
        json!({"as_of": 0, "results": [
            {"digest": digest, "key": self.key, "user": self.user, "tenant": self.tenant},
        ]})
    }
}

/// The fields that an entry changed. Of a record that was made: its status, and what the verdicts depend on.
fn changed(entry: &AuditEntry, concerns: &[(&str, &str)]) -> Vec<(String, Value, Value)> {
    let empty = Map::new();
    let object = |value: &Option<Value>| match value {
        Some(Value::Object(fields)) => fields.clone(),
        _ => empty.clone(),
    };
    let (before, after) = (object(&entry.before), object(&entry.after));
    let made = entry.before.is_none();
    after
        .into_iter()
        .map(|(field, to)| (before.get(&field).cloned().unwrap_or_default(), field, to))
        .filter(|(from, field, to)| from != to && !NOT_TOLD.contains(&field.as_str()))
        .filter(|(_, field, _)| {
            !made || field == "status" || concerns.contains(&(entry.kind.as_str(), field.as_str()))
        })
        .map(|(from, field, to)| (field, from, to))
        .collect()
}
