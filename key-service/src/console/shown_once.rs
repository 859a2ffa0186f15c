//! Pages that show a credential that was just made: in the answer to the form, and nowhere else.

use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::page::{Page, Shown};
use crate::domain::text::random_base62;

/// Characters that tell one form from all others.
const ONCE: usize = 22;

/// What tells one form from all others, so that one that is sent twice makes one thing.
pub fn once() -> String {
    random_base62(ONCE)
}

/// A credential that was just made.
#[derive(askama::Template)]
#[template(path = "shown_once.html")]
pub struct ShownOnce {
    /// The frame of the page.
    pub page: Page,
    /// What it is.
    pub what: &'static str,
    /// What helps where it is lost.
    pub remedy: &'static str,
    /// The credential in clear; nothing where an earlier form has made it.
    pub secret: Option<String>,
    /// What else is to be known.
    pub lines: Vec<String>,
    /// Where to go then.
    pub href: String,
    /// What that is.
    pub label: String,
}

impl ShownOnce {
    /// A key, as the API has answered, whose page is there.
    pub fn key(page: Page, key: &Value, href: String) -> Self {
        Self {
            page,
            what: "key",
            remedy: "rotate it",
            secret: key["secret"].as_str().map(str::to_owned),
            lines: Vec::new(),
            href,
            label: format!(
                "To the page of the key {}",
                key["id"].as_str().unwrap_or_default()
            ),
        }
    }
}

impl IntoResponse for ShownOnce {
    fn into_response(self) -> Response {
        Shown(self).into_response()
    }
}
