//! `/admin/v1/tenants`.

use axum::{Extension, Json};

use super::body::{Body, Id, Query};
use super::in_use::{StopQuery, refuse_if_in_use};
use super::once::Once;
use super::page::{List, SortedPageQuery, sort_words};
use super::problem::Problem;
use super::version::{IfMatch, Made, Tagged};
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::input::input;
use crate::domain::input::rules::{Text, object};
use crate::domain::tenant::{Tenant, TenantDraft, TenantPatch, TenantStatus};
use crate::domain::text::SEARCH;
use crate::domain::time::now;
use crate::domain::words::Status as _;
use crate::store::page::TenantFilter;
use crate::store::sorted::{Sort, TENANTS};
use crate::store::usage::Stopped;
use crate::store::{Urgency, View};

/// By what tenants are sorted.
const SORT: Text<Sort> = Text {
    parse: |word| Sort::parse(word, &TENANTS),
    bounds: || sort_words(&TENANTS),
};

input! {
    /// Which tenants to list.
    TenantsQuery {
        /// Only those of this status.
        status: Option<TenantStatus> = optional(TenantStatus::RULE),
        /// Only those whose id or name holds this text, in any case of its letters.
        search: Option<String> = optional(SEARCH),
        /// By what to sort them: `created` or `name`, with `-` before it the other way round. Default `created`,
        /// oldest first. Those that have nothing to be sorted by come last.
        sort: Option<Sort> = optional(SORT),
        /// Which part of them.
        page: SortedPageQuery = inline(object::<SortedPageQuery>()),
    }
}

/// Lists tenants, oldest first unless the request says otherwise.
#[utoipa::path(
    get, path = "/admin/v1/tenants", tag = "tenants", params(TenantsQuery),
    responses(
        (status = 200, body = List<Tenant>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<TenantsQuery>,
) -> Result<Json<List<Tenant>>, Problem> {
    let filter = TenantFilter {
        status: query.status,
        search: query.search,
        id: None,
    };
    let page = view.sorted(&filter, query.page.of(query.sort)?).await?;
    Ok(Json(page.into()))
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
    Extension(view): Extension<View>,
    Once(Body(draft), retry): Once<Body<TenantDraft>>,
) -> Result<Made<Tenant>, Problem> {
    let tenant = Tenant::create(draft, now());
    let mut write = view.write(tenant.created_at).await?;
    if let Some(id) = retry.made_before(&mut write).await? {
        let tenant = write.by_id(&id).await?.ok_or_else(no_such_tenant)?;
        return Ok(Made {
            what: Tagged::record(tenant),
            before: true,
        });
    }
    if write.is_taken::<Tenant>(&tenant.id).await? {
        return Err(Problem::conflict(format!(
            "There is a tenant {} already.",
            tenant.id
        )));
    }
    let tenant = write.put(Action::Create, None, tenant).await?;
    retry.remember(&mut write, &tenant.id).await?;
    write.commit().await?;
    Ok(Made {
        what: Tagged::record(tenant),
        before: false,
    })
}

/// Shows a tenant.
#[utoipa::path(
    get, path = "/admin/v1/tenants/{id}", tag = "tenants", params(("id" = String, Path)),
    responses(
        (status = 200, body = Tenant),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(Extension(view): Extension<View>, Id(id): Id) -> Result<Tagged<Tenant>, Problem> {
    let tenant = view.by_id(&id).await?.ok_or_else(no_such_tenant)?;
    Ok(Tagged::record(tenant))
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
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(stop): Query<StopQuery>,
    expected: IfMatch,
    Body(patch): Body<TenantPatch>,
) -> Result<Tagged<Tenant>, Problem> {
    let stops = matches!(patch.status, Patch::Set(status) if status != TenantStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = view.write_as(urgency, now()).await?;
    let before = write
        .by_id::<Tenant>(&id)
        .await?
        .ok_or_else(no_such_tenant)?;
    expected.check(&before)?;
    let after = before.patched(patch);
    if before.is_stopped_by(&after) && !stop.force {
        refuse_if_in_use(&mut write, Stopped::OfTenant(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Tagged::record(after))
}

fn no_such_tenant() -> Problem {
    Problem::not_found("There is no tenant of this id.")
}
