//! Own keys: made and rotated, with the new one shown once, and revoked.

use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::overview::sentences;
use super::{Developer, PATH, key};
use crate::console::api::{Condition, of};
use crate::console::error::Stop;
use crate::console::form::{Body, FormPage, Sent};
use crate::console::keys::{ENVIRONMENT, FENCES, fences};
use crate::console::links::encoded;
use crate::console::parts::{Badge, Cell, Field};
use crate::console::record::{Deed, Id, Piece, RecordPage, usage};
use crate::console::records::{Key, User};
use crate::console::see;
use crate::console::shown_once::{ShownOnce, once};
use crate::console::typed::{Item, changed};

/// An own key.
pub async fn show(developer: Developer, Id(id): Id) -> Result<RecordPage, Stop> {
    let path = of("keys", &id);
    let found: Key = developer.visit.api.get(&path).await?;
    let title = format!("Key {}", found.name.as_ref().unwrap_or(&found.id));
    let badges = vec![Badge::status(&found.status), Badge::verdict(&found.verdict)];
    let mut page = RecordPage::new(developer.page(title), badges);
    page.can(Deed::page(
        format!("/console/why?key_id={}", encoded(&id)),
        "Why?",
    ));
    if found.status != "revoked" {
        if found.replaced_by.is_none() {
            page.can(Deed::page(format!("{}/rotate", key(&id)), "Rotate"));
        }
        page.can(Deed::stop(format!("{}/revoke", key(&id)), "Revoke"));
    }
    page.tell("facts", "The key", vec![Piece::Facts(facts(&found))]);
    page.tell("fences", "Fences", vec![Piece::Facts(fences(&found))]);
    let used = usage(&developer.visit, &format!("{path}/usage")).await?;
    page.tell("used", "Use", used);
    Ok(page)
}

fn facts(found: &Key) -> Vec<(&'static str, Cell)> {
    let text = |text: &Option<String>| Cell::text_or(text.as_deref(), "none");
    let mut facts = vec![
        ("Id", Cell::Code(found.id.clone())),
        ("Name", text(&found.name)),
        (
            "Hint",
            found.hint.clone().map_or(Cell::None("none"), Cell::Code),
        ),
        ("Purpose", text(&found.purpose)),
        ("Contact", text(&found.contact)),
        ("Made", Cell::time_or(Some(found.created_at), "")),
    ];
    if let Some(new) = &found.replaced_by {
        facts.push(("Replaced by", Cell::record(Some(new), key)));
    }
    if found.revoked_at.is_some() {
        facts.push(("Revoked", Cell::time_or(found.revoked_at, "")));
        facts.push(("Reason", text(&found.revoked_reason)));
    }
    facts
}

fn items() -> impl Iterator<Item = Item> {
    FENCES.into_iter().chain([ENVIRONMENT])
}

/// The form of a new key.
pub async fn make_form(developer: Developer) -> Result<Response, Stop> {
    making(&developer).await?.show()
}

async fn making(developer: &Developer) -> Result<FormPage, Stop> {
    let user: User = developer
        .visit
        .api
        .get(&of("users", &developer.user))
        .await?;
    let mut intro = vec!["The key is shown once, on the next page.".to_owned()];
    intro.extend(sentences(&developer.visit, &user).await);
    Ok(FormPage {
        intro,
        fields: items().flat_map(|item| item.fields(&Value::Null)).collect(),
        hidden: vec![("once", once())],
        back: PATH.to_owned(),
        ..FormPage::new(
            developer.page("New key"),
            format!("{PATH}/keys/new"),
            "Make the key",
        )
    })
}

/// Makes a key.
pub async fn make(developer: Developer, sent: Sent) -> Result<Response, Stop> {
    let items: Vec<Item> = items().collect();
    let made = match changed(&items, &sent, &Value::Null) {
        Ok(mut body) => {
            body.insert("user_id".to_owned(), developer.user.clone().into());
            let condition = sent.text("once").map(Condition::Once);
            let api = &developer.visit.api;
            api.send_if(condition, Method::POST, "keys", Some(body.into()))
                .await
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => Ok(shown(&developer, "The key is made", &made)),
        Err(problem) => making(&developer).await?.refused(problem, &sent),
    }
}

/// The new key, which this answer alone holds.
fn shown(developer: &Developer, title: &str, made: &Value) -> Response {
    let id = made["id"].as_str().unwrap_or_default();
    ShownOnce::key(developer.page(title), made, key(id)).into_response()
}

/// The form of a rotation.
pub async fn rotate_form(developer: Developer, Id(id): Id) -> Result<Response, Stop> {
    let found: Key = developer.visit.api.get(&of("keys", &id)).await?;
    rotating(&developer, &found.id).show()
}

fn rotating(developer: &Developer, id: &str) -> FormPage {
    let grace = Field::line("grace", "Grace").holding("24h");
    FormPage {
        intro: vec![
            "A new key with the same fences takes the place of this one. It is shown once, on the next page.".to_owned(),
            "This key works on for the grace, and is refused from then on.".to_owned(),
        ],
        fields: vec![grace.help("How long both keys work, such as 24h, 7d or 0s")],
        back: PATH.to_owned(),
        ..FormPage::new(
            developer.page(format!("Rotate the key {id}")),
            format!("{}/rotate", key(id)),
            "Rotate the key",
        )
    }
}

/// Rotates a key.
pub async fn rotate(developer: Developer, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = Body::default().with_some("grace", sent.text("grace"));
    let path = format!("{}/rotate", of("keys", &id));
    let api = &developer.visit.api;
    match api.send(Method::POST, &path, Some(body.json())).await {
        Ok(made) => Ok(shown(&developer, "The key is rotated", &made)),
        Err(problem) => rotating(&developer, &id).refused(problem, &sent),
    }
}

/// The form that revokes.
pub async fn revoke_form(developer: Developer, Id(id): Id) -> Result<Response, Stop> {
    let found: Key = developer.visit.api.get(&of("keys", &id)).await?;
    revoking(&developer, &found.id).show()
}

fn revoking(developer: &Developer, id: &str) -> FormPage {
    FormPage {
        intro: vec![
            "Every request with this key is refused from now on, at once and for good.".to_owned(),
        ],
        fields: vec![Field::line("reason", "Reason").help("For whoever asks later")],
        stops: true,
        back: PATH.to_owned(),
        ..FormPage::new(
            developer.page(format!("Revoke the key {id}")),
            format!("{}/revoke", key(id)),
            "Revoke the key",
        )
    }
}

/// Revokes a key.
pub async fn revoke(developer: Developer, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let body = Body::default().with_some("reason", sent.text("reason"));
    let path = format!("{}/revoke", of("keys", &id));
    let api = &developer.visit.api;
    match api.send(Method::POST, &path, Some(body.json())).await {
        Ok(_) => Ok(see(&format!("{PATH}?done=revoked"))),
        Err(problem) => revoking(&developer, &id).refused(problem, &sent),
    }
}
