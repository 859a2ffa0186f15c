//! Pages about one record: what can be done with it, and then part after part, each under a heading of its own.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::api::{List, Problem};
use super::audit_words::entry_row;
use super::error::Stop;
use super::links::encoded;
use super::page::{Page, Shown};
use super::parts::{Action, Badge, Cell, Chain, Chart, Column, Series, Table, Time};
use super::records::{AuditEntry, Use};
use super::visit::Visit;
use crate::domain::time::{DAY, now};

/// Entries of the audit log that are shown.
const NEWEST: usize = 20;
/// Days of use that are shown, today among them.
const DAYS: i64 = 30;

/// The id in the path of a page.
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Stop> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem {
                status: 404,
                title: "There is no such page".to_owned(),
                detail: "The id in the address is no text.".to_owned(),
                ..Problem::default()
            }
            .into()),
        }
    }
}

/// A page about a record.
#[derive(askama::Template)]
#[template(path = "record.html")]
pub struct RecordPage {
    /// Its frame.
    pub page: Page,
    /// What the record is, in a word each.
    pub badges: Vec<Badge>,
    /// What can be done.
    pub deeds: Vec<Deed>,
    /// What is told of it.
    pub parts: Vec<Part>,
}

/// Something that can be done with a record.
pub enum Deed {
    /// On a page of its own, which says first what it does.
    Page {
        /// Where that is.
        href: String,
        /// What stands on the link.
        label: &'static str,
        /// Whether it stops something.
        stops: bool,
    },
    /// At once.
    AtOnce(Action),
}

/// A part of the page.
pub struct Part {
    /// Unlike that of every other part.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What stands in it.
    pub pieces: Vec<Piece>,
}

/// What stands in a part.
pub enum Piece {
    /// A heading within the part.
    Heading(&'static str),
    /// A sentence.
    Text(String),
    /// Names and values.
    Facts(Vec<(&'static str, Cell)>),
    /// A chain.
    Chain(Chain),
    /// A chart.
    Chart(Chart),
    /// A table.
    Table(Table),
    /// The way to more of it.
    More {
        /// Where that is.
        href: String,
        /// What it is.
        label: String,
    },
}

impl RecordPage {
    /// A page with nothing on it yet.
    pub fn new(page: Page, badges: Vec<Badge>) -> Self {
        Self {
            page,
            badges,
            deeds: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// With this to be done, for those who may.
    pub fn can(&mut self, deed: Deed) {
        if self.page.may_write {
            self.deeds.push(deed);
        }
    }

    /// With a part more.
    pub fn tell(&mut self, id: &'static str, title: &'static str, pieces: Vec<Piece>) {
        self.parts.push(Part { id, title, pieces });
    }
}

impl Deed {
    /// A page on which it is done.
    pub fn page(href: String, label: &'static str) -> Self {
        Self::Page {
            href,
            label,
            stops: false,
        }
    }

    /// A page on which something is stopped.
    pub fn stop(href: String, label: &'static str) -> Self {
        Self::Page {
            href,
            label,
            stops: true,
        }
    }

    /// What is done at once, to the record of this id.
    pub fn at_once(href: String, label: &'static str, id: &str) -> Self {
        Self::AtOnce(Action {
            href,
            label,
            about: id.to_owned(),
            fields: Vec::new(),
        })
    }
}

impl IntoResponse for RecordPage {
    fn into_response(self) -> Response {
        Shown(self).into_response()
    }
}

/// The newest entries of the audit log about a record.
pub async fn audit(visit: &Visit, kind: &str, id: &str) -> Result<Vec<Piece>, Stop> {
    let about = format!("kind={kind}&id={}", encoded(id));
    let list: List<AuditEntry> = visit
        .api
        .get(&format!("audit?{about}&limit={NEWEST}"))
        .await?;
    let mut pieces = vec![Piece::Table(Table {
        caption: "The newest changes".to_owned(),
        columns: ["Time", "Who", "What", "Record", "Change"]
            .map(Column::plain)
            .to_vec(),
        rows: list.items.iter().map(entry_row).collect(),
        empty: "The audit log says nothing of it.".to_owned(),
    })];
    if list.next_page_token.is_some() {
        pieces.push(Piece::More {
            href: format!("/console/audit?{about}"),
            label: "All of its changes".to_owned(),
        });
    }
    Ok(pieces)
}

/// How keys were used: when, with which refusals, and from where. `path` is where the API says so.
pub async fn usage(visit: &Visit, path: &str) -> Result<Vec<Piece>, Stop> {
    let found: Use = visit.api.get(&format!("{path}?days={DAYS}")).await?;
    let nobody = "not known: no gateway has reported use yet";
    let never = match found.usage_reported {
        true => "never",
        false => nobody,
    };
    Ok(vec![
        Piece::Facts(vec![
            ("Last used", Cell::time_or(found.last_used_at, never)),
            ("Last refused", Cell::time_or(found.last_rejected_at, never)),
        ]),
        Piece::Chart(days(&found, nobody)),
        Piece::Heading("Refusals by code"),
        Piece::Table(counts(
            "Refusals by code, last 30 days",
            ["Code", "Requests"],
            &found.rejected_by,
            "Nothing was refused, or gateways do not say why.",
        )),
        Piece::Heading("Networks"),
        Piece::Table(counts(
            "Networks, last 30 days (estimated)",
            ["Network", "Requests"],
            &found.networks,
            "Gateways have named no network.",
        )),
    ])
}

fn days(found: &Use, nobody: &'static str) -> Chart {
    let today = now() / DAY * DAY;
    let days: Vec<i64> = (0..DAYS).rev().map(|ago| today - ago * DAY).collect();
    let count = |number: fn(&super::records::DayOfUse) -> u64| {
        let of_day = |day: &i64| {
            let found = found.days.iter().find(|found| found.day == *day);
            found.map_or(0, number)
        };
        days.iter().map(of_day).collect()
    };
    let series = |name: &str, is_good, counts| Series {
        name: name.to_owned(),
        counts,
        is_good,
    };
    let chart = Chart::new(
        "use",
        "Requests a day, last 30 days (UTC)",
        days.iter()
            .map(|day| Time(*day).with_format("%b %d"))
            .collect(),
        vec![
            series("allowed", true, count(|day| day.allowed)),
            series("refused", false, count(|day| day.rejected)),
        ],
    );
    match found.usage_reported {
        true => chart.empty("There was no request in this time."),
        false => chart.empty(format!("It is {nobody}.")),
    }
}

/// Counts with names, the largest first.
fn counts(
    caption: &str,
    labels: [&'static str; 2],
    counts: &std::collections::BTreeMap<String, u64>,
    empty: &str,
) -> Table {
    let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let row = |(name, count): (&String, &u64)| {
        vec![Cell::Code(name.clone()), Cell::Text(count.to_string())]
    };
    Table {
        caption: caption.to_owned(),
        columns: labels.map(Column::plain).to_vec(),
        rows: sorted.into_iter().map(row).collect(),
        empty: empty.to_owned(),
    }
}
