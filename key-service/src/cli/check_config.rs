//! `key-service check-config`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::outcome::{Failure, Outcome};
use super::output::print_line;
use crate::filter::file::configurations;

const HELP: &str = "\
FILE holds the filter's configuration as JSON, or is what brings it to Envoy: a WasmPlugin of Istio, an \
EnvoyExtensionPolicy of Envoy Gateway (YAML or JSON, among other documents, too), or a configuration of Envoy. It is \
read by the same code as in the filter. Nothing is asked of anybody: neither a service nor a database is needed.

Variables (token_env, digest.pepper_env) need not be set here. Where the file says which of them the filter sees, \
those that are missing are told.

Examples:
  key-service check-config filter.json
  key-service check-config envoy/istio/keybound.yaml
  kubectl get wasmplugin keybound -o yaml | key-service check-config -

Exit codes:
  0  the filter takes it
  1  the filter refuses it; every mistake is told with its field
  2  the file cannot be read, or holds no configuration of the filter";

/// Which file.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// File with the configuration; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let file = &arguments.file;
    let name = match is_stdin(file) {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    let text =
        read(file).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    let configurations =
        configurations(&text).map_err(|problem| Failure::Usage(format!("{name}: {problem}")))?;
    let mut problems = Vec::new();
    for configuration in &configurations {
        let place = match &configuration.holder {
            Some(holder) => format!("{name}: {holder}"),
            None => name.clone(),
        };
        match configuration.read() {
            Ok(_) => print_line(&format!("{place}: the filter takes it")),
            Err(found) => {
                problems.extend(found.iter().map(|problem| format!("{place}: {problem}")));
            }
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(problems.join("\nerror: "))),
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if !is_stdin(file) {
        return std::fs::read(file);
    }
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    Ok(text)
}
