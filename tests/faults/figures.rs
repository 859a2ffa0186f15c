//! The figures that Keybound promises, one after the other, each beside its goal.

mod directory;
mod flood;
mod goal;
mod known;
mod million;
mod propagation;
mod services;
mod spread;
mod tenant;
mod writers;

use clap::ValueEnum;
use goal::Goals;
use support::failure::Result;
use support::fault_trials::Engine;

/// Which of them.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only these
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Figure>,
    /// Keys of the figure million
    #[arg(long, default_value_t = 1_000_000, value_name = "COUNT")]
    keys: usize,
    /// Writes of the figure writers
    #[arg(long, default_value_t = 20_000, value_name = "COUNT")]
    writes: usize,
}

/// Side by side.
const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgresql];

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// How soon both workers obey a revocation, a suspension, a reactivation
    Propagation,
    /// How soon a gateway that asks one service on PostgreSQL obeys what is revoked by another
    Replicas,
    /// How soon both workers refuse whom a directory has stopped
    Directory,
    /// How soon every key of a tenant with 100,000 of them is refused once it is suspended
    Tenant,
    /// How often the key service is asked for 1,000,000 requests of 1,000 known keys
    Known,
    /// What 1,000,000 made-up keys cost: memory, and the time of known keys
    Flood,
    /// Whether followers of the feed find every write while eight programs write, on both engines
    Writers,
    /// Import, look-ups, memory and many followers of a service with 1,000,000 keys, on both engines
    Million,
}

/// Measures them and prints each. False where a goal was missed.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let mut goals = Goals::default();
    for figure in Figure::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(figure) {
            continue;
        }
        match figure {
            Figure::Propagation => propagation::measure(&mut goals).await?,
            Figure::Directory => directory::measure(&mut goals).await?,
            Figure::Tenant => tenant::measure(&mut goals).await?,
            Figure::Known => known::measure(&mut goals).await?,
            Figure::Flood => flood::measure(&mut goals).await?,
            Figure::Replicas => propagation::measure_replicas(&mut goals).await?,
            Figure::Writers => {
                for engine in ENGINES {
                    writers::measure(&mut goals, engine, arguments.writes).await?;
                }
            }
            Figure::Million => {
                for engine in ENGINES {
                    million::measure(&mut goals, engine, arguments.keys).await?;
                }
            }
        }
    }
    println!("\n{goals}");
    Ok(goals.are_met())
}
