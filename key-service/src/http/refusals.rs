//! `/admin/v1/refusals`: how many requests passed and how many were refused, over time.

use axum::{Extension, Json};

use super::body::Query;
use super::problem::Problem;
use crate::domain::input::input;
use crate::domain::input::rules::digits;
use crate::domain::refusal::Refusal;
use crate::domain::text::ID;
use crate::domain::time::now;
use crate::domain::traffic::{Steps, Traffic};
use crate::store::View;

/// Hours that are told, unless the request says otherwise, and at most: those of a week.
const DEFAULT_HOURS: i64 = 24;
const MOST_HOURS: i64 = 168;
/// Days at most.
const MOST_DAYS: i64 = 90;

input! {
    /// Of which time to tell, and of whom.
    RefusalsQuery {
        /// How many hours, the current one among them, 1 to 168. Default 24, where no days are given.
        hours: Option<i64> = optional(digits(1, MOST_HOURS)),
        /// How many days, today (UTC) among them, 1 to 90.
        days: Option<i64> = optional(digits(1, MOST_DAYS)),
        /// Only of the keys of this tenant.
        tenant: Option<String> = optional(ID),
    }
}

/// Tells how many requests with known keys passed and how many were refused for which reason, hour by hour or day by day:
/// over all keys within the token's reach. A developer's token is told of days alone.
#[utoipa::path(
    get, path = "/admin/v1/refusals", tag = "refusals", params(RefusalsQuery), operation_id = "refusals",
    responses(
        (status = 200, body = Traffic),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn refusals(
    Extension(view): Extension<View>,
    Query(query): Query<RefusalsQuery>,
) -> Result<Json<Traffic>, Problem> {
    let now = now();
    let steps = match (query.hours, query.days) {
        (Some(_), Some(_)) => {
            return Err(Refusal::field("days", "give hours or days, not both").into());
        }
        (None, Some(days)) => Steps::days(days, now),
        (hours, None) => Steps::hours(hours.unwrap_or(DEFAULT_HOURS), now),
    };
    let traffic = view.traffic(steps, query.tenant.as_deref()).await?;
    Ok(Json(traffic))
}
