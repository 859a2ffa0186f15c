//! Commands that talk to a running service.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

use super::call::{Answer, Call};
use super::connection;
use super::outcome::{Failure, Outcome};
use super::output::{self, Column};
use crate::domain::token::Token;

/// Bytes of an answer at most.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// Entries of a page at most.
const MOST_ENTRIES: u32 = 500;

const TRUST: &str = "Where its certificate is of your own authority, name that with --cacert FILE";

/// Which service, who asks, and how to print the answer: options of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Remote {
    /// URL of the service
    #[arg(
        long,
        global = true,
        env = "KEYBOUND_SERVER",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    server: String,
    /// File that holds the token; else it is taken from the environment variable KEYBOUND_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the machine's own, for a service behind TLS
    #[arg(long, global = true, env = "KEYBOUND_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Print JSON: the API's answers, with each time in RFC 3339 beside it
    #[arg(long, global = true)]
    pub json: bool,
}

/// A part of a list, and how much of each entry.
#[derive(clap::Args)]
pub struct Paging {
    /// Entries at most, 1 to 500
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Go on after an earlier list
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Every entry, however many calls that takes
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// More of each entry, in rows wider than 80 columns
    #[arg(long)]
    pub wide: bool,
}

/// What is printed of a list.
pub struct Listing {
    /// Fits 80 columns, as long as ids are not longer than those that the service makes.
    pub narrow: &'static [Column],
    /// All that is of interest.
    pub wide: &'static [Column],
}

impl Paging {
    /// The query of a list: these filters where they are given, and the page.
    fn query(&self, filters: &[(&str, Option<&str>)], page_token: Option<&str>) -> String {
        let limit = match self.all {
            true => Some(MOST_ENTRIES),
            false => self.limit,
        };
        let limit = limit.map(|limit| limit.to_string());
        let page = [("limit", limit.as_deref()), ("page_token", page_token)];
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
    pub fn list(
        &self,
        path: &str,
        paging: &Paging,
        filters: &[(&str, Option<&str>)],
        listing: &Listing,
    ) -> Outcome {
        if let Some(entries) = self.fetch(path, paging, filters)? {
            let columns = if paging.wide {
                listing.wide
            } else {
                listing.narrow
            };
            output::table(&entries, columns);
        }
        Ok(())
    }

    /// Gets a list that is printed in a way of its own: nothing where JSON was asked for and is printed
    /// already.
    pub fn fetch(
        &self,
        path: &str,
        paging: &Paging,
        filters: &[(&str, Option<&str>)],
    ) -> Result<Option<Vec<Value>>, Failure> {
        let mut entries = Vec::new();
        let mut next = paging.page_token.clone();
        let mut unknown_use = false;
        loop {
            let query = paging.query(filters, next.as_deref());
            let mut answer = self.call(&Method::GET, &format!("{path}{query}"), None)?;
            if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
                entries.extend(items);
            }
            unknown_use |= answer.get("usage_reported") == Some(&Value::Bool(false));
            let token = answer.get("next_page_token").and_then(Value::as_str);
            next = token.map(str::to_owned);
            if next.is_none() || !paging.all {
                break;
            }
        }
        if unknown_use {
            output::note("No gateway has reported use yet: which keys are used is not known.");
        }
        if self.json {
            output::json(&json!({"items": entries, "next_page_token": next}));
            return Ok(None);
        }
        if let Some(token) = next {
            output::note(&format!(
                "There are more: add --all, or --page-token {token}"
            ));
        }
        Ok(Some(entries))
    }

    /// Makes a call whose answer is one record, and prints that.
    pub fn show(
        &self,
        method: &Method,
        path: &str,
        body: Option<Value>,
        columns: &[Column],
    ) -> Outcome {
        self.print(&self.call(method, path, body)?, columns);
        Ok(())
    }

    /// Prints one record.
    pub fn print(&self, record: &Value, columns: &[Column]) {
        if self.json {
            output::json(record);
        } else {
            output::record(record, columns);
        }
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

    /// Makes a call, and gives its answer.
    pub fn call(&self, method: &Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        self.send(
            method,
            path,
            body.map(|body| ("application/json", body.to_string().into_bytes())),
        )
    }

    /// Makes a call with a body of any type.
    pub fn send(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, Vec<u8>)>,
    ) -> Result<Value, Failure> {
        let call = Call {
            content,
            ..Call::new(method, path)
        };
        self.done(call)
    }

    /// Makes a call that must succeed.
    pub fn done(&self, call: Call<'_>) -> Result<Value, Failure> {
        let answer = self.make(call)?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        if self.json && answer.body.is_object() {
            output::json(&answer.body);
        }
        Err(refusal(answer.status, &answer.body))
    }

    /// Makes a call, and gives its answer, whatever it is.
    pub fn make(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let (server, agent) = self.reach(call.longest)?;
        let url = format!("{server}/admin/v1{}", call.path);
        let token = self.token()?;
        let (media, body) = call.content.unwrap_or_default();
        let mut request = Request::builder()
            .method(call.method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", token.reveal()));
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        if let Some(tag) = &call.if_match {
            request = request.header("if-match", format!("\"{tag}\""));
        }
        let request = request
            .body(body)
            .map_err(|_| Failure::Usage(format!("{} is no URL of a service", self.shown())))?;
        let mut response = agent
            .run(request)
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }

    /// The service's URL, and an agent that reaches it.
    pub fn reach(&self, timeout: Duration) -> Result<(&str, Agent), Failure> {
        let server = self.server.trim_end_matches('/');
        let agent = connection::agent(server, self.cacert.as_deref(), timeout)?;
        Ok((server, agent))
    }

    /// The service's URL as it may be printed.
    pub fn shown(&self) -> String {
        connection::shown(&self.server)
    }

    /// What to say where no answer came.
    pub fn unreachable(&self, error: &ureq::Error) -> Failure {
        let remedy = match error {
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => TRUST,
            error if error.to_string().contains("UnknownIssuer") => TRUST,
            _ => "Is it running? Name another with --server",
        };
        Failure::Unreachable(format!(
            "cannot reach the service at {}: {error}. {remedy}",
            self.shown()
        ))
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
pub fn refusal(status: u16, answer: &Value) -> Failure {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let mut message = match (text("title"), text("detail")) {
        // The call's parameter is a flag here.
        (Some(title), Some(detail)) if text("code") == Some("in_use") => {
            format!(
                "{title}: {}",
                detail.replace("send ?force=true", "add --force")
            )
        }
        (Some(title), Some(detail)) => match answer.get("version") {
            // The call's header is a flag here.
            Some(version) => {
                let header = format!("with if-match: \"{version}\"");
                let detail = detail.replace(&header, &format!("with --if-version {version}"));
                format!("{title}: {detail}")
            }
            None => format!("{title}: {detail}"),
        },
        _ => {
            format!("the service answered {status} without saying why; is that URL a key service?")
        }
    };
    let keys = answer.get("keys").and_then(Value::as_array);
    for key in keys.into_iter().flatten() {
        let id = key.get("id").and_then(Value::as_str).unwrap_or_default();
        let used = output::last_use(key);
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
