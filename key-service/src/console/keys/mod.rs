//! `/console/keys`: the list, and a file for each thing that is done with a key.

mod change;
mod list;
mod make;
mod rotate;
mod show;
mod stop;

use axum::Router;
use axum::routing::{get, post};

pub use self::change::FENCES;
pub use self::make::ENVIRONMENT;
pub use self::show::fences;
use super::parts::{Column, Table};
use super::records::Key;
use super::visit::Console;

/// Keys on the page of another record, with the columns that their own list has.
pub fn table(caption: &str, keys: &[Key]) -> Table {
    Table {
        caption: caption.to_owned(),
        columns: list::labels().map(Column::plain).collect(),
        rows: keys.iter().map(list::row).collect(),
        empty: "There is no key.".to_owned(),
    }
}

/// The pages.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/keys", get(list::show))
        .route("/console/keys.csv", get(list::csv))
        .route("/console/keys.json", get(list::json))
        .route("/console/keys/new", get(make::form).post(make::send))
        .route("/console/keys/{id}", get(show::show))
        .route(
            "/console/keys/{id}/change",
            get(change::form).post(change::send),
        )
        .route(
            "/console/keys/{id}/rotate",
            get(rotate::form).post(rotate::send),
        )
        .route(
            "/console/keys/{id}/disable",
            get(stop::disable_form).post(stop::disable),
        )
        .route("/console/keys/{id}/enable", post(stop::enable))
        .route(
            "/console/keys/{id}/revoke",
            get(stop::revoke_form).post(stop::revoke),
        )
}
