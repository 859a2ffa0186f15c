//! Requests that make something and may be sent again where no answer came: `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header). Header and request are stored as digests, the answer is not: what was
//! made is shown as it is by then, and the text of a key never again.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::app::App;
use super::body::{FromJson, json_body};
use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::domain::token::TokenDigest;
use crate::store::retries::Attempt;
use crate::store::{StoreError, Write};

/// The header.
const HEADER: &str = "idempotency-key";
/// Characters of its value at most.
const LONGEST: usize = 255;

/// A body, and what tells the request from all others.
pub struct Once<B>(pub B, pub Retry);

/// What tells a request from all others; none where its sender does not say.
pub struct Retry(Option<Attempt>);

impl<B: FromJson> FromRequest<App> for Once<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let key = given(request.headers())?;
        let token = request.extensions().get::<TokenDigest>().cloned();
        let about = format!("{} {}", request.method(), request.uri().path());
        let body = json_body(request, app).await?;
        let attempt = key.zip(token).map(|(key, token)| Attempt {
            id: digest([token.as_str(), &key]),
            request: digest([about.as_str(), &written(body.as_ref())]),
        });
        Ok(Self(B::from_json(body)?, Retry(attempt)))
    }
}

impl Retry {
    /// The id of what an earlier request with the same header made.
    pub async fn made_before(&self, write: &mut Write) -> Result<Option<String>, Problem> {
        let Some(attempt) = &self.0 else {
            return Ok(None);
        };
        match write.made_by(&attempt.id).await? {
            None => Ok(None),
            Some(made) if made.request == attempt.request => Ok(Some(made.entity_id)),
            Some(_) => Err(Problem::key_of_another_request()),
        }
    }

    /// Takes note of what this request makes.
    pub async fn remember(&self, write: &mut Write, id: &str) -> Result<(), StoreError> {
        match &self.0 {
            Some(attempt) => write.remember(attempt, id).await,
            None => Ok(()),
        }
    }
}

/// The value of the header: a string with quotes, as the draft has it, or without, as most send it.
fn given(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut lines = headers.get_all(HEADER).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    let text = line.to_str().unwrap_or_default().trim();
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = quoted.unwrap_or(text);
    let is_one = lines.next().is_none()
        && (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let message = "must be given once, with 1 to 255 visible ASCII characters, such as a UUID";
    match is_one {
        true => Ok(Some(text.to_owned())),
        false => Err(Refusal::field(HEADER, message)),
    }
}

/// A body in one way, whatever the order of its fields and the spaces between them.
fn written(body: Option<&Value>) -> String {
    match body {
        None => String::new(),
        Some(Value::Object(fields)) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            let fields = fields.into_iter().map(|(name, value)| {
                let name = Value::from(name.as_str());
                format!("{name}:{}", written(Some(value)))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Some(Value::Array(items)) => {
            let items = items.iter().map(|item| written(Some(item)));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        Some(other) => other.to_string(),
    }
}

/// The digest of two texts, the first of which has no line break.
fn digest([first, second]: [&str; 2]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{first}\n{second}")))
}
