//! What a request allocates in the core and its driver, counted by an allocator.

use keybound::config;
use keybound::host::{
    Answer, BellId, Call, CallId, Header, Host, LocalAnswer, MetricId, MetricKind, RequestId, Store,
};
use keybound::host::{Circumstances, EditRequest, RemoveHeader, Stream};
use keybound::test_util::SharedData;
use keybound::worker::{Fate, Observer, Worker};
use serde_json::json;
use std::cell::Cell;
use support::records;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// A host in which time stands still, and that allocates nothing by itself.
#[derive(Default)]
struct Still {
    shared: SharedData,
    calls: Cell<u64>,
}

/// A request that counts what is done to it.
#[derive(Default)]
struct Counted {
    edits: usize,
}

impl Store for Still {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.shared.get(name)
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        self.shared.set(name, value, last_change)
    }
}

impl Observer for Still {}

impl Host for Still {
    type Stream = Counted;

    fn monotonic_millis(&self) -> u64 {
        1_000_000
    }

    fn wall_millis(&self) -> u64 {
        1_795_000_000_000
    }

    fn turn_to(&self, _: RequestId, act: impl FnOnce(&mut Counted, &[Header<'_>])) {
        act(&mut Counted::default(), &[]);
    }

    fn call(&self, _: &Call<'_>) -> Option<CallId> {
        self.calls.set(self.calls.get() + 1);
        Some(self.calls.get())
    }

    fn bell(&self) -> Option<BellId> {
        Some(1)
    }

    fn ring(&self, _: BellId) -> bool {
        true
    }

    fn define(&self, _: MetricKind, _: &str) -> Option<MetricId> {
        None
    }

    fn add(&self, _: MetricId, _: i64) {}

    fn record(&self, _: MetricId, _: u64) {}
}

impl Circumstances for Counted {
    fn source_address(&self) -> Option<Vec<u8>> {
        None
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        None
    }
}

impl RemoveHeader for Counted {
    fn remove(&mut self, _: &str) {
        self.edits += 1;
    }
}

impl EditRequest for Counted {
    fn set(&mut self, _: &str, _: &[u8]) {
        self.edits += 1;
    }

    fn add(&mut self, _: &str, _: &[u8]) {
        self.edits += 1;
    }
}

impl Stream for Counted {
    fn set_filter_state(&mut self, _: &str, _: &str) {}

    fn resume(&mut self) {}

    fn answer(&mut self, answer: &LocalAnswer<'_>) {
        panic!("{}", answer.details);
    }
}

/// An answer of the key service.
struct Body(String);

impl Answer for Body {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            ":status" => Some(b"200".to_vec()),
            "x-keybound-protocol" => Some(b"1".to_vec()),
            _ => None,
        }
    }

    fn body(&self, _: usize) -> Option<Vec<u8>> {
        Some(self.0.clone().into_bytes())
    }
}

#[test]
fn a_hit_allocates_nothing() {
    let text = br#"{"key_service": {"cluster": "key_service", "changes": {"enabled": false}}}"#;
    let host = Still::default();
    let settings = config::parse(text, &|_| None).unwrap();
    let mut worker = Worker::new(settings, "one".to_owned(), None, &host);
    let known = records::active("one");
    let headers: [Header<'_>; 4] = [
        (b":path", b"/v1/orders"),
        (b":method", b"GET"),
        (b"user-agent", b"shop-client/4.2"),
        (b"x-api-key", known.credential.as_bytes()),
    ];
    let fate = worker.request(&host, &mut Counted::default(), 1, &headers, false);
    assert_eq!(fate, Fate::Waiting);
    worker.rung(&host);
    assert_eq!(host.calls.get(), 1);
    let body = json!({"as_of": 1, "results": [known.result()]}).to_string();
    worker.answered(&host, 1, Some(&Body(body)));
    let mut hit = || {
        let mut stream = Counted::default();
        let fate = worker.request(&host, &mut stream, 2, &headers, false);
        worker.gone(2);
        assert_eq!((fate, stream.edits), (Fate::Onward, 5));
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
