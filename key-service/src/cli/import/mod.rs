//! `key-service key import`: any number of lines, sent in batches that the service takes.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::{Value, json};
use ureq::http::Method;

mod apisix;
mod batch;
mod converted;
mod csv;
mod envoy_gateway;
mod kong;
mod report;

use batch::{Batch, MOST_BYTES, batches};
use converted::Converted;
use report::Report;

use super::client::{Remote, encoded};
use super::documents::{documents, read};
use super::outcome::{Failure, Outcome};
use crate::domain::time::now;

const HELP: &str = r#"A line holds either the key or its digest (base64url, made as the gateway makes it), and what else
there is to say:
  {"key": "old-key-in-clear", "user_id": "usr_a", "scopes": ["orders:read"], "expires_at": 1790000000}
  {"digest": "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", "user_id": "usr_b", "status": "disabled"}
Further fields: id, tenant_id, environment, name, not_before, networks, hours, hint.
A byte order mark at the begin of the file and CRLF at the end of lines are taken.

--from reads what another system exports, and numbers its keys as lines:
  kong           what "deck gateway dump" writes; a consumer's groups become scopes of its keys
  apisix         what the Admin API lists under /consumers and /consumers/NAME/credentials
  envoy-gateway  the Secrets of apiKeyAuth, as "kubectl get secret -o yaml" writes them
  csv            a table; its first line names the fields: key or digest, user_id, name, scopes (with spaces between
                 them), environment, expires_at, or any field above
A consumer or client NAME becomes the user usr_NAME. What cannot be brought along, such as a reference to a key that is
elsewhere, is left out and named.

Any number of lines is sent in batches. Without --partial all of them are checked first, and a wrong one keeps all
out. Importing again changes nothing: a key that is there already is left as it is, and reported as existing. So
after a break, run it again, or go on with the --from-line that is printed.

Exit code 1 where a line failed, also with --partial. Others: see key-service --help."#;

/// Which lines, and how.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// File with a JSON object a line, or an export of the system that --from names; - is standard input
    file: PathBuf,
    /// What the file is an export of
    #[arg(long, value_enum, value_name = "SYSTEM")]
    from: Option<System>,
    /// Id of the tenant of all keys whose line names none
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Make the users that do not exist, in the tenant of their first key
    #[arg(long)]
    create_users: bool,
    /// Import the lines that are right even though others are not
    #[arg(long)]
    partial: bool,
    /// Let the service check every line, and import none
    #[arg(long)]
    dry_run: bool,
    /// Take keys that have expired already; else their time is taken for a mistake
    #[arg(long)]
    allow_expired: bool,
    /// Pass over the lines before this one
    #[arg(long, value_name = "N", default_value = "1")]
    from_line: NonZeroUsize,
}

/// What keys are exported from.
#[derive(Clone, Copy, clap::ValueEnum)]
enum System {
    Kong,
    Apisix,
    EnvoyGateway,
    Csv,
}

impl System {
    fn convert(self, text: &[u8]) -> Result<Converted, String> {
        match self {
            Self::Kong => kong::convert(&documents(text)?, now()),
            Self::Apisix => apisix::convert(&documents(text)?),
            Self::EnvoyGateway => envoy_gateway::convert(&documents(text)?),
            Self::Csv => csv::convert(text),
        }
    }
}

/// Imports, and prints what became of each line.
pub fn run(arguments: &Arguments, remote: &Remote) -> Outcome {
    let text = read(&arguments.file)?;
    let converted = match arguments.from {
        None => Converted {
            text,
            ..Converted::default()
        },
        Some(system) => system
            .convert(&text)
            .map_err(|why| Failure::Usage(format!("{}: {why}", arguments.file.display())))?,
    };
    let batches = batches(&converted.text, arguments.from_line.get());
    if arguments.dry_run || !arguments.partial {
        let checked = check(arguments, remote, &batches, &converted)?;
        if arguments.dry_run || checked.failed > 0 {
            return checked.end();
        }
    }
    let mut report = Report::new(remote.json, false, &converted);
    for batch in &batches {
        let answer = send(arguments, remote, batch, false).map_err(|failure| {
            report.finish();
            stopped(failure, batch)
        })?;
        report.add(&answer, batch);
        report.progress(&batches);
    }
    report.end()
}

fn check<'c>(
    arguments: &Arguments,
    remote: &Remote,
    batches: &[Batch],
    converted: &'c Converted,
) -> Result<Report<'c>, Failure> {
    let mut answers = Vec::new();
    let mut report = Report::new(remote.json, true, converted);
    for batch in batches {
        let answer = send(arguments, remote, batch, true)?;
        report.count(&answer);
        report.progress(batches);
        answers.push(answer);
    }
    if arguments.dry_run || report.failed > 0 {
        for (answer, batch) in answers.iter().zip(batches) {
            report.print(answer, batch);
        }
    }
    report.erase_progress();
    Ok(report)
}

fn send(
    arguments: &Arguments,
    remote: &Remote,
    batch: &Batch,
    dry_run: bool,
) -> Result<Value, Failure> {
    if batch.body.is_empty() {
        let error = json!({"field": "", "message": format!("is longer than {MOST_BYTES} bytes")});
        let line = json!({"line": 1, "result": "failed", "errors": [error]});
        return Ok(json!({"imported": 0, "existing": 0, "failed": 1, "lines": [line]}));
    }
    let mut path = format!(
        "/keys/import?partial=true&dry_run={dry_run}&allow_expired={}&create_users={}",
        arguments.allow_expired, arguments.create_users
    );
    if let Some(tenant) = &arguments.tenant {
        path.push_str("&tenant=");
        path.push_str(&encoded(tenant));
    }
    let content = ("application/x-ndjson", batch.body.clone());
    remote.send(&Method::POST, &path, Some(content))
}

fn stopped(failure: Failure, batch: &Batch) -> Failure {
    let first = batch.numbers.first().copied().unwrap_or(1);
    let more = format!(
        "\nStopped at line {first}: those before it are done. Go on with --from-line {first}, or run it again: \
         what is there already is left as it is"
    );
    failure.with(&more)
}
