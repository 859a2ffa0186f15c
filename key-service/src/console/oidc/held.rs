//! The cookie that a browser holds while its user is at the provider.

use axum::http::{HeaderMap, header};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

use crate::console::identity::Flow;
use crate::console::visit::Console;

/// Name of the cookie, and behind TLS.
const COOKIE: &str = "keybound-oidc";
const SECURE_COOKIE: &str = "__Host-keybound-oidc";
/// How long one may take to sign in at the provider.
const LASTS: Duration = Duration::minutes(10);

fn name(console: &Console, headers: &HeaderMap) -> &'static str {
    match console.is_secure(headers) {
        true => SECURE_COOKIE,
        false => COOKIE,
    }
}

fn with(console: &Console, headers: &HeaderMap, value: String) -> Cookie<'static> {
    Cookie::build((name(console, headers), value))
        .path("/")
        .http_only(true)
        // The provider sends the browser back: with Strict, it would bring nothing along.
        .same_site(SameSite::Lax)
        .secure(console.is_secure(headers))
        .max_age(LASTS)
        .build()
}

/// What hands it to the browser.
pub fn cookie(console: &Console, headers: &HeaderMap, flow: &Flow) -> Cookie<'static> {
    let value = form_urlencoded::Serializer::new(String::new())
        .append_pair("state", &flow.state)
        .append_pair("nonce", &flow.nonce)
        .append_pair("verifier", &flow.verifier)
        .append_pair("next", &flow.next)
        .finish();
    with(console, headers, value)
}

/// What takes it from the browser.
pub fn removal(console: &Console, headers: &HeaderMap) -> Cookie<'static> {
    let mut cookie = with(console, headers, String::new());
    cookie.make_removal();
    cookie
}

/// What the browser holds.
pub fn held(console: &Console, headers: &HeaderMap) -> Option<Flow> {
    let wanted = name(console, headers);
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let cookies = texts.flat_map(Cookie::split_parse).filter_map(Result::ok);
    let mut named = cookies.filter(|cookie| cookie.name() == wanted);
    let cookie = named.next()?;
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(cookie.value().as_bytes());
        let found = pairs.find(|(name, _)| name == wanted)?;
        Some(found.1.into_owned()).filter(|value| !value.is_empty())
    };
    Some(Flow {
        state: value("state")?,
        nonce: value("nonce")?,
        verifier: value("verifier")?,
        next: value("next")?,
    })
}
