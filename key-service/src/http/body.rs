//! What handlers take from a request, with problems where it cannot be taken: ids of paths, queries, and
//! JSON bodies of a bounded size.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::app::App;
use super::problem::Problem;
use crate::domain::input::{Input, parse, read, read_query};
use crate::domain::refusal::{FieldError, Refusal};

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

/// The parameters of a query.
pub struct Query<T>(pub T);

impl<T: Input, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unreadable = |_| Refusal::field("", "the query cannot be read");
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(parameters) = query.map_err(unreadable)?;
        Ok(Self(read_query(parameters)?))
    }
}

/// A JSON body, which must be there.
pub struct Body<T>(pub T);

/// What is read from a JSON body, or from none.
pub trait FromJson: Sized {
    /// Reads it.
    fn from_json(body: Option<Value>) -> Result<Self, Refusal>;
}

impl<T: Input> FromJson for Body<T> {
    fn from_json(body: Option<Value>) -> Result<Self, Refusal> {
        let missing = || Refusal::field("", "the body is missing: send a JSON object");
        Ok(Self(read(body.ok_or_else(missing)?)?))
    }
}

impl<T: Input> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        Ok(Self::from_json(json_body(request, app).await?)?)
    }
}

/// A JSON body of a call that needs no fields: none counts as `{}`.
pub struct OptionalBody<T>(pub T);

impl<T: Input> FromJson for OptionalBody<T> {
    fn from_json(body: Option<Value>) -> Result<Self, Refusal> {
        Ok(Self(read(body.unwrap_or_else(|| json!({})))?))
    }
}

impl<T: Input> FromRequest<App> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        Ok(Self::from_json(json_body(request, app).await?)?)
    }
}

/// The JSON object of a request, whatever its members.
pub async fn json_object(request: Request, app: &App) -> Result<Value, Problem> {
    match json_body(request, app).await? {
        Some(body @ Value::Object(_)) => Ok(body),
        _ => Err(Refusal::field("", "the body must be a JSON object").into()),
    }
}

/// The JSON of a request, if it has a body.
pub async fn json_body(request: Request, app: &App) -> Result<Option<Value>, Problem> {
    let is_json = media_type(request.headers())
        .is_none_or(|media| media == "application/json" || media.ends_with("+json"));
    if !is_json {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let bytes = bytes(request, app).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(parse("the body", &bytes)?))
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
