//! `/admin/v1/keys/{id}/usage` and `/admin/v1/users/{id}/usage`: how keys were used, day by day.

use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Id, Query};
use super::keys::no_such_key;
use super::problem::Problem;
use super::users::no_such_user;
use crate::domain::input::input;
use crate::domain::input::rules::digits;
use crate::domain::time::{DAY, now};
use crate::domain::usage::Use;
use crate::store::View;

/// Days that are told, unless the request says otherwise, and at most.
const DEFAULT_DAYS: i64 = 30;
const MOST_DAYS: i64 = 400;

input! {
    /// Which days to tell of.
    UsageQuery {
        /// How many, today (UTC) among them, 1 to 400. Default 30.
        days: Option<i64> = optional(digits(1, MOST_DAYS)),
    }
}

impl UsageQuery {
    /// A time on the first of these days.
    fn since(&self) -> i64 {
        now() - (self.days.unwrap_or(DEFAULT_DAYS) - 1) * DAY
    }
}

/// The use of a key.
#[derive(Serialize, ToSchema)]
pub struct UseOfKey {
    /// Id of the key.
    key_id: String,
    #[serde(flatten)]
    of: Use,
}

/// The use of all keys of a user.
#[derive(Serialize, ToSchema)]
pub struct UseOfUser {
    /// Id of the user.
    user_id: String,
    #[serde(flatten)]
    of: Use,
}

/// Tells how a key was used, day by day: requests, refusals by reason, and networks.
#[utoipa::path(
    get, path = "/admin/v1/keys/{id}/usage", tag = "keys", operation_id = "usage",
    params(("id" = String, Path), UsageQuery),
    responses(
        (status = 200, body = UseOfKey),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn of_key(
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UseOfKey>, Problem> {
    let found = view.use_of_key(&id, query.since()).await?;
    let of = found.ok_or_else(no_such_key)?;
    Ok(Json(UseOfKey { key_id: id, of }))
}

/// Tells how all keys of a user were used, day by day: requests, refusals by reason, and networks.
#[utoipa::path(
    get, path = "/admin/v1/users/{id}/usage", tag = "users", operation_id = "usage",
    params(("id" = String, Path), UsageQuery),
    responses(
        (status = 200, body = UseOfUser),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn of_user(
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UseOfUser>, Problem> {
    let found = view.use_of_user(&id, query.since()).await?;
    let of = found.ok_or_else(no_such_user)?;
    Ok(Json(UseOfUser { user_id: id, of }))
}
