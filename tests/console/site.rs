//! A site of the test's own: somebody else's, from which a browser comes to the console, or one to try the browser on.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use support::ports::{self, Port};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::browser::OTHER_HOST;

/// What the console's pages have, or more.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// A request as the site got it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Method and path.
    pub line: String,
    /// All headers, in lower case, one a line.
    pub headers: String,
    /// The body, such as a form's fields.
    pub body: String,
}

/// A running site. What is asked of it is answered with its page of that path.
#[derive(Debug)]
pub struct Site {
    port: Port,
    visits: Arc<Mutex<Vec<Visit>>>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    pages: Arc<Vec<(String, String)>>,
    strict: bool,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Site {
    /// Starts one with pages, each a path and what is in the page's body. The browser keeps it to the same policy as
    /// the console.
    pub async fn strict(pages: &[(&str, &str)]) -> Self {
        Self::start(pages, true).await
    }

    /// The same without a policy: what somebody else's site may do.
    pub async fn foreign(pages: &[(&str, &str)]) -> Self {
        Self::start(pages, false).await
    }

    async fn start(pages: &[(&str, &str)], strict: bool) -> Self {
        let port = ports::reserve();
        let visits = Arc::default();
        let own = |(path, body): &(&str, &str)| ((*path).to_owned(), (*body).to_owned());
        let shared = Shared {
            pages: Arc::new(pages.iter().map(own).collect()),
            strict,
            visits: Arc::clone(&visits),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))
            .await
            .expect("the port is free");
        let router = Router::new().fallback(answer).with_state(shared);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            port,
            visits,
            server,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address of a page of it at a host that is no part of the console's site.
    pub fn elsewhere(&self, path: &str) -> String {
        format!("http://{OTHER_HOST}:{}{path}", self.port())
    }

    /// Every request until now, but for the icon.
    pub fn visits(&self) -> Vec<Visit> {
        let visits = self.visits.lock();
        visits.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A page whose only button posts these fields to an address; `attributes` are more of the form's.
pub fn form_to(address: &str, attributes: &str, fields: &[(&str, &str)]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"));
    let fields: String = fields.collect();
    format!(
        "<form method=\"post\" action=\"{address}\" {attributes}>{fields}<button>Win a prize</button></form>"
    )
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let headers = parts.headers.iter();
    let headers = headers
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    let visit = Visit {
        line: format!("{} {}", parts.method, parts.uri),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
    };
    let path = parts.uri.path();
    // A browser asks for it when it pleases.
    if path == "/favicon.ico" {
        return StatusCode::NO_CONTENT.into_response();
    }
    let visits = shared.visits.lock();
    visits.unwrap_or_else(PoisonError::into_inner).push(visit);
    let Some((_, body)) = shared.pages.iter().find(|(known, _)| known == path) else {
        return (StatusCode::NOT_FOUND, "There is no such page").into_response();
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{path}</title></head><body><main><h1>Page</h1>{body}</main></body></html>"
    );
    let mut answer = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    if shared.strict {
        let policy = POLICY.parse().expect("a header");
        answer
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
        let cookie = "visited=yes; Path=/; HttpOnly; SameSite=Lax"
            .parse()
            .expect("a header");
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}
