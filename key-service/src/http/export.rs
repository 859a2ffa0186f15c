//! `GET /admin/v1/export`: what is there, as `apply` reads it. Never a key in clear; its digest, so that it can be made
//! elsewhere.

use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value};

use super::body::Query;
use super::page::{List, PageQuery};
use super::problem::Problem;
use crate::domain::entry::Exported;
use crate::domain::input::input;
use crate::domain::input::rules::object;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::text::ID;
use crate::store::View;
use crate::store::page::{KeyFilter, Page, TenantFilter, UserFilter};

/// The path, which is for administrators alone.
pub const PATH: &str = "/admin/v1/export";

input! {
    /// What to export.
    ExportQuery {
        /// Of which kind.
        kind: Exported = required(Exported::RULE),
        /// Only that of this tenant.
        tenant: Option<String> = optional(ID),
        /// Which part of them.
        page: PageQuery = inline(object::<PageQuery>()),
    }
}

/// Fields that are not a file's to say: they follow from others, or from the moment.
const FOLLOWING: [&str; 8] = [
    "version",
    "created_at",
    "updated_at",
    "revoked_at",
    "replaced_by",
    "replaced_at",
    "status_held",
    "login_key",
];
/// Fields that a new record has without being told.
const DEFAULTS: [(&str, &str); 3] = [("status", "active"), ("kind", "person"), ("owners", "any")];
/// Lists that are empty where they are not given; of all others an empty one means nothing is allowed.
const EMPTY: [&str; 2] = ["require", "forbid_scopes"];

/// Lists tenants, users or keys as `apply` reads them, oldest first: what a new record has without being told is left
/// out.
#[utoipa::path(
    get, path = PATH, tag = "export", params(ExportQuery),
    responses(
        (status = 200, body = List<Value>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn export(
    Extension(view): Extension<View>,
    Query(query): Query<ExportQuery>,
) -> Result<Json<List<Value>>, Problem> {
    let request = query.page.into();
    let tenant = query.tenant;
    let page = match query.kind {
        Exported::Tenants => {
            let filter = TenantFilter {
                id: tenant,
                ..TenantFilter::default()
            };
            let page = view.page(&filter, request).await?;
            let ids: Vec<&str> = page.items.iter().map(|tenant| tenant.id.as_str()).collect();
            let mut rules = view.key_rules_of(&ids).await?;
            let entry = |tenant: Tenant| {
                let mut entry = entry(&tenant)?;
                let rules = rules.remove(&tenant.id).map(|rules| self::entry(&rules));
                if let Some(rules) = rules.transpose()?.filter(|rules| !rules.is_empty()) {
                    entry.insert("key_rules".to_owned(), rules.into());
                }
                Ok(entry)
            };
            mapped(page, entry)?
        }
        Exported::Users => {
            let filter = UserFilter {
                tenant,
                ..UserFilter::default()
            };
            mapped(view.page(&filter, request).await?, |user| entry(&user))?
        }
        Exported::Keys => {
            let filter = KeyFilter {
                tenant,
                ..KeyFilter::default()
            };
            mapped(view.page(&filter, request).await?, |used| key(&used.key))?
        }
    };
    Ok(Json(page.into()))
}

fn mapped<T>(
    page: Page<T>,
    entry: impl FnMut(T) -> Result<Map<String, Value>, serde_json::Error>,
) -> Result<Page<Value>, serde_json::Error> {
    let items = page.items.into_iter().map(entry);
    let items = items.map(|entry| entry.map(Value::Object));
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next: page.next,
    })
}

fn key(key: &Key) -> Result<Map<String, Value>, serde_json::Error> {
    let mut entry = entry(key)?;
    entry.insert("digest".to_owned(), key.digest.as_str().into());
    if key.scopes.is_empty() {
        entry.remove("scopes");
    }
    Ok(entry)
}

fn entry(record: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    let Value::Object(mut entry) = serde_json::to_value(record)? else {
        return Ok(Map::new());
    };
    entry.retain(|name, value| {
        let is_default = DEFAULTS.contains(&(name.as_str(), value.as_str().unwrap_or_default()));
        let is_empty =
            EMPTY.contains(&name.as_str()) && value.as_array().is_some_and(Vec::is_empty);
        !(value.is_null() || is_default || is_empty || FOLLOWING.contains(&name.as_str()))
    });
    Ok(entry)
}
