//! `docs/configuration.schema.json` is what the reader takes: the same fields and defaults, every configuration
//! that is taken, and none that is refused for what a schema can say.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::FULL;
use crate::config::fields::{CONFIGURATION, Shape};

const SCHEMA: &str = include_str!("../../../docs/configuration.schema.json");

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// What no schema can say: what depends on another field, on the environment, or on how much a duration or a size is.
const BEYOND: [&str; 12] = [
    "given twice: keep one",
    "there is no policy",
    "must be a duration from",
    "must be a size from",
    "must be whole seconds",
    "is longer than freshness.max_staleness",
    "is more than key_format.max_length",
    "longer than key_format.max_length",
    "names the same place as an entry before",
    "is also the header of",
    "the environment variable",
    "the variable's value",
];

/// A configuration that the reader takes.
pub(super) fn takes(text: &[u8]) {
    let value: Value = serde_json::from_slice(text).unwrap();
    if let Err(error) = VALIDATOR.validate(&value) {
        panic!(
            "the schema refuses {value}: {error} at {}",
            error.instance_path()
        );
    }
}

/// A configuration that the reader refuses with this message.
pub(super) fn refuses(text: &[u8], message: &str) {
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        return;
    };
    if !BEYOND.iter().any(|beyond| message.contains(beyond)) {
        assert!(
            !VALIDATOR.is_valid(&value),
            "the schema takes {value}: {message}"
        );
    }
}

/// The part of the schema that stands for a value, without a reference or the alternative null.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        return root.pointer(name.trim_start_matches('#')).unwrap();
    }
    let first = schema.pointer("/anyOf/0").filter(|first| {
        first.get("$ref").is_some() || first.get("type").is_some_and(|kind| kind == "object")
    });
    first.map_or(schema, |first| resolved(first, root))
}

fn compare(path: &str, shape: &Shape, schema: &Value, root: &Value) {
    let schema = resolved(schema, root);
    match shape {
        Shape::Plain => {}
        Shape::List(item) => compare(&format!("{path}[]"), item, &schema["items"], root),
        Shape::Named(member) => {
            compare(
                &format!("{path}.NAME"),
                member,
                &schema["additionalProperties"],
                root,
            );
        }
        Shape::Object(fields) => {
            let members = schema["properties"].as_object();
            let members = members.unwrap_or_else(|| panic!("{path} has no properties: {schema}"));
            assert_eq!(schema["additionalProperties"], false, "{path}");
            let mut known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            known.sort_unstable();
            assert_eq!(members.keys().collect::<Vec<_>>(), known, "{path}");
            for field in *fields {
                let path = format!("{path}.{}", field.name);
                let member = &members[field.name];
                let empty = Vec::new();
                let required = schema["required"].as_array().unwrap_or(&empty);
                let is_required = required.iter().any(|name| name == field.name);
                assert_eq!(is_required, field.default.is_none(), "{path}");
                let default = field.default.filter(|default| *default != "null");
                let default = default.map(|default| serde_json::from_str(default).unwrap());
                assert_eq!(member.get("default"), default.as_ref(), "{path}");
                assert!(member["description"].is_string(), "{path}");
                compare(&path, &field.shape, member, root);
            }
        }
    }
}

#[test]
fn it_has_every_field_with_its_default_and_no_other() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    compare("", &CONFIGURATION, &root, &root);
}

#[test]
fn every_field_in_use_is_taken() {
    takes(FULL.as_bytes());
}

/// Each value of a whole configuration is replaced by one of every type, and once left out.
#[test]
fn whatever_the_reader_says_of_a_type_the_schema_says() {
    let full: Value = serde_json::from_str(FULL).unwrap();
    let mut places = Vec::new();
    collect(String::new(), &full, &mut places);
    assert!(places.len() > 100, "{}", places.len());
    let values = [
        "null",
        "true",
        "7",
        "-1",
        "1.5",
        "\"\"",
        "\"a b\"",
        "\"x\"",
        "[]",
        "[7]",
        "{}",
        "{\"x\": 1}",
    ];
    let (mut taken, mut refused) = (0, 0);
    for place in places {
        for value in values {
            let mut changed = full.clone();
            *changed.pointer_mut(&place).unwrap() = serde_json::from_str(value).unwrap();
            let text = changed.to_string();
            match crate::config::parse(text.as_bytes(), &super::environment) {
                Ok(_) => {
                    takes(text.as_bytes());
                    taken += 1;
                }
                Err(error) => {
                    refuses(text.as_bytes(), &error.to_string());
                    refused += 1;
                }
            }
        }
    }
    assert!(
        taken > 80 && refused > 1000,
        "{taken} taken, {refused} refused"
    );
}

fn collect(path: String, value: &Value, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(format!("{path}/{name}"), member, places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(format!("{path}/{index}"), item, places);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        places.push(path);
    }
}
