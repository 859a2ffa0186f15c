//! `/console/keys/{id}/rotate`: a new key in the place of an old one. It is shown once, in the answer to the form.

use axum::http::Method;
use axum::response::Response;
use serde_json::Value;

use super::make::shown_once;
use crate::console::api::of;
use crate::console::error::Stop;
use crate::console::form::{Body, FormPage, Sent};
use crate::console::links;
use crate::console::page::Section;
use crate::console::parts::Field;
use crate::console::record::Id;
use crate::console::records::Key;
use crate::console::visit::{Staff, Visit};
use crate::domain::time::shown;

/// The form.
pub async fn form(Staff(visit): Staff, Id(id): Id) -> Result<Response, Stop> {
    let key: Key = visit.api.get(&of("keys", &id)).await?;
    page(&visit, &key.id).show()
}

fn page(visit: &Visit, id: &str) -> FormPage {
    let grace = Field::line("grace", "Grace").holding("24h");
    FormPage {
        intro: vec![
            "A new key with the same owner and fences takes the place of this one. It is shown once, on the next page, and \
             the client has to be given it."
                .to_owned(),
            "This key works on for the grace, and is refused from then on.".to_owned(),
        ],
        fields: vec![grace.help("How long both keys work, such as 24h, 7d or 0s")],
        back: links::key(id),
        ..FormPage::new(
            visit.page(Section::Keys, format!("Rotate the key {id}")),
            format!("{}/rotate", links::key(id)),
            "Rotate the key",
        )
    }
}

/// Rotates it.
pub async fn send(Staff(visit): Staff, Id(id): Id, sent: Sent) -> Result<Response, Stop> {
    let path = of("keys", &id);
    let body = Body::default().with_some("grace", sent.text("grace"));
    let rotate = format!("{path}/rotate");
    match visit
        .api
        .send(Method::POST, &rotate, Some(body.json()))
        .await
    {
        Ok(new) => {
            let old: Option<Value> = visit.api.send_get(&path).await.ok();
            let end = old.and_then(|old| old["expires_at"].as_i64());
            let until = end.map(|end| format!("The old key {id} works until {}.", shown(end)));
            let lines = until.into_iter().collect();
            Ok(shown_once(&visit, "The key is rotated", &new, lines))
        }
        Err(problem) => page(&visit, &id).refused(problem, &sent),
    }
}
