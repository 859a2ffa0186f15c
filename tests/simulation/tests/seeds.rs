//! The invariants hold, whatever happens.

use keybound_simulation::{run, runner};

/// Seeds that `make test` runs.
const SEEDS: u64 = 1_800;

#[test]
fn the_invariants_hold_in_thousands_of_worlds() {
    let summary = runner::run_many(0..SEEDS, |_| true);
    println!("{summary}");
    if let Some(failed) = &summary.failed {
        panic!("{failed}");
    }
    assert_eq!(summary.seeds, SEEDS);
}

#[test]
fn a_seed_determines_everything() {
    for seed in 0..5 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(
            (first.steps, first.fingerprint),
            (second.steps, second.fingerprint),
            "seed {seed}"
        );
    }
}
