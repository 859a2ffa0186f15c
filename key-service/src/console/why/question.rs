//! Reading what is asked: a key, the id of one, its hint, or a line of the access log, and what is known of the request.

use form_urlencoded::Serializer;
use serde_json::{Value, json};

use super::super::api::{Problem, WrongField};
use super::super::form::{Body, Sent};
use super::super::list::Asked;
use super::super::parts::Field;
use super::super::parts::Time;
use crate::domain::when::when;
use crate::explain::log_line::{Decided, LogLine, choose};

/// What may be said of the request, beside when it was.
const REQUEST: [&str; 4] = ["method", "host", "path", "source_address"];

/// What is asked.
#[derive(Debug, Default)]
pub struct Question {
    /// What was typed into the one field.
    ask: String,
    /// The id of a key, from an address.
    key_id: Option<String>,
    /// Of the request, by name.
    request: Vec<(&'static str, String)>,
    at: Option<String>,
    policy: Option<String>,
}

/// What was typed, read.
pub enum Read {
    /// The id of a key.
    KeyId(String),
    /// The id of a key, or a key.
    Either,
    /// A part of a key, as lists show it.
    Hint(String),
    /// A line of the access log.
    Line(Box<LogLine>, Option<String>),
    /// Nothing but a request.
    Request,
}

impl Read {
    /// What the access log says that was decided.
    pub fn decided(&self) -> Decided {
        match self {
            Self::Line(line, _) => line.decided.clone(),
            _ => Decided::Unknown,
        }
    }
}

impl Question {
    /// What an address asks.
    pub fn of_address(asked: &Asked) -> Self {
        Self::of(
            |name| asked.get(name),
            asked.get("key_id").map(str::to_owned),
            "",
        )
    }

    /// What a form asks.
    pub fn of_form(sent: &Sent) -> Self {
        Self::of(
            |name| sent.text(name),
            None,
            sent.text("ask").unwrap_or_default(),
        )
    }

    fn of<'a>(get: impl Fn(&str) -> Option<&'a str>, key_id: Option<String>, ask: &str) -> Self {
        let given = |name| Some((name, get(name)?.to_owned()));
        Self {
            ask: ask.to_owned(),
            key_id,
            request: REQUEST.into_iter().filter_map(given).collect(),
            at: get("at").map(str::to_owned),
            policy: get("policy").map(str::to_owned),
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.ask.is_empty() && self.key_id.is_none() && self.request.is_empty()
    }

    /// Whether a request is asked about, by its fields or by a line of the access log.
    pub fn is_of_request(&self) -> bool {
        !self.request.is_empty() || self.policy.is_some() || self.ask.starts_with('{')
    }

    /// What was typed.
    pub fn read(&self) -> Result<Read, Problem> {
        if let Some(id) = &self.key_id {
            return Ok(Read::KeyId(id.clone()));
        }
        match self.ask.as_str() {
            "" if self.request.is_empty() => Err(wrong(
                "ask",
                "Give a key, the id of a key, a line of the access log, or a request.",
            )),
            "" => Ok(Read::Request),
            line if line.starts_with('{') => {
                let line = choose(line, None).map_err(|message| wrong("ask", &message))?;
                match line.key_id() {
                    Ok(id) => Ok(Read::Line(Box::new(line), id)),
                    Err(not_named) => Err(wrong(
                        "ask",
                        &format!(
                            "The line names no key ({}). {}",
                            not_named.decision,
                            match not_named.is_unknown {
                                true =>
                                    "Nobody knows it: paste what the client sent, or look for its last characters in the list of keys.",
                                false => "Paste the key or its id instead.",
                            }
                        ),
                    )),
                }
            }
            hint if hint.contains('…') || hint.contains("...") => Ok(Read::Hint(hint.to_owned())),
            _ => Ok(Read::Either),
        }
    }

    /// What to ask the API, one after the other while it knows no such key.
    pub fn bodies(&self, read: &Read) -> Vec<Value> {
        let body = |name: &str, value: Option<&str>| {
            let line = match read {
                Read::Line(line, _) => Some(line.as_ref()),
                _ => None,
            };
            Body::default()
                .with_some(name, value)
                .with_some("policy", self.policy.as_deref())
                .with("request", self.request(line))
                .json()
        };
        match read {
            Read::KeyId(id) => vec![body("key_id", Some(id))],
            // A key with spaces or of another kind than ids is no id.
            Read::Either if crate::domain::text::id(&self.ask).is_ok() => {
                vec![
                    body("key_id", Some(&self.ask)),
                    body("key", Some(&self.ask)),
                ]
            }
            Read::Either => vec![body("key", Some(&self.ask))],
            Read::Line(_, id) => vec![body("key_id", id.as_deref())],
            Read::Request | Read::Hint(_) => vec![body("key_id", None)],
        }
    }

    /// The request: what was typed, else what the line says.
    fn request(&self, line: Option<&LogLine>) -> Value {
        let said = |name| match (name, line?) {
            ("method", line) => line.method.clone(),
            ("host", line) => line.host.clone(),
            ("path", line) => line.path.clone(),
            ("source_address", line) => line.source_address.clone(),
            _ => None,
        };
        let mut body = Body::default();
        for name in REQUEST {
            let typed = self.request.iter().find(|(field, _)| *field == name);
            let value = typed.map(|(_, value)| value.clone()).or_else(|| said(name));
            body = body.with_some(name, value);
        }
        let typed = self.at.as_deref().map(|text| match when(text) {
            Ok(at) => json!(at),
            // The API says what is wrong with it.
            Err(_) => json!(text),
        });
        let at = typed.or_else(|| line?.at.map(|at| json!(at)));
        body.with_some("at", at).json()
    }

    /// The fields of the request, with what was typed.
    pub fn fields(&self) -> Vec<Field> {
        let field = |name: &'static str, label, help| {
            let typed = self.request.iter().find(|(field, _)| *field == name);
            let value = typed.map_or(String::new(), |(_, value)| value.clone());
            Field::line(name, label).help(help).holding(value)
        };
        vec![
            field("method", "Method", "GET where it is missing"),
            field("host", "Host", ""),
            field("path", "Path", "/ where it is missing"),
            field("source_address", "Client's address", "such as 203.0.113.7"),
            Field::line("at", "Time")
                .help("2026-11-23T09:30:00Z, or -2h; now where it is missing")
                .holding(self.at.clone().unwrap_or_default()),
            Field::line("policy", "Policy")
                .help("where the route's metadata names one")
                .holding(self.policy.clone().unwrap_or_default()),
        ]
    }

    /// What may stand in the one field of the answer: what is no key.
    pub fn echo(&self) -> String {
        match (&self.key_id, self.ask.starts_with('{')) {
            (Some(id), _) => id.clone(),
            (None, true) => self.ask.clone(),
            (None, false) => String::new(),
        }
    }

    /// The address that may be shared. It holds the id of the key, and of the path not the query, in which keys may stand.
    pub fn share(&self, key_id: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("key_id", key_id);
        for (name, value) in &self.request {
            let value = match *name {
                "path" => value.split(['?', '#']).next().unwrap_or_default(),
                _ => value.as_str(),
            };
            query.append_pair(name, value);
        }
        if let Some(at) = self.at.as_deref().and_then(|text| when(text).ok()) {
            query.append_pair("at", &Time(at).exact());
        }
        if let Some(policy) = &self.policy {
            query.append_pair("policy", policy);
        }
        format!("/console/why?{}", query.finish())
    }
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem {
        status: 400,
        title: "Nothing could be explained".to_owned(),
        detail: message.to_owned(),
        errors: vec![WrongField {
            field: field.to_owned(),
            message: message.to_owned(),
            rule: None,
        }],
        ..Problem::default()
    }
}
