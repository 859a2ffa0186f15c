//! `/console/review`: every key that asks for a look.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::error::Stop;
use super::links;
use super::list::{Asked, Format, ListPage, Listing};
use super::page::Section;
use super::parts::{Badge, Cell, Field};
use super::visit::{Console, Staff};

static REVIEW: Listing = Listing {
    path: "/console/review",
    api: "review",
    parameters: &["reason", "tenant", "dormant_after", "expires_within"],
    columns: &[
        ("Key", None),
        ("Reasons", None),
        ("User", None),
        ("Tenant", None),
        ("Last used", None),
        ("Expires", None),
    ],
    csv: &[
        ("key_id", "/key_id"),
        ("name", "/name"),
        ("user_id", "/user_id"),
        ("tenant_id", "/tenant_id"),
        ("reasons", "/reasons"),
        ("last_used_at", "/last_used_at"),
        ("expires_at", "/expires_at"),
    ],
};

/// Why keys ask for a look.
const REASONS: [(&str, &str); 11] = [
    ("", "any"),
    ("orphaned", "orphaned: its user does not exist"),
    ("owner_inactive", "owner_inactive: its user is not active"),
    ("dormant", "dormant: not used for long"),
    ("never_used", "never_used: made long ago, never used"),
    ("no_expiry", "no_expiry: it never expires"),
    ("expires_soon", "expires_soon: the client needs another"),
    (
        "rotation_due",
        "rotation_due: it is older than it should be",
    ),
    (
        "breaks_rules",
        "breaks_rules: against the tenant's key rules",
    ),
    ("everything_allowed", "everything_allowed: its scope is *"),
    (
        "person_owned",
        "person_owned: a person's, used like a system's",
    ),
];

/// A key that asks for a look.
#[derive(Deserialize)]
struct Item {
    key_id: String,
    user_id: Option<String>,
    tenant_id: Option<String>,
    name: Option<String>,
    reasons: Vec<String>,
    last_used_at: Option<i64>,
    usage_reported: bool,
    expires_at: Option<i64>,
}

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/review", get(show))
        .route("/console/review.csv", get(csv))
        .route("/console/review.json", get(json))
}

async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Review, "Review");
    let filters = vec![
        Field::choice("reason", "Reason", &REASONS),
        Field::line("tenant", "Tenant").help("Its id"),
        Field::line("dormant_after", "Dormant after").help("Such as 30d; 90d where it is empty"),
        Field::line("expires_within", "Expires within").help("Such as 7d; 30d where it is empty"),
    ];
    let list = REVIEW.show(&visit, page, &asked, filters, row).await?;
    Ok(list
        .intro("Keys that ask for a look. A key that is revoked or has expired has no reason.")
        .empty("No key asks for a look."))
}

async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    REVIEW.take(visit, &asked, Format::Csv).await
}

async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    REVIEW.take(visit, &asked, Format::Json).await
}

fn row(item: &Item) -> Vec<Cell> {
    let never = match item.usage_reported {
        true => "never",
        false => "not known",
    };
    let reasons = item.reasons.iter().cloned();
    vec![
        Cell::Link {
            href: links::key(&item.key_id),
            text: item.name.clone().unwrap_or_else(|| item.key_id.clone()),
        },
        Cell::Several(reasons.map(Badge::warning).map(Cell::Badge).collect()),
        Cell::record(item.user_id.as_deref(), links::user),
        Cell::record(item.tenant_id.as_deref(), links::tenant),
        Cell::time_or(item.last_used_at, never),
        Cell::time_or(item.expires_at, "never"),
    ]
}
