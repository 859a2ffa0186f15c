//! `/console/keys`

use axum::response::Response;

use crate::console::error::Stop;
use crate::console::links;
use crate::console::list::{Asked, Format, ListPage, Listing};
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell, Field};
use crate::console::records::Key;
use crate::console::visit::Staff;

static KEYS: Listing = Listing {
    path: "/console/keys",
    api: "keys",
    parameters: &[
        "search",
        "status",
        "tenant",
        "user",
        "kind",
        "owner",
        "expires_within",
        "never_used",
        "unused_for",
        "sort",
    ],
    columns: &[
        ("Key", Some("name")),
        ("Hint", None),
        ("User", None),
        ("Tenant", None),
        ("Works?", None),
        ("Status", None),
        ("Last used", Some("last_used")),
        ("Expires", Some("expires")),
        ("Made", Some("created")),
    ],
    csv: &[
        ("id", "/id"),
        ("name", "/name"),
        ("hint", "/hint"),
        ("user_id", "/user_id"),
        ("tenant_id", "/tenant_id"),
        ("environment", "/environment"),
        ("verdict", "/verdict"),
        ("status", "/status"),
        ("scopes", "/scopes"),
        ("purpose", "/purpose"),
        ("contact", "/contact"),
        ("last_used_at", "/last_used_at"),
        ("not_before", "/not_before"),
        ("expires_at", "/expires_at"),
        ("created_at", "/created_at"),
    ],
};

/// The list.
pub async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Keys, "Keys").after(asked.done());
    let list = KEYS.show(&visit, page, &asked, filters(), row).await?;
    Ok(list
        .make("/console/keys/new", "New key")
        .empty("No key is like this."))
}

/// The list as CSV.
pub async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    KEYS.take(visit, &asked, Format::Csv).await
}

/// The list as JSON.
pub async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    KEYS.take(visit, &asked, Format::Json).await
}

fn filters() -> Vec<Field> {
    vec![
        Field::line("search", "Search").help("A part of its id, hint, name or user"),
        Field::choice(
            "status",
            "Status",
            &[
                ("", "any"),
                ("active", "active"),
                ("disabled", "disabled"),
                ("revoked", "revoked"),
            ],
        ),
        Field::line("tenant", "Tenant").help("Its id"),
        Field::line("user", "User").help("Its id"),
        Field::choice(
            "kind",
            "Kind of user",
            &[("", "any"), ("person", "person"), ("system", "system")],
        ),
        Field::choice(
            "owner",
            "Its user is",
            &[
                ("", "anything"),
                ("missing", "missing"),
                ("inactive", "not active"),
            ],
        ),
        Field::line("expires_within", "Expires within").help("Such as 30d"),
        Field::line("unused_for", "Unused for").help("Such as 90d"),
        Field::switch("never_used", "Never used"),
    ]
}

/// What stands above the cells of a key.
pub(super) fn labels() -> impl Iterator<Item = &'static str> {
    KEYS.columns.iter().map(|(label, _)| *label)
}

/// The cells of a key.
pub(super) fn row(key: &Key) -> Vec<Cell> {
    let never = match key.usage_reported {
        true => "never",
        false => "not known",
    };
    vec![
        Cell::Link {
            href: links::key(&key.id),
            text: key.name.clone().unwrap_or_else(|| key.id.clone()),
        },
        match &key.hint {
            Some(hint) => Cell::Code(hint.clone()),
            None => Cell::None("none"),
        },
        Cell::record(key.user_id.as_deref(), links::user),
        Cell::record(key.tenant_id.as_deref(), links::tenant),
        Cell::Badge(Badge::verdict(&key.verdict)),
        Cell::Badge(Badge::status(&key.status)),
        Cell::time_or(key.last_used_at, never),
        Cell::time_or(key.expires_at, "never"),
        Cell::time_or(Some(key.created_at), ""),
    ]
}
