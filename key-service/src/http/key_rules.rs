//! `/admin/v1/tenants/{id}/key-rules`, and the one place where a key is held to them.

use axum::Extension;

use super::body::{Body, Id};
use super::problem::Problem;
use super::version::{IfMatch, Tag, Tagged};
use crate::domain::key::Key;
use crate::domain::key_rules::KeyRules;
use crate::domain::tenant::Tenant;
use crate::domain::time::now;
use crate::domain::user::User;
use crate::store::{View, Write};

/// Refuses a key that breaks the rules of its tenant.
pub async fn obey(write: &mut Write, key: &Key, owner: Option<&User>) -> Result<(), Problem> {
    let Some(tenant) = &key.tenant_id else {
        return Ok(());
    };
    match write.key_rules(tenant).await? {
        Some(rules) => Ok(rules.checks().check(key, owner)?),
        None => Ok(()),
    }
}

/// Shows what the keys of a tenant must have.
#[utoipa::path(
    get, path = "/admin/v1/tenants/{id}/key-rules", tag = "key_rules", params(("id" = String, Path)),
    responses(
        (status = 200, body = KeyRules),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show(
    Extension(view): Extension<View>,
    Id(id): Id,
) -> Result<Tagged<KeyRules>, Problem> {
    let rules = view.key_rules(&id).await?.ok_or_else(no_such_tenant)?;
    tagged(rules.unwrap_or_default())
}

/// Says what the keys of a tenant must have, in the place of what was said before. Keys that are there stay as they
/// are; `/admin/v1/review` names those that break the rules.
#[utoipa::path(
    put, path = "/admin/v1/tenants/{id}/key-rules", tag = "key_rules", params(("id" = String, Path)),
    request_body = KeyRules,
    responses(
        (status = 200, body = KeyRules),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn put(
    Extension(view): Extension<View>,
    Id(id): Id,
    expected: IfMatch,
    Body(rules): Body<KeyRules>,
) -> Result<Tagged<KeyRules>, Problem> {
    set(&view, &id, &expected, Some(&rules)).await?;
    tagged(rules)
}

/// Takes the rules of a tenant away.
#[utoipa::path(
    delete, path = "/admin/v1/tenants/{id}/key-rules", tag = "key_rules", params(("id" = String, Path)),
    responses(
        (status = 200, body = KeyRules),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    Extension(view): Extension<View>,
    Id(id): Id,
    expected: IfMatch,
) -> Result<Tagged<KeyRules>, Problem> {
    set(&view, &id, &expected, None).await?;
    tagged(KeyRules::default())
}

/// Rules have no version: they are told apart by what they are.
fn tagged(rules: KeyRules) -> Result<Tagged<KeyRules>, Problem> {
    Ok(Tagged::new(Tag::of_content(&rules)?, rules))
}

async fn set(
    view: &View,
    id: &str,
    expected: &IfMatch,
    rules: Option<&KeyRules>,
) -> Result<(), Problem> {
    let mut write = view.write(now()).await?;
    let tenant = write.by_id::<Tenant>(id).await?;
    tenant.ok_or_else(no_such_tenant)?;
    let before = write.key_rules(id).await?.unwrap_or_default();
    let remedy = "The rules were changed meanwhile, and nothing was written. Read them again, and send what you still \
                  want with the etag that comes with them.";
    expected.check_tag(&Tag::of_content(&before)?, remedy)?;
    write.put_key_rules(id, rules).await?;
    Ok(write.commit().await?)
}

fn no_such_tenant() -> Problem {
    Problem::not_found("There is no tenant of this id.")
}
