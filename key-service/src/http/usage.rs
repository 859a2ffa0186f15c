//! `POST /v1/usage`: what gateways counted.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::app::{Actor, App};
use super::body::Body;
use super::problem::Problem;
use crate::domain::time::now;
use crate::domain::usage::UsageReport;
use crate::store::Urgency;

/// Counts the use of keys.
#[utoipa::path(
    post, path = "/v1/usage", tag = "protocol", request_body = UsageReport,
    responses(
        (status = 204, description = "Counted, now or before"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn usage(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    Body(report): Body<UsageReport>,
) -> Result<StatusCode, Problem> {
    // The keys that it counts are not here: it would count for nothing, and not be sent again.
    if app.store.sequence() == 0 {
        return Err(Problem::never_written());
    }
    let mut write = app.store.write_as(Urgency::Usage, &actor.0, now()).await?;
    write.count(&report).await?;
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
