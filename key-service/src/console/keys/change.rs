//! `/console/keys/{id}/change`: what a key is called, and what narrows it.

use axum::response::Response;
use serde_json::Value;

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{FormPage, Sent};
use crate::console::key_rules::of_tenant;
use crate::console::page::Section;
use crate::console::record::Id;
use crate::console::typed::{self, Item, Kind};
use crate::console::visit::{Staff, Visit};
use crate::console::{links, see};

/// What may be said of a key at any time.
pub const FENCES: [Item; 9] = [
    Item {
        name: "name",
        label: "Name",
        help: "What people call it",
        kind: Kind::Line,
    },
    Item {
        name: "purpose",
        label: "Purpose",
        help: "What it is for",
        kind: Kind::Line,
    },
    Item {
        name: "contact",
        label: "Contact",
        help: "Whom to ask about it, such as an e-mail address",
        kind: Kind::Line,
    },
    Item {
        name: "scopes",
        label: "Scopes",
        help: "What it may do, such as orders:read, one a line; empty is nothing",
        kind: Kind::Words,
    },
    Item {
        name: "networks",
        label: "Networks",
        help: "Where it may be used from, such as 10.0.0.0/8, one a line; empty is anywhere",
        kind: Kind::Narrowing("networks_none", "From nowhere: no network at all"),
    },
    Item {
        name: "hours",
        label: "Hours",
        help: "When it may be used, in UTC, such as mon-fri 08:00-18:00; empty is always",
        kind: Kind::Hours,
    },
    Item {
        name: "not_before",
        label: "Not before",
        help: "Such as 2027-01-31, 2027-01-31T08:00:00Z, or 7d from now; empty is at once",
        kind: Kind::Begin,
    },
    Item {
        name: "expires_at",
        label: "Expires",
        help: "Such as 2027-01-31 (the end of that day, UTC), 2027-01-31T08:00:00Z, or 90d from now; empty is never",
        kind: Kind::End,
    },
    Item {
        name: "rotate_every",
        label: "Rotate every",
        help: "After how long the review asks for a rotation, such as 90d; empty is never",
        kind: Kind::Line,
    },
];

/// The form.
pub async fn form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let key: Value = visit.api.get(&of("keys", &id)).await?;
    let version = key["version"].to_string();
    page(&visit, &id, &key, version).await.show()
}

async fn page(visit: &Visit, id: &str, key: &Value, version: String) -> FormPage {
    let title = format!("Change the key {id}");
    let mut form = FormPage {
        intro: vec!["Gateways obey the change within milliseconds.".to_owned()],
        fields: FENCES.iter().flat_map(|item| item.fields(key)).collect(),
        hidden: vec![("version", version)],
        back: links::key(id),
        ..FormPage::new(
            visit.page(Section::Keys, title),
            format!("{}/change", links::key(id)),
            "Change the key",
        )
    };
    form.intro
        .extend(of_tenant(visit, key["tenant_id"].as_str()).await);
    form
}

/// Changes it.
pub async fn send(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let path = of("keys", &id);
    let key: Value = visit.api.get(&path).await?;
    let version = sent.text("version").unwrap_or_default().to_owned();
    let shown = (&key, version.as_str());
    match typed::change(&visit.api, &path, &FENCES, &sent, shown).await {
        Ok(_) => Ok(see(&format!("{}?done=changed", links::key(&id)))),
        Err(problem) => page(&visit, &id, &key, version)
            .await
            .refused(problem, &sent),
    }
}
