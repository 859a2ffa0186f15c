use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::digest::Digester;
use crate::fetch::Batch;
use crate::tests::{MemoryStore, Sent, at, test};
use crate::verdict::Reason;

/// One VM, driven by hand, with a key service that knows what a test says.
struct World {
    gate: Gate,
    store: MemoryStore,
    millis: u64,
    next: u32,
}

/// What became of a request, in short.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Allowed(String),
    Anonymous,
    Refused(Reason),
    Waits(u32),
}

impl World {
    fn new(configuration: &Value) -> Self {
        let mut whole = json!({"key_service": {"cluster": "key_service"}});
        for (name, value) in configuration.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let settings = config::parse(whole.to_string().as_bytes(), &|_| None).unwrap();
        Self {
            gate: Gate::new(settings, "vm".to_owned()),
            store: MemoryStore::default(),
            millis: 0,
            next: 1,
        }
    }

    /// Another VM of the same process.
    fn beside(other: Self, configuration: &Value) -> Self {
        Self {
            store: other.store,
            millis: other.millis,
            ..Self::new(configuration)
        }
    }

    fn pass(&mut self, millis: u64) {
        self.millis += millis;
        self.gate.tick(at(self.millis));
    }

    fn ask(&mut self, key: &str) -> Fate {
        self.send(&Sent::new(&[("x-api-key", key)]))
    }

    fn send(&mut self, sent: &Sent) -> Fate {
        let waiter = self.next;
        self.next += 1;
        let decision = self
            .gate
            .request(&sent.request(), waiter, at(self.millis), &self.store);
        fate(decision, waiter)
    }

    /// Goes on with everyone who is ready.
    fn resume(&mut self, key: &str) -> Vec<(u32, Fate)> {
        let sent = Sent::new(&[("x-api-key", key)]);
        let mut fates = Vec::new();
        while let Some((waiter, resolution)) = self.gate.next_ready() {
            let now = at(self.millis);
            let decision = self
                .gate
                .resume(&sent.request(), resolution, now, &self.store);
            fates.push((waiter, fate(decision, waiter)));
        }
        fates
    }

    fn batch(&mut self) -> Option<Batch> {
        match self.gate.next_call(at(self.millis))?.purpose {
            Purpose::Resolve(batch) => Some(batch),
            Purpose::Usage => panic!("a report of usage"),
        }
    }

    fn call(&mut self, call: u32) -> Vec<String> {
        let batch = self.batch().expect("there is something to ask");
        let digests = batch
            .digests
            .iter()
            .map(|digest| URL_SAFE_NO_PAD.encode(digest.bytes()));
        let digests = digests.collect();
        self.gate.sent(call, Purpose::Resolve(batch));
        digests
    }

    fn answer(&mut self, call: u32, body: &Value) {
        let body = body.to_string();
        self.end(
            call,
            &CallEnd::Answered {
                status: 200,
                marked: true,
                body: Some(body.as_bytes()),
            },
        );
    }

    fn end(&mut self, call: u32, end: &CallEnd<'_>) {
        self.gate.ended(call, end, at(self.millis), &self.store);
    }

    /// Lets a key be known as of a sequence.
    fn teach(&mut self, key: &str, as_of: u64, record: &Value) -> Vec<(u32, Fate)> {
        assert_eq!(self.call(99), [digest(key)]);
        self.answer(99, &answer(as_of, &[(key, record.clone())]));
        self.resume(key)
    }

    fn counted(&mut self, name: &str) -> u64 {
        let at = Telemetry::names()
            .position(|known| known == name)
            .expect("a counter");
        self.gate.telemetry.take().nth(at).unwrap()
    }
}

fn fate(decision: Decision, waiter: u32) -> Fate {
    match decision {
        Decision::Proceed(Passage {
            identity: Some(chain),
            ..
        }) => Fate::Allowed(chain.key.id.to_string()),
        Decision::Proceed(_) => Fate::Anonymous,
        Decision::Refuse(refusal) => Fate::Refused(refusal.reason),
        Decision::Wait => Fate::Waits(waiter),
    }
}

fn digest(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digester::plain().digest(key.as_bytes()).bytes())
}

fn answer(as_of: u64, results: &[(&str, Value)]) -> Value {
    let results: Vec<Value> = results
        .iter()
        .map(|(key, record)| {
            let mut result = record.clone();
            result["digest"] = json!(digest(key));
            result
        })
        .collect();
    json!({"as_of": as_of, "results": results})
}

fn good(version: u64) -> Value {
    json!({
        "key": {"id": "key_1", "version": version, "user_id": "usr_1", "tenant_id": null, "status": "active"},
        "user": {"id": "usr_1", "version": 1, "status": "active"},
    })
}

fn revoked(version: u64) -> Value {
    let mut record = good(version);
    record["key"]["status"] = json!("revoked");
    record
}

fn suspended(version: u64) -> Value {
    let mut record = good(1);
    record["user"]["status"] = json!("suspended");
    record["user"]["version"] = json!(version);
    record
}

fn allowed() -> Fate {
    Fate::Allowed("key_1".to_owned())
}

#[test]
fn a_miss_waits_and_a_hit_does_not() {
    let mut world = World::new(&json!({}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    assert_eq!(world.teach("k", 5, &good(1)), [(1, allowed())]);
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.batch(), None);
    assert_eq!(world.counted("lookup.local"), 1);
}

#[test]
fn what_one_vm_has_learned_all_know() {
    let mut world = World::new(&json!({}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    let mut other = World::beside(world, &json!({}));
    assert_eq!(other.ask("k"), allowed());
    assert_eq!(other.ask("k"), allowed());
    assert_eq!(other.batch(), None);
    let counts: Vec<u64> = other.gate.telemetry.take().collect();
    let count = |name: &str| counts[Telemetry::names().position(|known| known == name).unwrap()];
    assert_eq!(
        (
            count("lookup.shared"),
            count("lookup.local"),
            count("allowed")
        ),
        (1, 1, 2)
    );
}

#[test]
fn unknown_is_remembered_for_a_while_and_by_this_vm_alone() {
    let mut world = World::new(&json!({"freshness": {"negative_for": "5s"}}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    assert_eq!(
        world.teach("k", 5, &json!({"key": null})),
        [(1, Fate::Refused(Reason::KeyUnknown))]
    );
    world.pass(4_999);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyUnknown));
    assert_eq!(world.counted("lookup.negative"), 1);
    assert_eq!(world.store.bytes(), 0);
    world.pass(1);
    assert_eq!(world.ask("k"), Fate::Waits(3));
    assert_eq!(world.teach("k", 6, &good(6)), [(3, allowed())]);
    assert_eq!(world.ask("k"), allowed());
}

#[test]
fn a_stale_record_serves_while_it_is_asked_for_again() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "60s", "max_staleness": "5m"}}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(50_000);
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.batch(), None);
    world.pass(20_000);
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.counted("lookup.stale"), 2);
    assert_eq!(world.teach("k", 6, &revoked(6)), []);
    assert_eq!(world.batch(), None);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyRevoked));
}

#[test]
fn nothing_is_allowed_on_a_record_that_nobody_has_confirmed_in_time() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(9_999);
    assert_eq!(world.ask("k"), allowed());
    world.pass(1);
    assert_eq!(world.ask("k"), Fate::Waits(3));
    world.call(7);
    world.end(7, &CallEnd::Broken);
    assert_eq!(
        world.resume("k"),
        [(3, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
    assert_eq!(world.counted("trusted_stale_refused"), 1);
}

#[test]
fn a_definite_refusal_stays_one_however_old_it_is() {
    let mut world = World::new(
        &json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}, "unavailable": "allow"}),
    );
    world.ask("k");
    assert_eq!(
        world.teach("k", 5, &revoked(1)),
        [(1, Fate::Refused(Reason::KeyRevoked))]
    );
    world.pass(3_600_000);
    assert_eq!(world.ask("k"), Fate::Waits(2));
    world.call(7);
    world.end(7, &CallEnd::Broken);
    assert_eq!(world.resume("k"), [(2, Fate::Refused(Reason::KeyRevoked))]);
}

#[test]
fn an_answer_from_behind_never_replaces_what_is_newer() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "60s"}}));
    world.ask("k");
    world.teach("k", 9, &revoked(9));
    world.pass(2_000);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyRevoked));
    world.teach("k", 5, &good(5));
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyRevoked));
    // An "unknown" from behind counts as little.
    world.teach("k", 5, &json!({"key": null}));
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyRevoked));

    let mut other = World::beside(world, &json!({}));
    assert_eq!(other.ask("k"), Fate::Refused(Reason::KeyRevoked));
}

#[test]
fn an_answer_from_behind_that_is_all_there_is_means_unavailable() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}}));
    world.ask("k");
    world.teach("k", 9, &good(9));
    world.pass(10_000);
    assert_eq!(world.ask("k"), Fate::Waits(2));
    assert_eq!(
        world.teach("k", 5, &good(5)),
        [(2, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
}

#[test]
fn a_user_is_one_record_for_all_of_its_keys() {
    let mut world = World::new(&json!({}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    let mut second = suspended(7);
    second["key"]["id"] = json!("key_2");
    world.ask("l");
    world.teach("l", 8, &second);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::UserSuspended));
    // The older record of the user, coming late with another key, changes nothing.
    let mut third = good(1);
    third["key"]["id"] = json!("key_3");
    world.ask("m");
    assert_eq!(
        world.teach("m", 6, &third),
        [(4, Fate::Refused(Reason::UserSuspended))]
    );
}

#[test]
fn that_a_user_does_not_exist_is_known_too_until_it_does() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "10s"}}));
    let mut orphan = good(1);
    orphan["user"] = json!(null);
    world.ask("k");
    assert_eq!(
        world.teach("k", 5, &orphan),
        [(1, Fate::Refused(Reason::UserMissing))]
    );
    assert_eq!(world.ask("k"), Fate::Refused(Reason::UserMissing));
    assert_eq!(world.batch(), None);
    world.pass(20_000);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::UserMissing));
    let mut created = good(1);
    created["user"]["version"] = json!(6);
    world.teach("k", 6, &created);
    assert_eq!(world.ask("k"), allowed());
}

#[test]
fn misses_of_one_key_are_one_call_and_of_many_keys_few() {
    let mut world = World::new(&json!({"limits": {"lookups_in_flight": 2}}));
    for _ in 0..100 {
        world.ask("k");
    }
    assert_eq!(world.counted("fetch.coalesced"), 99);
    for key in 0..100 {
        world.ask(&key.to_string());
    }
    assert_eq!(world.call(1).len(), 64);
    assert_eq!(world.call(2).len(), 37);
    for key in 100..110 {
        world.ask(&key.to_string());
    }
    assert_eq!(world.batch(), None);
    world.end(1, &CallEnd::Broken);
    assert_eq!(world.call(3).len(), 10);
    let answers = world.resume("k");
    assert_eq!(answers.len(), 163);
}

#[test]
fn too_many_waiting_is_overloaded() {
    let mut world = World::new(&json!({"limits": {"waiting_requests": 2}}));
    world.ask("a");
    world.ask("a");
    assert_eq!(world.ask("b"), Fate::Refused(Reason::Overloaded));
    world.gate.forget(1);
    assert_eq!(world.ask("b"), Fate::Waits(4));
}

#[test]
fn no_answer_in_time_is_an_answer_to_those_who_wait() {
    let mut world = World::new(&json!({"key_service": {"cluster": "c", "timeout": "500ms"}}));
    world.ask("k");
    world.call(1);
    world.pass(499);
    assert_eq!(world.resume("k"), []);
    world.pass(1);
    assert_eq!(
        world.resume("k"),
        [(1, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
    // The answer comes after all: nobody waits for it, but it is knowledge.
    world.answer(1, &answer(5, &[("k", good(1))]));
    assert_eq!(world.resume("k"), []);
    assert_eq!(world.ask("k"), allowed());
}

#[test]
fn whatever_is_not_an_answer_is_an_outage_and_never_an_unknown_key() {
    let good = answer(5, &[("k", good(1))]).to_string();
    let good = good.as_bytes();
    let answered = |status, marked, body| CallEnd::Answered {
        status,
        marked,
        body,
    };
    for end in [
        CallEnd::Broken,
        answered(200, false, Some(good)),
        answered(200, true, None),
        answered(200, true, Some(b"")),
        answered(200, true, Some(b"null")),
        answered(200, true, Some(good.get(1..).unwrap())),
        answered(200, true, Some(br#"{"as_of": 5, "results": []}"#)),
        answered(204, true, Some(good)),
        answered(401, true, Some(good)),
        answered(403, false, Some(good)),
        answered(404, true, Some(br#"{"as_of": 5, "results": []}"#)),
        answered(500, true, Some(good)),
        answered(503, false, Some(good)),
        answered(504, false, Some(b"upstream request timeout")),
    ] {
        let mut world = World::new(&json!({}));
        world.ask("k");
        world.call(1);
        world.end(1, &end);
        assert_eq!(
            world.resume("k"),
            [(1, Fate::Refused(Reason::KeyServiceUnavailable))],
            "{end:?}"
        );
        assert_eq!(world.ask("k"), Fate::Waits(2), "{end:?}");
    }
}

#[test]
fn a_broken_result_is_the_trouble_of_its_own_digest_alone() {
    let mut world = World::new(&json!({}));
    for key in ["a", "b", "c", "d"] {
        world.ask(key);
    }
    world.call(1);
    let mut broken = good(1);
    broken["key"]["version"] = json!("one");
    world.answer(
        1,
        &answer(
            5,
            &[
                ("d", good(1)),
                ("b", broken),
                ("a", good(1)),
                ("d", json!({"key": null})),
            ],
        ),
    );
    let fates = world.resume("a");
    let unavailable = || Fate::Refused(Reason::KeyServiceUnavailable);
    assert_eq!(
        fates,
        [
            (1, allowed()),
            (2, unavailable()),
            (3, unavailable()),
            (4, unavailable())
        ]
    );
}

#[test]
fn a_client_that_has_gone_is_forgotten() {
    let mut world = World::new(&json!({}));
    world.ask("k");
    world.ask("k");
    world.gate.forget(1);
    assert_eq!(world.gate.waiting(), 1);
    assert_eq!(world.teach("k", 5, &good(1)), [(2, allowed())]);
    world.ask("l");
    world.gate.forget(3);
    assert_eq!(world.batch(), None);
    assert_eq!(world.gate.waiting(), 0);
    assert!(!world.gate.has_work());
}

#[test]
fn made_up_keys_leave_known_ones_alone() {
    let limits = json!({"limits": {"local_entries": 80, "shared_entries": 100}});
    let mut world = World::new(&limits);
    world.ask("k");
    world.teach("k", 5, &good(1));
    let (names, bytes) = (world.store.names(), world.store.bytes());
    for key in 0..1_000 {
        world.ask(&format!("made up {key}").replace(' ', "_"));
        let digests = world.call(1);
        let unknown = json!({"as_of": 5, "results": [{"digest": digests[0], "key": null}]});
        world.answer(1, &unknown);
        world.resume("x");
    }
    assert!(
        world.gate.cache_entries() <= 80,
        "{}",
        world.gate.cache_entries()
    );
    assert_eq!((world.store.names(), world.store.bytes()), (names, bytes));
    assert_eq!(world.ask("k"), allowed());
    assert!(world.counted("lookup.local") == 1);
}

#[test]
fn the_shared_cache_is_bounded_whatever_is_known() {
    let mut world = World::new(&json!({"limits": {"local_entries": 10, "shared_entries": 64}}));
    for key in 0..2_000 {
        let key = key.to_string();
        world.ask(&key);
        let mut record = good(1);
        record["key"]["id"] = json!(format!("key_{key}"));
        record["key"]["user_id"] = json!(format!("usr_{key}"));
        record["user"]["id"] = json!(format!("usr_{key}"));
        record["key"]["scopes"] = json!(vec!["x".repeat(100); 5]);
        world.teach(&key, 5, &record);
    }
    assert!(world.store.names() <= 4);
    assert!(world.store.bytes() <= 4 * 16 * 1024);
    assert!(world.gate.cache_entries() <= 10);
}

#[test]
fn credentials_are_in_no_cache() {
    let mut world = World::new(&json!({}));
    world.ask("the-secret-key");
    world.teach("the-secret-key", 5, &good(1));
    assert!(world.store.holds("key_1"));
    assert!(!world.store.holds("the-secret-key"));
    assert!(!format!("{:?}", world.gate).contains("the-secret-key"));
}

#[test]
fn without_the_key_service_requests_pass_only_where_that_is_configured() {
    let mut world = World::new(&json!({"unavailable": "allow"}));
    world.ask("k");
    world.call(1);
    world.end(1, &CallEnd::Broken);
    assert_eq!(world.resume("k"), [(1, Fate::Anonymous)]);
    assert_eq!(world.counted("failed_open"), 1);
    assert_eq!(
        world.send(&Sent::new(&[])),
        Fate::Refused(Reason::KeyMissing)
    );
}

#[test]
fn in_shadow_every_request_goes_on_and_a_refused_one_without_identity() {
    let mut world = World::new(&json!({"enforcement": "shadow"}));
    assert_eq!(world.send(&Sent::new(&[])), Fate::Anonymous);
    assert_eq!(world.counted("shadowed.key_missing"), 1);
    world.ask("k");
    assert_eq!(world.teach("k", 5, &good(1)), [(2, allowed())]);
    assert_eq!(world.counted("allowed"), 1);
    world.ask("l");
    assert_eq!(world.teach("l", 6, &revoked(6)), [(3, Fate::Anonymous)]);
}

#[test]
fn a_preflight_passes_unless_it_is_to_be_checked() {
    let preflight = Sent::new(&[
        (":method", "OPTIONS"),
        ("origin", "https://example.com"),
        ("access-control-request-method", "GET"),
    ]);
    let options = Sent::new(&[(":method", "OPTIONS"), ("origin", "https://example.com")]);
    let mut world = World::new(&json!({}));
    assert_eq!(world.send(&preflight), Fate::Anonymous);
    assert_eq!(world.send(&options), Fate::Refused(Reason::KeyMissing));
    let mut world = World::new(&json!({"preflight": "check"}));
    assert_eq!(world.send(&preflight), Fate::Refused(Reason::KeyMissing));
}

#[test]
fn a_key_that_will_soon_not_work_is_noticed() {
    let mut world = World::new(&json!({"warn_before": "7d"}));
    let now = at(0).unix;
    let week = 7 * 24 * 3600;
    for (name, expires_at, replaced, expiring, in_grace) in [
        ("a", json!(null), false, 0, 0),
        ("b", json!(now + week + 1), false, 0, 0),
        ("c", json!(now + week), false, 1, 0),
        ("d", json!(now + 60), true, 1, 1),
        ("e", json!(null), true, 0, 1),
    ] {
        let mut record = good(1);
        record["key"]["expires_at"] = expires_at;
        if replaced {
            record["key"]["replaced_by"] = json!("key_2");
            record["key"]["replaced_at"] = json!(now - 5);
        }
        world.ask(name);
        assert_eq!(world.teach(name, 5, &record).len(), 1, "{name}");
        let counts: Vec<u64> = world.gate.telemetry.take().collect();
        let count =
            |name: &str| counts[Telemetry::names().position(|known| known == name).unwrap()];
        assert_eq!(
            (count("expiring"), count("in_grace")),
            (expiring, in_grace),
            "{name}"
        );
    }
}

#[test]
fn a_route_that_names_an_unknown_policy_opens_nothing() {
    let mut world = World::new(&json!({
        "policies": {"open": {"authentication": "none"}, "maybe": {"authentication": "optional"}}
    }));
    let without_key = || Sent::new(&[]);
    assert_eq!(
        world.send(&without_key()),
        Fate::Refused(Reason::KeyMissing)
    );
    assert_eq!(world.send(&without_key().on_route("open")), Fate::Anonymous);
    assert_eq!(
        world.send(&without_key().on_route("maybe")),
        Fate::Anonymous
    );
    assert_eq!(
        world.send(&without_key().on_route("opne")),
        Fate::Refused(Reason::PolicyUnknown)
    );
    let malformed = Sent::new(&[("x-api-key", "a b")]);
    assert_eq!(
        world.send(&malformed.on_route("maybe")),
        Fate::Refused(Reason::KeyMalformed)
    );
}

#[test]
fn the_digests_asked_for_are_json() {
    let batch = Batch {
        digests: vec![
            Digester::plain().digest(b"a"),
            Digester::plain().digest(b"b"),
        ],
        asked: at(0).instant + Duration::ZERO,
    };
    let body: Value = serde_json::from_slice(&resolve_body(&batch)).unwrap();
    assert_eq!(body, json!({"digests": [digest("a"), digest("b")]}));
}

#[test]
fn usage_is_reported_and_a_report_that_was_not_taken_comes_again() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1m"}}));
    world.gate.usage = Usage::new(
        config::Usage {
            enabled: true,
            every: Duration::from_secs(10),
        },
        "vm".to_owned(),
    );
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.ask("k");
    world.pass(10_000);
    let report = world.gate.next_call(at(world.millis)).unwrap();
    assert_eq!(report.path, "/v1/usage");
    let body: Value = serde_json::from_slice(&report.body).unwrap();
    assert_eq!(body["keys"][0]["allowed"], 2);
    world.gate.sent(1, report.purpose);
    world.end(1, &CallEnd::Broken);
    assert!(world.gate.next_call(at(world.millis)).is_none());
    world.pass(1_000);
    let again = world.gate.next_call(at(world.millis)).unwrap();
    assert_eq!(again.body, report.body);
    world.gate.sent(2, again.purpose);
    world.end(
        2,
        &CallEnd::Answered {
            status: 204,
            marked: true,
            body: Some(b""),
        },
    );
    world.pass(60_000);
    assert!(world.gate.next_call(at(world.millis)).is_none());
}

#[test]
fn unknown_from_behind_does_not_answer_for_a_key_that_is_known() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}}));
    world.ask("k");
    world.teach("k", 9, &revoked(9));
    world.pass(10_000);
    assert_eq!(world.ask("k"), Fate::Waits(2));
    assert_eq!(
        world.teach("k", 5, &json!({"key": null})),
        [(2, Fate::Refused(Reason::KeyRevoked))]
    );
}

#[test]
fn a_newer_key_that_another_vm_has_learned_meanwhile_counts() {
    let mut first = World::new(&json!({}));
    assert_eq!(first.ask("k"), Fate::Waits(1));
    first.call(1);
    let mut second = World::beside(first, &json!({}));
    second.ask("k");
    second.teach("k", 9, &revoked(9));
    // The first VM's answer comes late and from behind.
    let mut first = World::beside(second, &json!({}));
    first.ask("l");
    first.ask("k");
    first.call(1);
    let mut other = good(1);
    other["key"]["id"] = json!("key_2");
    first.answer(1, &answer(5, &[("l", other), ("k", good(5))]));
    assert_eq!(first.ask("k"), Fate::Refused(Reason::KeyRevoked));
}

#[test]
fn a_key_whose_user_is_only_known_from_long_ago_allows_nothing() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}}));
    let mut record = good(1);
    record["user"]["version"] = json!(7);
    world.ask("k");
    world.teach("k", 7, &record);
    world.pass(10_000);
    assert_eq!(world.ask("k"), Fate::Waits(2));
    // The key is confirmed, but the answer's user is older than the one that is known.
    assert_eq!(
        world.teach("k", 6, &good(1)),
        [(2, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
}

#[test]
fn a_key_that_is_no_longer_known_is_gone_for_all() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s"}}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(2_000);
    assert_eq!(world.ask("k"), allowed());
    world.teach("k", 6, &json!({"key": null}));
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyUnknown));
    let mut other = World::beside(world, &json!({}));
    assert_eq!(other.ask("k"), Fate::Waits(1));
}

#[test]
fn the_shared_cache_holds_no_more_entries_than_its_limit() {
    let limits = json!({"limits": {"shared_entries": 64}});
    let mut world = World::new(&limits);
    for key in 0..500 {
        let key = key.to_string();
        world.pass(1);
        world.ask(&key);
        world.teach(&key, 5, &good(1));
    }
    let mut other = World::beside(world, &limits);
    let known = (0..500)
        .filter(|key| other.ask(&key.to_string()) == allowed())
        .count();
    assert!((16..=64).contains(&known), "{known} of 500");
}

#[test]
fn who_goes_after_the_answer_has_come_is_forgotten_too() {
    let mut world = World::new(&json!({}));
    world.ask("k");
    world.ask("k");
    world.call(1);
    world.answer(1, &answer(5, &[("k", good(1))]));
    world.gate.forget(1);
    assert_eq!(world.resume("k"), [(2, allowed())]);
}

#[test]
fn the_credential_goes_no_further_unless_nothing_is_looked_at() {
    let edited = |configuration: &Value| {
        let mut world = World::new(configuration);
        let sent = Sent::new(&[("x-api-key", "k"), ("x-user-id", "evil")]);
        let decision = world.gate.request(&sent.request(), 1, at(0), &world.store);
        let Decision::Proceed(passage) = decision else {
            panic!("{decision:?}");
        };
        let mut headers = vec![
            ("x-api-key".to_owned(), b"k".to_vec()),
            ("x-user-id".to_owned(), b"evil".to_vec()),
        ];
        world
            .gate
            .edit(&passage, sent.request().headers, &mut headers);
        headers
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    let malformed = json!({"min_length": 10});
    assert_eq!(
        edited(&json!({"enforcement": "shadow", "key_format": malformed})),
        Vec::<String>::new()
    );
    assert_eq!(
        edited(
            &json!({"enforcement": "shadow", "key_format": malformed, "strip_credential": false})
        ),
        ["x-api-key"]
    );
    assert_eq!(
        edited(&json!({"default_policy": {"authentication": "none"}})),
        ["x-api-key"]
    );
}
