//! Commands that talk to a running service.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use ureq::http::{Method, Request};

use super::output::{self, Column};
use super::{Failure, Outcome};
use crate::domain::token::Token;

/// Which service, who asks, and how to print the answer.
#[derive(clap::Args)]
pub struct Remote {
    /// URL of the service
    #[arg(
        long,
        env = "KEYBOUND_SERVER",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    server: String,
    /// File that holds the token; else it is taken from the environment variable KEYBOUND_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// A part of a list.
#[derive(clap::Args)]
pub struct Paging {
    /// Entries at most, 1 to 500
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Go on after an earlier list
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

impl Paging {
    /// The query of a list: these filters where they are given, and the page.
    pub fn query(&self, filters: &[(&str, Option<&str>)]) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        let page = [
            ("limit", limit.as_deref()),
            ("page_token", self.page_token.as_deref()),
        ];
        let mut query = String::new();
        for (name, value) in filters.iter().chain(&page) {
            if let Some(value) = value {
                let separator = if query.is_empty() { '?' } else { '&' };
                let _ = write!(query, "{separator}{name}={}", encoded(value));
            }
        }
        query
    }
}

/// The fields of a body that were given as arguments.
#[derive(Default)]
pub struct Given(Map<String, Value>);

impl Given {
    /// Adds a field, if it was given.
    pub fn field(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds a list, if it has entries.
    pub fn list(mut self, name: &str, values: Vec<String>) -> Self {
        if !values.is_empty() {
            self.0.insert(name.to_owned(), values.into());
        }
        self
    }

    /// Sets fields to null, which takes away what is there.
    pub fn clear(mut self, names: &[String]) -> Self {
        for name in names {
            self.0.insert(name.replace('-', "_"), Value::Null);
        }
        self
    }

    /// The body of a change, which must change something.
    pub fn change(self) -> Result<Value, Failure> {
        if self.0.is_empty() {
            return Err(Failure::Usage(
                "nothing to change is given; see --help".to_owned(),
            ));
        }
        Ok(Value::Object(self.0))
    }

    /// The body.
    pub fn body(self) -> Value {
        Value::Object(self.0)
    }
}

impl Remote {
    /// Gets a list and prints it as a table.
    pub fn list(&self, path: &str, query: &str, columns: &[Column]) -> Outcome {
        let answer = self.call(&Method::GET, &format!("{path}{query}"), None)?;
        if self.json {
            output::json(&answer);
            return Ok(());
        }
        let items = answer.get("items").and_then(Value::as_array);
        output::table(items.map(Vec::as_slice).unwrap_or_default(), columns);
        if let Some(token) = answer.get("next_page_token").and_then(Value::as_str) {
            output::note(&format!("There are more: add --page-token {token}"));
        }
        Ok(())
    }

    /// Makes a call whose answer is one record, and prints that.
    pub fn show(
        &self,
        method: &Method,
        path: &str,
        body: Option<Value>,
        columns: &[Column],
    ) -> Outcome {
        let answer = self.call(method, path, body)?;
        if self.json {
            output::json(&answer);
        } else {
            output::record(&answer, columns);
            if answer.get("secret").is_some() {
                output::note("Keep the key now: it is not stored and cannot be shown again.");
            }
        }
        Ok(())
    }

    /// Asks for an answer that is printed in a way of its own: nothing where JSON was asked for and is
    /// printed already.
    pub fn ask(&self, path: &str, body: Value) -> Result<Option<Value>, Failure> {
        let answer = self.call(&Method::POST, path, Some(body))?;
        if self.json {
            output::json(&answer);
            return Ok(None);
        }
        Ok(Some(answer))
    }

    /// Posts JSON lines, and prints what became of each.
    pub fn report(&self, path: &str, lines: String, columns: &[Column]) -> Outcome {
        let answer = self.send(&Method::POST, path, Some(("application/x-ndjson", lines)))?;
        if self.json {
            output::json(&answer);
            return Ok(());
        }
        let lines = answer.get("lines").and_then(Value::as_array);
        output::table(lines.map(Vec::as_slice).unwrap_or_default(), columns);
        let number = |name| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        output::note(&format!(
            "{} imported, {} there already, {} failed",
            number("imported"),
            number("existing"),
            number("failed")
        ));
        Ok(())
    }

    fn call(&self, method: &Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        self.send(
            method,
            path,
            body.map(|body| ("application/json", body.to_string())),
        )
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, String)>,
    ) -> Result<Value, Failure> {
        let url = format!("{}/admin/v1{path}", self.server.trim_end_matches('/'));
        let token = self.token()?;
        let (media, body) = content.unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", token.reveal()));
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        let request = request
            .body(body)
            .map_err(|_| Failure::Usage(format!("{} is no URL of a service", self.server)))?;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let unreachable = |error: ureq::Error| {
            Failure::Unreachable(format!(
                "cannot reach the service at {}: {error}. Is it running? Name another with --server",
                self.server
            ))
        };
        let mut response = agent.run(request).map_err(unreachable)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        if self.json && answer.is_object() {
            output::json(&answer);
        }
        Err(refusal(status.as_u16(), &answer))
    }

    fn token(&self) -> Result<Token, Failure> {
        let (text, from) = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::Usage(format!(
                        "cannot read the token file {}: {error}",
                        path.display()
                    ))
                })?;
                (text, path.display().to_string())
            }
            None => match std::env::var("KEYBOUND_TOKEN") {
                Ok(text) => (text, "KEYBOUND_TOKEN".to_owned()),
                Err(_) => {
                    return Err(Failure::Usage(
                        "no token: set KEYBOUND_TOKEN, or name a file with --token-file".to_owned(),
                    ));
                }
            },
        };
        Token::chosen(text.trim())
            .map_err(|message| Failure::Usage(format!("the token in {from} {message}")))
    }
}

/// What the service said, with a remedy where it is this side's to apply.
fn refusal(status: u16, answer: &Value) -> Failure {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let mut message = match (text("title"), text("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        _ => {
            format!("the service answered {status} without saying why; is that URL a key service?")
        }
    };
    let keys = answer.get("keys").and_then(Value::as_array);
    for key in keys.into_iter().flatten() {
        let id = key.get("id").and_then(Value::as_str).unwrap_or_default();
        let used = output::time(key.get("last_used_at").and_then(Value::as_i64));
        let _ = write!(message, "\n  {id} last used {used}");
    }
    if status == 401 {
        message.push_str(" Check KEYBOUND_TOKEN or --token-file.");
    }
    Failure::Refused(message)
}

/// A text as one segment of a path, or one value of a query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
