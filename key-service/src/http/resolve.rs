//! `POST /v1/resolve`: what gateways ask about digests they do not know.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keybound::protocol::MOST_DIGESTS;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::app::App;
use super::body::Body;
use super::problem::Problem;
use super::record::{KeyRecord, TenantRecord, UserRecord, fitting};
use crate::domain::credential::{DIGEST, Digest};
use crate::domain::input::input;
use crate::domain::input::rules::{List, Text};
use crate::store::resolve::{Found, Resolved};

input! {
    /// The digests to look up.
    @extensible
    ResolveRequest {
        /// 1 to 64 digests, base64url without padding.
        digests: Vec<Digest> = required(DIGESTS),
    }
}

/// The digests of a batch.
const DIGESTS: List<Text<Digest>> = List {
    items: DIGEST,
    least: 1,
    most: MOST_DIGESTS,
};

/// One result a digest, in the order asked. What did not fit into 1 MiB is left out at the end: ask for it
/// again.
#[derive(Serialize, ToSchema)]
pub struct ResolveAnswer {
    /// The sequence number at which the whole answer was true.
    as_of: i64,
    #[schema(value_type = Vec<ResolveResult<'static>>)]
    results: Vec<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
struct ResolveResult<'a> {
    digest: &'a str,
    /// Null: nobody knows it.
    key: Option<KeyRecord<'a>>,
    #[serde(flatten)]
    #[schema(inline)]
    owner: Option<Owner<'a>>,
}

/// Who a known key stands for; null is somebody who does not exist.
#[derive(Serialize, ToSchema)]
struct Owner<'a> {
    user: Option<UserRecord<'a>>,
    tenant: Option<TenantRecord<'a>>,
}

/// Looks up keys by digest, with their users and tenants.
#[utoipa::path(
    post, path = "/v1/resolve", tag = "protocol", request_body = ResolveRequest,
    responses(
        (status = 200, body = ResolveAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn resolve(
    State(app): State<App>,
    Body(ResolveRequest { digests }): Body<ResolveRequest>,
) -> Result<Response, Problem> {
    let resolved = app.store.resolve(&digests).await?;
    if resolved.as_of == 0 {
        return Err(Problem::never_written());
    }
    let answer = answer(&digests, &resolved)?;
    let told = answer.results.len();
    let known = resolved.results.iter().take(told).flatten().count();
    app.metrics.resolved(known, told - known);
    Ok(Json(answer).into_response())
}

/// The answer to a batch, as the protocol writes it.
pub fn answer(digests: &[Digest], resolved: &Resolved) -> Result<ResolveAnswer, serde_json::Error> {
    let results = digests.iter().zip(&resolved.results);
    Ok(ResolveAnswer {
        as_of: resolved.as_of,
        results: fitting(results.map(|(digest, found)| result(digest, found.as_ref())))?,
    })
}

fn result<'a>(digest: &'a Digest, found: Option<&'a Found>) -> ResolveResult<'a> {
    ResolveResult {
        digest: digest.as_str(),
        key: found.map(|found| KeyRecord::from(&found.key)),
        owner: found.map(|found| Owner {
            user: found.user.as_ref().map(UserRecord::from),
            tenant: found.tenant.as_ref().map(TenantRecord::from),
        }),
    }
}
