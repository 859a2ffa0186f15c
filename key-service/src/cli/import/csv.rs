//! Tables: CSV whose first line names the fields.

use serde_json::{Map, Value};

use super::converted::Converted;
use crate::domain::when::{end, when};

/// Fields that hold several texts, with spaces between them.
const LISTS: [&str; 2] = ["scopes", "networks"];

/// Reads a table. Each column is a field of the import; an empty cell is a field that is missing.
pub fn convert(text: &[u8]) -> Result<Converted, String> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text);
    let names = reader
        .headers()
        .map_err(|error| unreadable(&error))?
        .clone();
    if !names.iter().any(|name| ["key", "digest"].contains(&name)) {
        return Err("has no column key or digest: its first line must name the columns".to_owned());
    }
    let mut converted = Converted::default();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error))?;
        let cells = names.iter().zip(&record);
        let cells = cells.filter(|(_, cell)| !cell.is_empty());
        let line: Map<String, Value> = cells
            .map(|(name, cell)| (name.to_owned(), field(name, cell)))
            .collect();
        let number = record
            .position()
            .map_or(0, |position| line_of(text, position));
        if !line.is_empty() {
            converted.add_at(number, &line.into());
        }
    }
    Ok(converted)
}

/// The line on which a record begins: its position is before the empty lines that the reader passes over.
fn line_of(text: &[u8], position: &csv::Position) -> usize {
    let before = |number| usize::try_from(number).unwrap_or_default();
    let rest = text.get(before(position.byte())..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    before(position.line()) + empty.filter(|byte| **byte == b'\n').count()
}

fn field(name: &str, cell: &str) -> Value {
    // What is no time stays as it is: the service says what is wrong with it.
    let time = |read: fn(&str) -> Result<i64, String>| {
        read(cell).map_or_else(|_| cell.into(), Value::from)
    };
    match name {
        "expires_at" => time(end),
        "not_before" => time(when),
        name if LISTS.contains(&name) => cell.split_whitespace().collect(),
        _ => cell.into(),
    }
}

/// The reader's own message may repeat a cell.
fn unreadable(error: &csv::Error) -> String {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("line {line} has {len} cells, and the first line {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => format!("line {line} is not UTF-8"),
        _ => format!("line {line} cannot be read"),
    }
}
