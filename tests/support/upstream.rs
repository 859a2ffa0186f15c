//! An upstream that answers with what it was asked, so that a test sees what passed the gateway, and with
//! the headers that the request asks for (`answer-sunset: …`), or with the body that it asks for
//! (`answer-body: …`, in base64). A path below `/302` is answered with that status.

use crate::failure::{Failure, Result};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request header with this in front of its name asks for a header of the answer.
const ANSWER: &str = "answer-";

/// The header that asks for a body.
const BODY: &str = "answer-body";

/// Requests that are remembered; older ones are forgotten, so that a demonstration can run for weeks.
const REMEMBERED: usize = 10_000;

/// A request as it arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arrived {
    /// The method.
    pub method: String,
    /// Path and query, byte for byte.
    pub path: String,
    /// Names and values. A value's bytes are characters of the same number (Latin-1), so that any byte
    /// can be told.
    pub headers: Vec<(String, String)>,
    /// How long the body was.
    pub body_length: usize,
    /// The trailers, as the headers are told.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
}

impl Arrived {
    /// The values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Everything that arrived but the body, as one text to search in.
    pub fn everything(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.path);
        for (name, value) in self.headers.iter().chain(&self.trailers) {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }
}

/// A running upstream.
#[derive(Debug)]
pub struct Upstream {
    port: u16,
    arrived: Memory,
    server: JoinHandle<()>,
}

type Memory = Arc<Mutex<VecDeque<Arrived>>>;

impl Upstream {
    /// Listens on this port of 127.0.0.1.
    pub async fn start(port: u16) -> Result<Self> {
        Self::listen((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// Listens on any address.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::from(error).during(&format!("the upstream cannot listen on {address}"))
        })?;
        let port = listener.local_addr()?.port();
        let arrived = Memory::default();
        let routes = Router::new()
            .fallback(echo)
            .with_state(Arc::clone(&arrived));
        let server = tokio::spawn(async move {
            // Ends only when this task is dropped.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self {
            port,
            arrived,
            server,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has arrived.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Names and values, each byte as the character of its number.
fn told(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_bytes().iter().map(|byte| char::from(*byte));
            (name.to_string(), value.collect())
        })
        .collect()
}

async fn echo(State(memory): State<Memory>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap_or_default();
    let trailers = body.trailers().map(told).unwrap_or_default();
    let mut headers = HeaderMap::new();
    let wanted = head
        .headers
        .get(BODY)
        .and_then(|body| STANDARD.decode(body.as_bytes()).ok());
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != BODY) {
        if let Some(Ok(name)) = name.as_str().strip_prefix(ANSWER).map(HeaderName::try_from) {
            headers.append(name, value.clone());
        }
    }
    let arrived = Arrived {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(|| head.uri.to_string(), ToString::to_string),
        headers: told(&head.headers),
        body_length: body.to_bytes().len(),
        trailers,
    };
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.len() == REMEMBERED {
        memory.pop_front();
    }
    memory.push_back(arrived.clone());
    let status = match arrived.path.starts_with("/302") {
        true => StatusCode::FOUND,
        false => StatusCode::OK,
    };
    match wanted {
        Some(body) => (status, headers, body).into_response(),
        None => (status, headers, Json(arrived)).into_response(),
    }
}
