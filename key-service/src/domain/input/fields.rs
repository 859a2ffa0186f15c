//! Reading an object field by field, so that everything wrong with it is told at once.

use serde_json::{Map, Value};

use super::rules::{Object, Rule, kind};
use super::table::Input;
use crate::domain::near::did_you_mean;
use crate::domain::patch::Patch;
use crate::domain::refusal::{FieldError, Refusal};

/// What a rule finds wrong: fields relative to the value it was given.
pub type Wrong = Vec<FieldError>;

/// The fields of an object that are not read yet, and what was wrong with those that are.
pub struct Fields {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

/// Reads a JSON body, which must be an object.
pub fn read<T: Input>(body: Value) -> Result<T, Refusal> {
    match body {
        Value::Object(rest) => Fields::of(rest).finish(),
        other => Err(Refusal::field(
            "",
            format!("must be a JSON object, not {}", kind(&other)),
        )),
    }
}

/// Reads the parameters of a query, all of them texts.
pub fn read_query<T: Input>(parameters: Vec<(String, String)>) -> Result<T, Refusal> {
    let mut fields = Fields::of(Map::new());
    for (name, value) in parameters {
        if fields.rest.contains_key(&name) {
            fields.errors.push(FieldError::new(&name, "is given twice"));
        }
        fields.rest.insert(name, Value::String(value));
    }
    fields.finish()
}

/// How a field is given. Each of these methods gives none only where it has noted something wrong, and has its like
/// in [`super::Description`].
impl Fields {
    pub(super) fn of(rest: Map<String, Value>) -> Self {
        Self {
            rest,
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// It may be missing or null.
    pub fn optional<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<Option<R::Value>> {
        self.known.push(name);
        match self.rest.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.check(name, rule.read(&value)).map(Some),
        }
    }

    /// It must be there.
    pub fn required<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<R::Value> {
        let value = self.optional(name, rule)?;
        if value.is_none() {
            self.errors.push(FieldError::new(name, "is required"));
        }
        value
    }

    /// It may be missing or null, which is the same as empty, zero or false.
    pub fn or_default<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<R::Value>
    where
        R::Value: Default,
    {
        self.optional(name, rule).map(Option::unwrap_or_default)
    }

    /// It may be missing from a change, but not null.
    pub fn patch<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<Patch<R::Value>> {
        self.known.push(name);
        match self.rest.remove(name) {
            None => Some(Patch::Keep),
            Some(value) => self.check(name, rule.read(&value)).map(Patch::Set),
        }
    }

    /// It may be missing from a change; null takes away what is there.
    pub fn patch_nullable<R: Rule>(
        &mut self,
        name: &'static str,
        rule: &R,
    ) -> Option<Patch<Option<R::Value>>> {
        if matches!(self.rest.get(name), Some(Value::Null)) {
            self.known.push(name);
            self.rest.remove(name);
            return Some(Patch::Set(None));
        }
        Some(match self.patch(name, rule)? {
            Patch::Keep => Patch::Keep,
            Patch::Set(value) => Patch::Set(Some(value)),
        })
    }

    /// The fields of another table beside these; the name is for the program alone.
    pub fn inline<T: Input>(&mut self, _: &'static str, _: &Object<T>) -> Option<T> {
        T::fields(self)
    }

    fn check<T>(&mut self, name: &str, result: Result<T, Wrong>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.errors.extend(Refusal::Invalid(wrong).within(name));
                None
            }
        }
    }

    /// What was read, if all of it was right and nothing unknown is left that may not be there.
    pub(super) fn finish<T: Input>(mut self) -> Result<T, Refusal> {
        let read = T::fields(&mut self);
        for name in self.rest.keys().filter(|_| !T::EXTENSIBLE) {
            let mut message = "unknown field".to_owned();
            if let Some(near) = did_you_mean(name, &self.known) {
                message.push_str(&format!(", did you mean \"{near}\"?"));
            }
            self.errors.push(FieldError::new(name, message));
        }
        Refusal::unless_empty(self.errors)?;
        read.ok_or_else(|| Refusal::field("", "a required field is missing"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::fence::{Hours, SCOPES};
    use crate::domain::input::input;
    use crate::domain::input::rules::{digits, object};
    use crate::domain::text::{ID, LINE};
    use crate::domain::time::SECONDS;

    input! {
        /// A body.
        #[derive(Debug, PartialEq)]
        Thing {
            /// Its id.
            id: Option<String> = optional(ID),
            /// Its owner.
            user_id: String = required(ID),
            /// What it may do.
            scopes: Vec<String> = or_default(SCOPES),
            /// When.
            hours: Option<Hours> = optional(object::<Hours>()),
        }
    }

    input! {
        /// A change.
        #[derive(Debug, PartialEq)]
        Change {
            /// Its name.
            name: Patch<Option<String>> = patch_nullable(LINE),
            /// Its end.
            expires_at: Patch<Option<i64>> = patch_nullable(SECONDS),
            /// What it is.
            status: Patch<String> = patch(LINE),
        }
    }

    input! {
        /// A query.
        #[derive(Debug)]
        @extensible
        Part {
            /// Entries at most.
            limit: Option<i64> = optional(digits(1, 500)),
        }
    }

    fn errors<T: Input>(read: Result<T, Refusal>) -> Vec<(String, String)> {
        match read.err().unwrap() {
            Refusal::Invalid(errors) => errors.into_iter().map(|e| (e.field, e.message)).collect(),
            Refusal::Conflict(message) => vec![("conflict".to_owned(), message)],
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_path() {
        let found = errors(read::<Thing>(json!({
            "id": 7, "scopes": ["ok", "not ok", 3], "scope": [],
            "hours": {"days": ["mon", "tues"], "from": "25:00"},
        })));
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
        let found = errors(read::<Thing>(json!({"user_id": "u", "hours": []})));
        let message = "must be an object with days, from, to, not a list";
        assert_eq!(found, [("hours".to_owned(), message.to_owned())]);
    }

    #[test]
    fn a_change_tells_missing_from_null() {
        let change: Change = read(json!({"name": null})).unwrap();
        assert_eq!(change.name, Patch::Set(None));
        assert_eq!(change.expires_at, Patch::Keep);
        let found = errors(read::<Change>(json!({"name": null, "status": null})));
        assert_eq!(
            found,
            [("status".to_owned(), "must be a string, not null".to_owned())]
        );
    }

    #[test]
    fn what_may_grow_takes_fields_that_are_not_known_and_nothing_twice() {
        let query = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            read_query::<Part>(pairs.iter().map(owned).collect())
        };
        let part = query(&[("limit", "2"), ("colour", "red")]).unwrap();
        assert_eq!(part.limit, Some(2));
        let found = errors(query(&[("limit", "1"), ("limit", "2")]));
        assert_eq!(found, [("limit".to_owned(), "is given twice".to_owned())]);
        for wrong in [
            "",
            "0",
            "501",
            "+1",
            "-1",
            "1.0",
            "x",
            "99999999999999999999",
        ] {
            assert_eq!(errors(query(&[("limit", wrong)])).len(), 1, "{wrong:?}");
        }
    }
}
