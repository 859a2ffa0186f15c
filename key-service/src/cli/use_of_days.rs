//! `key-service key usage` and `key-service user usage`.

use serde_json::Value;
use ureq::http::Method;

use super::client::Remote;
use super::outcome::Outcome;
use super::output::{self, Column};

/// Which use to show.
#[derive(clap::Args)]
pub struct UseOf {
    /// Its id
    pub id: String,
    /// How many days, today (UTC) among them: 1 to 400
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u16,
}

const COLUMNS: &[Column] = &[
    Column::computed("DAY", day),
    Column::text("ALLOWED", "/allowed"),
    Column::text("REJECTED", "/rejected"),
    Column::computed("REJECTED BY", |day| counts(day.get("rejected_by"))),
    Column::computed("NETWORKS", |day| counts(day.get("networks"))),
];

/// Names of a cell at most; the others are counted.
const NAMED: usize = 3;

/// Prints a line a day, and what they come to.
pub fn run(remote: &Remote, path: &str, of: &UseOf) -> Outcome {
    let path = format!("{path}/usage?days={}", of.days);
    let answer = remote.call(&Method::GET, &path, None)?;
    if remote.json {
        output::json(&answer);
        return Ok(());
    }
    if answer.get("usage_reported") == Some(&Value::Bool(false)) {
        output::note("No gateway has reported use yet: which keys are used is not known.");
    }
    let days = answer.get("days").and_then(Value::as_array);
    let mut lines = days.cloned().unwrap_or_default();
    lines.push(answer);
    output::table(&lines, COLUMNS);
    Ok(())
}

fn day(line: &Value) -> String {
    match line.get("day").and_then(Value::as_i64) {
        Some(at) => output::time(Some(at)).chars().take(10).collect(),
        None => "all".to_owned(),
    }
}

/// Counts by name, the largest first.
fn counts(counts: Option<&Value>) -> String {
    let counts = counts.and_then(Value::as_object).into_iter().flatten();
    let mut counts: Vec<(&String, i64)> = counts
        .map(|(name, count)| (name, count.as_i64().unwrap_or_default()))
        .collect();
    counts.sort_by_key(|(name, count)| (-count, *name));
    let mut words: Vec<String> = counts
        .iter()
        .take(NAMED)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    match counts.len().saturating_sub(NAMED) {
        0 if words.is_empty() => "-".to_owned(),
        0 => words.join(", "),
        more => {
            words.push(format!("{more} more"));
            words.join(", ")
        }
    }
}
