//! What monitors ask: is the process alive, can it answer, how much does it do. No token needed,
//! nothing secret told.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{App, Problem};
use crate::domain::time::now;

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The database answers, and its tables are those of this version.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, body = String),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("The service is stopping."));
    }
    app.store.refresh_sequence().await?;
    Ok("ready\n")
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
