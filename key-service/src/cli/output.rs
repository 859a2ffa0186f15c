//! What people read: tables on a terminal, plain text in a pipe, JSON where asked for.

use std::io::Write;

use comfy_table::{Attribute, Cell, Color, Table, presets};
use serde_json::Value;

/// A column: its heading, where its value is in a record, and how it is shown.
pub struct Column {
    heading: &'static str,
    pointer: &'static str,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Status,
    Time,
    Usage,
}

impl Column {
    pub const fn text(heading: &'static str, pointer: &'static str) -> Self {
        Self {
            heading,
            pointer,
            form: Form::Text,
        }
    }

    pub const fn status(heading: &'static str, pointer: &'static str) -> Self {
        Self {
            heading,
            pointer,
            form: Form::Status,
        }
    }

    pub const fn time(heading: &'static str, pointer: &'static str) -> Self {
        Self {
            heading,
            pointer,
            form: Form::Time,
        }
    }

    /// Counts by day, of which the sums are shown.
    pub const fn usage(heading: &'static str, pointer: &'static str) -> Self {
        Self {
            heading,
            pointer,
            form: Form::Usage,
        }
    }

    fn cell(&self, record: &Value) -> Cell {
        let text = self.shown(record.pointer(self.pointer));
        let cell = Cell::new(&text);
        match (self.form, text.as_str()) {
            (Form::Status, "active") => cell.fg(Color::Green),
            (Form::Status, "pending" | "disabled" | "locked" | "suspended") => {
                cell.fg(Color::Yellow)
            }
            (Form::Status, "revoked" | "deactivated" | "deleted") => cell.fg(Color::Red),
            _ => cell,
        }
    }

    fn shown(&self, value: Option<&Value>) -> String {
        match (self.form, value) {
            (Form::Time, Some(Value::Number(seconds))) => time(seconds.as_i64()),
            (Form::Usage, Some(Value::Array(days))) => shown_usage(days),
            (_, None | Some(Value::Null)) => "-".to_owned(),
            (_, Some(Value::String(text))) => text.clone(),
            (_, Some(Value::Array(items))) if items.is_empty() => "none".to_owned(),
            (_, Some(Value::Array(items))) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
            (_, Some(Value::Object(hours))) if hours.contains_key("days") => shown_hours(hours),
            (_, Some(other)) => other.to_string(),
        }
    }
}

fn shown_hours(hours: &serde_json::Map<String, Value>) -> String {
    let days = match hours.get("days").and_then(Value::as_array) {
        Some(days) if !days.is_empty() => days.iter().map(plain).collect::<Vec<_>>().join(","),
        _ => return "never".to_owned(),
    };
    let minute = |name| hours.get(name).map(plain).unwrap_or_default();
    format!("{days} {}-{} UTC", minute("from"), minute("to"))
}

fn shown_usage(days: &[Value]) -> String {
    let sum = |name| -> i64 {
        let counts = days.iter().filter_map(|day| day.get(name)?.as_i64());
        counts.sum()
    };
    format!(
        "{} allowed, {} rejected on {} days",
        sum("allowed"),
        sum("rejected"),
        days.len()
    )
}

fn plain(value: &Value) -> String {
    if let (Some(field), Some(message)) = (value.get("field"), value.get("message")) {
        return format!("{} {};", plain(field), plain(message))
            .trim_start()
            .to_owned();
    }
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A time as people read it.
pub fn time(seconds: Option<i64>) -> String {
    seconds
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "-".to_owned(), |time| time.to_string())
}

/// A record a row.
pub fn table(records: &[Value], columns: &[Column]) {
    let mut table = new_table();
    table.set_header(
        columns
            .iter()
            .map(|column| Cell::new(column.heading).add_attribute(Attribute::Bold)),
    );
    for record in records {
        table.add_row(columns.iter().map(|column| column.cell(record)));
    }
    print_table(&table);
}

/// One record, a field a row.
pub fn record(record: &Value, columns: &[Column]) {
    let mut table = new_table();
    for column in columns {
        let heading = Cell::new(column.heading).add_attribute(Attribute::Bold);
        table.add_row([heading, column.cell(record)]);
    }
    print_table(&table);
}

/// The API's answer as it came, indented.
pub fn json(value: &Value) {
    print_line(&format!("{value:#}"));
}

/// A line on stdout. Whoever closes the pipe early has read enough.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line for people beside the data, on stderr.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A table without lines. Its rows are not wrapped: what is copied from them (an id, a key) must stay in
/// one piece.
pub fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table
}

/// Prints a table.
pub fn print_table(table: &Table) {
    print_line(&table.trim_fmt());
}
