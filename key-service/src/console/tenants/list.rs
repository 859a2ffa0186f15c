//! `/console/tenants`

use axum::response::Response;

use crate::console::error::Stop;
use crate::console::links;
use crate::console::list::{Asked, Format, ListPage, Listing};
use crate::console::page::Section;
use crate::console::parts::{Badge, Cell, Field};
use crate::console::records::Tenant;
use crate::console::visit::Staff;

static TENANTS: Listing = Listing {
    path: "/console/tenants",
    api: "tenants",
    parameters: &["search", "status", "sort"],
    columns: &[
        ("Tenant", Some("name")),
        ("Id", None),
        ("Status", None),
        ("Made", Some("created")),
    ],
    csv: &[
        ("id", "/id"),
        ("name", "/name"),
        ("status", "/status"),
        ("created_at", "/created_at"),
    ],
};

/// The list.
pub async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Tenants, "Tenants").after(asked.done());
    let list = TENANTS.show(&visit, page, &asked, filters(), row).await?;
    Ok(list
        .make("/console/tenants/new", "New tenant")
        .empty("No tenant is like this."))
}

/// The list as CSV.
pub async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    TENANTS.take(visit, &asked, Format::Csv).await
}

/// The list as JSON.
pub async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    TENANTS.take(visit, &asked, Format::Json).await
}

fn filters() -> Vec<Field> {
    vec![
        Field::line("search", "Search").help("A part of its id or name"),
        Field::choice(
            "status",
            "Status",
            &[
                ("", "any"),
                ("active", "active"),
                ("suspended", "suspended"),
            ],
        ),
    ]
}

fn row(tenant: &Tenant) -> Vec<Cell> {
    vec![
        Cell::Link {
            href: links::tenant(&tenant.id),
            text: tenant.name.as_ref().unwrap_or(&tenant.id).clone(),
        },
        Cell::Code(tenant.id.clone()),
        Cell::Badge(Badge::status(&tenant.status)),
        Cell::time_or(Some(tenant.created_at), ""),
    ]
}
