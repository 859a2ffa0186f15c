//! `/console/users`: the list, and a file for each thing that is done with a user.

mod edit;
mod list;
mod show;
mod stop;

use axum::Router;
use axum::routing::{get, post};

use super::visit::Console;

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/users", get(list::show))
        .route("/console/users.csv", get(list::csv))
        .route("/console/users.json", get(list::json))
        .route("/console/users/new", get(edit::new_form).post(edit::make))
        .route("/console/users/{id}", get(show::show))
        .route(
            "/console/users/{id}/change",
            get(edit::form).post(edit::change),
        )
        .route(
            "/console/users/{id}/suspend",
            get(stop::suspend_form).post(stop::suspend),
        )
        .route(
            "/console/users/{id}/lock",
            get(stop::lock_form).post(stop::lock),
        )
        .route(
            "/console/users/{id}/deactivate",
            get(stop::deactivate_form).post(stop::deactivate),
        )
        .route(
            "/console/users/{id}/delete",
            get(stop::delete_form).post(stop::delete),
        )
        .route("/console/users/{id}/reactivate", post(stop::reactivate))
}
