//! `POST /v1/usage`: what gateways counted.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;

use super::app::{Actor, App};
use super::body::JsonBody;
use super::fields::{Fields, at_most, count, objects, text, unix_seconds};
use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::domain::text as rules;
use crate::domain::time::now;
use crate::domain::usage::{KeyCount, Report};
use crate::store::Urgency;

/// Keys of one report at most: it holds up all other writes while it is counted.
const MOST_KEYS: usize = 1000;

/// Counts by key since the last report.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; reading it has its own rules")]
pub struct UsageReport {
    /// Random id of who counted.
    reporter: String,
    /// Number of the report. The same one again is counted once.
    batch: i64,
    /// Begin of the time counted, in Unix seconds.
    from: i64,
    /// Its end.
    to: i64,
    /// At most 1000. Send more in further reports.
    #[schema(max_items = 1000)]
    keys: Vec<UsageOfKey>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; reading it has its own rules")]
struct UsageOfKey {
    id: String,
    allowed: i64,
    rejected: i64,
    last_at: i64,
}

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
    JsonBody(body): JsonBody,
) -> Result<StatusCode, Problem> {
    let report = read(body)?;
    // The keys that it counts are not here: it would count for nothing, and not be sent again.
    if app.store.sequence() == 0 {
        return Err(Problem::never_written());
    }
    let mut write = app.store.write_as(Urgency::Usage, &actor.0, now()).await?;
    write.count(&report).await?;
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: Value) -> Result<Report, Refusal> {
    let mut fields = Fields::of(body)?;
    let reporter = fields.required("reporter", text(rules::id));
    let batch = fields.required("batch", count);
    fields.required("from", unix_seconds);
    fields.required("to", unix_seconds);
    let keys = fields.required(
        "keys",
        at_most(
            MOST_KEYS,
            objects(|fields| {
                let id = fields.required("id", text(rules::id));
                let allowed = fields.required("allowed", count);
                let rejected = fields.required("rejected", count);
                let last_at = fields.required("last_at", unix_seconds);
                Some(KeyCount {
                    id: id?,
                    allowed: allowed?,
                    rejected: rejected?,
                    last_at: last_at?,
                })
            }),
        ),
    );
    fields.finish_ignoring_unknown(|| {
        Some(Report {
            reporter: reporter?,
            batch: batch?,
            keys: keys?,
        })
    })
}
