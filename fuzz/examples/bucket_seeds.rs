//! Writes the seeds of `bucket` anew, from those of `answer`: `cargo run --example bucket_seeds`. To be run
//! where the form of records in the shared cache has changed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keybound::knowledge::cache::{Cache, Freshness, Limits};
use keybound::record::{Resolved, parse_answer};
use keybound::test_util::SharedData;
use keybound::time::Instant;

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-seed");
    let limits = Limits {
        local_entries: 100,
        local_bytes: 1 << 20,
        shared_entries: 1,
    };
    let freshness = Freshness {
        fresh_for: Duration::from_secs(60),
        max_staleness: Duration::from_secs(300),
        negative_for: Duration::from_secs(5),
    };
    for entry in fs::read_dir(seeds.join("answer")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(answer) = parse_answer(&fs::read(&path).unwrap()) else {
            continue;
        };
        let bucket = SharedData::default();
        for (digest, resolved) in answer.results {
            let Ok(resolved @ Resolved::Known { .. }) = resolved else {
                continue;
            };
            let now = Instant::from_millis(1_000_000);
            Cache::new(&limits, freshness, "keybound").learn(&digest, resolved, answer.as_of, now, &bucket);
        }
        if let Some(bytes) = bucket.values().pop() {
            fs::write(seeds.join("bucket").join(path.file_stem().unwrap()), bytes).unwrap();
        }
    }
}
