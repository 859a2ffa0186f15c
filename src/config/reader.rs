//! Typed access to a configuration's JSON: every value knows its place, so that every problem names it.
//!
//! What is wrong is noted there and read as some stand-in: see [`Problems`](super::error::Problems).

use std::borrow::Cow;
use std::fmt::Arguments;
use std::ops::RangeInclusive;

use super::error::{Place, quoted};
use super::fields::{Field, Shape};
use super::names::Form;
use crate::record::json::Json;

/// A value, given or by default, and where it is.
pub(super) struct Value<'a> {
    place: Place<'a>,
    json: Cow<'a, Json>,
    shape: &'static Shape,
}

/// An object whose members are all known and given once.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    place: &'a Place<'a>,
    members: &'a [(String, Json)],
    fields: &'static [Field],
}

impl<'a> Value<'a> {
    /// What is given at a place.
    pub(super) const fn given(place: Place<'a>, json: &'a Json, shape: &'static Shape) -> Self {
        Self {
            place,
            json: Cow::Borrowed(json),
            shape,
        }
    }

    /// Whether it is given, and not a default.
    pub(super) const fn is_given(&self) -> bool {
        matches!(self.json, Cow::Borrowed(_))
    }

    /// Refuses the configuration for this value.
    pub(super) fn refuse(&self, problem: Arguments<'_>) {
        self.place.refuse(problem);
    }

    /// Whether it is an object.
    pub(super) fn is_object(&self) -> bool {
        matches!(*self.json, Json::Object(_))
    }

    /// An object with the members that the list of fields has for it.
    pub(super) fn object(&self) -> Object<'_> {
        let fields = match self.shape {
            Shape::Object(fields) => *fields,
            Shape::Plain | Shape::List(_) | Shape::Named(_) => &[],
        };
        let members = self.members();
        for (name, _) in members {
            if !fields.iter().any(|field| field.name == name) {
                refuse_unknown(&Place::Member(&self.place, name), name, fields);
            }
        }
        Object {
            place: &self.place,
            members,
            fields,
        }
    }

    /// The members of an object whose names are free.
    pub(super) fn named(&self) -> Vec<(&str, Value<'_>)> {
        let shape = match self.shape {
            Shape::Named(shape) => shape,
            Shape::Plain | Shape::List(_) | Shape::Object(_) => &Shape::Plain,
        };
        let mut named = Vec::new();
        for (name, json) in self.members() {
            let place = Place::Member(&self.place, name);
            named.push((name.as_str(), Value::given(place, json, shape)));
        }
        named
    }

    fn members(&self) -> &[(String, Json)] {
        let Json::Object(members) = &*self.json else {
            self.refuse_type(format_args!("an object"));
            return &[];
        };
        for (index, (name, _)) in members.iter().enumerate() {
            let mut before = members.iter().take(index);
            if before.any(|(known, _)| known == name) {
                Place::Member(&self.place, name).refuse(format_args!("given twice: keep one"));
            }
        }
        members
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Vec<Value<'_>> {
        let shape = match self.shape {
            Shape::List(shape) => shape,
            Shape::Plain | Shape::Object(_) | Shape::Named(_) => &Shape::Plain,
        };
        let mut list = Vec::new();
        if let Json::List(items) = &*self.json {
            for (index, json) in items.iter().enumerate() {
                list.push(Value::given(Place::Item(&self.place, index), json, shape));
            }
        } else {
            self.refuse_type(format_args!("a list"));
        }
        list
    }

    /// The items of a list that holds something.
    pub(super) fn filled_list(&self) -> Vec<Value<'_>> {
        let items = self.list();
        if items.is_empty() {
            self.refuse(format_args!(
                "an empty list: give at least one, or leave the field out"
            ));
        }
        items
    }

    /// The items of a list of texts that holds something.
    pub(super) fn texts(&self, form: &Form) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.filled_list() {
            texts.push(item.text(form));
        }
        texts
    }

    /// Text of a form.
    pub(super) fn text(&self, form: &Form) -> String {
        match &*self.json {
            Json::String(text) if form.holds(text) => return text.clone(),
            Json::String(_) => self.refuse(format_args!("must be {}", form.description())),
            _ => self.refuse_type(format_args!("{}", form.description())),
        }
        String::new()
    }

    /// One of a few words.
    pub(super) fn word(&self, words: &[&'static str]) -> &'static str {
        if let Json::String(text) = &*self.json {
            if let Some(word) = words.iter().find(|word| *word == text) {
                return word;
            }
            self.refuse(format_args!(
                "must be {}, not {}",
                alternatives(words),
                quoted(text)
            ));
        } else {
            self.refuse_type(format_args!("{}", alternatives(words)));
        }
        ""
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> bool {
        if let Json::Bool(value) = *self.json {
            return value;
        }
        self.refuse_type(format_args!("true or false"));
        false
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: RangeInclusive<usize>) -> usize {
        let (least, most) = range.into_inner();
        let expected = format_args!("a whole number from {least} to {most}");
        match *self.json {
            Json::Unsigned(number) => match usize::try_from(number) {
                Ok(number) if least <= number && number <= most => return number,
                _ => self.refuse(format_args!("must be {expected}, not {number}")),
            },
            Json::OtherNumber => self.refuse(format_args!("must be {expected}")),
            _ => self.refuse_type(expected),
        }
        // The largest: what another field may be at most is then no problem of that field.
        most
    }

    /// Refuses a value of a wrong type; says what was expected.
    fn refuse_type(&self, expected: Arguments<'_>) {
        self.refuse(format_args!("must be {expected}, not {}", self.json.kind()));
    }
}

// What many fields are read by is not inlined at each of them, which would take 3 kB.
impl<'a> Object<'a> {
    /// Refuses the configuration for this object.
    pub(super) fn refuse(&self, problem: Arguments<'_>) {
        self.place.refuse(problem);
    }

    /// The value of a field: the one that is given, or its default.
    pub(super) fn value(&self, name: &'static str) -> Value<'a> {
        let place = Place::Member(self.place, name);
        let field = self.fields.iter().find(|field| field.name == name);
        let shape = field.map_or(&Shape::Plain, |field| &field.shape);
        if let Some((_, json)) = self.members.iter().find(|(known, _)| known == name) {
            return Value::given(place, json, shape);
        }
        let json = match field.and_then(|field| field.default) {
            Some(default) => Json::parse(default.as_bytes()).unwrap_or(Json::Null),
            None => {
                place.refuse(format_args!("required, and not given"));
                Json::Null
            }
        };
        Value {
            place,
            json: Cow::Owned(json),
            shape,
        }
    }

    /// The value of a field, `None` where it is `null` or has no value by default.
    #[inline(never)]
    pub(super) fn optional(&self, name: &'static str) -> Option<Value<'a>> {
        let value = self.value(name);
        match *value.json {
            Json::Null => None,
            _ => Some(value),
        }
    }

    /// The one field that is given out of several that exclude each other.
    pub(super) fn only(&self, names: &[&'static str]) -> Option<(&'static str, Value<'a>)> {
        let mut given = None;
        for name in names {
            if let Some(value) = self.optional(name) {
                if given.is_some() {
                    given = None;
                    break;
                }
                given = Some((*name, value));
            }
        }
        if given.is_none() {
            self.refuse(format_args!(
                "must have exactly one of {}",
                alternatives(names)
            ));
        }
        given
    }

    /// A field with text of a form.
    #[inline(never)]
    pub(super) fn text(&self, name: &'static str, form: &Form) -> String {
        self.value(name).text(form)
    }

    /// A field with text of a form, `None` where it is `null` or not given.
    #[inline(never)]
    pub(super) fn optional_text(&self, name: &'static str, form: &Form) -> Option<String> {
        self.optional(name).map(|value| value.text(form))
    }

    /// A field with one of a few words.
    pub(super) fn word(&self, name: &'static str, words: &[&'static str]) -> &'static str {
        self.value(name).word(words)
    }

    /// A field with `true` or `false`.
    pub(super) fn boolean(&self, name: &'static str) -> bool {
        self.value(name).boolean()
    }

    /// A field with a whole number within a range.
    #[inline(never)]
    pub(super) fn number(&self, name: &'static str, range: RangeInclusive<usize>) -> usize {
        self.value(name).number(range)
    }
}

fn refuse_unknown(place: &Place<'_>, name: &str, fields: &[Field]) {
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    match did_you_mean(name, &known) {
        Some(nearest) => place.refuse(format_args!(
            "unknown field, did you mean {}?",
            quoted(nearest)
        )),
        None => place.refuse(format_args!(
            "unknown field, known here: {}",
            alternatives(&known)
        )),
    }
}

/// What to say of a name that does not exist: the nearest that does.
pub fn did_you_mean<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const SIMILAR: f64 = 0.8;
    let name = name.to_ascii_lowercase();
    let mut nearest = None;
    let mut most = SIMILAR;
    for known in known {
        let similarity = strsim::jaro_winkler(&name, &known.to_ascii_lowercase());
        if similarity >= most {
            nearest = Some(*known);
            most = similarity;
        }
    }
    nearest
}

/// `"a", "b" or "c"`
fn alternatives(words: &[&str]) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        text += match index {
            0 => "",
            index if index + 1 == words.len() => " or ",
            _ => ", ",
        };
        text += &quoted(word);
    }
    text
}
