//! What requests cost, counted exactly: no noise of a machine touches these numbers. Each is what it is
//! today; one that grows is a decision, one that shrinks is written down.

mod host;

use host::{Cost, Headers, Outcome, SharedData, Vm};
use serde_json::{Value, json};
use support::paths;
use support::records::{self, Known, digest};

const SMALLEST: &str = r#"{"key_service": {"cluster": "key_service"}}"#;

/// What an API client sends, and what Envoy adds to it.
fn request(credential: &str) -> [(&str, &str); 11] {
    [
        (":authority", "api.example.com"),
        (":path", "/v1/orders/4711?fields=state"),
        (":method", "GET"),
        (":scheme", "http"),
        ("user-agent", "shop-client/4.2"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("x-api-key", credential),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5b2f3c9a-3c3e-4d9c-8d0b-0a4f6a3c2b1d"),
    ]
}

/// A key service that knows one key.
fn knowing(known: &Known) -> impl Fn(&[u8]) -> String + '_ {
    |body| {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let results: Vec<Value> = asked["digests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asked| match asked.as_str().unwrap() {
                asked if asked == digest(&known.credential) => known.result(),
                asked => records::unknown(asked),
            })
            .collect();
        json!({"as_of": 1, "results": results}).to_string()
    }
}

fn nobody(_: &[u8]) -> String {
    panic!("the key service is asked")
}

fn vm(shared: &SharedData) -> Vm {
    configured(SMALLEST, shared)
}

fn configured(settings: &str, shared: &SharedData) -> Vm {
    let path = paths::module().unwrap_or_else(|error| panic!("{error}"));
    Vm::start(&std::fs::read(path).unwrap(), settings, shared)
}

/// A VM that knows a key.
fn warm(known: &Known) -> Vm {
    warm_with(SMALLEST, known)
}

fn warm_with(settings: &str, known: &Known) -> Vm {
    let mut vm = configured(settings, &SharedData::default());
    let (outcome, _) = vm.request(&request(&known.credential), knowing(known));
    assert_ne!(outcome, Outcome::Waiting);
    vm
}

#[track_caller]
fn costs(cost: &Cost, calls: &[(&str, usize)], most_operators: u64) {
    println!("{} calls, {} operators", cost.total(), cost.operators);
    let expected = calls
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    assert_eq!(cost.calls, expected);
    assert!(
        cost.operators <= most_operators,
        "{} operators",
        cost.operators
    );
}

#[track_caller]
fn is_told(outcome: &Outcome, expected: &[(&str, &str)]) {
    let Outcome::Onward(headers) = outcome else {
        panic!("{outcome:?}");
    };
    let told: &Headers = headers;
    for (name, value) in expected {
        let values: Vec<_> = told
            .iter()
            .filter(|(known, _)| known == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect();
        assert_eq!(values, [*value], "{name}");
    }
    assert!(told.iter().all(|(name, _)| name != b"x-api-key"));
}

const IDENTITY: [(&str, &str); 4] = [
    ("x-key-id", "key_one"),
    ("x-user-id", "usr_one"),
    ("x-tenant-id", "ten_one"),
    ("x-key-scopes", "orders:read orders:write"),
];

/// What a hit asks of the host: the headers once, the route's policy, the time, and five edits.
const HIT: [(&str, usize); 5] = [
    ("add_header_map_value", 4),
    ("clock_time_get", 1),
    ("get_header_map_pairs", 1),
    ("get_property", 1),
    ("remove_header_map_value", 1),
];

#[test]
fn a_hit() {
    let known = records::active("one");
    let mut vm = warm(&known);

    let (outcome, cost) = vm.request(&request(&known.credential), nobody);

    is_told(&outcome, &IDENTITY);
    costs(&cost, &HIT, 26_940);
    assert!(cost.total() <= 8, "{:?}", cost.calls);
}

#[test]
fn a_hit_of_which_a_filter_behind_is_told() {
    let known = records::active("one");
    let settings = r#"{
        "key_service": {"cluster": "key_service"},
        "policies": {"a": {}, "b": {}},
        "guarded_routes": true
    }"#;
    let mut vm = warm_with(settings, &known);

    let (outcome, cost) = vm.request(&request(&known.credential), nobody);

    is_told(&outcome, &IDENTITY);
    let calls = [&HIT[..], &[("set_property", 1)]].concat();
    costs(&cost, &calls, 46_000);
}

#[test]
fn a_hit_with_identity_headers_that_the_client_made_up() {
    let known = records::active("one");
    let mut vm = warm(&known);
    let mut headers = request(&known.credential).to_vec();
    headers.extend(IDENTITY.map(|(name, _)| (name, "made up")));

    let (outcome, cost) = vm.request(&headers, nobody);

    is_told(&outcome, &IDENTITY);
    let mut calls = HIT;
    calls[0] = ("replace_header_map_value", 4);
    costs(&cost, &calls, 30_000);
}

#[test]
fn a_refused_key() {
    let known = records::active("one").user_status("suspended");
    let mut vm = warm(&known);

    let (outcome, cost) = vm.request(&request(&known.credential), nobody);

    assert_eq!(outcome, Outcome::Answered(403));
    let calls = [
        ("clock_time_get", 1),
        ("get_header_map_pairs", 1),
        ("get_property", 1),
        ("remove_header_map_value", 1),
        ("send_local_response", 1),
        ("set_property", 4),
    ];
    // One module was seen below and above 48,000 on one day; what makes the difference is not known.
    costs(&cost, &calls, 48_100);
}

#[test]
fn a_malformed_key() {
    let mut vm = vm(&SharedData::default());

    let (outcome, cost) = vm.request(&request("two words"), nobody);

    assert_eq!(outcome, Outcome::Answered(401));
    let calls = [
        ("clock_time_get", 1),
        ("get_header_map_pairs", 1),
        ("get_property", 1),
        ("remove_header_map_value", 1),
        ("send_local_response", 1),
        ("set_property", 1),
    ];
    costs(&cost, &calls, 42_500);
}

#[test]
fn a_shared_hit() {
    let known = records::active("one");
    let shared = SharedData::default();
    vm(&shared).request(&request(&known.credential), knowing(&known));
    let mut other = vm(&shared);

    let (outcome, cost) = other.request(&request(&known.credential), nobody);

    is_told(&outcome, &IDENTITY);
    // Key, user and tenant; and where it comes from, since it is this worker's first of the key.
    let mut calls = HIT.to_vec();
    calls[3] = ("get_property", 2);
    calls.push(("get_shared_data", 3));
    costs(&cost, &calls, 132_000);
}

#[test]
fn a_miss() {
    let known = records::active("one");
    let mut vm = vm(&SharedData::default());

    let (outcome, cost) = vm.request(&request(&known.credential), knowing(&known));

    is_told(&outcome, &IDENTITY);
    // All of it: the request, the call to the key service, and its answer.
    let calls = [
        ("add_header_map_value", 4),
        ("clock_time_get", 9),
        ("continue_stream", 1),
        ("dequeue_shared_queue", 1),
        ("enqueue_shared_queue", 1),
        ("get_buffer_bytes", 1),
        ("get_header_map_pairs", 2),
        ("get_header_map_value", 2),
        ("get_property", 3),
        ("get_shared_data", 11),
        ("http_call", 1),
        ("remove_header_map_value", 1),
        ("set_effective_context", 1),
        ("set_shared_data", 6),
    ];
    costs(&cost, &calls, 590_000);
}

/// One request of a key in seventeen is asked where it comes from, and the first in a report.
#[test]
fn where_a_key_is_used_from_costs_a_call_in_seventeen_hits() {
    let known = records::active("one");
    let mut vm = warm(&known);
    let looked_at: Vec<usize> = (2..=52)
        .filter(|_| {
            let (_, cost) = vm.request(&request(&known.credential), nobody);
            assert!(cost.operators <= 31_900, "{} operators", cost.operators);
            let asked = cost.calls["get_property"];
            assert_eq!(cost.total(), 7 + asked);
            asked == 2
        })
        .collect();
    assert_eq!(looked_at, [18, 35, 52]);
}
