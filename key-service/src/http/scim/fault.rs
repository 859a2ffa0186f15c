//! Errors as directories read them (RFC 7644, 3.12): every problem of a request under `/scim`, be it found before its
//! handler.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::resource::MEDIA;
use crate::http::problem::Problem;

/// The same answer in the words of SCIM, where it is a problem.
pub fn told(mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let status = response.status();
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": status.as_u16().to_string(),
        "detail": problem.detail(),
    });
    if let Some(kind) = problem.scim_type() {
        body["scimType"] = json!(kind);
    }
    let mut told = (status, body.to_string()).into_response();
    let (headers, extensions) = (response.headers().clone(), response.extensions().clone());
    *told.headers_mut() = headers;
    *told.extensions_mut() = extensions;
    let media = HeaderValue::from_static(MEDIA);
    told.headers_mut().insert(header::CONTENT_TYPE, media);
    told.headers_mut().remove(header::CONTENT_LENGTH);
    told
}
