//! Envoy's access log, as the shipped configuration writes it.

use serde_json::Value;

/// The entries of a log; a line that is not JSON, or not whole yet, is left out.
pub fn entries(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .collect()
}

/// The entries of requests for this path (without query).
pub fn of_path(text: &str, path: &str) -> Vec<Value> {
    entries(text)
        .into_iter()
        .filter(|entry| entry["path"] == path)
        .collect()
}
