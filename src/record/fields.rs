//! Typed access to the members of an object of the protocol, with one error for each field that is missing
//! or wrong.

use std::fmt;

use super::{Scopes, Text};
use crate::protocol::{LONGEST_NAME, MOST_ENTRIES, is_name};
use crate::record::json::Json;
use crate::time::LAST_SECOND;

/// A field that is not as the protocol wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.problem)
    }
}

pub(super) fn malformed(field: impl Into<String>, problem: &'static str) -> Malformed {
    Malformed {
        field: field.into(),
        problem,
    }
}

/// Typed access to the members of an object. A missing member and `null` are the same to the optional ones.
pub(super) struct Fields<'a> {
    pub(super) path: &'static str,
    members: &'a [(String, Json)],
}

impl<'a> Fields<'a> {
    pub(super) fn of(path: &'static str, json: &'a Json) -> Result<Self, Malformed> {
        match json {
            Json::Object(members) => Ok(Self { path, members }),
            _ => Err(malformed(path, "must be an object")),
        }
    }

    pub(super) fn wrong(&self, name: &str, problem: &'static str) -> Malformed {
        malformed(format!("{}.{name}", self.path), problem)
    }

    pub(super) fn missing(&self, name: &str) -> Malformed {
        self.wrong(name, "is missing")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<&'a Json>, Malformed> {
        let mut found = self.members.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value);
        if found.next().is_some() {
            return Err(self.wrong(name, "is given twice"));
        }
        Ok(value.filter(|value| !matches!(value, Json::Null)))
    }

    pub(super) fn object(&self, name: &'static str) -> Result<Option<Self>, Malformed> {
        self.get(name)?.map(|json| Self::of(name, json)).transpose()
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Json]>, Malformed> {
        match self.get(name)? {
            None => Ok(None),
            Some(Json::List(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "must be a list")),
        }
    }

    /// A list of a record.
    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<&'a str>>, Malformed> {
        let Some(items) = self.list(name)? else {
            return Ok(None);
        };
        if items.len() > MOST_ENTRIES {
            return Err(self.wrong(name, "must hold at most 256 entries"));
        }
        let string = |item: &'a Json| match item {
            Json::String(text) if (1..=LONGEST_NAME).contains(&text.len()) => Ok(text.as_str()),
            Json::String(_) => Err(self.wrong(name, "must hold 1 to 128 bytes each")),
            _ => Err(self.wrong(name, "must hold strings")),
        };
        items.iter().map(string).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn scopes(&self, name: &str) -> Result<Option<Scopes>, Malformed> {
        let Some(scopes) = self.strings(name)? else {
            return Ok(None);
        };
        if scopes.iter().all(|scope| is_name(scope)) {
            Ok(Some(Scopes::new(scopes)))
        } else {
            Err(self.wrong(name, "must hold 1 to 128 bytes of visible ASCII each"))
        }
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        match self.get(name)? {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    pub(super) fn required_string(&self, name: &str) -> Result<&'a str, Malformed> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn name(&self, name: &str) -> Result<Option<Text>, Malformed> {
        match self.string(name)? {
            Some(text) if !is_name(text) => {
                Err(self.wrong(name, "must be 1 to 128 bytes of visible ASCII"))
            }
            text => Ok(text.map(Text::from)),
        }
    }

    pub(super) fn required_name(&self, name: &str) -> Result<Text, Malformed> {
        self.name(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, Malformed> {
        match self.get(name)? {
            None => Err(self.missing(name)),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "must be a boolean")),
        }
    }

    pub(super) fn unsigned(&self, name: &str) -> Result<Option<u64>, Malformed> {
        match self.get(name)? {
            None => Ok(None),
            Some(Json::Unsigned(number)) => Ok(Some(*number)),
            Some(_) => Err(self.wrong(name, "must be a whole number that is not negative")),
        }
    }

    /// A time. What is later than any that can be written as a date would be milliseconds, most likely.
    pub(super) fn time(&self, name: &str) -> Result<Option<u64>, Malformed> {
        match self.unsigned(name)? {
            Some(time) if time > LAST_SECOND => Err(self.wrong(
                name,
                "must be Unix seconds up to 253402300799, the end of the year 9999 (are these milliseconds?)",
            )),
            time => Ok(time),
        }
    }

    pub(super) fn required_unsigned(&self, name: &str) -> Result<u64, Malformed> {
        self.unsigned(name)?.ok_or_else(|| self.missing(name))
    }
}
