//! `/console/tenants`: the list, and a file for each thing that is done with a tenant.

mod edit;
mod list;
mod rules;
mod show;

use axum::Router;
use axum::routing::{get, post};

use super::visit::Console;

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/tenants", get(list::show))
        .route("/console/tenants.csv", get(list::csv))
        .route("/console/tenants.json", get(list::json))
        .route("/console/tenants/new", get(edit::new_form).post(edit::make))
        .route("/console/tenants/{id}", get(show::show))
        .route(
            "/console/tenants/{id}/change",
            get(edit::form).post(edit::change),
        )
        .route(
            "/console/tenants/{id}/suspend",
            get(edit::suspend_form).post(edit::suspend),
        )
        .route("/console/tenants/{id}/reactivate", post(edit::reactivate))
        .route(
            "/console/tenants/{id}/key-rules",
            get(rules::form).post(rules::send),
        )
        .route(
            "/console/tenants/{id}/key-rules/remove",
            post(rules::remove),
        )
}
