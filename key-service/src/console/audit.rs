//! `/console/audit`: who changed what.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::api::{Problem, WrongField};
use super::audit_words::entry_row;
use super::error::Stop;
use super::list::{Asked, Format, Listing};
use super::page::Section;
use super::parts::Field;
use super::visit::{Console, Staff};
use crate::domain::when::{since, until};

static AUDIT: Listing = Listing {
    path: "/console/audit",
    api: "audit",
    parameters: &["kind", "id", "actor", "since", "until"],
    columns: &[
        ("Time", None),
        ("Who", None),
        ("What", None),
        ("Record", None),
        ("Change", None),
    ],
    csv: &[
        ("id", "/id"),
        ("at", "/at"),
        ("actor", "/actor"),
        ("action", "/action"),
        ("kind", "/kind"),
        ("entity_id", "/entity_id"),
        ("before", "/before"),
        ("after", "/after"),
    ],
};

/// What entries are about.
const KINDS: [(&str, &str); 9] = [
    ("", "anything"),
    ("key", "keys"),
    ("user", "users"),
    ("tenant", "tenants"),
    ("key_rules", "key rules"),
    ("approval", "requests for APIs"),
    ("token", "tokens"),
    ("webhook", "webhooks"),
    ("database", "the database"),
];

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/audit", get(show))
        .route("/console/audit.csv", get(csv))
        .route("/console/audit.json", get(json))
}

async fn show(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    let page = visit.page(Section::Audit, "Audit log");
    let (asked, problem) = match meant(asked.clone()) {
        Ok(asked) => (asked, None),
        Err(problem) => (asked, Some(problem)),
    };
    let filters = vec![
        Field::choice("kind", "About", &KINDS),
        Field::line("id", "Id").help("Of the record; a token's name"),
        Field::line("actor", "Who").help("The name of a token"),
        Field::line("since", "Since").help("Such as 2027-01-31, 2027-01-31T08:00:00Z or 7d ago"),
        Field::line("until", "Until").help("Likewise; a day as a whole"),
    ];
    let shown = AUDIT.show(&visit, page, &asked, filters, entry_row).await?;
    let mut list = shown
        .intro("Every write to keys, users, tenants and tokens, newest first.")
        .empty("No entry is like this.");
    if let Some(problem) = problem {
        for field in &mut list.filters {
            let mut errors = problem.errors.iter();
            let error = errors.find(|error| error.field == field.name);
            field.error = error.map(|error| error.message.clone());
        }
        list.problem = Some(problem);
    }
    Ok(list.into_response())
}

async fn csv(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    AUDIT.take(visit, &meant(asked)?, Format::Csv).await
}

async fn json(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    AUDIT.take(visit, &meant(asked)?, Format::Json).await
}

/// The times as the API has them.
fn meant(mut asked: Asked) -> Result<Asked, Problem> {
    type Reads = fn(&str) -> Result<i64, String>;
    let mut errors = Vec::new();
    for (name, read) in [("since", since as Reads), ("until", until)] {
        let Some(text) = asked.get(name) else {
            continue;
        };
        // "7d ago" is how people say it.
        match read(text.strip_suffix("ago").unwrap_or(text).trim_end()) {
            Ok(time) => asked = asked.meaning(name, Some(time.to_string())),
            Err(message) => errors.push(WrongField {
                field: name.to_owned(),
                message,
                rule: None,
            }),
        }
    }
    match errors.is_empty() {
        true => Ok(asked),
        false => Err(Problem {
            status: 400,
            title: "Not understood".to_owned(),
            detail: "What is wrong stands beside the filters.".to_owned(),
            errors,
            ..Problem::default()
        }),
    }
}
