//! The description of the API at `/openapi.json` (OpenAPI 3.1), collected from the handlers and finished here:
//! what all operations have in common is said once.

use serde_json::{Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::import::ImportLine;
use crate::domain::entry::Exported;
use crate::store::page::OwnerState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keybound key service",
        description = "The key service protocol (version 1) for gateways under /v1, the admin API under /admin/v1, and SCIM 2.0 for directories under /scim/v2.",
    ),
    servers((url = "/", description = "The service that gave this description")),
    security(("bearer" = [])),
    modifiers(&Bearer),
    // Named by no body: of what a query may hold, and of a line of an import.
    components(schemas(Exported, OwnerState, ImportLine)),
)]
pub struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        description
            .components
            .get_or_insert_default()
            .add_security_scheme(
                "bearer",
                SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
            );
    }
}

/// The description as it is served.
pub fn finished(collected: &utoipa::openapi::OpenApi) -> Value {
    let mut description = serde_json::to_value(collected).unwrap_or_default();
    let paths = description.get_mut("paths").and_then(Value::as_object_mut);
    for (path, operations) in paths.into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            tell_of_states(path, method, operation);
            finish_operation(operation);
        }
    }
    description
}

/// What has a state that an etag tells from others.
const WITH_STATES: [&str; 7] = [
    "tenants",
    "users",
    "keys",
    "tokens",
    "key_rules",
    "apply",
    "diff",
];

/// Adds the headers by which nothing is overwritten that is not known, and nothing is made twice, and the media type
/// of changes.
fn tell_of_states(path: &str, method: &str, operation: &mut Value) {
    if method == "patch"
        && let Some(content) = operation.pointer_mut("/requestBody/content")
        && let Some(change) = content.get("application/json").cloned()
    {
        content["application/merge-patch+json"] = change;
    }
    let tag = operation.pointer("/tags/0").and_then(Value::as_str);
    let one = path.contains("{id}") || method == "post";
    if !one || path.ends_with("/import") || !tag.is_some_and(|tag| WITH_STATES.contains(&tag)) {
        return;
    }
    let changes = (path.contains("{id}") && method != "get") || tag == Some("apply");
    let mut makes = false;
    for (status, response) in responses(operation) {
        makes |= status == "201";
        if status.starts_with('2') {
            response["headers"] = json!({"etag": {
                "description": "Tells this state from every other: of a record it is the version.",
                "schema": {"type": "string"},
            }});
        }
    }
    if changes {
        add_header(
            operation,
            "if-match",
            "Only if it is in the state of this etag, else 412: who changed it meanwhile is not overwritten.",
        );
    }
    if makes {
        add_header(
            operation,
            "idempotency-key",
            "Chosen by the sender, such as a UUID. The same request again within 24 hours makes nothing more, and is \
             answered with what was made. With another request it is 422.",
        );
    }
}

fn responses(operation: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let responses = operation.get_mut("responses");
    responses
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
}

fn add_header(operation: &mut Value, name: &str, about: &str) {
    let header = json!({
        "name": name, "in": "header", "required": false, "description": about, "schema": {"type": "string"},
    });
    match operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut)
    {
        Some(parameters) => parameters.push(header),
        None => operation["parameters"] = json!([header]),
    }
}

/// Gives an operation a name of its own, and each response of it a description.
fn finish_operation(operation: &mut Value) {
    let resource = operation.pointer("/tags/0").and_then(Value::as_str);
    let act = operation.get("operationId").and_then(Value::as_str);
    if let (Some(resource), Some(act)) = (resource, act) {
        let name = if resource == act {
            act.to_owned()
        } else {
            format!("{resource}_{act}")
        };
        operation["operationId"] = Value::String(name);
    }
    let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if !responses.contains_key("5XX") {
        responses.insert("5XX".to_owned(), problem());
    }
    for (status, response) in responses {
        let described = response["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        if !described {
            response["description"] = Value::String(description_of(status).to_owned());
        }
    }
}

fn problem() -> Value {
    json!({"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}})
}

fn description_of(status: &str) -> &'static str {
    match status {
        "201" => "It was made",
        "204" => "Done",
        _ if status.starts_with('2') => "The answer",
        _ if status.starts_with('4') => {
            "Refused: `detail` says what is wrong and what to do, `errors` names each wrong field"
        }
        _ => "The service cannot answer now: `retry-after` says when to try again",
    }
}
