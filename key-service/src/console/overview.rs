//! `/console`
use super::error::Stop;
use super::page::{Page, Section, Shown};
use super::visit::Staff;
use axum::response::IntoResponse;
use axum::response::Response;

#[derive(askama::Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
}

/// The page.
pub async fn show(Staff(visit): Staff) -> Result<Response, Stop> {
    Ok(Shown(OverviewPage {
        page: visit.page(Section::Overview, "Overview"),
    })
    .into_response())
}
