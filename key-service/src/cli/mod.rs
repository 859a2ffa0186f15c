//! The command line: the service itself, commands on its database, and commands that talk to a
//! running service over HTTP.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod audit;
mod backup;
mod client;
mod database;
mod demo;
mod explain;
mod key;
mod log_line;
mod output;
mod ready;
mod record;
mod serve;
mod tenant;
mod token;
mod user;
mod when;

const EXAMPLES: &str = "\
Examples:
  key-service serve --database keybound.db
  key-service token create --role gateway --name envoy-1 --database keybound.db
  export KEYBOUND_TOKEN=...        # an admin's token
  key-service tenant create --id ten_shop --name 'The shop'
  key-service user create --id usr_stock-sync --tenant ten_shop
  key-service key create --user usr_stock-sync --environment live --scope 'stock:*' --expires 90d
  key-service key rotate key_0aB1cD2eF3gH4iJ5 --grace 7d
  key-service user deactivate usr_stock-sync
  key-service backup keybound-2026-11-23.db --database keybound.db
  key-service explain --key-id key_0aB1cD2eF3gH4iJ5 --path /v1/orders

Exit codes:
  0  done
  1  refused or failed; the message says why
  2  wrong usage: an argument, a missing token
  3  the service cannot be reached";

/// Keybound's reference key service: keys, users and tenants behind an HTTP API.
#[derive(Parser)]
#[command(name = "key-service", version, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Arguments),
    /// Ask a running service whether it can answer; exit code 0 if it can
    Ready(ready::Arguments),
    /// Make, list and revoke bearer tokens (directly in the database)
    #[command(subcommand)]
    Token(token::Command),
    /// Save the database to a file, while the service runs
    Backup(backup::Backup),
    /// Put a backup in the place of the database; the service must be stopped
    Restore(backup::Restore),
    /// Fill a database with demo data: a key for every case that a gateway can meet
    Demo(demo::Arguments),
    /// Tenants: organisations, teams, projects
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Users: the people and system accounts that own keys
    #[command(subcommand)]
    User(user::Command),
    /// Keys
    #[command(subcommand)]
    Key(key::Command),
    /// Why a gateway allows or refuses a request: every check, and what to do
    Explain(explain::Arguments),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// Refused or failed.
    Refused(String),
    /// Asked for in a wrong way.
    Usage(String),
    /// The service cannot be reached.
    Unreachable(String),
}

impl Failure {
    fn parts(&self) -> (u8, &str) {
        match self {
            Self::Refused(message) => (1, message),
            Self::Usage(message) => (2, message),
            Self::Unreachable(message) => (3, message),
        }
    }
}

type Outcome = Result<(), Failure>;

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Ready(arguments) => ready::run(&arguments),
        Command::Token(command) => token::run(command),
        Command::Backup(arguments) => backup::save(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Tenant(command) => tenant::run(command),
        Command::User(command) => user::run(command),
        Command::Key(command) => key::run(command),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Audit(command) => audit::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, message) = failure.parts();
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(code)
        }
    }
}
