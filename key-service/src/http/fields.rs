//! Reading JSON objects field by field, so that everything wrong with one is told at once.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::domain::Patch;
use crate::domain::fence::{self, Day, Hours, MOST_ENTRIES};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::text as rules;
use crate::domain::text::did_you_mean;
use crate::domain::time;

/// What a reader found wrong: fields relative to the value it was given.
type Wrong = Vec<FieldError>;

/// The fields of an object that are not read yet, and what was wrong with those that are.
pub struct Fields {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of a body, which must be an object.
    pub fn of(value: Value) -> Result<Self, Refusal> {
        match value {
            Value::Object(rest) => Ok(Self::of_map(rest)),
            other => Err(Refusal::field(
                "",
                format!("must be a JSON object, not {}", kind(&other)),
            )),
        }
    }

    fn of_map(rest: Map<String, Value>) -> Self {
        Self {
            rest,
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The parameters of a query, all of them texts.
    pub fn of_query(query: Option<&str>) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> = match query {
            None => Vec::new(),
            Some(query) => axum::extract::Query::try_from_uri(
                &format!("/?{query}")
                    .parse()
                    .map_err(|_| Refusal::field("", "the query cannot be read"))?,
            )
            .map(|axum::extract::Query(pairs)| pairs)
            .map_err(|_| Refusal::field("", "the query cannot be read"))?,
        };
        let mut fields = Self::of_map(Map::new());
        for (name, value) in pairs {
            if fields.rest.contains_key(&name) {
                fields.errors.push(FieldError::new(&name, "is given twice"));
            }
            fields.rest.insert(name, Value::String(value));
        }
        Ok(fields)
    }

    /// A field that may be missing or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.known.push(name);
        match self.rest.remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.check(name, read(&value)),
        }
    }

    /// A field that must be there.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        if matches!(self.rest.get(name), None | Some(Value::Null)) {
            self.errors.push(FieldError::new(name, "is required"));
        }
        self.optional(name, read)
    }

    /// A field of a change that may be missing, but not null.
    pub fn patch<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Patch<T> {
        self.known.push(name);
        let read = self.rest.remove(name).map(|value| read(&value));
        read.and_then(|result| self.check(name, result))
            .map_or(Patch::Keep, Patch::Set)
    }

    /// A field of a change that may be missing; null takes away what is there.
    pub fn patch_nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Patch<Option<T>> {
        self.patch(name, |value| match value {
            Value::Null => Ok(None),
            value => read(value).map(Some),
        })
    }

    /// What was read, if all of it was right and nothing unknown is left. The closure sees `None`
    /// for a required field only where that field is among the errors already.
    pub fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, Refusal> {
        for name in self.rest.keys() {
            let mut message = "unknown field".to_owned();
            if let Some(near) = did_you_mean(name, &self.known) {
                message.push_str(&format!(", did you mean \"{near}\"?"));
            }
            self.errors.push(FieldError::new(name, message));
        }
        self.finish_ignoring_unknown(build)
    }

    /// Like [`Fields::finish`], where a newer caller may send fields that we do not know yet.
    pub fn finish_ignoring_unknown<T>(
        self,
        build: impl FnOnce() -> Option<T>,
    ) -> Result<T, Refusal> {
        Refusal::unless_empty(self.errors)?;
        build().ok_or_else(|| Refusal::field("", "a required field is missing"))
    }

    fn check<T>(&mut self, name: &str, result: Result<T, Wrong>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.errors.extend(within(name, Refusal::Invalid(wrong)));
                None
            }
        }
    }
}

/// The path of a field within another.
pub fn join(outer: &str, inner: &str) -> String {
    match inner {
        inner if outer.is_empty() => inner.to_owned(),
        "" => outer.to_owned(),
        inner if inner.starts_with('[') => format!("{outer}{inner}"),
        inner => format!("{outer}.{inner}"),
    }
}

fn wrong(message: impl Into<String>) -> Wrong {
    vec![FieldError::new("", message)]
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A string with rules of its own.
pub fn text<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&Value) -> Result<T, Wrong> {
    move |value| match value {
        Value::String(text) => parse(text).map_err(wrong),
        other => Err(wrong(format!("must be a string, not {}", kind(other)))),
    }
}

/// A list of strings with rules of their own.
pub fn list<T>(
    lengths: RangeInclusive<usize>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&Value) -> Result<Vec<T>, Wrong> {
    let read = text(parse);
    move |value| {
        let Value::Array(values) = value else {
            return Err(wrong(format!(
                "must be a list of strings, not {}",
                kind(value)
            )));
        };
        if !lengths.contains(&values.len()) {
            return Err(wrong(format!(
                "must have {} to {} entries, not {}",
                lengths.start(),
                lengths.end(),
                values.len()
            )));
        }
        let mut items = Vec::with_capacity(values.len());
        let mut errors = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match read(value) {
                Ok(item) => items.push(item),
                Err(wrong) => errors.extend(within(&format!("[{index}]"), Refusal::Invalid(wrong))),
            }
        }
        if errors.is_empty() {
            Ok(items)
        } else {
            Err(errors)
        }
    }
}

/// A list of objects, whose unknown fields are ignored.
pub fn objects<T>(
    read: impl Fn(&mut Fields) -> Option<T>,
) -> impl Fn(&Value) -> Result<Vec<T>, Wrong> {
    move |value| {
        let Value::Array(values) = value else {
            return Err(wrong(format!(
                "must be a list of objects, not {}",
                kind(value)
            )));
        };
        let mut items = Vec::with_capacity(values.len());
        let mut errors = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let item = Fields::of(value.clone()).and_then(|mut fields| {
                let item = read(&mut fields);
                fields.finish_ignoring_unknown(|| item)
            });
            match item {
                Ok(item) => items.push(item),
                Err(refusal) => errors.extend(within(&format!("[{index}]"), refusal)),
            }
        }
        if errors.is_empty() {
            Ok(items)
        } else {
            Err(errors)
        }
    }
}

/// A list of anything that may not be longer. A longer one is not read.
pub fn at_most<T>(
    most: usize,
    read: impl Fn(&Value) -> Result<Vec<T>, Wrong>,
) -> impl Fn(&Value) -> Result<Vec<T>, Wrong> {
    move |value| match value {
        Value::Array(values) if values.len() > most => Err(wrong(format!(
            "must have at most {most} entries, not {}: send the others in a call of their own",
            values.len()
        ))),
        value => read(value),
    }
}

/// The errors of a part, as fields of the whole.
pub fn within(outer: &str, refusal: Refusal) -> Vec<FieldError> {
    let errors = match refusal {
        Refusal::Invalid(errors) => errors,
        Refusal::Conflict(message) => wrong(message),
    };
    errors
        .into_iter()
        .map(|error| FieldError {
            field: join(outer, &error.field),
            ..error
        })
        .collect()
}

/// A number of things. The bound keeps sums of many far from an overflow.
pub fn count(value: &Value) -> Result<i64, Wrong> {
    value
        .as_i64()
        .filter(|number| (0..=1_i64 << 40).contains(number))
        .ok_or_else(|| wrong("must be a whole number, 0 or more"))
}

/// A switch in the text of a query.
pub fn switch(value: &Value) -> Result<bool, Wrong> {
    text(|text| rules::word(text, &[("true", true), ("false", false)]))(value)
}

/// The scopes of a key or user.
pub fn scopes(value: &Value) -> Result<Vec<String>, Wrong> {
    list(0..=MOST_ENTRIES, fence::scope)(value)
}

/// The networks of a key.
pub fn networks(value: &Value) -> Result<Vec<IpNet>, Wrong> {
    list(0..=MOST_ENTRIES, fence::network)(value)
}

/// The hours of a key.
pub fn hours(value: &Value) -> Result<Hours, Wrong> {
    let Value::Object(map) = value else {
        return Err(wrong(format!(
            "must be an object with days, from and to, not {}",
            kind(value)
        )));
    };
    let mut fields = Fields::of_map(map.clone());
    let days = fields.required("days", list(0..=7, Day::parse));
    let from = fields.required("from", text(fence::minute));
    let to = fields.required("to", text(fence::minute));
    let days = days.map(|mut days| {
        days.sort_unstable();
        days.dedup();
        days
    });
    fields
        .finish(|| {
            Some(Hours {
                days: days?,
                from: from?,
                to: to?,
            })
        })
        .map_err(|refusal| within("", refusal))
}

/// A time in Unix seconds.
pub fn unix_seconds(value: &Value) -> Result<i64, Wrong> {
    value
        .as_i64()
        .filter(|seconds| (0..=time::LATEST).contains(seconds))
        .ok_or_else(|| {
            wrong(format!(
                "must be a time in Unix seconds, a whole number from 0 to {}",
                time::LATEST
            ))
        })
}

/// A whole number in the text of a query.
pub fn digits(range: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<i64, Wrong> {
    text(move |text| {
        text.parse()
            .ok()
            .filter(|number| {
                range.contains(number) && text.bytes().all(|byte| byte.is_ascii_digit())
            })
            .ok_or_else(|| {
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::text;

    fn errors(refusal: Refusal) -> Vec<(String, String)> {
        match refusal {
            Refusal::Invalid(errors) => errors.into_iter().map(|e| (e.field, e.message)).collect(),
            Refusal::Conflict(message) => vec![("conflict".to_owned(), message)],
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_path() {
        let mut fields = Fields::of(json!({
            "id": 7, "scopes": ["ok", "not ok", 3], "scope": [],
            "hours": {"days": ["mon", "tues"], "from": "25:00"},
        }))
        .unwrap();
        fields.optional("id", super::text(text::id));
        fields.required("user_id", super::text(text::id));
        fields.optional("scopes", scopes);
        fields.optional("hours", hours);
        let found = errors(fields.finish(|| Some(())).unwrap_err());
        let paths: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            paths,
            [
                "id",
                "user_id",
                "scopes[1]",
                "scopes[2]",
                "hours.days[1]",
                "hours.from",
                "hours.to",
                "scope"
            ]
        );
        assert_eq!(found[0].1, "must be a string, not a number");
        assert!(
            found[4].1.ends_with("did you mean \"tue\"?"),
            "{}",
            found[4].1
        );
        assert_eq!(found[7].1, "unknown field, did you mean \"scopes\"?");
    }

    #[test]
    fn a_change_tells_missing_from_null() {
        let mut fields = Fields::of(json!({"name": null, "status": null})).unwrap();
        assert_eq!(
            fields.patch_nullable("name", super::text(text::line)),
            Patch::Set(None)
        );
        assert_eq!(
            fields.patch_nullable("expires_at", unix_seconds),
            Patch::Keep
        );
        assert_eq!(fields.patch("status", super::text(text::line)), Patch::Keep);
        let found = errors(fields.finish(|| Some(())).unwrap_err());
        assert_eq!(
            found,
            [("status".to_owned(), "must be a string, not null".to_owned())]
        );
    }

    #[test]
    fn a_parameter_given_twice_is_an_error() {
        let mut fields = Fields::of_query(Some("limit=1&limit=2")).unwrap();
        fields.optional("limit", digits(1..=500));
        assert!(fields.finish(|| Some(())).is_err());
    }
}
