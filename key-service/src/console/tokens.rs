//! `/console/tokens`: bearer tokens of those who call this service. Their texts are shown once, when they are made.

use axum::Router;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::api::{Condition, of};
use super::error::Stop;
use super::form::{Body, FormPage, Sent};
use super::links::{self, encoded};
use super::list::{Asked, Format, ListPage, Listing};
use super::page::Section;
use super::parts::{Badge, Cell, Field};
use super::record::Id;
use super::shown_once::{ShownOnce, once};
use super::stop::Stopping;
use super::visit::{Console, Staff, Visit};
use crate::domain::time::now;

static TOKENS: Listing = Listing {
    path: "/console/tokens",
    api: "tokens",
    parameters: &["role", "search", "tenant", "user"],
    columns: &[
        ("Name", None),
        ("Role", None),
        ("Tenant", None),
        ("User", None),
        ("State", None),
        ("Made", None),
        ("Expires", None),
        ("", None),
    ],
    csv: &[
        ("name", "/name"),
        ("role", "/role"),
        ("tenant_id", "/tenant_id"),
        ("user_id", "/user_id"),
        ("created_at", "/created_at"),
        ("expires_at", "/expires_at"),
        ("revoked_at", "/revoked_at"),
    ],
};

/// What tokens are for.
const ROLES: [(&str, &str); 5] = [
    ("viewer", "viewer: reads everything, or one tenant"),
    ("admin", "admin: changes everything, or one tenant"),
    ("developer", "developer: one user's own keys"),
    ("gateway", "gateway: the protocol that gateways speak"),
    ("scim", "scim: the users of one tenant, for a directory"),
];

/// A token.
#[derive(Deserialize)]
struct Token {
    name: String,
    role: String,
    tenant_id: Option<String>,
    user_id: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/tokens", get(show))
        .route("/console/tokens.csv", get(csv))
        .route("/console/tokens.json", get(json))
        .route("/console/tokens/new", get(make_form).post(make))
        .route(
            "/console/tokens/{name}/revoke",
            get(revoke_form).post(revoke),
        )
}

async fn show(Staff(visit): Staff, asked: Asked) -> Result<ListPage, Stop> {
    let page = visit.page(Section::Tokens, "Tokens").after(asked.done());
    let roles: Vec<_> = [("", "any")].into_iter().chain(ROLES).collect();
    let filters = vec![
        Field::choice("role", "Role", &roles),
        Field::line("search", "Search").help("A part of its name"),
        Field::line("tenant", "Tenant").help("Its id"),
        Field::line("user", "User").help("Its id"),
    ];
    let may_write = page.may_write;
    let row = |token: &Token| row(token, may_write);
    let list = TOKENS.show(&visit, page, &asked, filters, row).await?;
    Ok(list
        .intro("Bearer tokens of people, gateways and directories. Their texts are not stored.")
        .make("/console/tokens/new", "New token")
        .empty("No token is like this."))
}

async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    TOKENS.take(visit, &asked, Format::Csv).await
}

async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    TOKENS.take(visit, &asked, Format::Json).await
}

fn row(token: &Token, may_write: bool) -> Vec<Cell> {
    let has_expired = token.expires_at.is_some_and(|end| end <= now());
    let state = match (token.revoked_at, has_expired) {
        (Some(_), _) => Badge::bad("revoked"),
        (None, true) => Badge::bad("expired"),
        (None, false) => Badge::good("active"),
    };
    vec![
        Cell::Text(token.name.clone()),
        Cell::Text(token.role.clone()),
        Cell::record(token.tenant_id.as_deref(), links::tenant),
        Cell::record(token.user_id.as_deref(), links::user),
        Cell::Badge(state),
        Cell::time_or(Some(token.created_at), ""),
        Cell::time_or(token.expires_at, "never"),
        match may_write && token.revoked_at.is_none() {
            true => Cell::Link {
                href: format!("/console/tokens/{}/revoke", encoded(&token.name)),
                text: format!("Revoke {}", token.name),
            },
            false => Cell::None(""),
        },
    ]
}

async fn make_form(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    let mut form = form(&visit);
    for field in &mut form.fields {
        field.value = asked.get(field.name).unwrap_or_default().to_owned();
    }
    form.show()
}

fn form(visit: &Visit) -> FormPage {
    FormPage {
        intro: vec![
            "The token is shown once, on the next page. Whoever holds it may do what it is for.".to_owned(),
        ],
        fields: vec![
            Field::line("name", "Name")
                .help("Names the holder; stands in the audit log. One that was ever taken is never free again")
                .required(),
            Field::choice("role", "Role", &ROLES),
            Field::line("tenant_id", "Tenant")
                .help("The id of the tenant that it sees alone; for admin, viewer and scim"),
            Field::line("user_id", "User")
                .help("The id of the user whose own keys it sees and makes; for developer"),
            Field::line("expires_in", "Expires in").help("Such as 90d; empty is never"),
        ],
        hidden: vec![("once", once())],
        back: TOKENS.path.to_owned(),
        ..FormPage::new(
            visit.page(Section::Tokens, "New token"),
            "/console/tokens/new",
            "Make the token",
        )
    }
}

async fn make(Staff(visit): Staff, sent: Sent) -> Result<Response, Stop> {
    let mut body = Body::default();
    for name in ["name", "role", "tenant_id", "user_id", "expires_in"] {
        body = body.with_some(name, sent.text(name));
    }
    let condition = sent.text("once").map(Condition::Once);
    let made = visit
        .api
        .send_if(condition, Method::POST, "tokens", Some(body.json()))
        .await;
    match made {
        Ok(made) => Ok(ShownOnce {
            page: visit.page(Section::Tokens, "The token is made"),
            what: "token",
            remedy: "revoke it and make another",
            secret: made["token"].as_str().map(str::to_owned),
            lines: Vec::new(),
            href: TOKENS.path.to_owned(),
            label: "To the list of tokens".to_owned(),
        }
        .into_response()),
        Err(problem) => form(&visit).refused(problem, &sent),
    }
}

fn revoking(name: &str) -> Stopping {
    Stopping {
        section: Section::Tokens,
        title: format!("Revoke the token {name}"),
        consequence: "Whoever holds it is refused from their next request on, and signed out of the console. It is for \
                      good: the name is never free again.",
        action: format!("/console/tokens/{}/revoke", encoded(name)),
        back: TOKENS.path.to_owned(),
        submit: "Revoke the token",
        method: Method::POST,
        api: format!("{}/revoke", of("tokens", name)),
        asks: false,
        fields: Vec::new(),
        done: "revoked",
    }
}

async fn revoke_form(Staff(visit): Staff, Id(name): Id) -> Result<Response, Stop> {
    revoking(&name).form(&visit).show()
}

async fn revoke(Staff(visit): Staff, Id(name): Id, sent: Sent) -> Result<Response, Stop> {
    revoking(&name).send(&visit, &sent, None).await
}
