//! `/console/my`: a developer's own keys and requests, and a file for each thing that is done with them.

mod approvals;
mod keys;
mod overview;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;

use super::error::Stop;
use super::links::encoded;
use super::page::{Page, Section, Shown};
use super::record::{Piece, RecordPage};
use super::visit::{Console, Visit};
use crate::domain::token::Role;

/// The page itself.
const PATH: &str = "/console/my";

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route(PATH, get(overview::show))
        .route(
            "/console/my/ask",
            get(approvals::form).post(approvals::send),
        )
        .route(
            "/console/my/keys/new",
            get(keys::make_form).post(keys::make),
        )
        .route("/console/my/keys/{id}", get(keys::show))
        .route(
            "/console/my/keys/{id}/rotate",
            get(keys::rotate_form).post(keys::rotate),
        )
        .route(
            "/console/my/keys/{id}/revoke",
            get(keys::revoke_form).post(keys::revoke),
        )
}

/// The page of an own key.
fn key(id: &str) -> String {
    format!("{PATH}/keys/{}", encoded(id))
}

/// A developer.
struct Developer {
    visit: Visit,
    /// The user that they are.
    user: String,
}

impl Developer {
    /// The frame of a page. What is their own they may change.
    fn page(&self, title: impl Into<String>) -> Page {
        Page {
            may_write: true,
            ..self.visit.page(Section::My, title)
        }
    }
}

impl FromRequestParts<Console> for Developer {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Stop> {
        let visit = Visit::from_request_parts(parts, console).await?;
        match (visit.role(), visit.user().map(str::to_owned)) {
            (Role::Developer, Some(user)) => Ok(Self { visit, user }),
            _ => Err(of_developers(&visit)),
        }
    }
}

/// Told to those who have no keys of their own.
fn of_developers(visit: &Visit) -> Stop {
    let mut page = RecordPage::new(
        visit.page(Section::My, "These pages are for developers"),
        Vec::new(),
    );
    let mut pieces = vec![Piece::Text(
        "Here a developer makes, rotates and revokes the keys of one user, and asks for APIs. They sign in with a token of \
         the role developer, made for that user: key-service token create --role developer --user USER --name NAME. \
         With OpenID Connect they need none."
            .to_owned(),
    )];
    if visit.may_write() {
        pieces.push(Piece::More {
            href: "/console/tokens/new?role=developer".to_owned(),
            label: "Make a developer's token".to_owned(),
        });
    }
    page.tell("developers", "How a developer gets in", pieces);
    Shown(page).with(StatusCode::FORBIDDEN).into()
}
