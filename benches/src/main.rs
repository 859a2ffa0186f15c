//! Measures on a real Envoy what Keybound costs, beside what people would use instead.
//!
//! One Envoy process has a listener for each contender and answers every request by itself, so that the
//! difference between two listeners is the filter. They are loaded in turn, in many short rounds in a random
//! order, so that whatever else the machine does hits all of them alike; what counts are medians, and ratios
//! are medians of the rounds' own ratios.

mod authorization;
mod compare;
mod contenders;
mod gateway;
mod goals;
mod key_service;
mod load;
mod lua;
mod machine;
mod plot;
mod population;
mod report;
mod scale;
mod statistics;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use support::failure::{Failure, Result};
use support::home::Home;

use contenders::Contender;
use gateway::Processors;
use machine::Machine;

/// Measures what Keybound costs on a real Envoy. `make bench` and `make bench-scale` build all that is
/// needed and run this. Results go to target/bench/. Ctrl-C stops everything.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare all contenders: processor time, throughput, latency
    Compare {
        /// Rounds at saturation
        #[arg(long, default_value_t = 31)]
        rounds: usize,
        /// Rounds at a fixed rate; 0 measures no latency
        #[arg(long, default_value_t = 31)]
        latency_rounds: usize,
        /// Only these contenders, separated by commas
        #[arg(long, value_delimiter = ',', value_parser = contender)]
        only: Vec<Contender>,
    },
    /// List the contenders
    List,
    /// Compare numbers of known keys: hits, memory, time to get warm
    Scale {
        /// Where the filter runs: wasm or native
        #[arg(long, default_value = "wasm", value_parser = home)]
        home: Home,
        /// Rounds
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Numbers of keys, from few to many
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
        keys: Vec<u32>,
    },
}

fn contender(name: &str) -> std::result::Result<Contender, String> {
    Contender::all()
        .into_iter()
        .find(|contender| contender.name() == name)
        .ok_or_else(|| "no such contender: `bench list` names all".to_owned())
}

fn home(name: &str) -> std::result::Result<Home, String> {
    match name {
        "wasm" => Ok(Home::Wasm),
        "native" => Ok(Home::Native),
        _ => Err("wasm or native".to_owned()),
    }
}

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<()> {
    if matches!(command, Command::List) {
        for contender in Contender::all() {
            println!("{:22} {}", contender.name(), contender.description());
        }
        return Ok(());
    }
    let processors = Processors::share_out()?;
    match &processors {
        Some(processors) => processors.leave_to_envoy()?,
        None => eprintln!("only one processor: Envoy shares it with the load generator"),
    }
    // The generator has the main thread; the services have this one.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(command, processors.as_ref()))
}

async fn run(command: Command, processors: Option<&Processors>) -> Result<()> {
    let folder = gateway::folder();
    std::fs::create_dir_all(&folder)?;
    let machine = Machine::here();
    match command {
        Command::Compare {
            rounds,
            latency_rounds,
            only,
        } => {
            let contenders: Vec<Contender> = Contender::all()
                .into_iter()
                .filter(|contender| only.is_empty() || only.contains(contender))
                .collect();
            let plan = compare::Plan {
                contenders,
                rounds: rounds.max(1),
                latency_rounds,
            };
            let measured = compare::run(&plan, processors).await?;
            let goals = goals::of_comparison(&measured);
            plot::contenders(&folder.join("compare.svg"), &measured)?;
            report::publish(
                &folder,
                "compare",
                &machine,
                &[report::contenders(&measured), report::goals(&goals)],
                &json!({"machine": machine, "contenders": measured, "goals": goals}),
            )
        }
        Command::Scale {
            home,
            rounds,
            mut keys,
        } => {
            keys.sort_unstable();
            keys.dedup();
            if keys.first().is_none_or(|fewest| *fewest == 0) {
                return Err(Failure::new("--keys: at least one key is needed"));
            }
            let name = match home {
                Home::Wasm => "scale",
                Home::Native => "scale-native",
            };
            let plan = scale::Plan {
                home,
                sizes: keys,
                rounds: rounds.max(1),
            };
            let measured = scale::run(&plan, processors).await?;
            let goals = measured.goals();
            plot::lines(
                &folder.join(format!("{name}.svg")),
                "Processor time that a hit adds to a request",
                "µs",
                &measured.lines(),
            )?;
            report::publish(
                &folder,
                name,
                &machine,
                &[
                    measured.sheet(),
                    measured.start_sheet(),
                    report::goals(&goals),
                ],
                &json!({"machine": machine, "scale": measured, "goals": goals}),
            )
        }
        Command::List => Ok(()),
    }
}
