//! Writes the seeds of `bucket` anew, from those of `answer`: `cargo run --example bucket_seeds`. To be run
//! where the form of records in the shared cache has changed.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use keybound::knowledge::cache::{Cache, Freshness, Limits, Store};
use keybound::record::{Resolved, parse_answer};
use keybound::time::Instant;

/// The only bucket.
#[derive(Default)]
struct Bucket(RefCell<Vec<u8>>);

impl Store for Bucket {
    fn get(&self, _: &str) -> Option<(Vec<u8>, Option<u32>)> {
        Some((self.0.borrow().clone(), None))
    }

    fn set(&self, _: &str, value: &[u8], _: Option<u32>) -> bool {
        *self.0.borrow_mut() = value.to_vec();
        true
    }
}

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
        let bucket = Bucket::default();
        for (digest, resolved) in answer.results {
            let Ok(resolved @ Resolved::Known { .. }) = resolved else {
                continue;
            };
            let now = Instant::from_millis(1_000_000);
            Cache::new(&limits, freshness, "keybound").learn(&digest, resolved, answer.as_of, now, &bucket);
        }
        let bytes = bucket.0.into_inner();
        if !bytes.is_empty() {
            fs::write(seeds.join("bucket").join(path.file_stem().unwrap()), bytes).unwrap();
        }
    }
}
