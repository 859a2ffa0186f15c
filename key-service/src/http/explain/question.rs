//! Reading the question that `POST /admin/v1/explain` is asked.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use crate::domain::credential::{DIGEST, Digest};
use crate::domain::input::input;
use crate::domain::input::rules::{Rule, Text, Wrong, any, object};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text::ID;
use crate::domain::time::{SECONDS, now};

input! {
    /// Which request, with whose key. At most one of `key`, `key_id` and `digest`; none where the request itself
    /// carries the credential.
    ExplainQuestion {
        /// The credential in clear. It is neither stored nor logged.
        key: Option<String> = optional(ANY),
        /// Id of a key.
        key_id: Option<String> = optional(ID; "key_0aB1cD2eF3gH4iJ5"),
        /// Digest of a key, base64url without padding.
        digest: Option<Digest> = optional(DIGEST),
        /// The request; needed where no key is named.
        request: Option<ExplainRequest> = optional(object::<ExplainRequest>()),
        /// The policy that the metadata of Envoy's route names. Without it, the policy is chosen by the filter's
        /// `routes`.
        policy: Option<String> = optional(ID),
    }
}

input! {
    /// The request, as Envoy hands it to the filter.
    #[derive(Default)]
    ExplainRequest {
        /// `GET` where it is missing.
        method: Option<String> = optional(text(method)),
        /// With or without a port.
        host: Option<String> = optional(text(host)),
        /// With or without a query; `/` where it is missing, unless the method is CONNECT.
        path: Option<String> = optional(text(path)),
        /// Header names and their values: a text, or a list of texts where one is sent several times.
        headers: Vec<(String, String)> = or_default(Headers; json!({"x-tenant": "ten_2"})),
        /// The client's address as Envoy trusts it, with or without a port.
        source_address: Option<String> = optional(text(source_address); "203.0.113.7:49152"),
        /// When, in Unix seconds; now where it is missing. The verdict is by the records of now at any rate; what
        /// those of an earlier time gave, as far as the audit log knows, is told beside it.
        at: Option<i64> = optional(SECONDS),
    }
}

/// Any text.
const ANY: Text<String> = text(|text| Ok(text.to_owned()));

/// A text whose rules JSON Schema does not say.
const fn text(parse: fn(&str) -> Result<String, String>) -> Text<String> {
    Text { parse, bounds: any }
}

/// A question that was read.
pub struct Asked {
    pub about: About,
    pub sent: Sent,
    /// When, in Unix seconds.
    pub now: u64,
    /// That time where it was asked for and is none to come.
    pub earlier: Option<i64>,
}

/// Whose key it is about.
pub enum About {
    /// That of the request's own credential.
    Request,
    /// That of this credential.
    Key(String),
    /// That of this id.
    KeyId(String),
    /// That of this digest.
    Digest(Digest),
}

/// The request of a question.
pub struct Sent {
    /// All headers, pseudo-headers included, as Envoy has them.
    pub headers: Vec<(String, String)>,
    pub source_address: Option<String>,
    /// The policy that the route's metadata names.
    pub policy: Option<String>,
}

impl Asked {
    /// The question, if it names one key at most and is about anything.
    pub fn of(question: ExplainQuestion) -> Result<Self, Refusal> {
        let policy = question.policy;
        let asked = (
            question.key,
            question.key_id,
            question.digest,
            question.request,
        );
        let (about, request) = match asked {
            (None, None, None, Some(request)) => (About::Request, request),
            (None, None, None, None) => {
                return Err(Refusal::field(
                    "request",
                    "is required where none of key, key_id and digest is given",
                ));
            }
            (Some(key), None, None, request) => (About::Key(key), request.unwrap_or_default()),
            (None, Some(id), None, request) => (About::KeyId(id), request.unwrap_or_default()),
            (None, None, Some(digest), request) => {
                (About::Digest(digest), request.unwrap_or_default())
            }
            (key, key_id, digest, _) => {
                let given = [
                    ("key", key.is_some()),
                    ("key_id", key_id.is_some()),
                    ("digest", digest.is_some()),
                ];
                let too_many = |(name, _)| {
                    FieldError::new(name, "is one too many: give one of key, key_id and digest")
                };
                let given = given.into_iter().filter(|(_, given)| *given).skip(1);
                return Err(Refusal::Invalid(given.map(too_many).collect()));
            }
        };
        let earlier = request.at.filter(|at| *at <= now());
        let at = request.at.unwrap_or_else(now);
        Ok(Asked {
            about,
            earlier,
            now: u64::try_from(at).unwrap_or_default(),
            sent: Sent {
                policy,
                source_address: request.source_address.clone(),
                headers: request.all_headers(),
            },
        })
    }
}

impl ExplainRequest {
    /// All headers, pseudo-headers included, as Envoy has them.
    fn all_headers(self) -> Vec<(String, String)> {
        let method = self.method.unwrap_or_else(|| "GET".to_owned());
        let root = || (method != "CONNECT").then(|| "/".to_owned());
        let path = self.path.or_else(root);
        let pseudo = [
            (":method", Some(method)),
            (":authority", self.host),
            (":path", path),
        ];
        let pseudo = pseudo
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        pseudo.chain(self.headers).collect()
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn method(text: &str) -> Result<String, String> {
    match is_token(text) {
        true => Ok(text.to_owned()),
        false => Err("must be a method such as \"GET\"".to_owned()),
    }
}

fn host(text: &str) -> Result<String, String> {
    match is_visible(text) && !text.contains('/') {
        true => Ok(text.to_owned()),
        false => {
            Err("must be a host such as \"api.example.com\" or \"api.example.com:8443\"".to_owned())
        }
    }
}

/// A path may hold any byte but those that no HTTP message has in it.
fn path(text: &str) -> Result<String, String> {
    let starts = text.starts_with('/') || text == "*";
    match starts
        && !text
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b' ')
    {
        true => Ok(text.to_owned()),
        false => Err("must be a path such as \"/v1/orders?page=2\", without spaces".to_owned()),
    }
}

fn source_address(text: &str) -> Result<String, String> {
    match text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(
            "must be an address such as \"203.0.113.7\", \"203.0.113.7:49152\" or \"[2001:db8::1]:443\""
                .to_owned(),
        ),
    }
}

/// Header names and their values. What is wrong with one is told by its name, never by its value.
struct Headers;

impl Rule for Headers {
    type Value = Vec<(String, String)>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        headers(value)
    }

    fn schema(&self) -> Value {
        json!({"type": "object"})
    }
}

fn headers(value: &Value) -> Result<Vec<(String, String)>, Wrong> {
    let wrong = |field: &str, message: &str| Err(vec![FieldError::new(field, message)]);
    let Value::Object(headers) = value else {
        return wrong("", "must be an object of header names and their values");
    };
    let mut read = Vec::new();
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            // The name is not repeated: it may be a whole header, with the key in it.
            return wrong(
                "",
                "holds a name that no header has: letters, digits and any of !#$%&'*+-.^_`|~",
            );
        }
        if lower == "host" {
            return wrong(name, "is given as request.host");
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let Value::String(text) = value else {
                return wrong(name, "must be a string or a list of strings");
            };
            if text.bytes().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
                return wrong(
                    name,
                    "holds a line break or a zero byte, which no header can",
                );
            }
            read.push((lower.clone(), text.clone()));
        }
    }
    Ok(read)
}
