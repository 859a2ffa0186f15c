//! JSON texts, in which a field that is given twice is wrong.

use std::collections::HashSet;

use keybound::record::json::Json;
use serde_json::Value;

use crate::domain::refusal::{FieldError, Refusal, join};

/// Reads a JSON text in which each field is given once: of two, the one that counts would depend on who
/// reads it.
pub fn parse(what: &str, text: &[u8]) -> Result<Value, Refusal> {
    // The parser's message names a place and never quotes the text, which may hold a secret.
    let not_json = |error: String| Refusal::field("", format!("{what} is not JSON: {error}"));
    let as_written = Json::parse(text).map_err(not_json)?;
    let mut repeated = Vec::new();
    find_repeated(&as_written, "", &mut repeated);
    Refusal::unless_empty(repeated)?;
    serde_json::from_slice(text).map_err(|error| not_json(error.to_string()))
}

fn find_repeated(json: &Json, path: &str, repeated: &mut Vec<FieldError>) {
    match json {
        Json::Object(members) => {
            let mut names = HashSet::new();
            for (name, value) in members {
                let field = join(path, name);
                if names.insert(name.as_str()) {
                    find_repeated(value, &field, repeated);
                } else {
                    repeated.push(FieldError::new(field, "is given twice: keep one"));
                }
            }
        }
        Json::List(items) => {
            for (index, item) in items.iter().enumerate() {
                find_repeated(item, &format!("{path}[{index}]"), repeated);
            }
        }
        _ => {}
    }
}
