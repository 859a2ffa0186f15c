//! `/admin/v1/tokens`: bearer tokens of those who call this service.

use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Body, Id, Query};
use super::once::Once;
use super::page::{List, PageQuery};
use super::problem::Problem;
use super::version::{Made, Tag, Tagged};
use crate::domain::input::input;
use crate::domain::input::rules::object;
use crate::domain::text::{ID, SEARCH};
use crate::domain::time::now;
use crate::domain::token::{Role, Token, TokenDraft, TokenEntry};
use crate::store::tokens::TokenFilter;
use crate::store::{Urgency, View};

/// Where tokens are listed and made.
pub const PATH: &str = "/admin/v1/tokens";

input! {
    /// Which tokens to list.
    TokensQuery {
        /// Only those of this role.
        role: Option<Role> = optional(Role::RULE),
        /// Only those whose name holds this text, in any case of its letters.
        search: Option<String> = optional(SEARCH),
        /// Only those of this tenant, or of its users.
        tenant: Option<String> = optional(ID),
        /// Only those of this user.
        user: Option<String> = optional(ID),
        /// Which part of them.
        page: PageQuery = inline(object::<PageQuery>()),
    }
}

/// A new token. This answer alone holds its text.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// The token in clear. It is not stored: nobody can show it again. Null where an earlier request with the same
    /// `Idempotency-Key` made it: where that one's answer is lost, revoke it and make another.
    #[schema(example = "kbt_viewer_…")]
    token: Option<String>,
    #[serde(flatten)]
    entry: TokenEntry,
}

/// Lists tokens, revoked ones too, oldest first, never their texts.
#[utoipa::path(
    get, path = PATH, tag = "tokens", params(TokensQuery),
    responses(
        (status = 200, body = List<TokenEntry>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    Extension(view): Extension<View>,
    Query(query): Query<TokensQuery>,
) -> Result<Json<List<TokenEntry>>, Problem> {
    let filter = TokenFilter {
        role: query.role,
        search: query.search,
        tenant: query.tenant,
        user: query.user,
    };
    let page = view.page(&filter, query.page.into()).await?;
    Ok(Json(page.into()))
}

/// Makes a token, which reaches no further than the one that asks. The answer holds it, once.
#[utoipa::path(
    post, path = PATH, tag = "tokens", request_body = TokenDraft,
    responses(
        (status = 201, body = MadeToken),
        (status = 409, description = "The name is or was taken", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    Extension(view): Extension<View>,
    Once(Body(draft), retry): Once<Body<TokenDraft>>,
) -> Result<Made<MadeToken>, Problem> {
    let (name, grant) = draft.split(now());
    let mut write = view.write(now()).await?;
    if let Some(name) = retry.made_before(&mut write).await? {
        let entry = write.token(&name).await?.ok_or_else(no_such_token)?;
        return made(None, entry);
    }
    let (token, entry) = write.make_token(&name, grant).await??;
    retry.remember(&mut write, &name).await?;
    write.commit().await?;
    made(Some(&token), entry)
}

/// Revokes a token, at once and for good, also the very one that asks. Revoking it again changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/tokens/{name}/revoke", tag = "tokens", params(("name" = String, Path)),
    responses(
        (status = 200, body = TokenEntry),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(
    Extension(view): Extension<View>,
    Id(name): Id,
) -> Result<Tagged<TokenEntry>, Problem> {
    let mut write = view.write_as(Urgency::Stop, now()).await?;
    let mut entry = write.token(&name).await?.ok_or_else(no_such_token)?;
    if entry.revoked_at.is_none() {
        entry = write.revoke_token(&entry).await?;
        write.commit().await?;
    }
    Ok(Tagged::new(Tag::of_content(&entry)?, entry))
}

fn made(token: Option<&Token>, entry: TokenEntry) -> Result<Made<MadeToken>, Problem> {
    let tag = Tag::of_content(&entry)?;
    let before = token.is_none();
    let token = token.map(|token| token.reveal().to_owned());
    let what = Tagged::new(tag, MadeToken { token, entry });
    Ok(Made { what, before })
}

fn no_such_token() -> Problem {
    Problem::not_found("There is no token of this name.")
}
