//! The console: pages for people, made on the server, without a script. It is a client of the admin API within the same
//! process: it shows and does what the token or the identity of its visitor may, by the routes and rules of the API.
//!
//! [`visit`] says who asks, `sign_in` and `oidc` let them in, [`api`] asks the admin API for them. [`page`] is what all pages have
//! in common, [`parts`] are the pieces that they are made of; [`list`] and [`form`] are two whole kinds of pages. What is
//! left is a file a page, named as its path.

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use self::visit::Console;
use crate::http::app::App;
use crate::http::guard;

mod api;
mod approvals;
mod assets;
mod audit;
mod audit_words;
mod chain;
mod error;
mod form;
mod identity;
mod key_rules;
mod keys;
mod links;
mod list;
mod mend;
mod my;
mod oidc;
mod overview;
mod page;
mod parts;
mod record;
mod records;
mod review;
mod settings;
mod shown_once;
mod sign_in;
mod stop;
mod tenants;
mod tokens;
mod typed;
mod users;
mod visit;
mod why;

pub use identity::{Provider, Roles};
pub use oidc::CALLBACK;
pub use settings::{Origin, Settings};

/// Bytes of a form at most.
const LARGEST_FORM: usize = 256 * 1024;

/// Nothing of another host, nothing inline, no script, in no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// All pages. They ask `api`, which is the rest of the service.
pub fn pages(app: App, settings: Settings, api: Router) -> Router {
    let console = Console::new(app.clone(), settings.clone(), api);
    let mut origins = CsrfLayer::new();
    if let Some(origin) = &settings.origin {
        // It was read as an origin.
        origins = origins
            .clone()
            .add_trusted_origin(origin.as_str())
            .unwrap_or(origins);
    }
    Router::new()
        .route("/console", get(overview::show))
        .route("/console/", get(overview::show))
        .route("/console/why", get(why::show).post(why::ask))
        .route(
            "/console/sign-in",
            get(sign_in::show).post(sign_in::by_token),
        )
        .route(oidc::START, get(oidc::start))
        .route(CALLBACK, get(oidc::finish))
        .route("/console/sign-out", post(sign_in::out))
        .route(assets::STYLE, get(assets::style))
        .route(assets::ICON, get(assets::icon))
        .merge(keys::routes())
        .merge(users::routes())
        .merge(tenants::routes())
        .merge(approvals::routes())
        .merge(audit::routes())
        .merge(review::routes())
        .merge(tokens::routes())
        .merge(my::routes())
        .route("/console/{*path}", get(error::nothing_here))
        .method_not_allowed_fallback(error::nothing_here)
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_FORM))
        .layer(origins.with_rejection_response(|_: ProtectionError| error::of_another_site()))
        .layer(from_fn(protect))
        .layer(from_fn_with_state(app, guard::guard))
        .with_state(console)
}

/// What every answer says to the browser.
async fn protect(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let is_asset = assets::is_one(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut say = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    say(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::X_FRAME_OPTIONS, "DENY");
    say(header::REFERRER_POLICY, "same-origin");
    if !is_asset {
        say(header::CACHE_CONTROL, "no-store");
    }
    response
}

/// Sends the browser to another page of the console, which it asks for with GET.
fn see(path: &str) -> Response {
    let location =
        HeaderValue::from_str(path).unwrap_or_else(|_| HeaderValue::from_static("/console"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Whether a request may change anything.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
