//! `/admin/v1/keys`.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::app::Actor;
use super::app::App;
use super::body::{Id, JsonBody, OptionalJsonBody};
use super::fields::{Fields, hours, networks, scopes, switch, text, unix_seconds};
use super::in_use::{StopQuery, refuse_if_in_use};
use super::page::{self, List, PageQuery};
use super::problem::Problem;
use super::verdict::{UNKNOWN, verdicts};
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::credential::{Credential, Digest};
use crate::domain::key::{Key, KeyDraft, KeyPatch, KeyStatus};
use crate::domain::refusal::Refusal;
use crate::domain::text as rules;
use crate::domain::time::{self, now};
use crate::domain::usage::{KeyUsage, UsedKey};
use crate::domain::user::User;
use crate::store::Urgency;
use crate::store::page::{KeyFilter, OwnerState, Page, PageRequest};
use crate::store::usage::Stopped;

/// How long both keys of a rotation work, unless the request says otherwise.
const DEFAULT_GRACE: i64 = time::DAY;

/// Which keys to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct KeysQuery {
    /// Only those of this status.
    status: Option<KeyStatus>,
    /// Only those whose id, hint, name or user holds this text, in any case of its letters.
    #[param(min_length = 1, max_length = 40)]
    search: Option<String>,
    /// Only those of this tenant.
    tenant: Option<String>,
    /// Only those of this user.
    user: Option<String>,
    /// Only those whose user does not exist, or exists and is not active.
    owner: Option<OwnerState>,
    /// Only those that expire within this span from now, such as `30d`.
    expires_within: Option<String>,
    /// Only those that were never used. None where no gateway has reported use yet: nobody knows.
    never_used: Option<bool>,
    /// Only those that were not used for this span, such as `90d`: of the time before gateways reported use
    /// nobody knows.
    unused_for: Option<String>,
}

/// A part of the list of keys.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    #[serde(flatten)]
    list: List<JudgedKey<UsedKey>>,
    /// Whether any gateway has reported use yet; until then nobody knows which keys are used.
    usage_reported: bool,
}

/// A key with what gateways make of it.
#[derive(Serialize, ToSchema)]
pub struct JudgedKey<T> {
    #[serde(flatten)]
    key: T,
    /// Whether the key works, whatever the request: `allowed`, or the code with which gateways refuse it
    /// for what it is, or for its user or tenant. Networks, hours and policies are asked of requests.
    #[schema(example = "user_suspended")]
    verdict: &'static str,
}

/// A new key. This answer alone holds the credential.
#[derive(Serialize, ToSchema)]
pub struct IssuedKey {
    /// The credential in clear. It is not stored: nobody can show it again.
    #[schema(example = "kb_live_…")]
    secret: String,
    #[serde(flatten)]
    key: Key,
}

/// How to rotate.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; reading it has its own rules")]
pub struct Rotation {
    /// How long the old key works on, such as `24h` (the default), `7d` or `0s`.
    grace: Option<String>,
}

/// Why to revoke.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; reading it has its own rules")]
pub struct Revocation {
    /// For the audit log and whoever asks later.
    reason: Option<String>,
}

/// Lists keys, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/keys", tag = "keys", params(KeysQuery, PageQuery),
    responses(
        (status = 200, body = KeyList),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Json<KeyList>, Problem> {
    let (filter, page) = read_query(query.as_deref())?;
    let page = app.store.page(&filter, page).await?;
    let digests: Vec<Digest> = page
        .items
        .iter()
        .map(|item| item.key.digest.clone())
        .collect();
    let verdicts = verdicts(&app, &digests).await?;
    let judged = page.items.into_iter().zip(verdicts);
    let items = judged.map(|(key, verdict)| JudgedKey { key, verdict });
    let list = Page {
        items: items.collect(),
        next: page.next,
    };
    Ok(Json(KeyList {
        list: list.into(),
        usage_reported: app.store.usage_reported().await?,
    }))
}

/// Creates a key for a user. The answer holds the credential, once.
#[utoipa::path(
    post, path = "/admin/v1/keys", tag = "keys", request_body = KeyDraft,
    responses(
        (status = 201, body = IssuedKey),
        (status = 409, description = "The id is taken, or the user is deleted", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<IssuedKey>), Problem> {
    let draft = read_draft(body)?;
    let now = now();
    let mut write = app.store.write(&actor.0, now).await?;
    let user_id = draft.user_id.as_deref().unwrap_or_default();
    let Some(owner) = write.by_id::<User>(user_id).await? else {
        return Err(Refusal::field("user_id", "there is no user of this id").into());
    };
    if let Some(id) = &draft.id
        && write.by_id::<Key>(id).await?.is_some()
    {
        return Err(Problem::conflict(format!("There is a key {id} already.")));
    }
    let credential = Credential::generate(draft.environment.as_deref());
    let digest = app.settings.digester.digest(&credential);
    let key = Key::issue(draft, &owner, digest, credential.hint(), now)?;
    let key = write.put(Action::Create, None, key).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(issued(&credential, key))))
}

/// Shows a key with its use, never the credential.
#[utoipa::path(
    get, path = "/admin/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses(
        (status = 200, body = JudgedKey<KeyUsage>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(
    State(app): State<App>,
    Id(id): Id,
) -> Result<Json<JudgedKey<KeyUsage>>, Problem> {
    let key = app.store.key_usage(&id).await?.ok_or_else(no_such_key)?;
    let verdicts = verdicts(&app, std::slice::from_ref(&key.key.key.digest)).await?;
    let verdict = verdicts.into_iter().next().unwrap_or(UNKNOWN);
    Ok(Json(JudgedKey { key, verdict }))
}

/// Changes what a key may do, or switches it off and on.
#[utoipa::path(
    patch, path = "/admin/v1/keys/{id}", tag = "keys", params(("id" = String, Path), StopQuery),
    request_body = KeyPatch,
    responses(
        (status = 200, body = Key),
        (status = 409, description = "The key is revoked; or it would be disabled, and is in use", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    Id(id): Id,
    RawQuery(query): RawQuery,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<Json<Key>, Problem> {
    let force = StopQuery::read(query.as_deref())?;
    let patch = read_patch(body)?;
    let stops = matches!(patch.status, Patch::Set(status) if status != KeyStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = app.store.write_as(urgency, &actor.0, now()).await?;
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    let successor = match &before.replaced_by {
        Some(id) => write.by_id::<Key>(id).await?,
        None => None,
    };
    let after = before.patched(patch, successor.as_ref(), write.now())?;
    if before.status == KeyStatus::Active && after.status == KeyStatus::Disabled && !force {
        refuse_if_in_use(&mut write, Stopped::Key(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Json(after))
}

/// Replaces a key by a new one with the same owner and fences. The answer is the new key, and
/// holds its credential, once.
#[utoipa::path(
    post, path = "/admin/v1/keys/{id}/rotate", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Rotation>,
    responses(
        (status = 201, body = IssuedKey),
        (status = 409, description = "The key is revoked, or replaced already", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<(StatusCode, Json<IssuedKey>), Problem> {
    let mut fields = Fields::of(body)?;
    let grace = fields.optional("grace", text(time::duration));
    let grace = fields.finish(|| Some(grace.unwrap_or(DEFAULT_GRACE)))?;
    let now = now();
    let mut write = app.store.write(&actor.0, now).await?;
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    let credential = Credential::generate(before.environment.as_deref());
    let digest = app.settings.digester.digest(&credential);
    let (old, new) = before.rotated(grace, digest, credential.hint(), now)?;
    // The new one first: who follows the changes never sees a successor that is not there.
    let new = write.put(Action::Rotate, None, new).await?;
    write.put(Action::Rotate, Some(&before), old).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(issued(&credential, new))))
}

/// Revokes a key, at once and for good. Revoking it again changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/keys/{id}/revoke", tag = "keys", params(("id" = String, Path)),
    request_body = Option<Revocation>,
    responses(
        (status = 200, body = Key),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(
    State(app): State<App>,
    Id(id): Id,
    Extension(actor): Extension<Actor>,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Json<Key>, Problem> {
    let mut fields = Fields::of(body)?;
    let reason = fields.optional("reason", text(rules::line));
    let reason = fields.finish(|| Some(reason))?;
    let mut write = app.store.write_as(Urgency::Stop, &actor.0, now()).await?;
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    let after = before.revoked(reason, write.now());
    let after = write.put(Action::Revoke, Some(&before), after).await?;
    write.commit().await?;
    Ok(Json(after))
}

fn issued(credential: &Credential, key: Key) -> IssuedKey {
    IssuedKey {
        secret: credential.reveal().to_owned(),
        key,
    }
}

fn no_such_key() -> Problem {
    Problem::not_found("There is no key of this id.")
}

fn read_query(query: Option<&str>) -> Result<(KeyFilter, PageRequest), Refusal> {
    let mut fields = Fields::of_query(query)?;
    let status = fields.optional("status", text(KeyStatus::parse));
    let search = fields.optional("search", text(rules::search));
    let tenant = fields.optional("tenant", text(rules::id));
    let user = fields.optional("user", text(rules::id));
    let owner = fields.optional("owner", text(OwnerState::parse));
    let span = fields.optional("expires_within", text(time::duration));
    let never_used = fields.optional("never_used", switch).unwrap_or_default();
    let unused_for = fields.optional("unused_for", text(time::duration));
    let page = page::request(&mut fields);
    fields.finish(|| {
        let expires = span.map(|span| (now(), now() + span));
        let unused_since = unused_for.map(|span| now() - span);
        let filter = KeyFilter {
            status,
            search,
            tenant,
            user,
            owner,
            expires,
            never_used,
            unused_since,
        };
        Some((filter, page))
    })
}

fn read_draft(body: serde_json::Value) -> Result<KeyDraft, Refusal> {
    let mut fields = Fields::of(body)?;
    let user_id = fields.required("user_id", text(rules::id));
    let draft = read_terms(&mut fields);
    fields.finish(|| {
        Some(KeyDraft {
            user_id: Some(user_id?),
            ..draft
        })
    })
}

/// What the maker of a key chooses, but for its owner.
pub fn read_terms(fields: &mut Fields) -> KeyDraft {
    KeyDraft {
        user_id: None,
        id: fields.optional("id", text(rules::id)),
        tenant_id: fields.optional("tenant_id", text(rules::id)),
        environment: fields.optional("environment", text(rules::environment)),
        name: fields.optional("name", text(rules::line)),
        not_before: fields.optional("not_before", unix_seconds),
        expires_at: fields.optional("expires_at", unix_seconds),
        scopes: fields.optional("scopes", scopes).unwrap_or_default(),
        networks: fields.optional("networks", networks),
        hours: fields.optional("hours", hours),
    }
}

fn read_patch(body: serde_json::Value) -> Result<KeyPatch, Refusal> {
    let mut fields = Fields::of(body)?;
    let name = fields.patch_nullable("name", text(rules::line));
    let status = fields.patch("status", text(KeyStatus::parse));
    let not_before = fields.patch_nullable("not_before", unix_seconds);
    let expires_at = fields.patch_nullable("expires_at", unix_seconds);
    let scopes = fields.patch("scopes", scopes);
    let networks = fields.patch_nullable("networks", networks);
    let hours = fields.patch_nullable("hours", hours);
    let replaced_by = fields.patch_nullable(
        "replaced_by",
        text(|_| Err("is set by a rotation; null takes one back".to_owned())),
    );
    fields.finish(|| {
        Some(KeyPatch {
            name,
            status,
            not_before,
            expires_at,
            scopes,
            networks,
            hours,
            replaced_by,
        })
    })
}
