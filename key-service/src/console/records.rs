//! What the API tells of records, as far as pages show it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A key.
#[derive(Debug, Clone, Deserialize)]
pub struct Key {
    pub id: String,
    pub user_id: Option<String>,
    pub tenant_id: Option<String>,
    pub environment: Option<String>,
    pub name: Option<String>,
    pub hint: Option<String>,
    pub status: String,
    pub not_before: Option<i64>,
    pub expires_at: Option<i64>,
    pub replaced_by: Option<String>,
    pub replaced_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub revoked_reason: Option<String>,
    pub scopes: Vec<String>,
    pub networks: Option<Vec<String>>,
    pub hours: Option<Hours>,
    pub created_at: i64,
    pub purpose: Option<String>,
    pub contact: Option<String>,
    pub rotate_every: Option<String>,
    pub leaked_at: Option<i64>,
    pub last_used_at: Option<i64>,
    /// Missing right after a change.
    #[serde(default)]
    pub usage_reported: bool,
    /// `allowed`, or the code with which gateways refuse it for what it, its user and its tenant are.
    #[serde(default)]
    pub verdict: String,
}

/// When a key may be used.
#[derive(Debug, Clone, Deserialize)]
pub struct Hours {
    pub days: Vec<String>,
    pub from: String,
    pub to: String,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: String,
    pub tenant_id: Option<String>,
    pub name: Option<String>,
    pub status: String,
    pub scopes: Option<Vec<String>>,
    pub apis: Option<Vec<String>>,
    pub created_at: i64,
    pub kind: String,
    pub login: Option<String>,
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub contact: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, Deserialize)]
pub struct Tenant {
    pub id: String,
    pub name: Option<String>,
    pub status: String,
    pub created_at: i64,
}

/// What the keys of a tenant must have.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyRules {
    pub max_lifetime: Option<String>,
    pub require: Vec<String>,
    pub name_pattern: Option<String>,
    pub forbid_scopes: Vec<String>,
    pub owners: Option<String>,
    pub on_leak: Option<String>,
}

/// How a key, or all keys of a user, were used.
#[derive(Debug, Clone, Deserialize)]
pub struct Use {
    pub usage_reported: bool,
    pub last_used_at: Option<i64>,
    pub last_rejected_at: Option<i64>,
    pub rejected_by: BTreeMap<String, u64>,
    pub networks: BTreeMap<String, u64>,
    pub days: Vec<DayOfUse>,
}

/// The requests of a day.
#[derive(Debug, Clone, Deserialize)]
pub struct DayOfUse {
    /// Its first second.
    pub day: i64,
    pub allowed: u64,
    pub rejected: u64,
}

/// An entry of the audit log.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditEntry {
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub kind: String,
    pub entity_id: String,
    pub before: Option<serde_json::Value>,
    pub after: Option<serde_json::Value>,
}

/// A request for an API.
#[derive(Debug, Clone, Deserialize)]
pub struct Approval {
    pub id: String,
    pub user_id: String,
    pub tenant_id: Option<String>,
    pub api: String,
    pub reason: Option<String>,
    pub status: String,
    pub requested_by: String,
    pub created_at: i64,
    pub decided_by: Option<String>,
    pub decided_at: Option<i64>,
    pub decision_reason: Option<String>,
}

/// Why a gateway decides as it does.
#[derive(Debug, Clone, Deserialize)]
pub struct Explanation {
    pub verdict: String,
    pub conclusive: bool,
    pub summary: String,
    pub policy: String,
    pub checks: Vec<Check>,
    pub next_step: String,
    pub then: Option<Then>,
    pub history: Vec<Change>,
    pub reply: Option<Reply>,
    /// Whose key it is, where one is known.
    pub key_id: Option<String>,
    pub user_id: Option<String>,
    pub tenant_id: Option<String>,
}

/// What the client gets.
#[derive(Debug, Clone, Deserialize)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

/// A check.
#[derive(Debug, Clone, Deserialize)]
pub struct Check {
    pub code: String,
    /// `passed`, `failed` or `skipped`.
    pub result: String,
    pub detail: String,
}

/// The verdict on the records of an earlier time.
#[derive(Debug, Clone, Deserialize)]
pub struct Then {
    pub verdict: String,
    pub summary: String,
    pub reply: Option<Reply>,
}

/// A field of a record that was changed.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    pub at: i64,
    pub actor: String,
    pub kind: String,
    pub id: String,
    pub field: String,
    pub from: serde_json::Value,
    pub to: serde_json::Value,
    /// Whether the verdict depends on it.
    pub cause: bool,
}

/// What passed and what was refused over time.
#[derive(Debug, Clone, Deserialize)]
pub struct Traffic {
    pub from: i64,
    /// Seconds from a count to the next.
    pub step: i64,
    pub allowed: Vec<u64>,
    pub rejected_by: BTreeMap<String, Vec<u64>>,
    pub usage_reported: bool,
}

/// How many keys ask for a look.
#[derive(Debug, Clone, Deserialize)]
pub struct ReviewCounts {
    /// None as long as they are counted for the first time.
    pub counts: Option<BTreeMap<String, u64>>,
    pub counted_at: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ReviewCounts;

    #[test]
    fn counts_that_are_not_there_yet_are_no_error() {
        let first = json!({"counts": null, "counted_at": null, "usage_reported": false});
        let counts: ReviewCounts = serde_json::from_value(first).unwrap();
        assert!(counts.counts.is_none());
    }
}
