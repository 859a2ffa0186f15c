//! `key-service review`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Remote, encoded};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column, last_use, print_line, time};
use crate::domain::review::ReviewReason;

const HELP: &str = "\
Reasons:
  orphaned            it has no user, or one that does not exist
  owner_inactive      its user is not active
  dormant             it was not used for --dormant-after
  never_used          it was never used, though made over 30 days ago, as far as gateways report use
  no_expiry           it expires never
  expires_soon        it expires within --expires-within, and no key has taken its place
  rotation_due        it is older than its rotate_every, and no key has taken its place
  breaks_rules        it breaks a rule of its tenant
  everything_allowed  it has the scope *
  leaked              it was reported to be public, and its tenant's rules let it go on
  person_owned        it is a person's, and was used on each of the last 7 days, from more than one network
A key that is revoked or has expired has none.

Examples:
  key-service review --tenant ten_shop
  key-service review --csv > review.csv
  key-service review --fail --dormant-after 180d

Exit code 0, whatever is found; with --fail 1 where anything is. Others: see key-service --help.";

/// Keys of a page: a review is read as a whole.
const PAGE: &str = "5000";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Only keys of this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Only keys that have this reason
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<ReviewReason>,
    /// How long a key is unused before it is dormant
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    dormant_after: String,
    /// Within which time an end is soon
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    expires_within: String,
    /// Print CSV, a line a key and reason
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// End with 1 where any key asks for a look
    #[arg(long)]
    fail: bool,
}

fn reason(text: &str) -> Result<ReviewReason, String> {
    ReviewReason::parse(text)
}

const COLUMNS: &[Column] = &[
    Column::text("KEY", "/key_id"),
    Column::text("REASON", "/reason"),
    Column::text("USER", "/user_id"),
    Column::cut("NAME", "/name"),
];

/// Prints a line a key and reason.
pub fn run(arguments: &Arguments, remote: &Remote) -> Outcome {
    let items = fetch(arguments, remote)?;
    let keys: BTreeSet<&str> = items
        .iter()
        .filter_map(|item| item.get("key_id")?.as_str())
        .collect();
    let count = keys.len();
    if remote.json {
        output::json(&json!({"items": items, "next_page_token": null}));
    } else {
        let lines: Vec<Value> = items.iter().flat_map(lines_of).collect();
        match arguments.csv {
            true => print_csv(&lines)?,
            false => output::table(&lines, COLUMNS),
        }
    }
    if arguments.fail && count > 0 {
        return Err(Failure::Refused(format!("{count} keys ask for a look")));
    }
    Ok(())
}

fn fetch(arguments: &Arguments, remote: &Remote) -> Result<Vec<Value>, Failure> {
    let filters = [
        ("tenant", arguments.tenant.as_deref()),
        ("reason", arguments.reason.map(ReviewReason::as_str)),
        ("dormant_after", Some(arguments.dormant_after.as_str())),
        ("expires_within", Some(arguments.expires_within.as_str())),
    ];
    let given = filters
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    let query: String = given
        .map(|(name, value)| format!("&{name}={}", encoded(value)))
        .collect();
    let mut items = Vec::new();
    let mut token: Option<String> = None;
    let mut reported = true;
    loop {
        let mut path = format!("/review?limit={PAGE}{query}");
        if let Some(token) = &token {
            path.push_str("&page_token=");
            path.push_str(&encoded(token));
        }
        let mut answer = remote.call(&Method::GET, &path, None)?;
        if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        reported &= answer.get("usage_reported") != Some(&Value::Bool(false));
        token = answer
            .get("next_page_token")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    if !reported {
        output::note("No gateway has reported use yet: which keys are used is not known.");
    }
    Ok(items)
}

/// An entry for each reason of a key.
fn lines_of(item: &Value) -> impl Iterator<Item = Value> {
    let reasons = item.get("reasons").and_then(Value::as_array);
    reasons.into_iter().flatten().map(|reason| {
        let mut line = item.clone();
        if let Some(fields) = line.as_object_mut() {
            fields.insert("reason".to_owned(), reason.clone());
        }
        line
    })
}

fn print_csv(lines: &[Value]) -> Outcome {
    let failed = |_| Failure::Refused("the table could not be written".to_owned());
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = ["key_id", "user_id", "tenant_id", "name", "reason"];
    let heading = names.iter().copied().chain(["last_used", "expires"]);
    table.write_record(heading).map_err(failed)?;
    for line in lines {
        let text = |name: &&str| {
            line.get(*name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let expires = line.get("expires_at").and_then(Value::as_i64);
        let expires = expires.map_or(String::new(), |end| time(Some(end)));
        let cells = names.iter().map(text).chain([last_use(line), expires]);
        table.write_record(cells).map_err(failed)?;
    }
    let bytes = table.into_inner().unwrap_or_default();
    print_line(String::from_utf8_lossy(&bytes).trim_end());
    Ok(())
}
