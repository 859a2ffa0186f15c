//! `/console/users`

use axum::response::Response;

use crate::console::error::Stop;
use crate::console::links;
use crate::console::list::{Asked, Format, ListPage, Listing};
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell, Field};
use crate::console::records::User;
use crate::console::visit::Staff;

static USERS: Listing = Listing {
    path: "/console/users",
    api: "users",
    parameters: &["search", "status", "tenant", "kind", "sort"],
    columns: &[
        ("User", Some("name")),
        ("Id", None),
        ("Kind", None),
        ("Login", None),
        ("Tenant", None),
        ("Status", None),
        ("Made", Some("created")),
    ],
    csv: &[
        ("id", "/id"),
        ("name", "/name"),
        ("display_name", "/display_name"),
        ("kind", "/kind"),
        ("login", "/login"),
        ("external_id", "/external_id"),
        ("tenant_id", "/tenant_id"),
        ("status", "/status"),
        ("scopes", "/scopes"),
        ("apis", "/apis"),
        ("contact", "/contact"),
        ("created_at", "/created_at"),
    ],
};

/// The list.
pub async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Users, "Users").after(asked.done());
    let list = USERS.show(&visit, page, &asked, filters(), row).await?;
    Ok(list
        .make("/console/users/new", "New user")
        .empty("No user is like this."))
}

/// The list as CSV.
pub async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    USERS.take(visit, &asked, Format::Csv).await
}

/// The list as JSON.
pub async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    USERS.take(visit, &asked, Format::Json).await
}

fn filters() -> Vec<Field> {
    vec![
        Field::line("search", "Search").help("A part of its id, names or login"),
        Field::choice(
            "status",
            "Status",
            &[
                ("", "any"),
                ("active", "active"),
                ("pending", "pending"),
                ("suspended", "suspended"),
                ("locked", "locked"),
                ("deactivated", "deactivated"),
                ("deleted", "deleted"),
            ],
        ),
        Field::line("tenant", "Tenant").help("Its id"),
        Field::choice(
            "kind",
            "Kind",
            &[("", "any"), ("person", "person"), ("system", "system")],
        ),
    ]
}

fn row(user: &User) -> Vec<Cell> {
    let name = user.name.as_ref().or(user.display_name.as_ref());
    vec![
        Cell::Link {
            href: links::user(&user.id),
            text: name.unwrap_or(&user.id).clone(),
        },
        Cell::Code(user.id.clone()),
        Cell::Text(user.kind.clone()),
        Cell::text_or(user.login.as_deref(), "none"),
        Cell::record(user.tenant_id.as_deref(), links::tenant),
        Cell::Badge(Badge::status(&user.status)),
        Cell::time_or(Some(user.created_at), ""),
    ]
}
