//! What is refused and how it is told; what the defaults are; that the documentation is complete.

mod refusals;
mod settings;

#[cfg(not(target_family = "wasm"))]
mod documentation;
#[cfg(not(target_family = "wasm"))]
mod robustness;
#[cfg(not(target_family = "wasm"))]
mod schema;

/// The smallest configuration with more fields.
fn with(fields: &str) -> String {
    format!(r#"{{"key_service": {{"cluster": "key_service"}}, {fields}}}"#)
}

/// Environment variables of the tests.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" => "token-of-the-environment",
        "PEPPER" => "salt and pepper",
        "EMPTY" => "",
        "TWO_LINES" => "first\nsecond",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Every field in use.
const FULL: &str = include_str!("tests/full.json");
