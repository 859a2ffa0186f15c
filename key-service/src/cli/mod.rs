//! The command line: the service itself, commands on its database, and commands that talk to a
//! running service over HTTP.

use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use client::Remote;
use outcome::{Failure, Outcome};

mod apply;
mod approval;
mod audit;
mod backup;
mod call;
mod check_config;
mod client;
mod completions;
mod connection;
mod console;
mod database;
mod deliver;
mod demo;
mod documents;
mod explain;
mod explained;
mod export;
mod import;
mod issue;
mod key;
mod key_rules;
mod leak;
mod listen;
mod migrate_store;
mod outcome;
mod output;
mod ready;
mod record;
mod review;
mod serve;
mod tenant;
mod token;
mod use_of_days;
mod user;
mod webhook;

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
  key-service apply -f keys/ --dry-run
  key-service explain --key-id key_0aB1cD2eF3gH4iJ5 --path /v1/orders
  key-service check-config filter.json

Exit codes:
  0  done
  1  refused or failed; the message says why
  2  wrong usage: an argument, a missing token
  3  the service cannot be reached";

/// Keybound's reference key service: keys, users and tenants behind an HTTP API.
#[derive(Parser)]
#[command(name = "key-service", version, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Arguments),
    /// Ask a running service whether it can answer; exit code 0 if it can
    Ready,
    /// Make, list and revoke bearer tokens (directly in the database)
    #[command(subcommand)]
    Token(token::Command),
    /// Save the database to a file, while the service runs
    Backup(backup::Backup),
    /// Put a backup in the place of the database; the service must be stopped
    Restore(backup::Restore),
    /// Copy a SQLite file into a PostgreSQL database; the service must be stopped
    MigrateStore(migrate_store::Arguments),
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
    /// Requests for APIs: list, ask, decide
    #[command(subcommand)]
    Approval(approval::Command),
    /// Keys that were found where everybody can read them
    #[command(subcommand)]
    Leak(leak::Command),
    /// Whom to tell of what becomes of keys
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Which keys ask for a look, and why
    Review(review::Arguments),
    /// Make tenants, users and keys what files say
    Apply(apply::Apply),
    /// Say what an apply would change; exit code 1 where something would
    Diff(apply::Diff),
    /// Print tenants, users and keys as apply reads them
    Export(export::Arguments),
    /// Why a gateway allows or refuses a request: every check, and what to do
    Explain(explain::Arguments),
    /// Check a configuration of the filter, before a gateway gets it
    CheckConfig(check_config::Arguments),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Completions),
    /// Write the manual's pages, one a command
    Man(completions::Man),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let Arguments { remote, command } = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let outcome = match command {
        Command::Serve(arguments) => serve::run(arguments, remote.json),
        Command::Ready => ready::run(&remote),
        Command::Token(command) => token::run(command, &remote),
        Command::Backup(arguments) => backup::save(&arguments, remote.json),
        Command::Restore(arguments) => backup::restore(&arguments, remote.json),
        Command::MigrateStore(arguments) => migrate_store::run(arguments, remote.json),
        Command::Demo(arguments) => demo::run(&arguments, &remote),
        Command::Tenant(command) => tenant::run(command, &remote),
        Command::User(command) => user::run(command, &remote),
        Command::Key(command) => key::run(command, &remote),
        Command::Approval(command) => approval::run(command, &remote),
        Command::Leak(command) => leak::run(command, &remote),
        Command::Webhook(command) => webhook::run(command, &remote),
        Command::Review(arguments) => review::run(&arguments, &remote),
        Command::Apply(arguments) => apply::apply(&arguments, &remote),
        Command::Diff(arguments) => apply::diff(&arguments, &remote),
        Command::Export(arguments) => export::run(&arguments, &remote),
        Command::Explain(arguments) => explain::run(arguments, &remote),
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Audit(command) => audit::run(command, &remote),
        Command::Completions(arguments) => completions::completions(&arguments, commands()),
        Command::Man(arguments) => completions::man(&arguments, commands()),
    };
    match outcome.and_then(|()| all_was_written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, message) = failure.parts();
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(code)
        }
    }
}

/// A command whose output is lost has not done what it was asked for.
fn all_was_written() -> Outcome {
    match output::lost() {
        None => Ok(()),
        Some(error) => Err(Failure::Refused(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

fn arguments() -> Result<Arguments, clap::Error> {
    commands()
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(without_value)
}

/// All commands, of which no help and no manual shows what an environment variable holds: it may be a URL with
/// a password.
fn commands() -> clap::Command {
    without_values(Arguments::command())
}

fn without_values(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| argument.hide_env_values(true))
        .mut_subcommands(without_values)
}

/// An error that repeats what was typed, and never what an environment variable holds.
fn without_value(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return error;
    };
    let typed = std::env::args_os().skip(1).any(|argument| {
        let argument = argument.to_string_lossy();
        let given = argument.split_once('=').map_or("", |(_, value)| value);
        argument == value.as_str() || given == value
    });
    if !typed {
        let hidden = ContextValue::String("(from the environment)".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}
