//! Typed access to a configuration's JSON: every value knows its path, so that every error names it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::error::{ConfigError, Path, quoted};
use super::fields::{Field, Shape};
use super::names::Form;
use crate::json::Json;

/// A value, given or by default, and where it is.
pub(super) struct Value {
    path: Path,
    json: Json,
    shape: &'static Shape,
}

/// An object whose members are all known and given once.
pub(super) struct Object {
    path: Path,
    members: Vec<(String, Json)>,
    fields: &'static [Field],
}

impl Value {
    /// The configuration as a whole.
    pub(super) const fn root(json: Json, shape: &'static Shape) -> Self {
        Self {
            path: Path::root(),
            json,
            shape,
        }
    }

    /// A problem with this value.
    pub(super) fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.path, problem)
    }

    /// `None` where the value is `null`.
    pub(super) fn optional(self) -> Option<Self> {
        (self.json != Json::Null).then_some(self)
    }

    /// Whether it is an object.
    pub(super) const fn is_object(&self) -> bool {
        matches!(self.json, Json::Object(_))
    }

    /// An object with the members that the list of fields has for it.
    pub(super) fn object(self) -> Result<Object, ConfigError> {
        let fields = match self.shape {
            Shape::Object(fields) => *fields,
            Shape::Plain | Shape::List(_) | Shape::Named(_) => &[],
        };
        let (path, members) = self.into_members()?;
        for (name, _) in &members {
            if !fields.iter().any(|field| field.name == name) {
                return Err(ConfigError::new(
                    &path.member(name),
                    unknown_field(name, fields),
                ));
            }
        }
        Ok(Object {
            path,
            members,
            fields,
        })
    }

    /// An object whose names are free.
    pub(super) fn named(self) -> Result<Vec<(String, Self)>, ConfigError> {
        let shape = match self.shape {
            Shape::Named(shape) => shape,
            Shape::Plain | Shape::List(_) | Shape::Object(_) => &Shape::Plain,
        };
        let (path, members) = self.into_members()?;
        Ok(members
            .into_iter()
            .map(|(name, json)| {
                let path = path.member(&name);
                (name, Self { path, json, shape })
            })
            .collect())
    }

    fn into_members(self) -> Result<(Path, Vec<(String, Json)>), ConfigError> {
        let Json::Object(members) = self.json else {
            return Err(self.other_than("an object"));
        };
        let mut seen = BTreeSet::new();
        if let Some((name, _)) = members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            return Err(ConfigError::new(
                &self.path.member(name),
                "given twice: keep one",
            ));
        }
        Ok((self.path, members))
    }

    /// A list.
    pub(super) fn list(self) -> Result<Vec<Self>, ConfigError> {
        let shape = match self.shape {
            Shape::List(shape) => shape,
            Shape::Plain | Shape::Object(_) | Shape::Named(_) => &Shape::Plain,
        };
        let Json::List(items) = self.json else {
            return Err(self.other_than("a list"));
        };
        Ok(items
            .into_iter()
            .enumerate()
            .map(|(index, json)| Self {
                path: self.path.item(index),
                json,
                shape,
            })
            .collect())
    }

    /// A list that holds something.
    pub(super) fn filled_list(self) -> Result<Vec<Self>, ConfigError> {
        let empty = self.error("an empty list: give at least one, or leave the field out");
        let items = self.list()?;
        if items.is_empty() {
            return Err(empty);
        }
        Ok(items)
    }

    /// A list of texts of one form that holds something.
    pub(super) fn texts(self, form: &Form) -> Result<Vec<String>, ConfigError> {
        self.filled_list()?
            .iter()
            .map(|item| item.text(form).map(str::to_owned))
            .collect()
    }

    /// Text of a form.
    pub(super) fn text(&self, form: &Form) -> Result<&str, ConfigError> {
        match &self.json {
            Json::String(text) if form.holds(text) => Ok(text),
            Json::String(_) => Err(self.error(format!("must be {}", form.description()))),
            _ => Err(self.other_than(form.description())),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let words = || choices.iter().map(|(word, _)| *word);
        let expected = alternatives(words());
        let Json::String(text) = &self.json else {
            return Err(self.other_than(&expected));
        };
        match choices.iter().find(|(word, _)| word == text) {
            Some((_, choice)) => Ok(*choice),
            None => Err(self.error(format!("must be {expected}, not {}", quoted(text)))),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match self.json {
            Json::Bool(value) => Ok(value),
            _ => Err(self.other_than("true or false")),
        }
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match self.json {
            Json::Unsigned(number) => usize::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| self.error(format!("must be {expected}, not {number}"))),
            Json::OtherNumber => Err(self.error(format!("must be {expected}"))),
            _ => Err(self.other_than(&expected)),
        }
    }

    /// Something of a wrong type; says what was expected.
    pub(super) fn other_than(&self, expected: &str) -> ConfigError {
        self.error(format!("must be {expected}, not {}", self.json.kind()))
    }
}

impl Object {
    /// A problem with this object.
    pub(super) fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.path, problem)
    }

    /// Whether a field is given.
    pub(super) fn gives(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// The value of a field: the one that is given, or its default.
    pub(super) fn take(&mut self, name: &str) -> Result<Value, ConfigError> {
        let path = self.path.member(name);
        let field = self.fields.iter().find(|field| field.name == name);
        let json = match self.members.iter().position(|(known, _)| known == name) {
            Some(index) => self.members.swap_remove(index).1,
            None => match field.and_then(|field| field.default) {
                Some(default) => Json::parse(default.as_bytes())
                    .map_err(|problem| ConfigError::new(&path, problem))?,
                None => {
                    return Err(ConfigError::new(&path, "required, and not given"));
                }
            },
        };
        Ok(Value {
            path,
            json,
            shape: field.map_or(&Shape::Plain, |field| &field.shape),
        })
    }

    /// The value of a field, `None` where it is `null` or has no value by default.
    pub(super) fn take_optional(&mut self, name: &str) -> Result<Option<Value>, ConfigError> {
        self.take(name).map(Value::optional)
    }

    /// Text of a form, `None` where it is `null` or not given.
    pub(super) fn take_text(
        &mut self,
        name: &str,
        form: &Form,
    ) -> Result<Option<String>, ConfigError> {
        self.take_optional(name)?
            .map(|value| value.text(form).map(str::to_owned))
            .transpose()
    }

    /// The one field that is given out of several that exclude each other.
    pub(super) fn take_only<const N: usize>(
        &mut self,
        names: [&'static str; N],
    ) -> Result<(&'static str, Value), ConfigError> {
        let mut given = None;
        for name in names {
            if let Some(value) = self.take_optional(name)? {
                if given.is_some() {
                    given = None;
                    break;
                }
                given = Some((name, value));
            }
        }
        given.ok_or_else(|| {
            self.error(format!(
                "must have exactly one of {}",
                alternatives(names.into_iter())
            ))
        })
    }
}

/// What to say of a name that does not exist: the nearest that does.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    const SIMILAR: f64 = 0.8;
    let name = name.to_ascii_lowercase();
    known
        .map(|known| {
            let similarity = strsim::jaro_winkler(&name, &known.to_ascii_lowercase());
            (known, similarity)
        })
        .filter(|(_, similarity)| *similarity >= SIMILAR)
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
        .map(|(known, _)| known)
}

fn unknown_field(name: &str, fields: &[Field]) -> String {
    let known = || fields.iter().map(|field| field.name);
    match did_you_mean(name, known()) {
        Some(nearest) => format!("unknown field, did you mean {}?", quoted(nearest)),
        None => format!("unknown field, known here: {}", alternatives(known())),
    }
}

/// `"a", "b" or "c"`
fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<String> = words.map(quoted).collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => "nothing".to_owned(),
    }
}
