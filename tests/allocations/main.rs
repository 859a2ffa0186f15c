//! What a request allocates in the core, and what reports of use take, counted by an allocator.

use std::sync::Mutex;
use std::time::Duration;

use keybound::config;
use keybound::gate::{CallEnd, Decision, Gate};
use keybound::host::{EditRequest, Header, RemoveHeader};
use keybound::knowledge::cache::EntityId;
use keybound::request::Request;
use keybound::request::headers::Headers;
use keybound::telemetry::usage::{self, Outcome, Usage};
use keybound::test_util::{SharedData, at, chain};
use keybound::verdict::Reason;
use serde_json::json;
use support::records;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// All threads are counted, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock();
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

/// What a worker needs for reports where 100,000 keys are in use, each from one network and one in ten refused.
#[test]
fn reports_of_a_hundred_thousand_keys() {
    const KEYS: usize = 100_000;
    let _alone = ALONE.lock();
    let settings = usage::Settings {
        enabled: true,
        every: Duration::from_secs(10),
    };
    let profiler = dhat::Profiler::builder().testing().build();
    let mut usage = Usage::new(settings, "6f1c0d5e9a7b4c21d3e8f0a1b2c3d4e5".to_owned());
    for key in 0..KEYS {
        let id = format!("key_{key:016}");
        let known = chain(|key, _, _| key.id = id.as_str().into()).key;
        let refused = (key % 10 == 0).then_some(Reason::UserSuspended);
        let source = || Some("203.0.113.7".parse().unwrap());
        for _ in 0..3 {
            usage.count(EntityId::user(&id), &known, refused, at(0), &source);
        }
    }
    let kept = dhat::HeapStats::get().curr_bytes;
    let (mut millis, mut reports, mut bytes, mut largest) = (10_000, 0, 0, 0);
    while let Some(report) = usage.next_report(at(millis)) {
        reports += 1;
        bytes += report.len();
        largest = largest.max(report.len());
        usage.sent();
        usage.ended(Outcome::Taken, at(millis));
        millis += 1000;
    }
    drop(profiler);

    println!("{kept} bytes kept, {reports} reports, {bytes} bytes in all, {largest} at most");
    assert_eq!((reports, millis), (100, 10_000 + 100 * 1000));
    assert!(kept <= 12_000_000, "{kept} bytes");
    assert!(largest <= 120_000, "{largest} bytes");
}
