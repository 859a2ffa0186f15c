//! `/admin/v1/users`.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use utoipa::IntoParams;

use super::app::Actor;
use super::app::App;
use super::body::{Id, JsonBody};
use super::fields::{Fields, list as list_of, scopes, text};
use super::in_use::{StopQuery, refuse_if_in_use};
use super::page::{self, List, PageQuery};
use super::problem::Problem;
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::fence::MOST_ENTRIES;
use crate::domain::refusal::Refusal;
use crate::domain::tenant::Tenant;
use crate::domain::text as rules;
use crate::domain::time::now;
use crate::domain::usage::UserUsage;
use crate::domain::user::{User, UserDraft, UserPatch, UserStatus};
use crate::store::Urgency;
use crate::store::page::{PageRequest, UserFilter};
use crate::store::usage::Stopped;

/// Which users to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct UsersQuery {
    /// Only those of this status.
    status: Option<UserStatus>,
    /// Only those whose id or name holds this text, in any case of its letters.
    #[param(min_length = 1, max_length = 40)]
    search: Option<String>,
    /// Only those of this tenant.
    tenant: Option<String>,
}

/// Lists users, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/users", tag = "users", params(UsersQuery, PageQuery),
    responses(
        (status = 200, body = List<User>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<User>>, Problem> {
    let (filter, page) = read_query(query.as_deref())?;
    Ok(Json(app.store.page(&filter, page).await?.into()))
}

/// Creates a user.
#[utoipa::path(
    post, path = "/admin/v1/users", tag = "users", request_body = UserDraft,
    responses(
        (status = 201, body = User),
        (status = 409, description = "The id is taken", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<User>), Problem> {
    let user = User::create(read_draft(body)?, now())?;
    let mut write = app.store.write(&actor.0, user.created_at).await?;
    if write.by_id::<User>(&user.id).await?.is_some() {
        return Err(Problem::conflict(format!(
            "There is a user {} already.",
            user.id
        )));
    }
    if let Some(tenant) = &user.tenant_id
        && write.by_id::<Tenant>(tenant).await?.is_none()
    {
        return Err(Refusal::field("tenant_id", "there is no tenant of this id").into());
    }
    let user = write.put(Action::Create, None, user).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Shows a user with the use of its keys.
#[utoipa::path(
    get, path = "/admin/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses(
        (status = 200, body = UserUsage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<UserUsage>, Problem> {
    Ok(Json(
        app.store.user_usage(&id).await?.ok_or_else(no_such_user)?,
    ))
}

/// Changes a user's name, status, scopes or approved APIs.
#[utoipa::path(
    patch, path = "/admin/v1/users/{id}", tag = "users", params(("id" = String, Path), StopQuery),
    request_body = UserPatch,
    responses(
        (status = 200, body = User),
        (status = 409, description = "The user is deleted; or it would be stopped, and its keys are in use", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<Json<User>, Problem> {
    let force = StopQuery::read(query.as_deref())?;
    let patch = read_patch(body)?;
    let stops = matches!(patch.status, Patch::Set(status) if status != UserStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = app.store.write_as(urgency, &actor.0, now()).await?;
    let before = write.by_id::<User>(&id).await?.ok_or_else(no_such_user)?;
    let after = before.patched(patch)?;
    if before.is_stopped_by(&after) && !force {
        refuse_if_in_use(&mut write, Stopped::OfUser(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Json(after))
}

/// Deletes a user for good; a tombstone stays, so that its keys are refused with the right reason.
#[utoipa::path(
    delete, path = "/admin/v1/users/{id}", tag = "users", params(("id" = String, Path), StopQuery),
    responses(
        (status = 200, description = "The tombstone", body = User),
        (status = 409, description = "Its keys are in use", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    Extension(actor): Extension<Actor>,
) -> Result<Json<User>, Problem> {
    let force = StopQuery::read(query.as_deref())?;
    let mut write = app.store.write_as(Urgency::Stop, &actor.0, now()).await?;
    let before = write.by_id::<User>(&id).await?.ok_or_else(no_such_user)?;
    let after = before.deleted();
    if before.is_stopped_by(&after) && !force {
        refuse_if_in_use(&mut write, Stopped::OfUser(&id)).await?;
    }
    let after = write.put(Action::Delete, Some(&before), after).await?;
    write.commit().await?;
    Ok(Json(after))
}

fn no_such_user() -> Problem {
    Problem::not_found("There is no user of this id.")
}

fn read_query(query: Option<&str>) -> Result<(UserFilter, PageRequest), Refusal> {
    let mut fields = Fields::of_query(query)?;
    let status = fields.optional("status", text(UserStatus::parse));
    let search = fields.optional("search", text(rules::search));
    let tenant = fields.optional("tenant", text(rules::id));
    let page = page::request(&mut fields);
    fields.finish(|| {
        Some((
            UserFilter {
                status,
                search,
                tenant,
            },
            page,
        ))
    })
}

fn read_draft(body: serde_json::Value) -> Result<UserDraft, Refusal> {
    let mut fields = Fields::of(body)?;
    let id = fields.optional("id", text(rules::id));
    let tenant_id = fields.optional("tenant_id", text(rules::id));
    let name = fields.optional("name", text(rules::line));
    let status = fields.optional("status", text(UserStatus::parse));
    let scopes = fields.optional("scopes", scopes);
    let apis = fields.optional("apis", list_of(0..=MOST_ENTRIES, rules::api));
    fields.finish(|| {
        Some(UserDraft {
            id,
            tenant_id,
            name,
            status,
            scopes,
            apis,
        })
    })
}

fn read_patch(body: serde_json::Value) -> Result<UserPatch, Refusal> {
    let mut fields = Fields::of(body)?;
    let name = fields.patch_nullable("name", text(rules::line));
    let status = fields.patch("status", text(UserStatus::parse));
    let scopes = fields.patch_nullable("scopes", scopes);
    let apis = fields.patch_nullable("apis", list_of(0..=MOST_ENTRIES, rules::api));
    fields.finish(|| {
        Some(UserPatch {
            name,
            status,
            scopes,
            apis,
        })
    })
}
