//! `key-service audit`.

use serde_json::{Map, Value, json};

use super::client::{Paging, Remote};
use super::database::{Database, block_on};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column, print_line, shown_field};
use crate::domain::when::{since, until};
use crate::store::Missing;
use crate::store::chain::Chain;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List who changed what, newest first
    #[command(
        after_help = "Example: what a stolen token did\n  key-service audit list --actor anna --since 2027-01-31 --all"
    )]
    List(List),
    /// Check that no entry was changed or taken out since it was written (directly in the database)
    #[command(after_help = VERIFY_HELP)]
    Verify(Database),
}

const VERIFY_HELP: &str = "\
Each entry carries the hash of the one before and its own. Exit code 1 names the first entry that does not fit. \
Whoever can write to the database can make all hashes anew: keep the last one, which is printed, elsewhere, and \
see later with audit list --json that the entry still has it.";

/// Which entries.
#[derive(clap::Args)]
pub struct List {
    /// Only about a tenant, user, key or token
    #[arg(long)]
    kind: Option<String>,
    /// Only about the thing of this id
    #[arg(long, visible_alias = "entity")]
    id: Option<String>,
    /// Only what the token of this name did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only from then on: a day such as 2027-01-31 (its begin, UTC), RFC 3339, or a span before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Only before then: a day such as 2027-01-31 (until its end, UTC), RFC 3339, or a span before now
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<i64>,
    #[command(flatten)]
    paging: Paging,
}

pub fn run(command: Command, remote: &Remote) -> Outcome {
    match command {
        Command::List(arguments) => list(&arguments, remote),
        Command::Verify(database) => block_on(verify(&database, remote.json)),
    }
}

async fn verify(database: &Database, as_json: bool) -> Outcome {
    let store = database.open(Missing::Refuse).await?;
    let chain = store.verify_audit().await?;
    store.close().await;
    match chain {
        Chain::Whole { entries, end } if as_json => {
            output::json(&json!({"entries": entries, "last_id": end.id, "last_hash": end.hash}));
            Ok(())
        }
        Chain::Whole { entries, end } => {
            let hash = end.hash.as_deref().unwrap_or("-");
            print_line(&format!(
                "{entries} entries, all as they were written; the last is {} with hash {hash}",
                end.id
            ));
            Ok(())
        }
        Chain::Broken { id, why } => Err(Failure::Refused(format!("audit entry {id}: {why}"))),
    }
}

fn list(list: &List, remote: &Remote) -> Outcome {
    let (since, until) = (
        list.since.map(|at| at.to_string()),
        list.until.map(|at| at.to_string()),
    );
    let filters = [
        ("kind", list.kind.as_deref()),
        ("id", list.id.as_deref()),
        ("actor", list.actor.as_deref()),
        ("since", since.as_deref()),
        ("until", until.as_deref()),
    ];
    let Some(entries) = remote.fetch("/audit", &list.paging, &filters)? else {
        return Ok(());
    };
    if list.paging.wide {
        output::table(&entries, WIDE);
    } else {
        print(&entries);
    }
    Ok(())
}

const WIDE: &[Column] = &[
    Column::text("NUMBER", "/id"),
    Column::time("TIME", "/at"),
    Column::text("ACTOR", "/actor"),
    Column::text("ACTION", "/action"),
    Column::text("KIND", "/kind"),
    Column::text("ID", "/entity_id"),
    Column::computed("CHANGED", |entry| changes(entry).join("; ")),
];

/// An entry a line, and what it changed below it.
fn print(entries: &[Value]) {
    let text = |entry: &Value, name: &str| {
        let text = entry.get(name).and_then(Value::as_str);
        text.unwrap_or("-").to_owned()
    };
    let actors = entries
        .iter()
        .map(|entry| text(entry, "actor").chars().count());
    let width = actors.max().unwrap_or_default().max("ACTOR".len());
    let line = |time: &str, actor: &str, action: &str, kind: &str, id: &str| {
        print_line(&format!(
            "{time:<20}  {actor:<width$}  {action:<7}  {kind:<8}  {id}"
        ));
    };
    line("TIME", "ACTOR", "ACTION", "KIND", "ID");
    for entry in entries {
        let time = output::time(entry.get("at").and_then(Value::as_i64));
        let [actor, action, kind, id] =
            ["actor", "action", "kind", "entity_id"].map(|name| text(entry, name));
        line(&time, &actor, &action, &kind, &id);
        for change in changes(entry) {
            print_line(&format!("    {change}"));
        }
    }
}

/// What differs between the records before and after; of a record that is new there is nothing to compare.
fn changes(entry: &Value) -> Vec<String> {
    let record = |name: &str| entry.get(name).and_then(Value::as_object);
    let (Some(before), Some(after)) = (record("before"), record("after")) else {
        return Vec::new();
    };
    let of_both: Map<String, Value> = before.clone().into_iter().chain(after.clone()).collect();
    let told = |name: &&String| !["version", "updated_at"].contains(&name.as_str());
    let differing = of_both
        .keys()
        .filter(told)
        .filter(|name| before.get(*name) != after.get(*name));
    let shown = |record: &Map<String, Value>, name: &str| shown_field(name, record.get(name));
    differing
        .map(|name| format!("{name}: {} -> {}", shown(before, name), shown(after, name)))
        .collect()
}
