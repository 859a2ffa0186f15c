//! `key-service explain`.

use std::path::{Path, PathBuf};

use comfy_table::{Attribute, Cell, Color, ContentArrangement};
use serde_json::{Map, Value};

use super::client::{Given, Remote};
use super::log_line::LogLine;
use super::output::{new_table, note, print_line, print_table};
use super::when::when;
use super::{Failure, Outcome};

const HELP: &str = "\
Name the key by --key-id, --digest or --key-file, or let the request carry it (--header, --path). Never put a \
key into an argument where others can list your processes.

The records are those of now, whatever --at says. The policy is chosen by the service's --filter-config, unless \
--policy names the one that the metadata of Envoy's route does.

Examples:
  key-service explain --key-id key_0aB1cD2eF3gH4iJ5 --path /v1/orders --source-address 203.0.113.7
  key-service explain --key-file key.txt --path /v1/orders --header 'x-tenant: ten_shop'
  tail -n 1 access.log | key-service explain --access-log -

Exit code 0: explained, whatever the verdict. Others: see key-service --help.";

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
    /// File with one line of the access log of envoy/envoy.yaml; - is standard input. Other options
    /// replace what the line says
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
}

/// The error does not repeat the header, which may hold the key.
fn header(text: &str) -> Result<(String, String), String> {
    text.split_once(':')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "must be a name and a value, such as \"x-tenant: ten_shop\"".to_owned())
}

pub fn run(arguments: Arguments, remote: &Remote) -> Outcome {
    let is_stdin = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
    if is_stdin(&arguments.key_file) && is_stdin(&arguments.access_log) {
        return Err(Failure::Usage(
            "--key-file and --access-log cannot both be read from standard input".to_owned(),
        ));
    }
    let line = arguments
        .access_log
        .as_deref()
        .map(|file| LogLine::parse(&read(file)?).map_err(Failure::Usage))
        .transpose()?
        .unwrap_or_default();
    let key = arguments.key_file.as_deref().map(read).transpose()?;
    let key = key.map(|key| key.trim_end_matches(['\r', '\n']).to_owned());
    let names_key = arguments.key_id.is_some() || arguments.digest.is_some() || key.is_some();
    let may_carry = !arguments.headers.is_empty() || arguments.path.is_some();
    let key_id = match line.key_id() {
        _ if names_key => arguments.key_id,
        Ok(key_id) => key_id,
        Err(_) if may_carry => None,
        Err(message) => return Err(Failure::Usage(message)),
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
    let Some(answer) = remote.ask("/explain", body.body())? else {
        return Ok(());
    };
    print(&answer);
    if let Some(then) = line
        .code
        .as_deref()
        .filter(|code| answer["verdict"] != **code)
    {
        note(&format!(
            "The access log says {then}. Since then the records or the configuration have changed, or it \
             depends on a header or a query, which the log does not hold."
        ));
    }
    Ok(())
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

fn read(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}

/// The cause first, then what led to it, then what to do.
fn print(answer: &Value) {
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let color = match text(answer, "verdict").as_str() {
        "allowed" => Color::Green,
        _ => Color::Red,
    };
    let mut headline = new_table();
    headline.set_content_arrangement(ContentArrangement::Dynamic);
    let cell = Cell::new(text(answer, "summary")).fg(color);
    headline.add_row([cell.add_attribute(Attribute::Bold)]);
    for column in headline.column_iter_mut() {
        column.set_padding((0, 0));
    }
    print_table(&headline);
    print_line("");

    let mut table = new_table();
    // Sentences may be wrapped; nobody copies them.
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let checks = answer.get("checks").and_then(Value::as_array);
    for check in checks.into_iter().flatten() {
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
        table.add_row([
            mark,
            Cell::new(text(check, "code")),
            Cell::new(text(check, "detail")),
        ]);
    }
    print_table(&table);
    print_line("");
    print_line(&format!("policy: {}", text(answer, "policy")));
    print_line(&format!("next step: {}", text(answer, "next_step")));
}
