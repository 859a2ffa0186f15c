//! Entries of the audit log in words: which fields had which values, and have which now.

use std::collections::BTreeSet;

use serde_json::Value;

use super::links;
use super::parts::{Cell, Time};
use super::records::AuditEntry;

/// What changes with every write and says nothing.
const LEFT_OUT: [&str; 3] = ["version", "updated_at", "created_at"];
/// Fields that are named; the entry itself has all.
const MOST_FIELDS: usize = 6;
/// Characters of a value that are shown.
const LONGEST_VALUE: usize = 80;

/// The cells of an entry: time, who, what, record and change.
pub fn entry_row(entry: &AuditEntry) -> Vec<Cell> {
    let record = match links::record(&entry.kind, &entry.entity_id) {
        Some(href) => Cell::Link {
            href,
            text: format!("{} {}", entry.kind, entry.entity_id),
        },
        None => Cell::Text(format!("{} {}", entry.kind, entry.entity_id)),
    };
    vec![
        Cell::Time(Time(entry.at)),
        Cell::Text(entry.actor.clone()),
        Cell::Text(entry.action.clone()),
        record,
        Cell::Text(changes(entry)),
    ]
}

/// What an entry changed, as `field: before -> after`.
pub fn changes(entry: &AuditEntry) -> String {
    let field = |record: &Option<Value>, name: &str| {
        let value = record.as_ref().and_then(|record| record.get(name));
        value.filter(|value| !value.is_null()).cloned()
    };
    let names: BTreeSet<&String> = [&entry.before, &entry.after]
        .into_iter()
        .filter_map(|record| record.as_ref()?.as_object())
        .flat_map(|record| record.keys())
        .collect();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (field(&entry.before, name), field(&entry.after, name));
        if before == after || LEFT_OUT.contains(&name.as_str()) || name == "id" {
            continue;
        }
        changes.push(match (&entry.before, before) {
            (None, _) => format!("{name}: {}", of_field(name, after.as_ref())),
            (Some(_), before) => {
                format!(
                    "{name}: {} → {}",
                    of_field(name, before.as_ref()),
                    of_field(name, after.as_ref())
                )
            }
        });
    }
    let more = changes.len().saturating_sub(MOST_FIELDS);
    changes.truncate(MOST_FIELDS);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    changes.join("; ")
}

/// The value of a field for people: times as such.
pub fn of_field(name: &str, value: Option<&Value>) -> String {
    let is_time = name.ends_with("_at") || name == "not_before";
    match value.and_then(Value::as_i64).filter(|_| is_time) {
        Some(time) => Time(time).text(),
        None => shown(value),
    }
}

/// A value for people.
pub fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let texts: Vec<String> = values.iter().map(|value| shown(Some(value))).collect();
            format!("[{}]", texts.join(", "))
        }
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_named_and_nothing_else() {
        let entry = |before: Option<Value>, after: Value| AuditEntry {
            at: 0,
            actor: "anna".to_owned(),
            action: "update".to_owned(),
            kind: "key".to_owned(),
            entity_id: "key_1".to_owned(),
            before,
            after: Some(after),
        };
        let before =
            json!({"id": "key_1", "version": 1, "status": "active", "scopes": ["a"], "name": null});
        let after = json!({"id": "key_1", "version": 2, "status": "active", "scopes": ["a", "b"], "name": "x", "expires_at": 86_400});
        assert_eq!(
            changes(&entry(Some(before), after.clone())),
            "expires_at: none → 1970-01-02 00:00:00 UTC; name: none → x; scopes: [a] → [a, b]"
        );
        assert_eq!(
            changes(&entry(None, after)),
            "expires_at: 1970-01-02 00:00:00 UTC; name: x; scopes: [a, b]; status: active"
        );
    }
}
