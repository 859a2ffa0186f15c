//! `/console`: what is refused now, what asks for a look, and what was changed last.

use axum::response::IntoResponse as _;
use axum::response::Response;

use super::api::List;
use super::audit_words::entry_row;
use super::error::Stop;
use super::list::Asked;
use super::page::{Page, Section, Shown};
use super::parts::{Chart, Column, Series, Table, Time};
use super::records::{AuditEntry, ReviewCounts, Traffic};
use super::visit::Staff;

/// Entries of the audit log that are shown.
const NEWEST: usize = 8;

#[derive(askama::Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    /// The last 24 hours, and the last 7 days.
    charts: [Chart; 2],
    /// Whether gateways report use.
    usage_reported: bool,
    review: ReviewCounts,
    audit: Table,
}

/// The page.
pub async fn show(Staff(visit): Staff, asked: Asked) -> Result<Response, Stop> {
    let day: Traffic = visit.api.get("refusals?hours=24").await?;
    let week: Traffic = visit.api.get("refusals?days=7").await?;
    let review: ReviewCounts = visit.api.get("review/counts").await?;
    let audit: List<AuditEntry> = visit.api.get(&format!("audit?limit={NEWEST}")).await?;
    let week = refusals(
        "week",
        "Refused requests by code, last 7 days (UTC)",
        "%b %d",
        week,
    );
    let usage_reported = day.usage_reported;
    let day = refusals(
        "day",
        "Refused requests by code, last 24 hours (UTC)",
        "%H:00",
        day,
    );
    let page = visit.page(Section::Overview, "Overview");
    Ok(Shown(OverviewPage {
        page: page.after(asked.done()),
        usage_reported,
        charts: [day.like(&week), week],
        review,
        audit: Table {
            caption: "Newest changes".to_owned(),
            columns: ["Time", "Who", "What", "Record", "Change"]
                .map(Column::plain)
                .to_vec(),
            rows: audit.items.iter().map(entry_row).collect(),
            empty: "Nothing was changed yet.".to_owned(),
        },
    })
    .into_response())
}

fn refusals(id: &'static str, title: &'static str, format: &str, traffic: Traffic) -> Chart {
    let bars = (0_i64..).zip(&traffic.allowed);
    let names = bars.map(|(bar, _)| Time(traffic.from + bar * traffic.step).with_format(format));
    let series = traffic
        .rejected_by
        .into_iter()
        .map(|(name, counts)| Series {
            name,
            counts,
            is_good: false,
        });
    Chart::new(id, title, names.collect(), series.collect())
        .empty("No request with a known key was refused in this time.")
}
