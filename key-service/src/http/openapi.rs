//! The description of the API at `/openapi.json` (OpenAPI 3.1), collected from the handlers and finished here:
//! what all operations have in common is said once.

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::domain::fence::MOST_ENTRIES;
use crate::domain::time::LATEST;
use crate::store::page::OwnerState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keybound key service",
        description = "The key service protocol (version 1) for gateways under /v1, and the admin API under /admin/v1.",
    ),
    servers((url = "/", description = "The service that gave this description")),
    security(("bearer" = [])),
    modifiers(&Bearer),
    components(schemas(OwnerState)),
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
    let mut bodies = Vec::new();
    for path in members(&mut description, "/paths") {
        for (_, operation) in path.as_object_mut().into_iter().flatten() {
            finish_operation(operation);
            bodies.extend(body_schema(operation));
        }
    }
    for name in bodies {
        if let Some(schema) = description.pointer_mut(&format!("/components/schemas/{name}")) {
            finish_body(&name, schema);
        }
    }
    description
}

/// The values of an object in a document.
fn members<'a>(document: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    document
        .pointer_mut(pointer)
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
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

/// The name of the schema of an operation's JSON body.
fn body_schema(operation: &Value) -> Option<String> {
    let reference = operation.pointer("/requestBody/content/application~1json/schema");
    let reference = reference.and_then(|schema| {
        let direct = schema.get("$ref");
        direct.or_else(|| schema.pointer("/oneOf/1/$ref"))
    });
    let name = reference?.as_str()?.rsplit('/').next()?;
    Some(name.to_owned())
}

/// Says of a body what its reader takes: the admin API refuses fields that it does not know, the protocol of the
/// gateways passes them over; and a field of one name has the same bounds wherever it stands.
fn finish_body(name: &str, schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    if !PROTOCOL_BODIES.contains(&name) {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    let properties = schema
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    for (field, property) in properties {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        let bounds = bounds_of(field);
        let bounds = bounds.as_object().into_iter().flatten();
        property.extend(bounds.map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// Bodies of the protocol, whose fields may grow.
const PROTOCOL_BODIES: [&str; 2] = ["ResolveRequest", "UsageReport"];

/// Visible ASCII: ids, scopes, APIs. Control characters: none in a line for people.
const VISIBLE: &str = "^[!-~]+$";
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

/// What is true of a field of this name in every body: see `domain::text` and `domain::fence`, which read them.
fn bounds_of(field: &str) -> Value {
    let visible = json!({"minLength": 1, "maxLength": 128, "pattern": VISIBLE});
    match field {
        "id" | "user_id" | "tenant_id" | "key_id" | "reporter" => visible,
        "name" | "reason" => json!({"minLength": 1, "maxLength": 200, "pattern": LINE}),
        "environment" => json!({"minLength": 1, "maxLength": 32, "pattern": "^[a-z0-9-]+$"}),
        "not_before" | "expires_at" | "from" | "to" | "last_at" => {
            json!({"minimum": 0, "maximum": LATEST})
        }
        "scopes" | "apis" => {
            json!({"maxItems": MOST_ENTRIES, "items": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": VISIBLE}})
        }
        "networks" => {
            json!({"maxItems": MOST_ENTRIES, "items": {"type": "string", "minLength": 2, "maxLength": 49, "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}})
        }
        "digests" => {
            json!({"minItems": 1, "maxItems": 64, "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}})
        }
        "batch" => json!({"minimum": 0, "maximum": 1_i64 << 40}),
        "grace" => json!({"pattern": "^[0-9]+(ms|s|m|h|d)$"}),
        _ => Value::Null,
    }
}
