//! `key-service apply` and `key-service diff`: tenants, users and keys as files describe them.

use std::path::PathBuf;

use serde_json::Value;
use ureq::http::Method;

mod files;
mod report;
mod secret;

use files::Files;
use report::{is_change, print, told_first};

use super::call::Call;
use super::client::{Remote, refusal};
use super::outcome::{Failure, Outcome};
use super::output::{self, note};

const FILES: &str = r#"A file holds tenants, users and keys, as YAML or JSON, with the field names of the API:
  tenants:
    - id: ten_shop
      key_rules: {max_lifetime: 90d, require: [purpose]}
  users:
    - {id: usr_stock-sync, tenant_id: ten_shop, kind: system}
  keys:
    - id: key_stock-sync-1
      user_id: usr_stock-sync
      secret: {env: STOCK_SYNC_KEY}     # or {file: PATH}, or digest: "…" in its place
      scopes: [stock:read]
      purpose: nightly sync
      expires_at: 2027-01-31            # a day, RFC 3339 or Unix seconds
What a file does not name stays as it is; null takes it away. Of a directory all files .yaml, .yml and .json are read.
Times that are spans from now are refused: they would be others each time. See docs/keys-as-code.md."#;

const APPLYING: &str = r#"

Examples:
  key-service apply -f keys/ --dry-run
  key-service apply -f keys/ --prune
  key-service export --tenant ten_shop | key-service apply -f -"#;

const DIFFING: &str = r#"

Exit codes:
  0  everything is as the files say
  1  something would change
  2  the files are wrong, or what they ask for is refused
  3  the service cannot be reached

Example:
  key-service diff -f keys/"#;

/// Which files, and what of the rest.
#[derive(clap::Args)]
struct Source {
    /// File or directory; - is standard input. May be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Deactivate users and revoke keys that no file names, in the tenants that the files name. Users that a directory
    /// keeps (external_id) and keys that a rotation made are left alone
    #[arg(long)]
    prune: bool,
}

#[derive(clap::Args)]
#[command(after_help = FILES.to_owned() + APPLYING)]
pub struct Apply {
    #[command(flatten)]
    source: Source,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it even though keys that it stops were used in the last 30 days, or nobody reports use
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
#[command(after_help = FILES.to_owned() + DIFFING)]
pub struct Diff {
    #[command(flatten)]
    source: Source,
}

/// Makes everything as the files say.
pub fn apply(arguments: &Apply, remote: &Remote) -> Outcome {
    let files = Files::read(&arguments.source.files)?;
    let prune = arguments.source.prune;
    let compared = compare(&files, prune, remote)?;
    if arguments.dry_run {
        print(&compared, remote.json, true);
        return Ok(());
    }
    if !is_change(&compared) {
        print(&compared, remote.json, false);
        return Ok(());
    }
    for line in told_first(&compared) {
        note(&line);
    }
    let plan = compared
        .get("plan")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let path = format!("/apply?prune={prune}&force={}", arguments.force);
    let done = send(&files, &path, Some(plan), remote)?;
    print(&done, remote.json, false);
    Ok(())
}

/// Says what would change, and ends with 1 where something would.
pub fn diff(arguments: &Diff, remote: &Remote) -> Outcome {
    let compared = Files::read(&arguments.source.files)
        .and_then(|files| compare(&files, arguments.source.prune, remote));
    // 1 says that something differs, and nothing else.
    let compared = compared.map_err(|failure| match failure {
        Failure::Refused(message) => Failure::Usage(message),
        other => other,
    })?;
    print(&compared, remote.json, true);
    match is_change(&compared) {
        true => Err(Failure::Refused(
            "the service is not as the files say".to_owned(),
        )),
        false => Ok(()),
    }
}

fn compare(files: &Files, prune: bool, remote: &Remote) -> Result<Value, Failure> {
    send(files, &format!("/diff?prune={prune}"), None, remote)
}

fn send(files: &Files, path: &str, plan: Option<&str>, remote: &Remote) -> Result<Value, Failure> {
    let mut call = Call::new(&Method::POST, path).body(files.body()).patient();
    if let Some(plan) = plan {
        call = call.if_match(plan);
    }
    let answer = remote.make(call)?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    if remote.json && answer.body.is_object() {
        output::json(&answer.body);
    }
    let errors = answer.body.get("errors").and_then(Value::as_array);
    let errors: Vec<String> = errors
        .into_iter()
        .flatten()
        .map(|error| files.told(error))
        .collect();
    Err(match errors.is_empty() {
        true => refusal(answer.status, &answer.body),
        false => Failure::Refused(format!("nothing is written:\n  {}", errors.join("\n  "))),
    })
}
