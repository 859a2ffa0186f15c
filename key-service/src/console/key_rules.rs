//! What the keys of a tenant must have, in words, so that people know before they are refused.

use super::api::of;
use super::records::KeyRules;
use super::visit::Visit;

/// The rules in sentences; none where nothing is asked.
pub fn sentences(rules: &KeyRules) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(most) = &rules.max_lifetime {
        said.push(format!("A key lives at most {most}."));
    }
    if !rules.require.is_empty() {
        said.push(format!("A key must have: {}.", rules.require.join(", ")));
    }
    if let Some(pattern) = &rules.name_pattern {
        said.push(format!("The whole name of a key matches {pattern}"));
    }
    if !rules.forbid_scopes.is_empty() {
        let scopes = rules.forbid_scopes.join(", ");
        said.push(format!("No key has one of these scopes: {scopes}"));
    }
    if rules.owners.as_deref() == Some("system") {
        said.push("Keys belong to systems alone, never to persons.".to_owned());
    }
    if rules.on_leak.as_deref() == Some("flag") {
        said.push(
            "A key that is reported to be public works on, and the review names it.".to_owned(),
        );
    }
    said
}

/// What is asked of the keys of a tenant; nothing where that cannot be had.
pub async fn of_tenant(visit: &Visit, tenant: Option<&str>) -> Vec<String> {
    let Some(tenant) = tenant else {
        return Vec::new();
    };
    let path = format!("{}/key-rules", of("tenants", tenant));
    let answer = visit.api.send_get(&path).await.ok();
    let rules = answer.and_then(|answer| serde_json::from_value(answer).ok());
    rules.as_ref().map(sentences).unwrap_or_default()
}
