//! `key-service explain`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::client::{Given, Remote};
use super::explained;
use super::outcome::{Failure, Outcome};
use super::output::note;
use crate::domain::when::when;
use crate::explain::log_line::{self, KeyNotNamed};

const HELP: &str = "\
Name the key by --key-id, --digest or --key-file, or let the request carry it (--header, --path). Never put a \
key into an argument where others can list your processes.

The verdict is by the records of now. Where --at or the line of the access log names an earlier time, it is told \
what they gave then, as far as the audit log knows. The policy is chosen by the service's --filter-config, unless \
--policy names the one that the metadata of Envoy's route does.

--access-log takes JSON as envoy/envoy.yaml writes it, or in the default JSON format of Istio or Envoy Gateway. \
Those two name no key: add --key-id or --key-file.

Examples:
  key-service explain --key-id key_0aB1cD2eF3gH4iJ5 --path /v1/orders --source-address 203.0.113.7
  key-service explain --key-file key.txt --path /v1/orders --header 'x-tenant: ten_shop'
  key-service explain --access-log access.log --request-id 6f1c9b1e-2c1b-4d2a-8e0f-3a5b7c9d1e2f
  kubectl logs deploy/gateway | key-service explain --access-log - --request-id ID --key-id ID

Exit code 0: explained, whatever the verdict; 2: there is nothing to explain, or no line of an access log. Others: \
see key-service --help.";

/// Which request, with whose key.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Id of the key
    #[arg(long, value_name = "ID", conflicts_with_all = ["digest", "key_file"])]
    key_id: Option<String>,
    /// Digest of the key, base64url without padding
    #[arg(long, conflicts_with = "key_file")]
    digest: Option<String>,
    /// File that holds the key as the client sends it; - is standard input. Line breaks at the end
    /// are dropped, spaces are not
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Method of the request; GET where it is missing
    #[arg(long)]
    method: Option<String>,
    /// Host of the request
    #[arg(long)]
    host: Option<String>,
    /// Path of the request, with its query; / where it is missing
    #[arg(long)]
    path: Option<String>,
    /// A header of the request; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Address of the client as Envoy trusts it
    #[arg(long, value_name = "ADDRESS")]
    source_address: Option<String>,
    /// When: RFC 3339, a span from now such as 2d, or Unix seconds; now where it is missing
    #[arg(long, value_parser = when, value_name = "TIME")]
    at: Option<i64>,
    /// The policy that the metadata of Envoy's route names
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// File with the line of the request in the access log; - is standard input. Other options replace
    /// what the line says
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Which line of the access log: that of this request id
    #[arg(long, value_name = "ID", requires = "access_log")]
    request_id: Option<String>,
    /// Show every check and all changes that the audit log has
    #[arg(long)]
    all: bool,
}

/// The error does not repeat the header, which may hold the key.
fn header(text: &str) -> Result<(String, String), String> {
    text.split_once(':')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "must be a name and a value, such as \"x-tenant: ten_shop\"".to_owned())
}

impl Arguments {
    /// Whether they name a key, a request, or a line that tells of one.
    fn ask_something(&self) -> bool {
        let texts = [
            &self.key_id,
            &self.digest,
            &self.method,
            &self.host,
            &self.path,
            &self.source_address,
            &self.policy,
        ];
        let files = [&self.key_file, &self.access_log];
        texts.iter().any(|text| text.is_some())
            || files.iter().any(|file| file.is_some())
            || !self.headers.is_empty()
    }
}

pub fn run(arguments: Arguments, remote: &Remote) -> Outcome {
    if !arguments.ask_something() {
        return Err(Failure::Usage(
            "there is nothing to explain: name a key (--key-id, --digest, --key-file), a request (--path, \
             --header, ...), or a line of the access log (--access-log); see --help"
                .to_owned(),
        ));
    }
    let is_stdin = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
    if is_stdin(&arguments.key_file) && is_stdin(&arguments.access_log) {
        return Err(Failure::Usage(
            "--key-file and --access-log cannot both be read from standard input".to_owned(),
        ));
    }
    let request_id = arguments.request_id.as_deref();
    let line = arguments
        .access_log
        .as_deref()
        .map(|file| {
            log_line::choose(&read(file)?, request_id)
                .map_err(|message| Failure::Usage(format!("--access-log: {message}")))
        })
        .transpose()?
        .unwrap_or_default();
    let key = arguments.key_file.as_deref().map(key_of).transpose()?;
    let names_key = arguments.key_id.is_some() || arguments.digest.is_some() || key.is_some();
    let may_carry = !arguments.headers.is_empty() || arguments.path.is_some();
    let key_id = match line.key_id() {
        _ if names_key => arguments.key_id,
        Ok(key_id) => key_id,
        Err(_) if may_carry => None,
        Err(_) if arguments.access_log.is_none() => None,
        Err(not_named) => return Err(Failure::Usage(needed(&not_named))),
    };
    let request = Given::default()
        .field("method", arguments.method.or(line.method))
        .field("host", arguments.host.or(line.host))
        .field("path", arguments.path.or(line.path))
        .field(
            "source_address",
            arguments.source_address.or(line.source_address),
        )
        .field("at", arguments.at.or(line.at))
        .field("headers", headers(arguments.headers));
    let body = Given::default()
        .field("key", key)
        .field("key_id", key_id)
        .field("digest", arguments.digest)
        .field("policy", arguments.policy)
        .field("request", Some(request.body()));
    if let Some(answer) = remote.ask("/explain", body.body())? {
        explained::print(&answer, &line.decided, arguments.all);
        if let Some(by) = line.answered_by {
            note(&format!(
                "The access log says that the answer was not the filter's: {by}."
            ));
        }
    }
    Ok(())
}

/// What to add to a line that names no key.
fn needed(
    KeyNotNamed {
        decision,
        is_unknown,
    }: &KeyNotNamed,
) -> String {
    let needs = match is_unknown {
        true => {
            "nobody knows it: add --key-file with what the client sent; where only its last characters are known, \
             compare them with the hints of key-service key list"
        }
        false => "add --key-id, or --key-file with what the client sent",
    };
    format!("the access log names no key ({decision}): {needs}")
}

fn headers(headers: Vec<(String, String)>) -> Option<Value> {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let values = all
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

/// The key that a file holds, without line breaks at the end.
pub fn key_of(file: &Path) -> Result<String, Failure> {
    Ok(read(file)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}
