//! What handlers take from a request, with problems where it cannot be taken: ids of paths, and
//! JSON bodies of a bounded size.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::Value;

use super::{App, Problem};
use crate::domain::refusal::FieldError;

/// The id in a path. One that cannot be decoded is the id of nothing.
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::not_found("The id in the path is not UTF-8 text.")),
        }
    }
}

/// A JSON body, which must be there.
pub struct JsonBody(pub Value);

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = json(request, app).await?;
        body.map(Self).ok_or_else(|| {
            Problem::invalid(vec![FieldError::new(
                "",
                "the body is missing: send a JSON object",
            )])
        })
    }
}

/// A JSON body of a call that needs no fields: none counts as `{}`.
pub struct OptionalJsonBody(pub Value);

impl FromRequest<App> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = json(request, app).await?;
        Ok(Self(
            body.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        ))
    }
}

/// The JSON of a request, if it has a body.
async fn json(request: Request, app: &App) -> Result<Option<Value>, Problem> {
    let is_json = media_type(request.headers())
        .is_none_or(|media| media == "application/json" || media.ends_with("+json"));
    if !is_json {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let bytes = bytes(request, app).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    // The parser's message names a place and never quotes the body, which may hold a secret.
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Problem::invalid(vec![FieldError::new(
            "",
            format!("the body is not JSON: {error}"),
        )])
    })
}

/// The media type of a request without its parameters, if one is named.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("?");
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// The whole body, unless it is too large or too slow.
pub async fn bytes(request: Request, app: &App) -> Result<Bytes, Problem> {
    let arriving = Bytes::from_request(request, app);
    match tokio::time::timeout(app.settings.body_timeout, arriving).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) => Err(match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
            _ => Problem::invalid(vec![FieldError::new("", "the body did not arrive whole")]),
        }),
        Err(_) => Err(Problem::too_slow()),
    }
}
