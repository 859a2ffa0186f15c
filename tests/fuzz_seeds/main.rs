//! The seed corpus of `fuzz/` as an ordinary test: each seed as it is, cut short anywhere, and with single
//! bytes changed. `make fuzz` searches further.

use std::fs;
use std::panic::catch_unwind;

use keybound as tested;
use support::paths;

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use targets::{TARGETS, Target};

fn run(target: Target, data: &[u8], what: &str) {
    assert!(
        catch_unwind(|| target(data)).is_ok(),
        "{what}, as here: {data:?}"
    );
}

#[test]
fn every_seed_and_its_neighbours_pass() {
    for (name, target) in TARGETS {
        let folder = paths::root().join("fuzz/corpus-seed").join(name);
        let seeds: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(seeds.len() > 2, "{name} has few seeds");
        for path in seeds {
            let seed = fs::read(&path).unwrap();
            let what = path.display().to_string();
            run(target, &seed, &what);
            // At most some sixty places each: this is a test, not the search.
            let step = (seed.len() / 60).max(1);
            for place in (0..seed.len()).step_by(step) {
                run(target, &seed[..place], &what);
                for byte in [0x00, b'"', b'0', 0xff] {
                    let mut changed = seed.clone();
                    changed[place] = byte;
                    run(target, &changed, &what);
                }
            }
        }
    }
}
