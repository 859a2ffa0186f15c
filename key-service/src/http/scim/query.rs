//! What a directory asks for: which users, which part of the list, which attributes of each.

use serde_json::{Map, Value, json};

use super::filter::filter;
use super::names::{member, without_urn};
use crate::http::problem::Problem;
use crate::store::people::PeopleFilter;

/// Users of a list, unless it is asked for fewer.
const DEFAULT_COUNT: i64 = 100;
/// Users of a list at most.
pub const HIGHEST_COUNT: i64 = 500;

/// What is asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Which users.
    pub filter: PeopleFilter,
    /// The place of the first, from 1.
    pub start: i64,
    /// How many.
    pub count: i64,
    /// What of each.
    pub shown: Shown,
}

/// Which attributes are shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// These alone, in small letters.
    only: Option<Vec<String>>,
    /// All but these.
    without: Vec<String>,
}

impl Asked {
    /// What a query asks for.
    pub fn of_query(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let members = parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        Self::of(&Value::Object(members.collect()))
    }

    /// What a body asks for, or the parameters of a query: names in any case, numbers and lists as texts too.
    pub fn of(request: &Value) -> Result<Self, Problem> {
        let given = |name: &str| member(request, name).filter(|value| !value.is_null());
        let filter = match given("filter") {
            None => PeopleFilter::default(),
            Some(Value::String(text)) if text.trim().is_empty() => PeopleFilter::default(),
            Some(Value::String(text)) => filter(text)?,
            Some(_) => return Err(Problem::scim("invalidFilter", "filter must be a text.")),
        };
        let number = |name: &str, default: i64| match given(name) {
            None => Ok(default),
            Some(value) => number(value).ok_or_else(|| invalid(name, "a whole number")),
        };
        Ok(Self {
            filter,
            start: number("startIndex", 1)?.max(1),
            count: number("count", DEFAULT_COUNT)?.clamp(0, HIGHEST_COUNT),
            shown: Shown {
                only: names(given("attributes"), "attributes")?,
                without: names(given("excludedAttributes"), "excludedAttributes")?
                    .unwrap_or_default(),
            },
        })
    }
}

impl Shown {
    /// What of a resource is shown. Its id and its schemas always are.
    pub fn of(&self, resource: Value) -> Value {
        let Value::Object(members) = resource else {
            return resource;
        };
        let is_among = |names: &[String], name: &str| {
            names.iter().any(|given| given.eq_ignore_ascii_case(name))
        };
        let shown = members.into_iter().filter(|(name, _)| {
            let asked = self.only.as_ref().is_none_or(|only| is_among(only, name));
            ["id", "schemas"].contains(&name.as_str()) || asked && !is_among(&self.without, name)
        });
        Value::Object(shown.collect::<Map<_, _>>())
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        // Larger ones are as good as the largest.
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// Names of attributes: a list, or a text with commas. Of a path into one, the outer one.
fn names(value: Option<&Value>, field: &str) -> Result<Option<Vec<String>>, Problem> {
    let texts: Vec<&str> = match value {
        None => return Ok(None),
        Some(Value::String(text)) => text.split(',').collect(),
        Some(Value::Array(list)) => {
            let texts: Option<_> = list.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| invalid(field, "a list of names"))?
        }
        Some(_) => return Err(invalid(field, "a list of names")),
    };
    let names = texts.into_iter().map(|text| {
        let text = without_urn(text.trim());
        text.split('.').next().unwrap_or_default().to_owned()
    });
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    Ok((!names.is_empty()).then_some(names))
}

fn invalid(field: &str, what: &str) -> Problem {
    Problem::scim("invalidValue", format!("{field} must be {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_list_are_bounded() {
        let asked = |request: Value| Asked::of(&request).ok().unwrap();
        let all = asked(json!({}));
        assert_eq!((all.start, all.count), (1, 100));
        let some =
            asked(json!({"STARTINDEX": "-3", "count": 100_000, "filter": " ", "attributes": null}));
        assert_eq!((some.start, some.count), (1, 500));
        let none = asked(json!({"startIndex": 7, "count": "-1"}));
        assert_eq!((none.start, none.count), (7, 0));
        for wrong in [
            json!({"count": "x"}),
            json!({"startIndex": true}),
            json!({"filter": 7}),
            json!({"attributes": [7]}),
            json!({"excludedAttributes": 7}),
        ] {
            assert!(Asked::of(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn attributes_are_shown_as_they_are_asked_for() {
        let resource =
            json!({"schemas": [], "id": "u", "userName": "a", "active": true, "meta": {}});
        let shown = |request: Value| {
            let shown = Asked::of(&request).ok().unwrap().shown.of(resource.clone());
            let names: Vec<String> = shown.as_object().unwrap().keys().cloned().collect();
            names.join(" ")
        };
        assert_eq!(shown(json!({})), "active id meta schemas userName");
        assert_eq!(
            shown(json!({"attributes": "username, meta.location"})),
            "id meta schemas userName"
        );
        let urn = "urn:ietf:params:scim:schemas:core:2.0:User:active";
        assert_eq!(shown(json!({"attributes": [urn]})), "active id schemas");
        assert_eq!(
            shown(json!({"excludedAttributes": ["active", "id", "META"]})),
            "id schemas userName"
        );
    }
}
