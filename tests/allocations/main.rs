//! What a request allocates in the core, counted by an allocator.

use keybound::config;
use keybound::gate::{CallEnd, Decision, Gate};
use keybound::host::{EditRequest, Header, RemoveHeader};
use keybound::request::Request;
use keybound::request::headers::Headers;
use keybound::test_util::{SharedData, at};
use serde_json::json;
use support::records;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Edits as the host sees them: borrowed names and values.
#[derive(Default)]
struct Counted(usize);

impl RemoveHeader for Counted {
    fn remove(&mut self, _: &str) {
        self.0 += 1;
    }
}

impl EditRequest for Counted {
    fn set(&mut self, _: &str, _: &[u8]) {
        self.0 += 1;
    }

    fn add(&mut self, _: &str, _: &[u8]) {
        self.0 += 1;
    }
}

#[test]
fn a_hit_allocates_nothing() {
    let text = br#"{"key_service": {"cluster": "key_service", "changes": {"enabled": false}}}"#;
    let settings = config::parse(text, &|_| None).unwrap();
    let mut gate = Gate::new(settings, "one".to_owned());
    let (store, now) = (SharedData::default(), at(0));
    let known = records::active("one");
    let headers: [Header<'_>; 4] = [
        (b":path", b"/v1/orders"),
        (b":method", b"GET"),
        (b"user-agent", b"shop-client/4.2"),
        (b"x-api-key", known.credential.as_bytes()),
    ];
    let request = Request::new(Headers::new(&headers), &());
    let decision = gate.request(&request, 1, now, &store);
    assert!(matches!(decision, Decision::Wait));
    let outgoing = gate.next_call(now).unwrap();
    gate.sent(1, outgoing.purpose);
    let body = json!({"as_of": 1, "results": [known.result()]}).to_string();
    let end = CallEnd::Answered {
        status: 200,
        marked: true,
        body: Some(body.as_bytes()),
        retry_after: None,
    };
    gate.ended(1, &end, now, &store);
    assert!(gate.next_ready().is_some());
    let mut hit = || {
        let Decision::Proceed(passage) = gate.request(&request, 2, now, &store) else {
            panic!("refused");
        };
        let mut edits = Counted::default();
        gate.edit(&passage, request.headers, &mut edits);
        gate.forget(2);
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
