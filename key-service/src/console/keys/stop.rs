//! Stopping a key for a while or for good, and letting it work again.

use axum::http::Method;
use axum::response::Response;
use serde_json::json;

use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{Body, Sent};
use crate::console::links;
use crate::console::page::Section;
use crate::console::parts::Field;
use crate::console::record::Id;
use crate::console::records::Key;
use crate::console::stop::{Stopping, at_once};
use crate::console::visit::Staff;

fn disabling(id: &str) -> Stopping {
    let back = links::key(id);
    Stopping {
        section: Section::Keys,
        title: format!("Disable the key {id}"),
        consequence: "Gateways refuse every request with this key at once, until somebody enables it again.",
        action: format!("{back}/disable"),
        back,
        submit: "Disable the key",
        method: Method::PATCH,
        api: of("keys", id),
        asks: true,
        fields: Vec::new(),
        done: "disabled",
    }
}

fn revoking(id: &str) -> Stopping {
    let back = links::key(id);
    let reason = Field::line("reason", "Reason");
    Stopping {
        section: Section::Keys,
        title: format!("Revoke the key {id}"),
        consequence: "Gateways refuse every request with this key at once and for good. Nobody can take that back: the \
                      client needs a new key. It is done also where the key is in use.",
        action: format!("{back}/revoke"),
        back,
        submit: "Revoke the key for good",
        method: Method::POST,
        api: format!("{}/revoke", of("keys", id)),
        asks: false,
        fields: vec![reason.help("For the audit log, and whoever asks later")],
        done: "revoked",
    }
}

/// The form that disables a key.
pub async fn disable_form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let key: Key = visit.api.get(&of("keys", &id)).await?;
    disabling(&key.id).form(&visit).show()
}

/// Disables it.
pub async fn disable(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = json!({"status": "disabled"});
    disabling(&id).send(&visit, &sent, Some(body)).await
}

/// Enables it again.
pub async fn enable(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = json!({"status": "active"});
    let done = (links::key(&id), "enabled");
    at_once(&visit, &sent, &of("keys", &id), body, done).await
}

/// The form that revokes a key.
pub async fn revoke_form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let key: Key = visit.api.get(&of("keys", &id)).await?;
    revoking(&key.id).form(&visit).show()
}

/// Revokes it.
pub async fn revoke(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = Body::default().with_some("reason", sent.text("reason"));
    revoking(&id).send(&visit, &sent, Some(body.json())).await
}
