//! The description of the API at `/openapi.json` (OpenAPI 3.1), collected from the handlers and finished here:
//! what all operations have in common is said once.

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::import::ImportLine;
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
    components(schemas(OwnerState, ImportLine)),
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
    for path in members(&mut description, "/paths") {
        for (_, operation) in path.as_object_mut().into_iter().flatten() {
            finish_operation(operation);
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
