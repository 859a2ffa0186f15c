//! `key-service leak`.

use std::io::Read as _;

use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Given, Remote};
use super::outcome::{Failure, Outcome};
use super::output::{self, Column};
use crate::domain::leak::MOST_REPORTED;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Report keys that were found: each is revoked, or flagged where its tenant's rules say so
    #[command(
        after_help = "What nobody knows is \"unknown\", and nothing more is told of it. Reporting a key again changes \
                      nothing.\n\nExample:\n  key-service leak report --key-file found.txt --found-at https://git.example.com/shop/job.sh"
    )]
    Report {
        /// File with the keys in clear, one a line; - is standard input
        #[arg(long, value_name = "FILE")]
        key_file: String,
        /// Where they were found
        #[arg(long, value_name = "TEXT")]
        found_at: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    Column::text("LINE", "/line"),
    Column::text("OUTCOME", "/outcome"),
    Column::text("KEY", "/key_id"),
];

pub fn run(command: Command, remote: &Remote) -> Outcome {
    let Command::Report { key_file, found_at } = command;
    let text = text_of(&key_file)?;
    let lines: Vec<(usize, &str)> = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(Failure::Usage(format!(
            "{key_file} holds no keys: put one on each line"
        )));
    }
    let mut results = Vec::with_capacity(lines.len());
    for part in lines.chunks(MOST_REPORTED) {
        let keys: Vec<String> = part.iter().map(|(_, key)| (*key).to_owned()).collect();
        let body = Given::default()
            .list("keys", keys)
            .field("found_at", found_at.clone())
            .body();
        let mut answer = remote.call(&Method::POST, "/leaks", Some(body))?;
        let Some(Value::Array(told)) = answer.get_mut("results").map(Value::take) else {
            continue;
        };
        for ((line, _), mut result) in part.iter().zip(told) {
            if let Some(fields) = result.as_object_mut() {
                fields.insert("line".to_owned(), (*line).into());
            }
            results.push(result);
        }
    }
    match remote.json {
        true => output::json(&json!({ "results": results })),
        false => output::table(&results, COLUMNS),
    }
    Ok(())
}

fn text_of(file: &str) -> Result<String, Failure> {
    let read = match file {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        path => std::fs::read_to_string(path),
    };
    read.map_err(|error| Failure::Usage(format!("cannot read {file}: {error}")))
}
