//! JSON as it was written: members in order and repeated names kept, so that a field given twice is seen
//! and refused, which `serde_json::Value` would hide; and texts as they are to be written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value (RFC 8259).
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number from 0 to 2^64 - 1.
    Unsigned(u64),
    /// Any other number: negative, fractional or too large.
    OtherNumber,
    /// A string.
    String(String),
    /// An array.
    List(Vec<Json>),
    /// An object, members in order, names possibly repeated.
    Object(Vec<(String, Json)>),
}

/// A text, to be written as JSON.
pub fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        return ["\"", text, "\""].concat();
    }
    serde_json::to_string(text).unwrap_or_default()
}

impl Json {
    /// Reads a whole text. Nesting beyond 128 levels is an error.
    ///
    /// # Errors
    /// What is wrong and where, without quoting the text, which may hold secrets.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::OtherNumber => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::OtherNumber, Json::Unsigned))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn repeated_names_and_order_are_kept() {
        assert_eq!(
            Json::parse(br#"{"b": 1, "a": null, "b": [-1, 0.5, true]}"#),
            Ok(Json::Object(vec![
                ("b".to_owned(), Json::Unsigned(1)),
                ("a".to_owned(), Json::Null),
                (
                    "b".to_owned(),
                    Json::List(vec![Json::OtherNumber, Json::OtherNumber, Json::Bool(true)])
                ),
            ]))
        );
    }

    #[test]
    fn text_that_is_not_json_is_an_error() {
        for text in [
            &b""[..],
            b"{",
            b"[1,]",
            b"{} x",
            b"\"\xff\"",
            &[b'['; 100_000],
        ] {
            assert!(Json::parse(text).is_err());
        }
    }
}
