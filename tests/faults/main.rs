//! `make faults` and `make figures`: what becomes of requests while something goes wrong, how soon a
//! change is obeyed, and what a flood costs.

mod figures;
mod trials;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Puts a whole gateway (Envoy with two workers, the filter, the real key service) under load, breaks
/// something, and prints what became of the requests. Ends with an error where a promise was broken.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Faults of the key service, of the network before it, of clients and of Envoy, each under the load
    /// of twelve connections. A request counts as lost if no whole answer to it came: its connection
    /// could not be opened, was closed or reset, or stayed silent for 30 s
    Trials(trials::Arguments),
    /// How soon changes are obeyed, how often the key service is asked, what a flood of made-up keys
    /// costs: each figure beside its goal
    Figures(figures::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Trials(arguments) => trials::run(arguments).await,
        Command::Figures(arguments) => figures::run(arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
