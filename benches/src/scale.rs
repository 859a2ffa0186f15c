//! What the number of known keys costs: time of a hit, memory, and time to get warm.

use std::iter;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use serde::Serialize;
use serde_json::json;
use support::failure::{Failure, Result};
use support::home::Home;

use crate::contenders::{Case, Contender, request};
use crate::gateway::{Gateway, Listener, Modules, Processors, Services, keybound};
use crate::goals::Goal;
use crate::load::{Load, Pace, Requests};
use crate::plot::Line;
use crate::population::{Kind, Population};
use crate::report::{Sheet, number};
use crate::statistics::Summary;
use crate::{authorization, key_service};

/// Connections at saturation, and where every request waits for the key service.
const CONNECTIONS: usize = 24;
const COLD_CONNECTIONS: usize = 512;

/// As in a comparison: many short turns.
const TURNS: usize = 9;
const SATURATED: Duration = Duration::from_millis(20);
const WARM_UP: Duration = Duration::from_millis(1500);

/// Requests that are drawn at random before a run; the run goes through them again and again.
const DRAWN: usize = 1 << 20;

/// Starts of Envoy whose median counts.
const STARTS: usize = 5;

/// What to measure.
#[derive(Debug)]
pub struct Plan {
    /// Where the filter runs.
    pub home: Home,
    /// Numbers of keys.
    pub sizes: Vec<u32>,
    /// Rounds.
    pub rounds: usize,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Seconds from the start of Envoy until it is ready, without and with the filter.
    pub start_up: [Summary; 2],
    /// Where the filter ran.
    #[serde(skip)]
    pub home: Home,
    /// What was measured at each number of keys.
    pub sizes: Vec<Size>,
}

/// What was measured at a number of keys.
#[derive(Debug, Serialize)]
pub struct Size {
    /// Known keys.
    pub keys: u32,
    /// Seconds in which every key was asked for once.
    pub warm_up: f64,
    /// Bytes that a worker's VM grew by.
    pub vm_memory: u64,
    /// Bytes that the process grew by beyond that: what the workers share.
    pub shared_memory: u64,
    /// Hits of each kind.
    pub hits: Vec<Hits>,
}

/// Hits of one kind.
#[derive(Debug, Serialize)]
pub struct Hits {
    /// Where keys are found.
    pub cache: Cache,
    /// How often each key is asked for.
    pub spread: Spread,
    /// Processor time of a request, in microseconds, each round.
    pub cpu_us: Vec<f64>,
    /// Processor time of the same requests without filter: what sends so many different ones takes room in the
    /// processor's caches, too.
    pub none_cpu_us: Vec<f64>,
}

/// Where keys are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// In the worker's own cache.
    Local,
    /// In the cache that the workers share.
    Shared,
}

/// How often each key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// All as often.
    Uniform,
    /// The n-th an n-th as often as the first.
    Zipf,
}

const KINDS: [(Cache, Spread); 4] = [
    (Cache::Local, Spread::Uniform),
    (Cache::Local, Spread::Zipf),
    (Cache::Shared, Spread::Uniform),
    (Cache::Shared, Spread::Zipf),
];

/// What is measured in a home. The dynamic module has one cache, which all workers share.
fn kinds(home: Home) -> &'static [(Cache, Spread)] {
    match home {
        Home::Wasm => &KINDS,
        Home::Native => KINDS.split_at(2).0,
    }
}

/// Measures.
pub async fn run(plan: &Plan, processors: Option<&Processors>) -> Result<Measured> {
    let most = plan.sizes.iter().copied().max().unwrap_or(0);
    eprintln!("making {most} keys");
    let population = Population {
        kind: Kind::Plain,
        keys: most,
    };
    let services = Services {
        key_service: key_service::serve(&[population]).await?,
        authorization: authorization::serve(Population {
            kind: Kind::Plain,
            keys: 1,
        })
        .await?,
    };
    let modules = Modules::built()?;
    let start_up = [
        start_up(Contender::None, &modules, services, processors).await?,
        start_up(
            Contender::Keybound(plan.home, Case::Local),
            &modules,
            services,
            processors,
        )
        .await?,
    ];

    let requests = Requests::new(
        (0..most).map(|number| request(Kind::Plain, number)),
        Vec::new(),
    );
    let listeners = iter::once(Contender::None.listener(&modules))
        .chain(plan.sizes.iter().flat_map(|keys| {
            [Cache::Local, Cache::Shared].map(|cache| listener(plan.home, *keys, cache, &modules))
        }))
        .collect();
    let gateway = Gateway::start(listeners, &modules, services, processors).await?;

    let mut random = SmallRng::seed_from_u64(2);
    let mut sizes = Vec::new();
    let mut loads = Vec::new();
    for (place, &keys) in plan.sizes.iter().enumerate() {
        sizes.push(fill(plan.home, keys, &gateway, &requests, &mut random)?);
        for (kind, (cache, spread)) in kinds(plan.home).iter().enumerate() {
            let order = spread.draw(keys, &mut random)?;
            let listener = listener_name(keys, *cache);
            for (listener, is_bare) in [(listener.as_str(), false), (Contender::None.name(), true)]
            {
                let mut load = connect(&gateway, listener, requests.in_order(order.clone()))?;
                load.run(Pace::Saturating, WARM_UP)?;
                loads.push((place, kind, is_bare, load));
            }
        }
    }

    for round in 1..=plan.rounds {
        eprintln!("hits: round {round} of {}", plan.rounds);
        let mut turns = vec![vec![[Vec::new(), Vec::new()]; KINDS.len()]; sizes.len()];
        for _ in 0..TURNS {
            loads.shuffle(&mut random);
            for (place, kind, is_bare, load) in &mut loads {
                turns[*place][*kind][usize::from(*is_bare)].push(cpu_us(load, &gateway)?);
            }
        }
        for (size, kinds) in sizes.iter_mut().zip(turns) {
            for (hits, [hit, bare]) in size.hits.iter_mut().zip(kinds) {
                hits.cpu_us.push(Summary::of(hit).median);
                hits.none_cpu_us.push(Summary::of(bare).median);
            }
        }
    }
    Ok(Measured {
        start_up,
        home: plan.home,
        sizes,
    })
}

fn listener_name(keys: u32, cache: Cache) -> String {
    match cache {
        Cache::Local => format!("keybound-{keys}-local"),
        Cache::Shared => format!("keybound-{keys}-shared"),
    }
}

/// Limits that hold all keys with their users and tenants. Both listeners of a number share one memory, so
/// that what is learned through the first is found by the second, whose own cache holds next to nothing.
fn listener(home: Home, keys: u32, cache: Cache, modules: &Modules) -> Listener {
    let local = match cache {
        Cache::Local => u64::from(keys) * 3 / 2,
        Cache::Shared => 16,
    };
    let settings = json!({
        "freshness": {"fresh_for": "1d", "max_staleness": "2d"},
        "limits": {
            "local_entries": local,
            "local_bytes": "1GiB",
            "shared_entries": u64::from(keys) * 5 / 2,
            "waiting_requests": COLD_CONNECTIONS * 2,
        },
    });
    let mut filter = keybound(modules, home, &format!("keybound-{keys}"), &settings);
    if home == Home::Wasm {
        filter["typed_config"]["config"]["name"] = listener_name(keys, cache).into();
    }
    Listener {
        name: listener_name(keys, cache),
        filter: Some(filter),
        notices: true,
    }
}

fn connect(gateway: &Gateway, listener: &str, requests: Requests) -> Result<Load> {
    Load::connect(gateway.port(listener)?, CONNECTIONS, requests, 200)
}

/// Asks for every key once.
fn fill(
    home: Home,
    keys: u32,
    gateway: &Gateway,
    requests: &Requests,
    random: &mut SmallRng,
) -> Result<Size> {
    eprintln!("warming up: {keys} keys");
    let mut order: Vec<u32> = (0..keys).collect();
    order.shuffle(random);
    let port = gateway.port(&listener_name(keys, Cache::Local))?;
    let mut load = Load::connect(port, COLD_CONNECTIONS, requests.in_order(vec![0]), 200)?;
    // What the connections and the VM take by themselves is no cost of keys.
    load.run(Pace::Saturating, WARM_UP)?;
    let before = gateway.memory()?;
    let warm_up = load.once(requests.in_order(order))?;
    let after = gateway.memory()?;
    let resident = after.resident.saturating_sub(before.resident);
    let vm_memory = after.wasm.saturating_sub(before.wasm);
    Ok(Size {
        keys,
        warm_up: warm_up.as_secs_f64(),
        vm_memory,
        shared_memory: resident.saturating_sub(vm_memory),
        hits: kinds(home)
            .iter()
            .map(|(cache, spread)| Hits {
                cache: *cache,
                spread: *spread,
                cpu_us: Vec::new(),
                none_cpu_us: Vec::new(),
            })
            .collect(),
    })
}

impl Spread {
    fn draw(self, keys: u32, random: &mut SmallRng) -> Result<Vec<u32>> {
        let drawn = 0..DRAWN;
        Ok(match self {
            Self::Uniform => drawn.map(|_| random.random_range(0..keys)).collect(),
            Self::Zipf => {
                let zipf = Zipf::new(f64::from(keys), 1.0)
                    .map_err(|error| Failure::new(error.to_string()))?;
                drawn
                    .map(|_| (zipf.sample(random) as u32 - 1).min(keys - 1))
                    .collect()
            }
        })
    }
}

fn cpu_us(load: &mut Load, gateway: &Gateway) -> Result<f64> {
    let before = gateway.cpu_time()?;
    let outcome = load.run(Pace::Saturating, SATURATED)?;
    let used = gateway.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / outcome.answers as f64)
}

async fn start_up(
    contender: Contender,
    modules: &Modules,
    services: Services,
    processors: Option<&Processors>,
) -> Result<Summary> {
    eprintln!("starting Envoy {STARTS} times: {}", contender.description());
    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        let listeners = vec![contender.listener(modules)];
        let begin = Instant::now();
        let gateway = Gateway::start(listeners, modules, services, processors).await?;
        seconds.push(begin.elapsed().as_secs_f64());
        drop(gateway);
    }
    Ok(Summary::of(seconds))
}

impl Measured {
    fn hits(&self, keys: u32, cache: Cache, spread: Spread) -> Option<&Hits> {
        self.sizes
            .iter()
            .find(|size| size.keys == keys)?
            .hits
            .iter()
            .find(|hits| (hits.cache, hits.spread) == (cache, spread))
    }

    fn added(hits: &Hits) -> Vec<f64> {
        let rounds = hits.cpu_us.iter().zip(&hits.none_cpu_us);
        rounds.map(|(hit, none)| hit - none).collect()
    }

    /// What is aimed at.
    pub fn goals(&self) -> Vec<Goal> {
        let (Some(few), Some(many)) = (self.sizes.first(), self.sizes.last()) else {
            return Vec::new();
        };
        let mut goals = Vec::new();
        for (cache, limit, name) in [
            (Cache::Local, 1.1, "local "),
            (Cache::Shared, 2.0, "shared "),
        ] {
            for (spread, how) in [(Spread::Uniform, "uniform"), (Spread::Zipf, "Zipf")] {
                let hits = self.hits(many.keys, cache, spread).zip(self.hits(
                    few.keys,
                    Cache::Local,
                    spread,
                ));
                if let Some((at_many, at_few)) = hits {
                    let ratios = crate::goals::ratios(&Self::added(at_many), &Self::added(at_few));
                    let (name, own) = match self.home {
                        Home::Wasm => (name, "local "),
                        Home::Native => ("", ""),
                    };
                    let what = format!(
                        "{name}hit at {} keys / {own}hit at {}, added CPU, {how}",
                        many.keys, few.keys
                    );
                    goals.push(Goal::new(what, limit, ratios));
                }
            }
        }
        let bytes = many.shared_memory as f64 / f64::from(many.keys);
        goals.push(match self.home {
            Home::Wasm => Goal::new(
                format!("bytes a key in the shared cache, {} keys", many.keys),
                300.0,
                [bytes],
            ),
            Home::Native => Goal::new(
                format!("bytes a key beside its ids, {} keys", many.keys),
                120.0,
                [bytes - Kind::Plain.bytes_of_ids()],
            ),
        });
        goals
    }

    /// In a table.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = match self.home {
            Home::Wasm => Sheet::new(&[
                "known keys",
                "local hit, µs added",
                "the same, Zipf",
                "shared hit, µs added",
                "the same, Zipf",
                "shared cache, bytes a key",
                "VM memory a worker, MiB",
                "bytes a key",
                "time to warm up, s",
            ]),
            Home::Native => Sheet::new(&[
                "known keys",
                "hit, µs added",
                "the same, Zipf",
                "memory, bytes a key",
                "time to warm up, s",
            ]),
        };
        for size in &self.sizes {
            let keys = f64::from(size.keys);
            let mut row = vec![size.keys.to_string()];
            for hits in &size.hits {
                row.push(number(Summary::of(Self::added(hits)).median, 2));
            }
            row.push(number(size.shared_memory as f64 / keys, 0));
            if self.home == Home::Wasm {
                row.push(number(size.vm_memory as f64 / f64::from(1 << 20), 1));
                row.push(number(size.vm_memory as f64 / keys, 0));
            }
            row.push(number(size.warm_up, 2));
            sheet.row(row);
        }
        sheet
    }

    /// How long a start takes.
    pub fn start_sheet(&self) -> Sheet {
        let mut sheet = Sheet::new(&["Envoy until it is ready", "seconds"]);
        for (name, start_up) in ["without filter", "with Keybound"]
            .iter()
            .zip(&self.start_up)
        {
            sheet.row(vec![(*name).to_owned(), number(start_up.median, 2)]);
        }
        sheet
    }

    /// As lines.
    pub fn lines(&self) -> Vec<Line> {
        kinds(self.home)
            .iter()
            .map(|&(cache, spread)| Line {
                name: format!("{cache:?} hit, {spread:?}"),
                points: self
                    .sizes
                    .iter()
                    .filter_map(|size| {
                        let hits = self.hits(size.keys, cache, spread)?;
                        let added = Summary::of(Self::added(hits)).median;
                        Some((f64::from(size.keys), added))
                    })
                    .collect(),
            })
            .collect()
    }
}
