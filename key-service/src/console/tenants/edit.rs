//! Making a tenant, renaming, suspending and reactivating one.

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{FormPage, Sent};
use crate::console::page::Section;
use crate::console::record::Id;
use crate::console::records::Tenant;
use crate::console::stop::{Stopping, at_once};
use crate::console::typed::{self, Item, Kind};
use crate::console::visit::{Staff, Visit};
use crate::console::{links, see};

const ID: Item = Item {
    name: "id",
    label: "Id",
    help: "Left empty, one is made. It may be shown and logged",
    kind: Kind::Line,
};

const NAME: Item = Item {
    name: "name",
    label: "Name",
    help: "What people call it",
    kind: Kind::Line,
};

/// The form that makes a tenant.
pub async fn new_form(Staff(visit): Staff) -> Result<Response, Stop> {
    new_page(&visit).show()
}

fn new_page(visit: &Visit) -> FormPage {
    let fields = [ID, NAME]
        .iter()
        .flat_map(|item| item.fields(&Value::Null))
        .collect();
    FormPage {
        fields,
        back: "/console/tenants".to_owned(),
        ..FormPage::new(
            visit.page(Section::Tenants, "New tenant"),
            "/console/tenants/new",
            "Make the tenant",
        )
    }
}

/// Makes it.
pub async fn make(Staff(visit): Staff, sent: Sent) -> Result<Response, Stop> {
    match typed::make(&visit.api, "tenants", &[ID, NAME], &sent).await {
        Ok(tenant) => {
            let id = tenant["id"].as_str().unwrap_or_default();
            Ok(see(&format!("{}?done=created", links::tenant(id))))
        }
        Err(problem) => new_page(&visit).refused(problem, &sent),
    }
}

/// The form that renames a tenant.
pub async fn form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let tenant: Value = visit.api.get(&of("tenants", &id)).await?;
    let version = tenant["version"].to_string();
    page(&visit, &id, &tenant, version).show()
}

fn page(visit: &Visit, id: &str, tenant: &Value, version: String) -> FormPage {
    FormPage {
        intro: vec!["The id stays as it is.".to_owned()],
        fields: NAME.fields(tenant),
        hidden: vec![("version", version)],
        back: links::tenant(id),
        ..FormPage::new(
            visit.page(Section::Tenants, format!("Rename the tenant {id}")),
            format!("{}/change", links::tenant(id)),
            "Rename the tenant",
        )
    }
}

/// Renames it.
pub async fn change(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let path = of("tenants", &id);
    let tenant: Value = visit.api.get(&path).await?;
    let version = sent.text("version").unwrap_or_default().to_owned();
    let shown = (&tenant, version.as_str());
    match typed::change(&visit.api, &path, &[NAME], &sent, shown).await {
        Ok(_) => Ok(see(&format!("{}?done=changed", links::tenant(&id)))),
        Err(problem) => page(&visit, &id, &tenant, version).refused(problem, &sent),
    }
}

fn suspending(id: &str) -> Stopping {
    let back = links::tenant(id);
    Stopping {
        section: Section::Tenants,
        title: format!("Suspend the tenant {id}"),
        consequence: "Gateways refuse all keys of this tenant at once, until somebody reactivates it.",
        action: format!("{back}/suspend"),
        back,
        submit: "Suspend the tenant",
        method: Method::PATCH,
        api: of("tenants", id),
        asks: true,
        fields: Vec::new(),
        done: "suspended",
    }
}

/// The form that suspends a tenant.
pub async fn suspend_form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let tenant: Tenant = visit.api.get(&of("tenants", &id)).await?;
    suspending(&tenant.id).form(&visit).show()
}

/// Suspends it.
pub async fn suspend(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = json!({"status": "suspended"});
    suspending(&id).send(&visit, &sent, Some(body)).await
}

/// Lets its keys work again.
pub async fn reactivate(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = json!({"status": "active"});
    let done = (links::tenant(&id), "reactivated");
    at_once(&visit, &sent, &of("tenants", &id), body, done).await
}
