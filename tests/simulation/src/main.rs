//! Runs seeds: `simulate SEED` shows one, `simulate --soak SECONDS [FIRST_SEED]` runs as many as it can.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keybound_simulation::{runner, show};

/// Time between two lines of progress.
const PROGRESS: u64 = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match arguments.as_slice() {
        ["--soak", seconds] => number(seconds).map(|seconds| soak(seconds, any_seed())),
        ["--soak", seconds, first] => number(seconds)
            .zip(number(first))
            .map(|(seconds, first)| soak(seconds, first)),
        [seed] => number(seed).map(replay),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: simulate SEED | simulate --soak SECONDS [FIRST_SEED]");
        ExitCode::from(2)
    })
}

fn replay(seed: u64) -> ExitCode {
    let outcome = show(seed);
    match &outcome.failure {
        Some(failure) => {
            println!(
                "seed {seed}, step {}: invariant {}",
                outcome.steps, failure.violation
            );
            ExitCode::FAILURE
        }
        None => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
    }
}

fn soak(seconds: u64, first: u64) -> ExitCode {
    println!("seeds from {first}, for {seconds} s");
    let began = Instant::now();
    let told = AtomicU64::new(0);
    let summary = runner::run_many(first..u64::MAX, |summary| {
        let passed = began.elapsed();
        let turn = passed.as_secs() / PROGRESS;
        if told.swap(turn, Ordering::Relaxed) < turn {
            println!(
                "{:>6} s: {} seeds, {} steps",
                passed.as_secs(),
                summary.seeds,
                summary.steps
            );
        }
        passed < Duration::from_secs(seconds)
    });
    println!("{summary}");
    match &summary.failed {
        Some(outcome) => {
            println!("{outcome}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Other seeds each time: those of `make test` are known to pass.
fn any_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()) * 1_000_000
}
