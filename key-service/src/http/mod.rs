//! The routes. One module a resource; `guard` stands before all of them, `problem` behind.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro for handlers writes paths in full"
)]

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Json, Router, middleware};
use keybound::protocol::LONGEST_BODY;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

pub(crate) mod app;
mod apply;
mod approvals;
pub(crate) mod attempts;
mod audit;
mod body;
mod changes;
mod explain;
mod export;
pub(crate) mod guard;
mod health;
mod import;
mod in_use;
mod key_rules;
mod keys;
mod leaks;
mod listen;
mod message_counts;
mod metrics;
mod once;
mod openapi;
mod page;
pub(crate) mod problem;
mod record;
mod refusals;
mod resolve;
mod review;
mod review_counts;
mod scanner;
mod scanner_keys;
mod scim;
mod tenants;
mod tokens;
mod usage;
mod use_of_days;
mod users;
mod verdict;
mod version;
mod webhooks;

use app::App;
pub use app::Settings;
pub use health::waiting;
pub use listen::serve;
use problem::Problem;
pub use scanner_keys::ScannerKeys;

use crate::console;
use crate::store::Store;

/// The whole service as a router. Long polls end as soon as `stopping` turns true.
pub fn router(store: Store, settings: Settings, stopping: watch::Receiver<bool>) -> Router {
    let app = App::new(store, settings, stopping);
    let (router, description) = OpenApiRouter::with_openapi(openapi::Description::openapi())
        .routes(routes!(resolve::resolve))
        .routes(routes!(changes::changes))
        .routes(routes!(usage::usage))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::change))
        .routes(routes!(key_rules::show, key_rules::put, key_rules::delete))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::show, keys::change))
        .routes(routes!(use_of_days::of_key))
        .routes(routes!(use_of_days::of_user))
        .routes(routes!(import::import))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::revoke_sent))
        .routes(routes!(approvals::list, approvals::create))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::deny))
        .routes(routes!(leaks::report))
        .routes(routes!(scanner::report))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::delete))
        .routes(routes!(webhooks::dead))
        .routes(routes!(webhooks::redeliver))
        .routes(routes!(refusals::refusals))
        .routes(routes!(review::review))
        .routes(routes!(review::counts))
        .routes(routes!(apply::apply).layer(DefaultBodyLimit::max(apply::LARGEST)))
        .routes(routes!(apply::diff).layer(DefaultBodyLimit::max(apply::LARGEST)))
        .routes(routes!(export::export))
        .routes(routes!(explain::explain))
        .routes(routes!(audit::list))
        .routes(routes!(scim::discovery::config))
        .routes(routes!(scim::discovery::types))
        .routes(routes!(scim::discovery::type_of))
        .routes(routes!(scim::discovery::schemas))
        .routes(routes!(scim::discovery::schema))
        .routes(routes!(scim::list, scim::create))
        .routes(routes!(scim::search))
        .routes(routes!(scim::search_all))
        .routes(routes!(
            scim::show,
            scim::replace,
            scim::patch,
            scim::delete
        ))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    let description = openapi::finished(&description);
    let api = router
        .route("/openapi.json", get(async move || Json(description)))
        .fallback(async || Problem::nothing_here())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app.clone());
    match app.settings.console.clone() {
        Some(settings) => api.clone().merge(console::pages(app, settings, api)),
        None => api,
    }
}
