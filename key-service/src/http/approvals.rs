//! `/admin/v1/approvals`: a user asks for an API, an administrator decides.

use axum::http::StatusCode;
use axum::{Extension, Json};

use super::body::{Body, Id, OptionalBody, Query};
use super::page::{List, PageQuery};
use super::problem::Problem;
use crate::domain::approval::{
    Approval, ApprovalDraft, ApprovalStatus, Decided, Decision, MOST_PENDING,
};
use crate::domain::audit::Action;
use crate::domain::input::input;
use crate::domain::input::rules::object;
use crate::domain::refusal::Refusal;
use crate::domain::text::{API, ID};
use crate::domain::time::now;
use crate::domain::user::User;
use crate::store::View;
use crate::store::approvals::ApprovalFilter;

/// Where requests are listed and made.
pub const PATH: &str = "/admin/v1/approvals";

input! {
    /// Which requests to list.
    ApprovalsQuery {
        /// Only those that stand so.
        status: Option<ApprovalStatus> = optional(ApprovalStatus::RULE),
        /// Only those of users of this tenant.
        tenant: Option<String> = optional(ID),
        /// Only those of this user.
        user: Option<String> = optional(ID),
        /// Only those for this API.
        api: Option<String> = optional(API),
        /// Which part of them.
        page: PageQuery = inline(object::<PageQuery>()),
    }
}

/// Lists requests for APIs, oldest first.
#[utoipa::path(
    get, path = PATH, tag = "approvals", params(ApprovalsQuery),
    responses(
        (status = 200, body = List<Approval>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<ApprovalsQuery>,
) -> Result<Json<List<Approval>>, Problem> {
    let filter = ApprovalFilter {
        status: query.status,
        tenant: query.tenant,
        user: query.user,
        api: query.api,
    };
    let page = view.page(&filter, query.page.into()).await?;
    Ok(Json(page.into()))
}

/// Asks for an API: a developer for themselves, an administrator for any user.
#[utoipa::path(
    post, path = PATH, tag = "approvals", request_body = ApprovalDraft,
    responses(
        (status = 201, body = Approval),
        (status = 409, description = "The user has the API, or has asked for it and nobody has decided yet", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    Extension(view): Extension<View>,
    Body(draft): Body<ApprovalDraft>,
) -> Result<(StatusCode, Json<Approval>), Problem> {
    let mut write = view.write(now()).await?;
    let Some(user) = write.by_id::<User>(&draft.user_id).await? else {
        return Err(Refusal::field("user_id", "there is no user of this id").into());
    };
    let approval = Approval::ask(draft, &user, view.actor(), write.now())?;
    if let Some(pending) = write.pending_approval(&user.id, &approval.api).await? {
        return Err(Problem::conflict(format!(
            "The user has asked for this API already, and nobody has decided yet: see {}.",
            pending.id
        )));
    }
    if write.count_pending_approvals(&user.id).await? >= MOST_PENDING {
        return Err(Problem::conflict(format!(
            "The user has {MOST_PENDING} requests that nobody has decided yet: wait for those."
        )));
    }
    write.put_approval(None, &approval).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(approval)))
}

/// Gives a user the API that was asked for: adds it to the user's `apis`. Null, which is all, stays null.
#[utoipa::path(
    post, path = "/admin/v1/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path)),
    request_body = Option<Decision>,
    responses(
        (status = 200, body = Approval),
        (status = 409, description = "It is decided already, or the user is deleted", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn approve(
    Extension(view): Extension<View>,
    Id(id): Id,
    OptionalBody(decision): OptionalBody<Decision>,
) -> Result<Json<Approval>, Problem> {
    decide(&view, &id, Decided::Approve, decision).await
}

/// Refuses what was asked for. The user may ask again.
#[utoipa::path(
    post, path = "/admin/v1/approvals/{id}/deny", tag = "approvals", params(("id" = String, Path)),
    request_body = Option<Decision>,
    responses(
        (status = 200, body = Approval),
        (status = 409, description = "It is decided already", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn deny(
    Extension(view): Extension<View>,
    Id(id): Id,
    OptionalBody(decision): OptionalBody<Decision>,
) -> Result<Json<Approval>, Problem> {
    decide(&view, &id, Decided::Deny, decision).await
}

async fn decide(
    view: &View,
    id: &str,
    decided: Decided,
    decision: Decision,
) -> Result<Json<Approval>, Problem> {
    let mut write = view.write(now()).await?;
    let none = || Problem::not_found("There is no request of this id.");
    let before = write.approval(id).await?.ok_or_else(none)?;
    let after = before.decided(decided, decision, view.actor(), write.now())?;
    if decided == Decided::Approve {
        let gone = || Problem::conflict("The user does not exist any more: deny the request.");
        let user = write
            .by_id::<User>(&before.user_id)
            .await?
            .ok_or_else(gone)?;
        let approved = user.with_api(&before.api)?;
        write.put(Action::Update, Some(&user), approved).await?;
    }
    write.put_approval(Some(&before), &after).await?;
    write.commit().await?;
    Ok(Json(after))
}
