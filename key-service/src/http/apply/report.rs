//! What an apply changes, or would change.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::plan::{Change, What};
use crate::domain::audit::{Action, Kind};
use crate::http::problem::Problem;
use crate::http::version::Tag;

/// Fields that follow from others, or from the moment.
const FOLLOWING: [&str; 6] = [
    "version",
    "created_at",
    "updated_at",
    "revoked_at",
    "replaced_at",
    "status_held",
];

/// What changes.
#[derive(Serialize, ToSchema)]
pub struct ApplyReport {
    /// Tells this plan from every other: what is written with it as `if-match` is what was shown.
    pub plan: String,
    /// Records that are made.
    created: usize,
    /// Records that are changed, those that are stopped included.
    changed: usize,
    /// Entries whose record is as they ask for.
    unchanged: usize,
    /// Each change, in the order in which they are written.
    changes: Vec<ChangeReport>,
}

/// A change.
#[derive(Serialize, ToSchema)]
struct ChangeReport {
    /// What it is of.
    kind: Kind,
    /// Its id; of rules, that of their tenant.
    id: String,
    /// What is done.
    action: Action,
    /// No entry names it, so that it is stopped.
    unnamed: bool,
    /// The version before; null where there is none.
    version: Option<i64>,
    /// The fields that differ, of what is there already.
    fields: Vec<FieldChange>,
}

/// A field that differs.
#[derive(Serialize, ToSchema)]
struct FieldChange {
    /// Its name.
    field: String,
    /// What it was.
    from: Value,
    /// What it is then.
    to: Value,
}

impl ApplyReport {
    /// Of these changes, of so many entries.
    pub fn of(changes: &[Change<'_>], entries: usize) -> Result<Self, Problem> {
        let written = changes.iter().map(written);
        let written = written.collect::<Result<Vec<_>, _>>()?;
        let plan = Tag::of_content(&written)?.as_str().to_owned();
        let created = written
            .iter()
            .filter(|change| change.action == Action::Create);
        let created = created.count();
        let mut named: Vec<String> = changes
            .iter()
            .filter(|change| !change.step.is_unnamed())
            .map(|change| change.step.path())
            .collect();
        named.dedup();
        Ok(Self {
            plan,
            created,
            changed: written.len() - created,
            unchanged: entries.saturating_sub(named.len()),
            changes: written,
        })
    }
}

fn written(change: &Change<'_>) -> Result<ChangeReport, serde_json::Error> {
    let (kind, id, fields) = match &change.what {
        What::Tenant(before, after) => (Kind::Tenant, &after.id, differing(before, after)?),
        What::Rules(tenant, before, after) => {
            let after = after.clone().unwrap_or_default();
            (Kind::KeyRules, tenant, differing(before, &after)?)
        }
        What::User(before, after) => (Kind::User, &after.id, differing(before, after)?),
        What::Key(before, after) => (Kind::Key, &after.id, differing(before, after)?),
    };
    Ok(ChangeReport {
        kind,
        id: id.clone(),
        action: change.what.action(),
        unnamed: change.step.is_unnamed(),
        version: change.what.version(),
        fields,
    })
}

fn differing<T: Serialize>(
    before: &Option<T>,
    after: &T,
) -> Result<Vec<FieldChange>, serde_json::Error> {
    let Some(before) = before else {
        return Ok(Vec::new());
    };
    let (before, after) = (object(before)?, object(after)?);
    let fields = after.into_iter().filter_map(|(field, to)| {
        let from = before.get(&field).cloned().unwrap_or_default();
        let differs = from != to && !FOLLOWING.contains(&field.as_str());
        differs.then_some(FieldChange { field, from, to })
    });
    Ok(fields.collect())
}

fn object(record: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::to_value(record)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}
