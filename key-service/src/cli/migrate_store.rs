//! `key-service migrate-store`.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use serde_json::json;

use super::database::block_on;
use super::outcome::{Failure, Outcome};
use super::output::{self, note, print_line};
use crate::domain::time::now;
use crate::store::{Location, migrate};

/// Rows of a table after which progress is told.
const TOLD: i64 = 100_000;

const HELP: &str = "\
Stop the service first, and start it on the new database afterwards. All or nothing is copied, and the file stays as it \
is. Numbers go on from further up, so that every gateway drops what it knew and asks again, once.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// SQLite file to copy; the service that uses it must be stopped
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Empty database: postgres://USER@HOST/DATABASE. Better with the password in PGPASSWORD than in the URL
    #[arg(long, value_name = "URL", value_parser = OsStringValueParser::new().map(Location::from))]
    to: Location,
}

pub fn run(arguments: Arguments, as_json: bool) -> Outcome {
    if let Location::File(_) = arguments.to {
        return Err(Failure::Usage(
            "--to must be postgres://USER@HOST/DATABASE".to_owned(),
        ));
    }
    let work = async {
        let told = |table: &str, rows: i64| {
            if rows % TOLD == 0 {
                note(&format!("{table}: {rows} rows so far"));
            }
        };
        let done = migrate::migrate(&arguments.from, arguments.to.clone(), now(), told);
        done.await.map_err(Failure::Refused)
    };
    let done = block_on(work)?;
    if as_json {
        let tables: serde_json::Map<_, _> = done
            .tables
            .iter()
            .map(|(name, rows)| ((*name).to_owned(), json!(rows)))
            .collect();
        output::json(&json!({
            "rows": tables, "sequence_before": done.before, "sequence": done.sequence,
        }));
        return Ok(());
    }
    for (name, rows) in &done.tables {
        print_line(&format!("{name}: {rows} rows"));
    }
    print_line(&format!(
        "copied sequence number {}; numbers go on from {}",
        done.before, done.sequence
    ));
    Ok(())
}
