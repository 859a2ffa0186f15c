//! The routes. One module a resource; `guard` stands before all of them, `problem` behind.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro for handlers writes paths in full"
)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod attempts;
mod audit;
mod body;
mod changes;
mod explain;
mod fields;
mod guard;
mod health;
mod import;
mod in_use;
mod keys;
mod listen;
mod metrics;
mod openapi;
mod page;
mod problem;
mod record;
mod resolve;
mod tenants;
mod usage;
mod users;
mod verdict;

use crate::domain::credential::Digester;
use crate::filter::Filter;
use crate::store::Store;
use attempts::Attempts;
pub use listen::serve;
use metrics::Metrics;
pub use problem::Problem;

/// No body is larger, in either direction of the protocol.
const LARGEST_BODY: usize = 1024 * 1024;

/// How the service behaves towards its callers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How credentials become digests.
    pub digester: Digester,
    /// By what gateways decide, for explanations.
    pub filter: Arc<Filter>,
    /// How long the head of a request may take to arrive, counted from the answer before: a connection that
    /// is idle for longer is closed. More than the idle timeout of Envoy's cluster (30 s in envoy.yaml), or
    /// Envoy sends a request on a connection that is just being closed.
    pub head_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// A request that takes longer is answered 503. A long poll has its own bound on top.
    pub request_timeout: Duration,
    /// A gateway that is further behind than this many changes starts over instead of replaying.
    pub changes_kept: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            digester: Digester::default(),
            filter: Arc::default(),
            head_timeout: Duration::from_secs(40),
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            changes_kept: 100_000,
        }
    }
}

/// What every handler shares.
#[derive(Clone)]
struct App(Arc<Parts>);

struct Parts {
    store: Store,
    settings: Settings,
    metrics: Metrics,
    attempts: Attempts,
    stopping: watch::Receiver<bool>,
    /// A gateway has followed changes that a database without any does not hold.
    missed: AtomicBool,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The whole service as a router. Long polls end as soon as `stopping` turns true.
pub fn router(store: Store, settings: Settings, stopping: watch::Receiver<bool>) -> Router {
    let app = App(Arc::new(Parts {
        store,
        settings,
        metrics: Metrics::new(),
        attempts: Attempts::default(),
        stopping,
        missed: AtomicBool::new(false),
    }));
    let (router, description) = OpenApiRouter::with_openapi(openapi::Description::openapi())
        .routes(routes!(resolve::resolve))
        .routes(routes!(changes::changes))
        .routes(routes!(usage::usage))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::change))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::show, keys::change))
        .routes(routes!(import::import))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::revoke))
        .routes(routes!(explain::explain))
        .routes(routes!(audit::list))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    let description = openapi::finished(&description);
    router
        .route("/openapi.json", get(async move || Json(description)))
        .fallback(async || Problem::not_found("There is nothing at this path; see /openapi.json."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
