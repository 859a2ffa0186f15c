//! Simulates several gates with a shared store, a key service, a network, clients and administrators, all
//! from one seed, and holds what they do against ten invariants and a few more.
//!
//! The workers are the real ones, gate and driver. Around them, everything is a model: time is virtual, so that a
//! minute takes milliseconds; the shared store has Envoy's exact semantics ([`keybound::test_util::SharedData`]);
//! the service has a true sequence and knows what was true at any time ([`truth`]); the host is one more
//! implementation of the door ([`host`]). A seed determines a world ([`scenario`]) and everything that happens in it, so a failure is
//! told by its seed, and `make simulate SEED=…` shows it again, event by event.

pub mod administration;
pub mod agenda;
pub mod calls;
pub mod clients;
pub mod disturbances;
pub mod host;
pub mod logged;
pub mod oracle;
pub mod outgoing;
pub mod random;
pub mod requests;
pub mod runner;
pub mod scenario;
pub mod service;
pub mod trace;
pub mod truth;
pub mod vm;
pub mod weather;
pub mod world;

use std::collections::BTreeMap;
use std::fmt;

use oracle::{Invariant, Violation};
use trace::{Detail, Trace};
use world::World;

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Events.
    pub steps: u64,
    /// Virtual milliseconds.
    pub time: u64,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// Stands for everything that happened.
    pub fingerprint: u64,
    /// What should not have happened.
    pub failure: Option<Failure>,
}

/// Something that must not happen has happened.
#[derive(Debug)]
pub struct Failure {
    /// What.
    pub violation: Violation,
    /// The last events before.
    pub last: Vec<String>,
}

/// Runs a seed. Of one that fails, the last events are told.
pub fn run(seed: u64) -> Outcome {
    let outcome = run_in(seed, Detail::Nothing);
    match outcome.failure {
        Some(_) => run_in(seed, Detail::Last),
        None => outcome,
    }
}

/// Runs a seed and prints all that happens.
pub fn show(seed: u64) -> Outcome {
    run_in(seed, Detail::All)
}

fn run_in(seed: u64, detail: Detail) -> Outcome {
    logged::begin();
    let world = World::new(seed, Trace::new(detail));
    world.run();
    let logged = logged::end(clients::SECRET);
    let mut oracle = world.oracle.borrow_mut();
    oracle.check(Invariant::NoSecret, logged.is_none(), || {
        format!("logged: {}", logged.unwrap_or_default())
    });
    Outcome {
        seed,
        steps: world.steps(),
        time: world.now(),
        counts: std::mem::take(&mut oracle.counts),
        fingerprint: world.trace.fingerprint(),
        failure: oracle.violation.take().map(|violation| Failure {
            violation,
            last: world.trace.last(),
        }),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return write!(
                formatter,
                "seed {}: nothing is wrong in {} steps",
                self.seed, self.steps
            );
        };
        for line in &failure.last {
            writeln!(formatter, "{line}")?;
        }
        write!(
            formatter,
            "seed {}, step {}, after {} ms: invariant {}\nmake simulate SEED={} shows all of it",
            self.seed, self.steps, self.time, failure.violation, self.seed
        )
    }
}
