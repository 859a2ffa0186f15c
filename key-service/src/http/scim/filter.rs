//! The filter of a list (RFC 7644, 3.4.2.2): comparisons with `eq`, joined by `and`.

use serde_json::Value;

use super::names::{Attribute, boolean, name};
use crate::http::problem::Problem;
use crate::store::people::PeopleFilter;

/// Reads a filter.
pub fn filter(text: &str) -> Result<PeopleFilter, Problem> {
    let mut filter = PeopleFilter::default();
    let mut rest = text.trim();
    loop {
        let (attribute, after) = word(rest);
        let (operator, after) = word(after);
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(wrong("compares by \"eq\" alone"));
        }
        let (value, after) = value(after)?;
        set(&mut filter, attribute, &value)?;
        let (and, after) = word(after);
        if and.is_empty() {
            return Ok(filter);
        }
        if !and.eq_ignore_ascii_case("and") {
            return Err(wrong("joins comparisons by \"and\" alone"));
        }
        rest = after;
    }
}

fn set(filter: &mut PeopleFilter, attribute: &str, value: &Value) -> Result<(), Problem> {
    let text = || match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(wrong("compares this attribute with a text in quotes")),
    };
    let twice = match name(attribute) {
        Attribute::Id => filter.id.replace(text()?).is_some(),
        Attribute::UserName => filter.login.replace(text()?).is_some(),
        Attribute::ExternalId => filter.external_id.replace(text()?).is_some(),
        Attribute::Active => {
            let value =
                boolean(value).ok_or_else(|| wrong("compares active with true or false"))?;
            filter.active.replace(value).is_some()
        }
        _ => return Err(wrong("knows userName, externalId, id and active")),
    };
    match twice {
        true => Err(wrong("names each attribute once")),
        false => Ok(()),
    }
}

/// The text up to the next space, and what comes after that.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(' ').unwrap_or((text, ""))
}

/// A value as JSON writes it, and what comes after it.
fn value(text: &str) -> Result<(Value, &str), Problem> {
    let text = text.trim_start();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().and_then(Result::ok);
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    let ends = rest.is_empty() || rest.starts_with(' ');
    match value.filter(|_| ends) {
        Some(value) => Ok((value, rest)),
        None => Err(wrong("compares with a text in quotes, true or false")),
    }
}

fn wrong(what: &str) -> Problem {
    Problem::scim(
        "invalidFilter",
        format!("A filter {what}, as in: userName eq \"anna@example.com\" and active eq true."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_in_any_case_and_with_the_urn_before_the_name() {
        let read = |text: &str| filter(text).ok().unwrap();
        let anna = PeopleFilter {
            login: Some("a \"b\" and c".to_owned()),
            ..PeopleFilter::default()
        };
        for text in [
            r#"userName eq "a \"b\" and c""#,
            r#"  USERNAME  EQ  "a \"b\" and c"  "#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "a \"b\" and c""#,
        ] {
            assert_eq!(read(text), anna, "{text}");
        }
        let all = PeopleFilter {
            id: Some("usr_1".to_owned()),
            login: Some("x".to_owned()),
            external_id: Some("y".to_owned()),
            active: Some(false),
        };
        let text =
            r#"id eq "usr_1" and userName eq "x" AND externalId eq "y" and active eq "False""#;
        assert_eq!(read(text), all);
    }

    #[test]
    fn what_is_none_of_these_is_an_invalid_filter() {
        for text in [
            "",
            "userName",
            "userName eq",
            "userName eq x",
            "userName eq 7",
            "userName sw \"x\"",
            "emails.value eq \"x\"",
            "active eq 1",
            "userName eq \"x\" or active eq true",
            "userName eq \"x\" and",
            "userName eq \"x\" and userName eq \"y\"",
            "(userName eq \"x\")",
            "userName eq \"x\"y",
            "not (active eq true)",
        ] {
            assert!(filter(text).is_err(), "{text:?}");
        }
    }
}
