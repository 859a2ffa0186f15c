//! What may stand in a field: read by the rule, and described by the same.

use std::marker::PhantomData;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::description::{Description, register, schema_ref};
use super::fields::Fields;
pub use super::fields::Wrong;
use super::table::{Input, Schemas};
use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::words::word;

/// What may stand in a field.
pub trait Rule {
    /// What it is read into.
    type Value;

    /// Reads it, or says what is wrong and what would be right.
    fn read(&self, value: &Value) -> Result<Self::Value, Wrong>;

    /// Describes it, as JSON Schema.
    fn schema(&self) -> Value;

    /// Adds the schemas that the description refers to.
    fn referenced(&self, _: &mut Schemas) {}
}

/// One thing that is wrong with a value as a whole.
pub fn wrong(message: impl Into<String>) -> Wrong {
    vec![FieldError::new("", message)]
}

/// What a value is, for people.
pub(super) fn kind(value: &Value) -> &'static str {
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
pub struct Text<T> {
    /// Reads it, or says what is wrong and what would be right.
    pub parse: fn(&str) -> Result<T, String>,
    /// As much of the rules as JSON Schema can say.
    pub bounds: fn() -> Value,
}

impl<T> Rule for Text<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Wrong> {
        match value {
            Value::String(text) => (self.parse)(text).map_err(wrong),
            other => Err(wrong(format!("must be a string, not {}", kind(other)))),
        }
    }

    fn schema(&self) -> Value {
        let mut schema = (self.bounds)();
        schema["type"] = "string".into();
        schema
    }
}

/// One of a closed set of words, which has a schema `S` of its own.
pub struct Word<T, S = T> {
    parse: fn(&str) -> Result<T, String>,
    schema: PhantomData<fn() -> S>,
}

impl<T, S> Word<T, S> {
    /// A word that this reads.
    pub const fn new(parse: fn(&str) -> Result<T, String>) -> Self {
        Self {
            parse,
            schema: PhantomData,
        }
    }
}

impl<T, S: ToSchema> Rule for Word<T, S> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Wrong> {
        let text = Text {
            parse: self.parse,
            bounds: Value::default,
        };
        text.read(value)
    }

    fn schema(&self) -> Value {
        schema_ref::<S>()
    }

    fn referenced(&self, schemas: &mut Schemas) {
        register::<S>(schemas);
    }
}

/// A list of strings, each under the same rule.
pub struct List<R> {
    /// The rule.
    pub items: R,
    /// Entries at least.
    pub least: usize,
    /// Entries at most.
    pub most: usize,
}

impl<R: Rule> Rule for List<R> {
    type Value = Vec<R::Value>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let values = entries(value, "strings")?;
        if !(self.least..=self.most).contains(&values.len()) {
            return Err(wrong(format!(
                "must have {} to {} entries, not {}",
                self.least,
                self.most,
                values.len()
            )));
        }
        each(values, |value| self.items.read(value))
    }

    fn schema(&self) -> Value {
        let mut schema =
            json!({"type": "array", "items": self.items.schema(), "maxItems": self.most});
        if self.least > 0 {
            schema["minItems"] = self.least.into();
        }
        schema
    }

    fn referenced(&self, schemas: &mut Schemas) {
        self.items.referenced(schemas);
    }
}

/// An object with a table of its own.
pub struct Object<T>(PhantomData<fn() -> T>);

/// An object with a table of its own.
pub const fn object<T: Input>() -> Object<T> {
    Object(PhantomData)
}

impl<T: Input + ToSchema> Rule for Object<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Wrong> {
        let Value::Object(map) = value else {
            return Err(wrong(format!(
                "must be an object with {}, not {}",
                Description::of::<T>().names().join(", "),
                kind(value)
            )));
        };
        let read = Fields::of(map.clone()).finish();
        read.map_err(|refusal| refusal.within(""))
    }

    fn schema(&self) -> Value {
        schema_ref::<T>()
    }

    fn referenced(&self, schemas: &mut Schemas) {
        register::<T>(schemas);
    }
}

/// A list of objects, no longer than one call may bring.
pub struct Objects<T> {
    items: Object<T>,
    most: usize,
}

/// A list of objects, no longer than this.
pub const fn objects<T: Input>(most: usize) -> Objects<T> {
    Objects {
        items: object(),
        most,
    }
}

impl<T: Input + ToSchema> Rule for Objects<T> {
    type Value = Vec<T>;

    fn read(&self, value: &Value) -> Result<Vec<T>, Wrong> {
        let values = entries(value, "objects")?;
        if values.len() > self.most {
            return Err(wrong(format!(
                "must have at most {} entries, not {}: send the others in a call of their own",
                self.most,
                values.len()
            )));
        }
        each(values, |value| self.items.read(value))
    }

    fn schema(&self) -> Value {
        json!({"type": "array", "items": self.items.schema(), "maxItems": self.most})
    }

    fn referenced(&self, schemas: &mut Schemas) {
        self.items.referenced(schemas);
    }
}

fn entries<'v>(value: &'v Value, of: &str) -> Result<&'v [Value], Wrong> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(wrong(format!(
            "must be a list of {of}, not {}",
            kind(other)
        ))),
    }
}

/// Reads all of them, and tells what is wrong with any.
fn each<T>(values: &[Value], read: impl Fn(&Value) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    let mut items = Vec::with_capacity(values.len());
    let mut errors = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match read(value) {
            Ok(item) => items.push(item),
            Err(wrong) => errors.extend(Refusal::Invalid(wrong).within(&format!("[{index}]"))),
        }
    }
    if errors.is_empty() {
        Ok(items)
    } else {
        Err(errors)
    }
}

/// A whole number.
pub struct Number {
    /// What it is of, as the error begins to say it.
    pub what: &'static str,
    /// The least.
    pub least: i64,
    /// The greatest.
    pub most: i64,
}

impl Number {
    fn checked(&self, number: Option<i64>) -> Result<i64, Wrong> {
        let number = number.filter(|number| (self.least..=self.most).contains(number));
        number.ok_or_else(|| {
            wrong(format!(
                "must be {}a whole number from {} to {}",
                self.what, self.least, self.most
            ))
        })
    }
}

impl Rule for Number {
    type Value = i64;

    fn read(&self, value: &Value) -> Result<i64, Wrong> {
        self.checked(value.as_i64())
    }

    fn schema(&self) -> Value {
        json!({"type": "integer", "format": "int64", "minimum": self.least, "maximum": self.most})
    }
}

/// A number of things. The bound keeps sums of many far from an overflow.
pub const COUNT: Number = Number {
    what: "",
    least: 0,
    most: 1 << 40,
};

/// Numbers of things by what they are of: an object. Two names may be read as the same.
pub struct Counts<T> {
    /// The rule of the names.
    pub of: Text<T>,
    /// What the names are, for errors.
    pub what: &'static str,
    /// Members at most.
    pub most: usize,
}

impl<T> Rule for Counts<T> {
    type Value = Vec<(T, i64)>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let Value::Object(members) = value else {
            return Err(wrong(format!(
                "must be an object of counts by {}, not {}",
                self.what,
                kind(value)
            )));
        };
        if members.len() > self.most {
            return Err(wrong(format!(
                "must have at most {} {}, not {}",
                self.most,
                self.what,
                members.len()
            )));
        }
        let mut counts = Vec::with_capacity(members.len());
        let mut errors = Vec::new();
        for (name, count) in members {
            match ((self.of.parse)(name).map_err(wrong), COUNT.read(count)) {
                (Ok(of), Ok(count)) => counts.push((of, count)),
                (of, count) => {
                    let wrongs = [of.err(), count.err()].into_iter().flatten().flatten();
                    errors.extend(Refusal::Invalid(wrongs.collect()).within(name));
                }
            }
        }
        if errors.is_empty() {
            Ok(counts)
        } else {
            Err(errors)
        }
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "propertyNames": self.of.schema(),
            "additionalProperties": COUNT.schema(),
            "maxProperties": self.most,
        })
    }
}

/// A whole number in the text of a query: digits alone.
pub struct Digits(pub Number);

/// A whole number in the text of a query, within these bounds.
pub const fn digits(least: i64, most: i64) -> Digits {
    Digits(Number {
        what: "",
        least,
        most,
    })
}

impl Rule for Digits {
    type Value = i64;

    fn read(&self, value: &Value) -> Result<i64, Wrong> {
        let text = value.as_str().unwrap_or_default();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        self.0.checked(number)
    }

    fn schema(&self) -> Value {
        self.0.schema()
    }
}

/// A switch in the text of a query.
pub struct Switch;

impl Rule for Switch {
    type Value = bool;

    fn read(&self, value: &Value) -> Result<bool, Wrong> {
        let text = value.as_str().unwrap_or_default();
        word(text, &[("true", true), ("false", false)]).map_err(wrong)
    }

    fn schema(&self) -> Value {
        json!({"type": "boolean"})
    }
}

/// No bounds that JSON Schema could say.
pub fn any() -> Value {
    Value::Object(Map::new())
}
