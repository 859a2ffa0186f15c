//! What a directory may ask of this service: its abilities, its kinds of resources, their schemas.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::names::USER;
use super::query::HIGHEST_COUNT;
use super::resource::{Base, MEDIA, Scim, list};
use crate::http::problem::Problem;

/// The schemas of what is asked for here, as RFC 7643 has them, and that of users.
const SCHEMAS: &str = include_str!("schemas.json");

/// Shows what of SCIM there is.
#[utoipa::path(
    get, path = "/scim/v2/ServiceProviderConfig", tag = "scim_config",
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn config(headers: HeaderMap) -> Scim {
    let base = Base::of(&headers);
    let (yes, no) = (json!({"supported": true}), json!({"supported": false}));
    let config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": yes,
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": HIGHEST_COUNT},
        "changePassword": no,
        "sort": no,
        "etag": no,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of the role scim: key-service token create --role scim --tenant TENANT",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": base.location("/ServiceProviderConfig"),
        },
    });
    Scim(StatusCode::OK, config)
}

/// Lists the kinds of resources.
#[utoipa::path(
    get, path = "/scim/v2/ResourceTypes", tag = "scim_types",
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn types(headers: HeaderMap) -> Scim {
    Scim(
        StatusCode::OK,
        list(vec![user_type(&Base::of(&headers))], 1, 1),
    )
}

/// Shows a kind of resources.
#[utoipa::path(
    get, path = "/scim/v2/ResourceTypes/{id}", tag = "scim_type", params(("id" = String, Path)),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn type_of(headers: HeaderMap, Path(id): Path<String>) -> Result<Scim, Problem> {
    match id.as_str() {
        "User" => Ok(Scim(StatusCode::OK, user_type(&Base::of(&headers)))),
        _ => Err(Problem::not_found("The only resource type is User.")),
    }
}

/// Lists the schemas.
#[utoipa::path(
    get, path = "/scim/v2/Schemas", tag = "scim_schemas",
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn schemas(headers: HeaderMap) -> Result<Scim, Problem> {
    let schemas = all_schemas(&Base::of(&headers))?;
    let total = i64::try_from(schemas.len()).unwrap_or_default();
    Ok(Scim(StatusCode::OK, list(schemas, 1, total)))
}

/// Shows a schema.
#[utoipa::path(
    get, path = "/scim/v2/Schemas/{id}", tag = "scim_schema", params(("id" = String, Path)),
    responses((status = 200, body = Object, content_type = MEDIA)),
)]
pub async fn schema(headers: HeaderMap, Path(id): Path<String>) -> Result<Scim, Problem> {
    let schemas = all_schemas(&Base::of(&headers))?;
    let found = schemas
        .into_iter()
        .find(|schema| schema["id"] == id.as_str());
    let found = found.ok_or_else(|| Problem::not_found("There is no schema of this id."))?;
    Ok(Scim(StatusCode::OK, found))
}

fn user_type(base: &Base) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "description": "Those whose keys follow them",
        "schema": USER,
        "meta": {"resourceType": "ResourceType", "location": base.location("/ResourceTypes/User")},
    })
}

fn all_schemas(base: &Base) -> Result<Vec<Value>, Problem> {
    let mut schemas: Vec<Value> = serde_json::from_str(SCHEMAS)?;
    for schema in &mut schemas {
        let id = schema["id"].as_str().unwrap_or_default().to_owned();
        let location = base.location(&format!("/Schemas/{id}"));
        schema["meta"] = json!({"resourceType": "Schema", "location": location});
    }
    Ok(schemas)
}
