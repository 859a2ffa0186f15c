//! `/admin/v1/keys`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::body::{Body, Id, OptionalBody, Query};
use super::in_use::{StopQuery, refuse_if_in_use};
use super::key_rules::obey;
use super::once::Once;
use super::page::{List, SortedPageQuery, sort_words};
use super::problem::Problem;
use super::verdict::{UNKNOWN, verdicts};
use super::version::{IfMatch, Made, Tagged};
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::credential::{Credential, Digest, FOREIGN};
use crate::domain::input::input;
use crate::domain::input::rules::{Switch, Text, object};
use crate::domain::key::{Key, KeyDraft, KeyPatch, KeyStatus};
use crate::domain::reach::Reach;
use crate::domain::refusal::Refusal;
use crate::domain::text::{ID, LINE, SEARCH};
use crate::domain::time::{self, DURATION, now};
use crate::domain::usage::{KeyUsage, UsedKey};
use crate::domain::user::{User, UserKind};
use crate::domain::words::Status as _;
use crate::store::page::{KeyFilter, OwnerState};
use crate::store::sorted::{KEYS, Sort, SortedPage, SortedRequest};
use crate::store::usage::Stopped;
use crate::store::{StoreError, Urgency, View, Write};

/// How long both keys of a rotation work, unless the request says otherwise.
const DEFAULT_GRACE: i64 = time::DAY;

/// Where keys are listed and made.
pub const PATH: &str = "/admin/v1/keys";
/// Where a key is rotated.
pub const ROTATE: &str = "/admin/v1/keys/{id}/rotate";
/// Where a key is revoked.
pub const REVOKE: &str = "/admin/v1/keys/{id}/revoke";

/// By what keys are sorted.
const SORT: Text<Sort> = Text {
    parse: |word| Sort::parse(word, &KEYS),
    bounds: || sort_words(&KEYS),
};

input! {
    /// Which keys to list.
    KeysQuery {
        /// Only those of this status.
        status: Option<KeyStatus> = optional(KeyStatus::RULE),
        /// Only those whose id, hint, name or user holds this text, in any case of its letters.
        search: Option<String> = optional(SEARCH),
        /// Only those of this tenant.
        tenant: Option<String> = optional(ID),
        /// Only those of this user.
        user: Option<String> = optional(ID),
        /// Only those of persons, or only those of systems.
        kind: Option<UserKind> = optional(UserKind::RULE),
        /// Only those whose user does not exist, or exists and is not active.
        owner: Option<OwnerState> = optional(OwnerState::RULE),
        /// Only those that expire within this span from now, such as `30d`.
        expires_within: Option<i64> = optional(DURATION),
        /// Only those that were never used. None where no gateway has reported use yet: nobody knows.
        never_used: bool = or_default(Switch),
        /// Only those that were not used for this span, such as `90d`: of the time before gateways reported use
        /// nobody knows.
        unused_for: Option<i64> = optional(DURATION),
        /// By what to sort them: `created`, `name`, `last_used` or `expires`, with `-` before it the other way round. Default `created`,
        /// oldest first. Those that have nothing to be sorted by come last.
        sort: Option<Sort> = optional(SORT),
        /// Which part of them.
        page: SortedPageQuery = inline(object::<SortedPageQuery>()),
    }
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
    /// The credential in clear. It is not stored: nobody can show it again. Null where an earlier request with the same
    /// `Idempotency-Key` made the key: where that one's answer is lost, rotate the key to get another.
    #[schema(example = "kb_live_…")]
    secret: Option<String>,
    #[serde(flatten)]
    key: Key,
}

input! {
    /// How to rotate.
    Rotation {
        /// How long the old key works on, such as `24h` (the default), `7d` or `0s`.
        grace: Option<i64> = optional(DURATION),
    }
}

input! {
    /// Why to revoke.
    Revocation {
        /// For the audit log and whoever asks later.
        reason: Option<String> = optional(LINE),
    }
}

input! {
    /// Which key to revoke, and why.
    Leaked {
        /// The key in clear. It is not stored.
        key: Credential = required(FOREIGN),
        /// For the audit log and whoever asks later.
        reason: Option<String> = optional(LINE),
    }
}

impl KeysQuery {
    /// Which keys, and which part of them.
    fn split(self) -> Result<(KeyFilter, SortedRequest), Refusal> {
        let now = now();
        let filter = KeyFilter {
            status: self.status,
            search: self.search,
            tenant: self.tenant,
            user: self.user,
            kind: self.kind,
            owner: self.owner,
            expires: self.expires_within.map(|span| (now, now + span)),
            never_used: self.never_used,
            unused_since: self.unused_for.map(|span| now - span),
        };
        Ok((filter, self.page.of(self.sort)?))
    }
}

/// Lists keys, oldest first unless the request says otherwise.
#[utoipa::path(
    get, path = PATH, tag = "keys", params(KeysQuery),
    responses(
        (status = 200, body = KeyList),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<KeysQuery>,
) -> Result<Json<KeyList>, Problem> {
    let (filter, page) = query.split()?;
    let page = view.sorted(&filter, page).await?;
    let digests: Vec<Digest> = page
        .items
        .iter()
        .map(|item| item.key.digest.clone())
        .collect();
    let verdicts = verdicts(&view, &digests).await?;
    let judged = page.items.into_iter().zip(verdicts);
    let items = judged.map(|(key, verdict)| JudgedKey { key, verdict });
    let list = SortedPage {
        items: items.collect(),
        next: page.next,
    };
    Ok(Json(KeyList {
        list: list.into(),
        usage_reported: view.usage_reported().await?,
    }))
}

/// Creates a key for a user. The answer holds the credential, once.
#[utoipa::path(
    post, path = PATH, tag = "keys", request_body = KeyDraft,
    responses(
        (status = 201, body = IssuedKey),
        (status = 409, description = "The id is taken, or the user is deleted", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It breaks a rule of its tenant", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Once(Body(KeyDraft { user_id, terms }), retry): Once<Body<KeyDraft>>,
) -> Result<Made<IssuedKey>, Problem> {
    let now = now();
    let mut write = view.write(now).await?;
    if let Some(id) = retry.made_before(&mut write).await? {
        return issued_before(&mut write, &id).await;
    }
    let Some(owner) = write.by_id::<User>(&user_id).await? else {
        return Err(Refusal::field("user_id", "there is no user of this id").into());
    };
    if let Some(id) = &terms.id
        && write.is_taken::<Key>(id).await?
    {
        return Err(Problem::conflict(format!("There is a key {id} already.")));
    }
    // Who makes keys for themselves cannot give them more than they have.
    if let Reach::User { .. } = view.reach() {
        owner.refuse_wider_scopes(&terms.scopes)?;
    }
    let credential = Credential::generate(terms.environment.as_deref());
    let digest = app.settings.digester.digest(&credential);
    let key = Key::issue(terms, &owner, digest, credential.hint(), now)?;
    obey(&mut write, &key, Some(&owner)).await?;
    let key = write.put(Action::Create, None, key).await?;
    retry.remember(&mut write, &key.id).await?;
    write.commit().await?;
    Ok(issued(&credential, key))
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
    Extension(view): Extension<View>,
    Id(id): Id,
) -> Result<Tagged<JudgedKey<KeyUsage>>, Problem> {
    let key = view.key_usage(&id).await?.ok_or_else(no_such_key)?;
    let verdicts = verdicts(&view, std::slice::from_ref(&key.key.key.digest)).await?;
    let verdict = verdicts.into_iter().next().unwrap_or(UNKNOWN);
    Ok(Tagged::at(key.key.key.version, JudgedKey { key, verdict }))
}

/// Changes what a key may do, or switches it off and on.
#[utoipa::path(
    patch, path = "/admin/v1/keys/{id}", tag = "keys", params(("id" = String, Path), StopQuery),
    request_body = KeyPatch,
    responses(
        (status = 200, body = Key),
        (status = 409, description = "The key is revoked; or it would be disabled, and is in use", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It breaks a rule of its tenant", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    Extension(view): Extension<View>,
    Id(id): Id,
    Query(stop): Query<StopQuery>,
    expected: IfMatch,
    Body(patch): Body<KeyPatch>,
) -> Result<Tagged<Key>, Problem> {
    let stops = matches!(patch.status, Patch::Set(status) if status != KeyStatus::Active);
    let urgency = Urgency::of_change(stops);
    let mut write = view.write_as(urgency, now()).await?;
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    expected.check(&before)?;
    let successor = match &before.replaced_by {
        Some(id) => write.by_id::<Key>(id).await?,
        None => None,
    };
    let after = before.patched(patch, successor.as_ref(), write.now())?;
    // What breaks the rules can still be stopped.
    if !before.is_only_stopped_by(&after) {
        let owner = owner_of(&mut write, &after).await?;
        obey(&mut write, &after, owner.as_ref()).await?;
    }
    if before.status == KeyStatus::Active && after.status != KeyStatus::Active && !stop.force {
        refuse_if_in_use(&mut write, Stopped::Key(&id)).await?;
    }
    let after = write.put(Action::Update, Some(&before), after).await?;
    write.commit().await?;
    Ok(Tagged::record(after))
}

/// Replaces a key by a new one with the same owner and fences. The answer is the new key, and
/// holds its credential, once.
#[utoipa::path(
    post, path = ROTATE, tag = "keys", params(("id" = String, Path)),
    request_body = Option<Rotation>,
    responses(
        (status = 201, body = IssuedKey),
        (status = 409, description = "The key is revoked, or replaced already", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It breaks a rule of its tenant", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Id(id): Id,
    expected: IfMatch,
    Once(OptionalBody(rotation), retry): Once<OptionalBody<Rotation>>,
) -> Result<Made<IssuedKey>, Problem> {
    let grace = rotation.grace.unwrap_or(DEFAULT_GRACE);
    let now = now();
    let mut write = view.write(now).await?;
    if let Some(id) = retry.made_before(&mut write).await? {
        return issued_before(&mut write, &id).await;
    }
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    expected.check(&before)?;
    let credential = Credential::generate(before.environment.as_deref());
    let digest = app.settings.digester.digest(&credential);
    let (old, new) = before.rotated(grace, digest, credential.hint(), now)?;
    let owner = owner_of(&mut write, &new).await?;
    obey(&mut write, &new, owner.as_ref()).await?;
    // The new one first: who follows the changes never sees a successor that is not there.
    let new = write.put(Action::Rotate, None, new).await?;
    write.put(Action::Rotate, Some(&before), old).await?;
    retry.remember(&mut write, &new.id).await?;
    write.commit().await?;
    Ok(issued(&credential, new))
}

/// Revokes a key, at once and for good. Revoking it again changes nothing.
#[utoipa::path(
    post, path = REVOKE, tag = "keys", params(("id" = String, Path)),
    request_body = Option<Revocation>,
    responses(
        (status = 200, body = Key),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(
    Extension(view): Extension<View>,
    Id(id): Id,
    expected: IfMatch,
    OptionalBody(Revocation { reason }): OptionalBody<Revocation>,
) -> Result<Tagged<Key>, Problem> {
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let before = write.by_id::<Key>(&id).await?.ok_or_else(no_such_key)?;
    expected.check(&before)?;
    Ok(revoked(write, &before, reason).await?)
}

/// Revokes the key that is sent, at once and for good: for who found it somewhere and does not know its id.
#[utoipa::path(
    post, path = "/admin/v1/keys/revoke", tag = "keys", request_body = Leaked,
    responses(
        (status = 200, body = Key),
        (status = 404, description = "Nobody knows this key", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke_sent(
    State(app): State<App>,
    Extension(view): Extension<View>,
    Body(Leaked { key, reason }): Body<Leaked>,
) -> Result<Tagged<Key>, Problem> {
    let digest = app.settings.digester.digest(&key);
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let unknown = || Problem::not_found("Nobody knows this key: there is nothing to revoke.");
    let before = write.key_by_digest(&digest).await?.ok_or_else(unknown)?;
    Ok(revoked(write, &before, reason).await?)
}

async fn revoked(
    mut write: Write,
    before: &Key,
    reason: Option<String>,
) -> Result<Tagged<Key>, StoreError> {
    let after = before.revoked(reason, write.now());
    let after = write.put(Action::Revoke, Some(before), after).await?;
    write.commit().await?;
    Ok(Tagged::record(after))
}

async fn owner_of(write: &mut Write, key: &Key) -> Result<Option<User>, StoreError> {
    match &key.user_id {
        Some(id) => write.by_id::<User>(id).await,
        None => Ok(None),
    }
}

fn issued(credential: &Credential, key: Key) -> Made<IssuedKey> {
    let secret = Some(credential.reveal().to_owned());
    Made {
        what: Tagged::at(key.version, IssuedKey { secret, key }),
        before: false,
    }
}

/// The key that an earlier request has made. Nobody can show it again.
async fn issued_before(write: &mut Write, id: &str) -> Result<Made<IssuedKey>, Problem> {
    let key = write.by_id::<Key>(id).await?.ok_or_else(no_such_key)?;
    Ok(Made {
        what: Tagged::at(key.version, IssuedKey { secret: None, key }),
        before: true,
    })
}

pub(super) fn no_such_key() -> Problem {
    Problem::not_found("There is no key of this id.")
}
