//! Files that hold records: YAML with any number of documents, or JSON, one value behind the other.

use std::path::Path;

use serde_json::{Deserializer, Value};

use super::outcome::Failure;

/// The bytes of a file; `-` is standard input.
pub fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let text = if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text).map(|_| text)
    } else {
        std::fs::read(file)
    };
    text.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}

/// All documents of a text. An error names a place, and never repeats the text, which may hold keys.
pub fn documents(text: &[u8]) -> Result<Vec<Value>, String> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    if matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) {
        let values = Deserializer::from_slice(text).into_iter();
        let values: Result<Vec<Value>, _> = values.collect();
        if let Ok(values) = values {
            return Ok(values);
        }
    }
    yaml(text)
}

/// All documents of a YAML text. An error names a place, and never repeats the text.
pub fn yaml(text: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    // The file is the caller's own, and holds as many keys as there are.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_documents: usize::MAX,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| format!("neither JSON nor YAML: {}", error.without_snippet()))
}
