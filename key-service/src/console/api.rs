//! The admin API, asked within the process for whoever is signed in: what they may see and do, and by which rules, is
//! said there and nowhere else.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::error::Stop;
use super::links::encoded;
use crate::http::app::Caller;

/// Bytes of an answer at most.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The admin API, as somebody sees it.
#[derive(Clone)]
pub struct Api {
    router: Router,
    caller: Caller,
}

/// On what a change is made.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// The record is as it was in this version: nobody has changed it meanwhile.
    Unchanged(&'a str),
    /// No form with this text in it was sent before: a page that is loaded again makes nothing anew.
    Once(&'a str),
}

impl Condition<'_> {
    fn header(self) -> (HeaderName, String) {
        match self {
            Self::Unchanged(version) => (header::IF_MATCH, format!("\"{version}\"")),
            Self::Once(text) => (HeaderName::from_static("idempotency-key"), text.to_owned()),
        }
    }
}

/// What the API says where it does not do what it was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Its word in the API.
    #[serde(default)]
    pub code: Box<str>,
    /// What kind of problem it is.
    pub title: String,
    /// What is wrong, and what to do.
    pub detail: String,
    /// The wrong fields.
    #[serde(default)]
    pub errors: Vec<WrongField>,
    /// The keys that are in use, where that is the problem.
    pub keys: Option<Vec<UsedKey>>,
}

/// A wrong field.
#[derive(Debug, Clone, Deserialize)]
pub struct WrongField {
    /// Its path.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// The rule of the tenant that it breaks.
    pub rule: Option<String>,
}

/// A key that is in use.
#[derive(Debug, Clone, Deserialize)]
pub struct UsedKey {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// When a request with it last passed.
    pub last_used_at: Option<i64>,
}

impl Api {
    /// The API for this caller.
    pub fn new(router: Router, caller: Caller) -> Self {
        Self { router, caller }
    }

    /// Reads something. What cannot be had is a page that says why.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Stop> {
        read(self.send_get(path).await?)
    }

    /// Reads something that has no version, and the tag that stands for what it is.
    pub async fn get_tagged<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String), Stop> {
        let (head, answer) = self.ask(None, Method::GET, path, None).await?;
        let tag = head.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok((read(answer)?, tag))
    }

    /// Reads something, or says why it cannot be had.
    pub async fn send_get(&self, path: &str) -> Result<Value, Problem> {
        self.send(Method::GET, path, None).await
    }

    /// Asks for a change.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Problem> {
        self.send_if(None, method, path, body).await
    }

    /// Asks for a change that is made on a condition.
    pub async fn send_if(
        &self,
        condition: Option<Condition<'_>>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Problem> {
        let (_, answer) = self.ask(condition, method, path, body).await?;
        Ok(answer)
    }

    async fn ask(
        &self,
        condition: Option<Condition<'_>>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(HeaderMap, Value), Problem> {
        let mut request = Request::new(match &body {
            Some(body) => Body::from(body.to_string()),
            None => Body::empty(),
        });
        *request.method_mut() = method;
        *request.uri_mut() = format!("/admin/v1/{path}")
            .parse()
            .map_err(|_| Problem::unreadable())?;
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        if let Some((name, value)) = condition.map(Condition::header) {
            let value = HeaderValue::from_str(&value).map_err(|_| Problem::unreadable())?;
            request.headers_mut().insert(name, value);
        }
        request.extensions_mut().insert(self.caller.clone());
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (head, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, LARGEST_ANSWER).await;
        let bytes = bytes.map_err(|_| Problem::unreadable())?;
        if head.status.is_success() {
            let answer = match bytes.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&bytes).map_err(|_| Problem::unreadable())?,
            };
            return Ok((head.headers, answer));
        }
        let problem: Problem =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Problem::unreadable());
        Err(match &*problem.code {
            "idempotency_key_reused" => Problem::sent_before(),
            _ => problem,
        })
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Stop> {
    serde_json::from_value(answer).map_err(|error| {
        tracing::error!(%error, "the console cannot read an answer of the API");
        Stop::from(Problem::unreadable())
    })
}

impl Problem {
    /// A form that was sent before, and asks for something else now: with other values, or with a span that begins now.
    fn sent_before() -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
            title: "This form was sent before".to_owned(),
            detail: "It was done then, and nothing was done now. Look in the list for what it made, which was shown \
                     once. Send the form again only where one more is wanted."
                .to_owned(),
            ..Self::default()
        }
    }

    /// An answer that cannot be read.
    pub fn unreadable() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            title: "Internal error".to_owned(),
            detail: "The service gave an answer that the console cannot read.".to_owned(),
            ..Self::default()
        }
    }
}

/// A part of a list.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to send as `page_token` for the next part.
    pub next_page_token: Option<String>,
}

/// A path of the API with an id in it.
pub fn of(collection: &str, id: &str) -> String {
    format!("{collection}/{}", encoded(id))
}
