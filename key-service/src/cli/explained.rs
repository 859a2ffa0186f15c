//! How `key-service explain` tells what the service answered, beside what an access log said.

use comfy_table::{Attribute, Cell, Color, ContentArrangement};
use serde_json::Value;

use super::output::{new_table, print_line, print_table, time};
use crate::explain::log_line::Decided;

/// Changes that are shown without `--all`.
const MOST_CHANGES: usize = 4;

/// Prints the cause, since when and by whom, what failed, and what to do; with `all` every check and change.
pub fn print(answer: &Value, decided: &Decided, all: bool) {
    let told = Told { answer, decided };
    let mut headline = new_table();
    headline.set_content_arrangement(ContentArrangement::Dynamic);
    let cell = Cell::new(told.headline()).fg(told.color());
    headline.add_row([cell.add_attribute(Attribute::Bold)]);
    for column in headline.column_iter_mut() {
        column.set_padding((0, 0));
    }
    print_table(&headline);
    print_line("");
    part(told.history(all));
    part(told.checks(all));
    print_line(&format!("policy: {}", text(answer, "policy")));
    print_line(&format!("next step: {}", told.next_step()));
}

fn part(rows: Vec<Vec<Cell>>) {
    if rows.is_empty() {
        return;
    }
    let mut table = new_table();
    // Sentences may be wrapped; nobody copies them.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(row);
    }
    print_table(&table);
    print_line("");
}

struct Told<'a> {
    answer: &'a Value,
    decided: &'a Decided,
}

impl Told<'_> {
    fn verdict(&self) -> String {
        text(self.answer, "verdict")
    }

    fn is_conclusive(&self) -> bool {
        // An older service does not say.
        self.answer["conclusive"] != false
    }

    /// The verdict of the records of then.
    fn then(&self) -> Option<String> {
        let verdict = self.answer.pointer("/then/verdict")?.as_str()?;
        Some(verdict.to_owned())
    }

    /// What was decided then, where it is not what would be decided now: by the line of the access log, else
    /// by the audit log.
    fn decided_otherwise(&self) -> Option<(String, &'static str)> {
        let (code, says) = match self.decided {
            Decided::Unknown => (self.then()?, ", as the audit log has it"),
            Decided::Shadowed(code) => (code.clone(), " in shadow only"),
            decided => (decided.code()?.to_owned(), ""),
        };
        (code != self.verdict()).then_some((code, says))
    }

    /// The verdict and its cause, with that of then where it differs.
    fn headline(&self) -> String {
        let summary = text(self.answer, "summary");
        let Some((then, says)) = self.decided_otherwise() else {
            return summary;
        };
        let then = match then.as_str() {
            "allowed" => format!("was allowed then{says}"),
            code => format!("was refused then{says} ({code})"),
        };
        match summary.split_once(": ") {
            Some(("allowed", rest)) => format!("{then}, would be allowed now: {rest}"),
            Some(("refused", rest)) => format!("{then}, would be refused now: {rest}"),
            Some(("not known", rest)) => format!("{then}, not known now: {rest}"),
            _ => format!("{then}; now {summary}"),
        }
    }

    fn color(&self) -> Color {
        match self.verdict().as_str() {
            "allowed" if !self.is_conclusive() || self.decided_otherwise().is_some() => {
                Color::Yellow
            }
            "allowed" => Color::Green,
            _ => Color::Red,
        }
    }

    /// What to do: never nothing where a request was refused.
    fn next_step(&self) -> String {
        let next_step = text(self.answer, "next_step");
        let refused = match self.decided_otherwise() {
            Some((code, _)) if code != "allowed" && self.verdict() == "allowed" => code,
            _ => return next_step,
        };
        match refused.as_str() {
            "key_service_unavailable" | "overloaded" => {
                "Look at the gateway's fetch.* metrics and at the key service's log of that time: it did not \
                 answer the gateway; the client may send the request again."
                    .to_owned()
            }
            _ if self.then().as_ref() == Some(&refused) => {
                "Let the client send the request again: what refused it has changed since then."
                    .to_owned()
            }
            _ if !self.is_conclusive() => next_step,
            code => format!(
                "Neither the records of now nor those of then give {code}: it comes from the gateway's \
                 configuration, or from a header or a query, which the access log does not hold. Ask again with \
                 --header, --path or --policy, and compare the gateway's configuration with the service's \
                 --filter-config."
            ),
        }
    }

    /// Since when it is so, and who made it so.
    fn history(&self, all: bool) -> Vec<Vec<Cell>> {
        let history = self.answer["history"].as_array();
        history
            .into_iter()
            .flatten()
            .filter(|change| all || change["cause"] == true)
            .take(if all { usize::MAX } else { MOST_CHANGES })
            .map(|change| {
                let what = format!(
                    "{} {}: {} {} -> {}",
                    text(change, "kind"),
                    text(change, "id"),
                    text(change, "field"),
                    value(change, "from"),
                    value(change, "to")
                );
                let by = format!(
                    "by {} (audit {})",
                    text(change, "actor"),
                    change["audit_id"]
                );
                vec![
                    Cell::new(time(change["at"].as_i64())),
                    Cell::new(what),
                    Cell::new(by),
                ]
            })
            .collect()
    }

    fn checks(&self, all: bool) -> Vec<Vec<Cell>> {
        let checks = self.answer["checks"].as_array();
        checks
            .into_iter()
            .flatten()
            .filter(|check| all || check["result"] == "failed")
            .map(|check| {
                let result = text(check, "result");
                let (mark, color) = match result.as_str() {
                    "passed" => ("✓", Some(Color::Green)),
                    "failed" => ("✗", Some(Color::Red)),
                    _ => ("–", None),
                };
                let mark = Cell::new(format!("{mark} {result}"));
                let mark = match color {
                    Some(color) => mark.fg(color),
                    None => mark,
                };
                vec![
                    mark,
                    Cell::new(text(check, "code")),
                    Cell::new(text(check, "detail")),
                ]
            })
            .collect()
    }
}

fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The value of a field that was changed.
fn value(change: &Value, side: &str) -> String {
    match &change[side] {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(seconds)
            if matches!(
                &*text(change, "field"),
                "expires_at" | "not_before" | "leaked_at"
            ) =>
        {
            time(seconds.as_i64())
        }
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(" ")
        }
        other => other.to_string(),
    }
}
