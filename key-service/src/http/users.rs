//! `/admin/v1/users`.

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
use crate::domain::refusal::Refusal;
use crate::domain::tenant::Tenant;
use crate::domain::text::{ID, SEARCH};
use crate::domain::time::now;
use crate::domain::usage::UserUsage;
use crate::domain::user::{User, UserDraft, UserKind, UserPatch, UserStatus};
use crate::domain::words::Status as _;
use crate::store::page::UserFilter;
use crate::store::sorted::{Sort, USERS};
use crate::store::usage::Stopped;
use crate::store::{Urgency, View, Write};

/// By what users are sorted.
const SORT: Text<Sort> = Text {
    parse: |word| Sort::parse(word, &USERS),
    bounds: || sort_words(&USERS),
};

input! {
    /// Which users to list.
    UsersQuery {
        /// Only those of this status.
        status: Option<UserStatus> = optional(UserStatus::RULE),
        /// Only those whose id, name, full name or login holds this text, in any case of its letters.
        search: Option<String> = optional(SEARCH),
        /// Only those of this tenant.
        tenant: Option<String> = optional(ID),
        /// Only persons, or only systems.
        kind: Option<UserKind> = optional(UserKind::RULE),
        /// By what to sort them: `created`, `name` or `login`, with `-` before it the other way round. Default `created`,
        /// oldest first. Those that have nothing to be sorted by come last.
        sort: Option<Sort> = optional(SORT),
        /// Which part of them.
        page: SortedPageQuery = inline(object::<SortedPageQuery>()),
    }
}

/// Lists users, oldest first unless the request says otherwise.
#[utoipa::path(
    get, path = "/admin/v1/users", tag = "users", params(UsersQuery),
    responses(
        (status = 200, body = List<User>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<UsersQuery>,
) -> Result<Json<List<User>>, Problem> {
    let filter = UserFilter {
        status: query.status,
        search: query.search,
        tenant: query.tenant,
        kind: query.kind,
    };
    let page = view.sorted(&filter, query.page.of(query.sort)?).await?;
    Ok(Json(page.into()))
}

/// Creates a user.
#[utoipa::path(
    post, path = "/admin/v1/users", tag = "users", request_body = UserDraft,
    responses(
        (status = 201, body = User),
        (status = 409, description = "The id or the login is taken", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    Extension(view): Extension<View>,
    Once(Body(mut draft), retry): Once<Body<UserDraft>>,
) -> Result<Made<User>, Problem> {
    draft.tenant_id = draft
        .tenant_id
        .or_else(|| view.reach().tenant().map(str::to_owned));
    let user = User::create(draft, now())?;
    let mut write = view.write(user.created_at).await?;
    if let Some(id) = retry.made_before(&mut write).await? {
        let user = write.by_id(&id).await?.ok_or_else(no_such_user)?;
        return Ok(Made {
            what: Tagged::record(user),
            before: true,
        });
    }
    if write.is_taken::<User>(&user.id).await? {
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
    refuse_taken_login(&mut write, &user).await?;
    let user = write.put(Action::Create, None, user).await?;
    retry.remember(&mut write, &user.id).await?;
    write.commit().await?;
    Ok(Made {
        what: Tagged::record(user),
        before: false,
    })
}

/// Shows a user with the use of its keys.
#[utoipa::path(
    get, path = "/admin/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses(
        (status = 200, body = UserUsage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(
    Extension(view): Extension<View>,
    Id(id): Id,
) -> Result<Tagged<UserUsage>, Problem> {
    let found = view.user_usage(&id).await?.ok_or_else(no_such_user)?;
    Ok(Tagged::at(found.user.version, found))
}

/// Changes a user: its status, scopes and approved APIs, and what it is called.
#[utoipa::path(
    patch, path = "/admin/v1/users/{id}", tag = "users", params(("id" = String, Path), StopQuery),
    request_body = UserPatch,
    responses(
        (status = 200, body = User),
        (status = 409, description = "The user is deleted; or its login is taken; or it would be stopped, and its keys are in use", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(stop): Query<StopQuery>,
    expected: IfMatch,
    Body(patch): Body<UserPatch>,
) -> Result<Tagged<User>, Problem> {
    let stops = matches!(patch.status, Patch::Set(status) if status != UserStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = view.write_as(urgency, now()).await?;
    let before = write.by_id::<User>(&id).await?.ok_or_else(no_such_user)?;
    expected.check(&before)?;
    let after = before.patched(patch)?;
    refuse_taken_login(&mut write, &after).await?;
    if before.is_stopped_by(&after) && !stop.force {
        refuse_if_in_use(&mut write, Stopped::OfUser(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Tagged::record(after))
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
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(stop): Query<StopQuery>,
    expected: IfMatch,
) -> Result<Tagged<User>, Problem> {
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let before = write.by_id::<User>(&id).await?.ok_or_else(no_such_user)?;
    expected.check(&before)?;
    let after = before.deleted();
    if before.is_stopped_by(&after) && !stop.force {
        refuse_if_in_use(&mut write, Stopped::OfUser(&id)).await?;
    }
    let after = write.put(Action::Delete, Some(&before), after).await?;
    write.commit().await?;
    Ok(Tagged::record(after))
}

/// A login names one user of its tenant.
async fn refuse_taken_login(write: &mut Write, user: &User) -> Result<(), Problem> {
    match write.other_of_login(user).await? {
        None => Ok(()),
        Some(other) => Err(Problem::conflict(format!(
            "The user {other} has this login already: it names one user of its tenant, whatever the case of its letters."
        ))),
    }
}

pub(super) fn no_such_user() -> Problem {
    Problem::not_found("There is no user of this id.")
}
