//! What people read: tables on a terminal, plain text in a pipe, JSON where asked for.

use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use comfy_table::{Attribute, Cell, Color, Table, presets};
use serde_json::Value;

/// A column: its heading, where its value is in a record, and how it is shown.
pub struct Column {
    heading: &'static str,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Text(&'static str),
    Cut(&'static str),
    Status(&'static str),
    Time(&'static str),
    Usage(&'static str),
    Works,
    Computed(fn(&Value) -> String),
}

/// What a table is at most as wide as, where what must not be cut lets it.
const WIDTH: usize = 80;
/// Spaces behind a column.
const GAP: u16 = 2;

impl Column {
    pub const fn text(heading: &'static str, pointer: &'static str) -> Self {
        let form = Form::Text(pointer);
        Self { heading, form }
    }

    /// A text for people, in the last column: it is cut where the row grows too wide. Nobody copies it.
    pub const fn cut(heading: &'static str, pointer: &'static str) -> Self {
        let form = Form::Cut(pointer);
        Self { heading, form }
    }

    pub const fn status(heading: &'static str, pointer: &'static str) -> Self {
        let form = Form::Status(pointer);
        Self { heading, form }
    }

    pub const fn time(heading: &'static str, pointer: &'static str) -> Self {
        let form = Form::Time(pointer);
        Self { heading, form }
    }

    /// Counts by day, of which the sums are shown.
    pub const fn usage(heading: &'static str, pointer: &'static str) -> Self {
        let form = Form::Usage(pointer);
        Self { heading, form }
    }

    /// Whether a key works, and why not or until when.
    pub const fn works() -> Self {
        let (heading, form) = ("WORKS", Form::Works);
        Self { heading, form }
    }

    /// What follows from several fields.
    pub const fn computed(heading: &'static str, of: fn(&Value) -> String) -> Self {
        let form = Form::Computed(of);
        Self { heading, form }
    }

    fn cell(&self, record: &Value) -> Cell {
        let text = self.shown(record);
        let cell = Cell::new(&text);
        match (self.form, text.as_str()) {
            (Form::Status(_), "active") => cell.fg(Color::Green),
            (Form::Status(_), "revoked" | "deactivated" | "deleted") => cell.fg(Color::Red),
            (Form::Status(_), _) => cell.fg(Color::Yellow),
            (Form::Works, text) if text.starts_with("yes") => cell.fg(Color::Green),
            (Form::Works, text) if text.starts_with("no") => cell.fg(Color::Red),
            _ => cell,
        }
    }

    fn shown(&self, record: &Value) -> String {
        match self.form {
            Form::Text(pointer) | Form::Cut(pointer) | Form::Status(pointer) => {
                shown(record.pointer(pointer))
            }
            Form::Time(pointer) => time(record.pointer(pointer).and_then(Value::as_i64)),
            Form::Usage(pointer) => match record.pointer(pointer).and_then(Value::as_array) {
                Some(days) => shown_usage(days),
                None => "-".to_owned(),
            },
            Form::Works => works(record),
            Form::Computed(of) => of(record),
        }
    }

    /// Whether the record has what the column shows. What nobody looked for is not there.
    fn is_of(&self, record: &Value) -> bool {
        !matches!(self.form, Form::Works) || record.get("verdict").is_some()
    }
}

/// A value as people read it.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::Array(items)) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Some(Value::Object(hours)) if hours.contains_key("days") => shown_hours(hours),
        Some(other) => other.to_string(),
    }
}

/// A field of this name as people read it: of what is a time, the time.
pub fn shown_field(name: &str, value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(seconds)) if is_time(name) => time(seconds.as_i64()),
        value => shown(value),
    }
}

fn works(key: &Value) -> String {
    let end = key.get("expires_at").and_then(Value::as_i64);
    match key.get("verdict").and_then(Value::as_str) {
        None => "-".to_owned(),
        Some("allowed") => match end {
            None => "yes".to_owned(),
            // The last day on which it works.
            Some(end) => format!(
                "yes, until {}",
                time(Some(end - 1)).get(..10).unwrap_or("-")
            ),
        },
        Some(code) => format!("no, {code}"),
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

/// A value without quotes; an error as its field and what is wrong with it.
pub fn plain(value: &Value) -> String {
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

/// When a key was last used: not at all and not known are two things.
pub fn last_use(record: &Value) -> String {
    match record.get("last_used_at").and_then(Value::as_i64) {
        Some(at) => time(Some(at)),
        None if record.get("usage_reported") == Some(&Value::Bool(false)) => "not known".to_owned(),
        None => "never".to_owned(),
    }
}

/// A record a row.
pub fn table(records: &[Value], columns: &[Column]) {
    let room = room_for_last(records, columns);
    let mut table = new_table();
    table.set_header(
        columns
            .iter()
            .map(|column| Cell::new(column.heading).add_attribute(Attribute::Bold)),
    );
    for record in records {
        table.add_row(columns.iter().map(|column| match column.form {
            Form::Cut(_) => Cell::new(cut(column.shown(record), room)),
            _ => column.cell(record),
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    print_table(&table);
}

/// The characters that are left for the last column.
fn room_for_last(records: &[Value], columns: &[Column]) -> usize {
    let before = columns
        .split_last()
        .map(|(_, before)| before)
        .unwrap_or_default();
    let width = |column: &Column| {
        let texts = records
            .iter()
            .map(|record| column.shown(record).chars().count());
        texts.max().unwrap_or_default().max(column.heading.len()) + usize::from(GAP)
    };
    let taken: usize = before.iter().map(width).sum();
    WIDTH.saturating_sub(taken).max(8)
}

fn cut(text: String, room: usize) -> String {
    if text.chars().count() <= room {
        return text;
    }
    let begin: String = text.chars().take(room - 1).collect();
    format!("{begin}…")
}

/// One record, a field a row.
pub fn record(record: &Value, columns: &[Column]) {
    print_line(&record_text(record, columns));
}

/// What [`record`] prints.
pub fn record_text(record: &Value, columns: &[Column]) -> String {
    let mut table = new_table();
    for column in columns.iter().filter(|column| column.is_of(record)) {
        let heading = Cell::new(column.heading).add_attribute(Attribute::Bold);
        table.add_row([heading, column.cell(record)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

/// The API's answer, indented, with its times as people read them.
pub fn json(value: &Value) {
    print_line(&json_text(value));
}

/// What [`json`] prints.
pub fn json_text(value: &Value) -> String {
    let mut value = value.clone();
    add_times(&mut value);
    format!("{value:#}")
}

fn is_time(name: &str) -> bool {
    name == "at" || name == "not_before" || name.ends_with("_at")
}

/// Puts `<name>_utc` in RFC 3339 beside each time in Unix seconds.
pub fn add_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(add_times),
        Value::Object(fields) => {
            let times: Vec<(String, Value)> = fields
                .iter()
                .filter(|(name, _)| is_time(name))
                .filter_map(|(name, value)| {
                    Some((format!("{name}_utc"), time(Some(value.as_i64()?)).into()))
                })
                .collect();
            fields.values_mut().for_each(add_times);
            fields.extend(times);
        }
        _ => {}
    }
}

/// What could not be written to stdout, of all that was printed so far.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Why something that was printed is lost; none where all was written, or where who read it had read
/// enough and closed the pipe.
pub fn lost() -> Option<&'static std::io::Error> {
    LOST.get()
}

/// A line on stdout.
pub fn print_line(line: &str) {
    match deliver(line) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = LOST.set(error);
        }
        _ => {}
    }
}

/// A line on stdout that is worth nothing where nobody gets it, such as a secret.
pub fn deliver(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
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
