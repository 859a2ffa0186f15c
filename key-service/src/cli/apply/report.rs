//! What an apply changes, for people and programs.

use serde_json::Value;

use crate::cli::output::{json, note, print_line, shown_field};

/// Whether anything differs.
pub fn is_change(report: &Value) -> bool {
    changes(report).next().is_some()
}

/// What is stopped because no file names it: told before it is done.
pub fn told_first(report: &Value) -> Vec<String> {
    let unnamed =
        changes(report).filter(|change| change.get("unnamed") == Some(&Value::Bool(true)));
    let lines: Vec<String> = unnamed
        .map(|change| format!("  {}", head(change)))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => {
            let first = "No file names these, so they are stopped (--prune):".to_owned();
            std::iter::once(first).chain(lines).collect()
        }
    }
}

/// Prints what is changed, or would be.
pub fn print(report: &Value, as_json: bool, dry_run: bool) {
    if as_json {
        json(report);
        return;
    }
    for change in changes(report) {
        print_line(&line(change));
    }
    let number = |name| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (created, changed) = (number("created"), number("changed"));
    let unchanged = number("unchanged");
    note(&match dry_run {
        true => format!(
            "nothing is written: {created} would be created, {changed} changed, {unchanged} are as the files say"
        ),
        false => format!("{created} created, {changed} changed, {unchanged} as the files say"),
    });
}

fn changes(report: &Value) -> impl Iterator<Item = &Value> {
    let changes = report.get("changes").and_then(Value::as_array);
    changes.into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What is done to what.
fn head(change: &Value) -> String {
    format!(
        "{:<6}  {:<9}  {}",
        text(change, "action"),
        text(change, "kind"),
        text(change, "id")
    )
}

fn line(change: &Value) -> String {
    let mut line = head(change);
    let fields = change.get("fields").and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        let name = text(field, "field");
        let [from, to] = ["from", "to"].map(|side| shown_field(name, field.get(side)));
        line.push_str(&format!("\n        {name}: {from} -> {to}"));
    }
    line
}
