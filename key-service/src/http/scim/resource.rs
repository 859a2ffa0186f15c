//! Users as directories see them, and the answers that hold them.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::names::USER;
use crate::domain::time::shown;
use crate::domain::user::{User, UserStatus};

/// The media type of bodies.
pub const MEDIA: &str = "application/scim+json";

/// Where the service is, as the caller called it.
#[derive(Debug)]
pub struct Base(String);

impl Base {
    /// By the headers of the request.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let scheme = match text("x-forwarded-proto") {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let host = text(header::HOST.as_str()).unwrap_or("localhost");
        Self(format!("{scheme}://{host}/scim/v2"))
    }

    /// The address of something there.
    pub fn location(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// A user. One without a login is called by its id.
pub fn resource(user: &User, base: &Base) -> Value {
    let mut resource = json!({
        "schemas": [USER],
        "id": user.id,
        "userName": user.login.as_ref().unwrap_or(&user.id),
        "active": user.status == UserStatus::Active,
        "meta": {
            "resourceType": "User",
            "created": shown(user.created_at),
            "lastModified": shown(user.updated_at),
            "location": base.location(&format!("/Users/{}", user.id)),
        },
    });
    let optional = [
        ("externalId", &user.external_id),
        ("displayName", &user.display_name),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            resource[name] = json!(value);
        }
    }
    resource
}

/// Resources as a list: from the place `start` on, out of `total`.
pub fn list(resources: Vec<Value>, start: i64, total: i64) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// An answer with a body of SCIM.
pub struct Scim(pub StatusCode, pub Value);

impl IntoResponse for Scim {
    fn into_response(self) -> Response {
        let Self(status, body) = self;
        let location = body.pointer("/meta/location").and_then(Value::as_str);
        let location = location.filter(|_| status == StatusCode::CREATED);
        let location = location.map(|location| [(header::LOCATION, location.to_owned())]);
        let media = [(header::CONTENT_TYPE, MEDIA)];
        match location {
            Some(location) => (status, media, location, body.to_string()).into_response(),
            None => (status, media, body.to_string()).into_response(),
        }
    }
}
