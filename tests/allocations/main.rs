//! What a request allocates in the core, counted by an allocator.

use keybound::config;
use keybound::edit::EditRequest;
use keybound::gate::{CallEnd, Decision, Gate};
use keybound::knowledge::cache::Store;
use keybound::request::headers::{Headers, pack};
use keybound::request::{Circumstances, Request};
use keybound::time::{Instant, Now};
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use support::records;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const NOW: Now = Now {
    unix: 1_795_000_000,
    instant: Instant::from_millis(1_000_000),
};

/// What only the host can say: nothing.
struct Nothing;

impl Circumstances for Nothing {
    fn source_address(&self) -> Option<Vec<u8>> {
        None
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        None
    }
}

#[derive(Default)]
struct Memory(RefCell<HashMap<String, Vec<u8>>>);

impl Store for Memory {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        Some((self.0.borrow().get(name)?.clone(), None))
    }

    fn set(&self, name: &str, value: &[u8], _: Option<u32>) -> bool {
        self.0.borrow_mut().insert(name.to_owned(), value.to_vec());
        true
    }
}

/// Edits as the host sees them: borrowed names and values.
#[derive(Default)]
struct Counted(usize);

impl EditRequest for Counted {
    fn set(&mut self, _: &str, _: &[u8]) {
        self.0 += 1;
    }

    fn add(&mut self, _: &str, _: &[u8]) {
        self.0 += 1;
    }

    fn remove(&mut self, _: &str) {
        self.0 += 1;
    }
}

#[test]
fn a_hit_allocates_nothing() {
    let settings =
        config::parse(br#"{"key_service": {"cluster": "key_service"}}"#, &|_| None).unwrap();
    let mut gate = Gate::new(settings, "one".to_owned());
    let store = Memory::default();
    let known = records::active("one");
    let packed = pack([
        (&b":path"[..], &b"/v1/orders"[..]),
        (b":method", b"GET"),
        (b"user-agent", b"shop-client/4.2"),
        (b"x-api-key", known.credential.as_bytes()),
    ]);
    let request = Request {
        headers: Headers::new(&packed),
        host: &Nothing,
        has_body: false,
    };
    assert!(matches!(
        gate.request(&request, 1, NOW, &store),
        Decision::Wait
    ));
    let outgoing = gate.next_call(NOW).unwrap();
    gate.sent(1, outgoing.purpose);
    let body = json!({"as_of": 1, "results": [known.result()]}).to_string();
    let end = CallEnd::Answered {
        status: 200,
        marked: true,
        body: Some(body.as_bytes()),
        retry_after: None,
    };
    gate.ended(1, &end, NOW, &store);
    assert!(gate.next_ready().is_some());
    let mut hit = || {
        let Decision::Proceed(passage) = gate.request(&request, 2, NOW, &store) else {
            panic!("refused");
        };
        let mut edits = Counted::default();
        gate.edit(&passage, request.headers, &mut edits);
        assert_eq!(edits.0, 5);
    };
    hit();

    let profiler = dhat::Profiler::builder().testing().build();
    // All threads are counted, and the one that runs the tests allocates now and then: what a hit does, it does in
    // every round.
    let rounds = (0..5).map(|_| {
        let before = dhat::HeapStats::get().total_blocks;
        for _ in 0..100 {
            hit();
        }
        dhat::HeapStats::get().total_blocks - before
    });
    let fewest = rounds.min();
    drop(profiler);

    assert_eq!(fewest, Some(0));
}
