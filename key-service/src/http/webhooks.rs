//! `/admin/v1/webhooks`: whom to tell of what becomes of keys.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::body::{Body, Id, OptionalBody, Query};
use super::page::{List, PageQuery};
use super::problem::Problem;
use crate::domain::input::input;
use crate::domain::input::rules::object;
use crate::domain::refusal::Refusal;
use crate::domain::tenant::Tenant;
use crate::domain::text::ID;
use crate::domain::time::now;
use crate::domain::webhook::{MOST_OF_ONE, MOST_WEBHOOKS, Redelivery, Webhook, WebhookDraft};
use crate::store::View;
use crate::store::messages::DeadMessage;
use crate::store::webhooks::WebhookFilter;

input! {
    /// Which webhooks to list.
    WebhooksQuery {
        /// Only those of this tenant.
        tenant: Option<String> = optional(ID),
        /// Which part of them.
        page: PageQuery = inline(object::<PageQuery>()),
    }
}

/// A new webhook. This answer alone holds its secret.
#[derive(Serialize, ToSchema)]
pub struct MadeWebhook {
    /// By what its messages are signed. It is not stored, and shown to nobody again.
    #[schema(example = "whsec_…")]
    secret: String,
    #[serde(flatten)]
    webhook: Webhook,
}

/// How many messages are tried again.
#[derive(Serialize, ToSchema)]
pub struct Redelivered {
    /// How many.
    redelivered: u64,
}

/// Lists webhooks, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/webhooks", tag = "webhooks", params(WebhooksQuery),
    responses(
        (status = 200, body = List<Webhook>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<WebhooksQuery>,
) -> Result<Json<List<Webhook>>, Problem> {
    let filter = WebhookFilter {
        tenant: query.tenant,
    };
    let page = view.page(&filter, query.page.into()).await?;
    Ok(Json(page.into()))
}

/// Lets somebody be told of what becomes of keys. The answer holds the secret by which messages are signed, once.
#[utoipa::path(
    post, path = "/admin/v1/webhooks", tag = "webhooks", request_body = WebhookDraft,
    responses(
        (status = 201, body = MadeWebhook),
        (status = 409, description = "The service has no key to sign with, or there are too many webhooks", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Body(mut draft): Body<WebhookDraft>,
) -> Result<(StatusCode, Json<MadeWebhook>), Problem> {
    let Some(webhooks) = &app.settings.webhooks else {
        return Err(Problem::conflict(
            "The service has no key to sign messages with: start it with --webhook-key-env.",
        ));
    };
    if !webhooks.allow_private && !draft.url.starts_with("https:") {
        let wrong = "must be https: messages tell of keys and users";
        return Err(Refusal::field("url", wrong).into());
    }
    draft.tenant_id = draft
        .tenant_id
        .or_else(|| view.reach().tenant().map(str::to_owned));
    let mut write = view.write(now()).await?;
    if let Some(tenant) = &draft.tenant_id
        && write.by_id::<Tenant>(tenant).await?.is_none()
    {
        return Err(Refusal::field("tenant_id", "there is no tenant of this id").into());
    }
    let counts = write.count_webhooks(draft.tenant_id.as_deref()).await?;
    for (count, most, whose) in [
        (counts[0], MOST_WEBHOOKS, "all tenants together have"),
        (counts[1], MOST_OF_ONE, "a tenant, or none, has"),
    ] {
        if count >= most {
            return Err(Problem::conflict(format!(
                "There are {most} webhooks, the most that {whose}: delete one first."
            )));
        }
    }
    let webhook = Webhook::create(draft, write.now());
    write.add_webhook(&webhook).await?;
    write.commit().await?;
    let secret = webhooks.master.secret(&webhook.id).reveal();
    Ok((StatusCode::CREATED, Json(MadeWebhook { secret, webhook })))
}

/// Shows a webhook, never its secret.
#[utoipa::path(
    get, path = "/admin/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses(
        (status = 200, body = Webhook),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(Extension(view): Extension<View>, Id(id): Id) -> Result<Json<Webhook>, Problem> {
    let webhook = view.webhook(&id).await?;
    Ok(Json(webhook.ok_or_else(no_such_webhook)?))
}

/// Takes a webhook out, with all messages that it has not taken.
#[utoipa::path(
    delete, path = "/admin/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses(
        (status = 200, description = "What was taken out", body = Webhook),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    Extension(view): Extension<View>,
    Id(id): Id,
) -> Result<Json<Webhook>, Problem> {
    let mut write = view.write(now()).await?;
    let webhook = write.webhook(&id).await?.ok_or_else(no_such_webhook)?;
    write.remove_webhook(&webhook).await?;
    write.commit().await?;
    Ok(Json(webhook))
}

/// Lists the messages that a webhook has not taken and that nobody tries any more, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/webhooks/{id}/dead", tag = "webhooks", params(("id" = String, Path), PageQuery),
    operation_id = "dead",
    responses(
        (status = 200, body = List<DeadMessage>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn dead(
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<DeadMessage>>, Problem> {
    let webhook = view.webhook(&id).await?.ok_or_else(no_such_webhook)?;
    let page = view.dead_messages(&webhook.id, page.into()).await?;
    Ok(Json(page.into()))
}

/// Lets messages that nobody tries any more be tried again, from the first try on.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{id}/redeliver", tag = "webhooks", params(("id" = String, Path)),
    request_body = Option<Redelivery>,
    responses(
        (status = 200, body = Redelivered),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn redeliver(
    Extension(view): Extension<View>,
    Id(id): Id,
    OptionalBody(Redelivery { event_id }): OptionalBody<Redelivery>,
) -> Result<Json<Redelivered>, Problem> {
    let mut write = view.write(now()).await?;
    let webhook = write.webhook(&id).await?.ok_or_else(no_such_webhook)?;
    let redelivered = write.redeliver(&webhook.id, event_id.as_deref()).await?;
    if event_id.is_some() && redelivered == 0 {
        let detail = "The webhook has no message of this id that nobody tries any more.";
        return Err(Problem::not_found(detail));
    }
    write.commit().await?;
    Ok(Json(Redelivered { redelivered }))
}

fn no_such_webhook() -> Problem {
    Problem::not_found("There is no webhook of this id.")
}
