//! All contenders side by side, in many short rounds.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use support::failure::{Failure, Result};
use support::home::Home;

use crate::contenders::{Case, Contender, KEYS};
use crate::gateway::{Gateway, Modules, Processors, Services};
use crate::load::{Load, Pace, Requests};
use crate::population::{Kind, Population};
use crate::statistics::Summary;
use crate::{authorization, key_service};

/// Connections of each contender: enough that Envoy never waits for the generator.
const CONNECTIONS: usize = 24;

/// A round at saturation gives each contender this many turns of this length, in a random order. What counts
/// is their median: whatever else the machine does for a moment spoils a few turns of a few contenders, and
/// what it does for longer hits all of them alike.
const TURNS: usize = 9;
const SATURATED: Duration = Duration::from_millis(20);

/// How long a contender is loaded at a fixed rate in a round.
const PACED: Duration = Duration::from_millis(250);

/// Before a measurement, unmeasured: connections, caches and the compiler of V8 are warm then.
const WARM_UP: Duration = Duration::from_millis(1500);
const PRELUDE: Duration = Duration::from_millis(2);

/// The filter counts on ticks of 100 ms.
const COUNTED: Duration = Duration::from_millis(300);

/// How long hits are counted.
const WATCHED: Duration = Duration::from_millis(300);

/// What to measure.
#[derive(Debug)]
pub struct Plan {
    /// Who takes part.
    pub contenders: Vec<Contender>,
    /// Rounds at saturation.
    pub rounds: usize,
    /// Rounds at a fixed rate.
    pub latency_rounds: usize,
}

/// What was measured of a contender.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Who.
    #[serde(serialize_with = "name")]
    pub contender: Contender,
    /// Processor time of Envoy a request, in microseconds, each round.
    pub cpu_us: Vec<f64>,
    /// Requests a second at saturation, each round.
    pub throughput: Vec<f64>,
    /// The rate at which latency was measured.
    pub rate: f64,
    /// Latency at that rate, each round.
    pub latency: Vec<Latency>,
}

/// Quantiles of latency, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// One of a hundred takes longer.
    pub p99: f64,
    /// One of a thousand takes longer.
    pub p999: f64,
}

fn name<S: serde::Serializer>(
    contender: &Contender,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(contender.name())
}

/// Measures.
pub async fn run(plan: &Plan, processors: Option<&Processors>) -> Result<Vec<Measured>> {
    let gateway = start(plan, processors).await?;
    let mut random = SmallRng::seed_from_u64(1);
    let mut loads = Vec::new();
    for contender in &plan.contenders {
        let requests = contender.requests();
        let mut order: Vec<u32> = (0..).take(requests.len()).collect();
        order.shuffle(&mut random);
        let port = gateway.port(contender.name())?;
        let load = Load::connect(
            port,
            CONNECTIONS,
            Requests::new(requests, order),
            contender.status(),
        )
        .map_err(|error| error.during(contender.name()))?;
        loads.push(load);
    }
    let mut measured: Vec<Measured> = plan
        .contenders
        .iter()
        .map(|contender| Measured {
            contender: *contender,
            cpu_us: Vec::new(),
            throughput: Vec::new(),
            rate: 0.0,
            latency: Vec::new(),
        })
        .collect();

    for (measured, load) in measured.iter_mut().zip(&mut loads) {
        eprintln!("warming up: {}", measured.contender.description());
        warm_up(measured, load, &gateway).await?;
    }
    let mut turns: Vec<usize> = (0..loads.len()).collect();
    for round in 1..=plan.rounds {
        eprintln!(
            "processor time and throughput: round {round} of {}",
            plan.rounds
        );
        let mut samples = vec![Vec::new(); loads.len()];
        for _ in 0..TURNS {
            turns.shuffle(&mut random);
            for &turn in &turns {
                let sample = saturate(&mut loads[turn], &gateway)
                    .map_err(|error| error.during(plan.contenders[turn].name()))?;
                samples[turn].push(sample);
            }
        }
        for (measured, samples) in measured.iter_mut().zip(samples) {
            let middle = |part: fn(&Sample) -> f64| Summary::of(samples.iter().map(part)).median;
            measured.cpu_us.push(middle(|sample| sample.cpu_us));
            measured.throughput.push(middle(|sample| sample.throughput));
        }
    }
    choose_rates(&mut measured);
    for round in 1..=plan.latency_rounds {
        eprintln!("latency: round {round} of {}", plan.latency_rounds);
        turns.shuffle(&mut random);
        for &turn in &turns {
            pace(&mut measured[turn], &mut loads[turn])?;
        }
    }
    Ok(measured)
}

async fn start(plan: &Plan, processors: Option<&Processors>) -> Result<Gateway> {
    let population = |kind| Population { kind, keys: KEYS };
    let all = [Kind::Plain, Kind::Fenced, Kind::Complete, Kind::Suspended];
    let services = Services {
        key_service: key_service::serve(&all.map(population)).await?,
        authorization: authorization::serve(population(Kind::Plain)).await?,
    };
    let modules = Modules::built()?;
    // All of them, whoever takes part: what an idle listener costs is the same for every run.
    let listeners = Contender::all()
        .into_iter()
        .map(|contender| contender.listener(&modules))
        .collect();
    eprintln!(
        "starting Envoy, key service and authorization service ({} contenders)",
        plan.contenders.len()
    );
    Gateway::start(listeners, &modules, services, processors).await
}

/// Lets everything get warm, and makes sure that what is measured is what it is called.
async fn warm_up(measured: &Measured, load: &mut Load, gateway: &Gateway) -> Result<()> {
    let failed = |error: Failure| error.during(measured.contender.name());
    load.run(Pace::Saturating, WARM_UP).map_err(failed)?;
    let Some(wanted) = measured.contender.counter() else {
        return Ok(());
    };
    tokio::time::sleep(COUNTED).await;
    let before = gateway.counter(wanted).await?;
    let answers = load.run(Pace::Saturating, WATCHED).map_err(failed)?.answers;
    tokio::time::sleep(COUNTED).await;
    let counted = gateway.counter(wanted).await? - before;
    if counted < answers * 99 / 100 {
        return Err(failed(Failure::new(format!(
            "{counted} of {answers} requests counted as {wanted}"
        ))));
    }
    Ok(())
}

/// What was measured in one turn.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cpu_us: f64,
    throughput: f64,
}

fn saturate(load: &mut Load, gateway: &Gateway) -> Result<Sample> {
    load.run(Pace::Saturating, PRELUDE)?;
    let before = gateway.cpu_time()?;
    let outcome = load.run(Pace::Saturating, SATURATED)?;
    let used = gateway.cpu_time()?.saturating_sub(before);
    let answers = outcome.answers as f64;
    Ok(Sample {
        cpu_us: used.as_secs_f64() * 1e6 / answers,
        throughput: answers / outcome.elapsed.as_secs_f64(),
    })
}

/// Half of what Keybound's local hit saturates at, for everybody; who cannot do that gets half of what he
/// saturates at.
fn choose_rates(measured: &mut [Measured]) {
    let half = |measured: &Measured| Summary::of(measured.throughput.iter().copied()).median / 2.0;
    let common = measured
        .iter()
        .find(|measured| measured.contender == Contender::Keybound(Home::Wasm, Case::Local))
        .or(measured.first())
        .map_or(0.0, half);
    for measured in measured {
        measured.rate = if measured.contender.asks_a_service() {
            half(measured).min(common)
        } else {
            common
        };
    }
}

fn pace(measured: &mut Measured, load: &mut Load) -> Result<()> {
    let pace = Pace::Rate(measured.rate);
    let failed = |error: Failure| error.during(measured.contender.name());
    load.run(pace, PRELUDE).map_err(failed)?;
    let latency = load.run(pace, PACED).map_err(failed)?.latency;
    let quantile = |part| latency.value_at_quantile(part) as f64 / 1000.0;
    measured.latency.push(Latency {
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
    });
    Ok(())
}
