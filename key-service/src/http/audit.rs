//! `/admin/v1/audit`.

use axum::{Extension, Json};

use super::body::Query;
use super::page::{List, PageQuery};
use super::problem::Problem;
use crate::domain::audit::{AuditEntry, Kind};
use crate::domain::input::input;
use crate::domain::input::rules::object;
use crate::domain::text::LINE;
use crate::domain::time::SECONDS_IN_QUERY;
use crate::store::View;
use crate::store::audit::AuditFilter;

input! {
    /// Which entries to list.
    AuditQuery {
        /// Only about this kind of thing.
        kind: Option<Kind> = optional(Kind::RULE),
        /// Only about the thing of this id.
        id: Option<String> = optional(LINE),
        /// Only what the token of this name did.
        actor: Option<String> = optional(LINE),
        /// Only from this time on, in Unix seconds.
        since: Option<i64> = optional(SECONDS_IN_QUERY),
        /// Only before this time, in Unix seconds.
        until: Option<i64> = optional(SECONDS_IN_QUERY),
        /// Which part of them.
        page: PageQuery = inline(object::<PageQuery>()),
    }
}

/// Lists who changed what, newest first.
#[utoipa::path(
    get, path = "/admin/v1/audit", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, body = List<AuditEntry>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let filter = AuditFilter {
        kind: query.kind,
        entity_id: query.id,
        actor: query.actor,
        since: query.since,
        until: query.until,
    };
    let page = view.audit(&filter, query.page.into()).await?;
    Ok(Json(page.into()))
}
