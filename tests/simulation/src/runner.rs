//! Many seeds, on every core of the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::{Outcome, run};

/// What became of many seeds.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Events.
    pub steps: u64,
    /// Virtual milliseconds.
    pub time: u64,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// The lowest seed that failed.
    pub failed: Option<Outcome>,
}

/// Runs seeds until one fails, or until `go_on` says no; it is asked after each.
pub fn run_many(seeds: Range<u64>, go_on: impl Fn(&Summary) -> bool + Sync) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let stopped = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        break;
                    }
                    let outcome = run(seed);
                    let mut summary = summary.lock().expect("nobody panics with it");
                    summary.add(outcome);
                    if summary.failed.is_some() || !go_on(&summary) {
                        stopped.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    summary.into_inner().expect("nobody panics with it")
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.time += outcome.time;
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        let lowest = self
            .failed
            .as_ref()
            .is_none_or(|failed| outcome.seed < failed.seed);
        if outcome.failure.is_some() && lowest {
            self.failed = Some(outcome);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.time as f64 / 3_600_000.0;
        writeln!(
            formatter,
            "{} seeds, {} steps, {hours:.1} virtual hours",
            self.seeds, self.steps
        )?;
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        write!(formatter, "{}", counts.join(", "))
    }
}
