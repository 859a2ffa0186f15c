//! `/admin/v1/audit`.

use axum::Json;
use axum::extract::{RawQuery, State};
use utoipa::IntoParams;

use super::app::App;
use super::fields::{Fields, digits, text};
use super::page::{self, List, PageQuery};
use super::problem::Problem;
use crate::domain::audit::{AuditEntry, Kind};
use crate::domain::refusal::Refusal;
use crate::domain::text as rules;
use crate::domain::time::LATEST;
use crate::store::audit::AuditFilter;
use crate::store::page::PageRequest;

/// Which entries to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct AuditQuery {
    /// Only about this kind of thing.
    kind: Option<Kind>,
    /// Only about the thing of this id.
    id: Option<String>,
    /// Only what the token of this name did.
    actor: Option<String>,
    /// Only from this time on, in Unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    since: Option<i64>,
    /// Only before this time, in Unix seconds.
    #[param(minimum = 0, maximum = 253_402_300_799_i64)]
    until: Option<i64>,
}

/// Lists who changed what, newest first.
#[utoipa::path(
    get, path = "/admin/v1/audit", tag = "audit", params(AuditQuery, PageQuery),
    responses(
        (status = 200, body = List<AuditEntry>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let (filter, page) = read_query(query.as_deref())?;
    Ok(Json(app.store.audit(&filter, page).await?.into()))
}

fn read_query(query: Option<&str>) -> Result<(AuditFilter, PageRequest), Refusal> {
    let mut fields = Fields::of_query(query)?;
    let kind = fields.optional("kind", text(Kind::parse));
    let entity_id = fields.optional("id", text(rules::line));
    let actor = fields.optional("actor", text(rules::line));
    let since = fields.optional("since", digits(0..=LATEST));
    let until = fields.optional("until", digits(0..=LATEST));
    let page = page::request(&mut fields);
    fields.finish(|| {
        let filter = AuditFilter {
            kind,
            entity_id,
            actor,
            since,
            until,
        };
        Some((filter, page))
    })
}
