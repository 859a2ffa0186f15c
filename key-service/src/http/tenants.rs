//! `/admin/v1/tenants`.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use utoipa::IntoParams;

use super::app::Actor;
use super::app::App;
use super::body::{Id, JsonBody};
use super::fields::{Fields, text};
use super::in_use::{StopQuery, refuse_if_in_use};
use super::page::{self, List, PageQuery};
use super::problem::Problem;
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::refusal::Refusal;
use crate::domain::tenant::{Tenant, TenantDraft, TenantPatch, TenantStatus};
use crate::domain::text as rules;
use crate::domain::time::now;
use crate::store::Urgency;
use crate::store::page::{PageRequest, TenantFilter};
use crate::store::usage::Stopped;

/// Which tenants to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct TenantsQuery {
    /// Only those of this status.
    status: Option<TenantStatus>,
    /// Only those whose id or name holds this text, in any case of its letters.
    #[param(min_length = 1, max_length = 40)]
    search: Option<String>,
}

/// Lists tenants, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/tenants", tag = "tenants", params(TenantsQuery, PageQuery),
    responses(
        (status = 200, body = List<Tenant>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Tenant>>, Problem> {
    let (filter, page) = read_query(query.as_deref())?;
    Ok(Json(app.store.page(&filter, page).await?.into()))
}

/// Creates a tenant.
#[utoipa::path(
    post, path = "/admin/v1/tenants", tag = "tenants", request_body = TenantDraft,
    responses(
        (status = 201, body = Tenant),
        (status = 409, description = "The id is taken", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Tenant>), Problem> {
    let tenant = Tenant::create(read_draft(body)?, now());
    let mut write = app.store.write(&actor.0, tenant.created_at).await?;
    if write.by_id::<Tenant>(&tenant.id).await?.is_some() {
        return Err(Problem::conflict(format!(
            "There is a tenant {} already.",
            tenant.id
        )));
    }
    let tenant = write.put(Action::Create, None, tenant).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// Shows a tenant.
#[utoipa::path(
    get, path = "/admin/v1/tenants/{id}", tag = "tenants", params(("id" = String, Path)),
    responses(
        (status = 200, body = Tenant),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Tenant>, Problem> {
    Ok(Json(
        app.store
            .by_id::<Tenant>(&id)
            .await?
            .ok_or_else(no_such_tenant)?,
    ))
}

/// Changes a tenant's name or status.
#[utoipa::path(
    patch, path = "/admin/v1/tenants/{id}", tag = "tenants", params(("id" = String, Path), StopQuery),
    request_body = TenantPatch,
    responses(
        (status = 200, body = Tenant),
        (status = 409, description = "It would be suspended, and its keys are in use", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<Json<Tenant>, Problem> {
    let force = StopQuery::read(query.as_deref())?;
    let patch = read_patch(body)?;
    let stops = matches!(patch.status, Patch::Set(status) if status != TenantStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = app.store.write_as(urgency, &actor.0, now()).await?;
    let before = write
        .by_id::<Tenant>(&id)
        .await?
        .ok_or_else(no_such_tenant)?;
    let after = before.patched(patch);
    if before.is_stopped_by(&after) && !force {
        refuse_if_in_use(&mut write, Stopped::OfTenant(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Json(after))
}

fn no_such_tenant() -> Problem {
    Problem::not_found("There is no tenant of this id.")
}

fn read_query(query: Option<&str>) -> Result<(TenantFilter, PageRequest), Refusal> {
    let mut fields = Fields::of_query(query)?;
    let status = fields.optional("status", text(TenantStatus::parse));
    let search = fields.optional("search", text(rules::search));
    let page = page::request(&mut fields);
    fields.finish(|| Some((TenantFilter { status, search }, page)))
}

fn read_draft(body: serde_json::Value) -> Result<TenantDraft, Refusal> {
    let mut fields = Fields::of(body)?;
    let id = fields.optional("id", text(rules::id));
    let name = fields.optional("name", text(rules::line));
    let status = fields.optional("status", text(TenantStatus::parse));
    fields.finish(|| Some(TenantDraft { id, name, status }))
}

fn read_patch(body: serde_json::Value) -> Result<TenantPatch, Refusal> {
    let mut fields = Fields::of(body)?;
    let name = fields.patch_nullable("name", text(rules::line));
    let status = fields.patch("status", text(TenantStatus::parse));
    fields.finish(|| Some(TenantPatch { name, status }))
}
