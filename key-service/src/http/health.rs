//! What monitors ask: is the process alive, can it answer, how much does it do. No token needed,
//! nothing secret told.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::problem::{NEVER_WRITTEN, Problem};
use crate::domain::time::now;
use crate::store::Failure;

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// What is answered as long as there is no database yet: the process is alive, and can do nothing.
pub fn waiting() -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .fallback(async || Problem::of_database(Failure::Away))
}

/// What can be done.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `sqlite` or `postgresql`.
    database: &'static str,
    /// Whether writes of other services on the same database wake those who follow at once. Where they do not, they
    /// are found a moment later. With SQLite there are none, and this is true.
    listening: bool,
    /// `ok`; `busy` while another process holds the database; `read_only` while it takes none, and answers.
    writes: &'static str,
    /// False: nothing was ever written.
    written: bool,
    /// What to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// The database answers and takes writes, and its tables are those of this version. One that was never
/// written is ready, until a gateway shows that it ought to hold something.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, body = Readiness),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("The service is stopping."));
    }
    let written = app.store.refresh_sequence().await? > 0;
    if !written && app.missed.load(Ordering::Relaxed) {
        return Err(Problem::never_written());
    }
    let refused = app.store.refused_write().map(|refused| refused.failure);
    let writes = match refused {
        None => "ok",
        Some(Failure::Busy) => "busy",
        Some(Failure::ReadOnly) => "read_only",
        Some(failure) => return Err(Problem::of_database(failure)),
    };
    Ok(Json(Readiness {
        database: app.store.engine(),
        listening: app.store.is_listening(),
        writes,
        written,
        detail: (!written).then_some(NEVER_WRITTEN),
    }))
}

/// Metrics in Prometheus' text format (OpenMetrics).
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub async fn metrics(State(app): State<App>) -> Response {
    if let Err(error) = app.metrics.count_keys(&app.store, now()).await {
        // Whoever asks wants to see most of all what is wrong.
        tracing::error!(%error, "keys could not be counted");
        app.metrics.database_failed(error.failure());
    }
    if let Err(error) = app.metrics.messages.refresh(&app.store).await {
        tracing::warn!(%error, "messages to webhooks could not be counted");
    }
    app.metrics.review.refresh().await;
    app.metrics.writable(app.store.refused_write().is_none());
    app.metrics.connections(app.store.pool_sizes());
    match app.metrics.render() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            Problem::internal().into_response()
        }
    }
}
