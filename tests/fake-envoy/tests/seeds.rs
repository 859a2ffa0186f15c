//! The seeds of the fuzz target `edge` as an ordinary test: each as it is, cut short anywhere, and with single bytes
//! changed. `make fuzz TARGET=edge` searches further.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/edge.rs"]
mod edge;

#[test]
fn every_seed_and_its_neighbours_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seed/edge");
    let seeds = fs::read_dir(folder).expect("there are seeds");
    let mut count = 0;
    for seed in seeds {
        let path = seed.expect("a seed").path();
        // A panic ends the process: this is the last that is seen of it.
        println!("{}", path.display());
        let seed = fs::read(&path).expect("a seed");
        edge::edge(&seed);
        count += 1;
        if cfg!(miri) {
            continue;
        }
        // At most some ten places each, as this is no search.
        let step = (seed.len() / 10).max(1);
        for place in (0..seed.len()).step_by(step) {
            edge::edge(&seed[..place]);
            for byte in [0x0d, 0xff] {
                let mut changed = seed.clone();
                changed[place] = byte;
                edge::edge(&changed);
            }
        }
    }
    assert!(count > 5, "{count}");
}
