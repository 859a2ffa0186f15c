//! Requests that wait, and calls.

use super::*;
use crate::telemetry::usage;
use crate::test_util::test;

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
    let asked = world.call(1);
    assert_eq!(asked.len(), 64);
    assert_eq!(world.call(2).len(), 37);
    for key in 100..110 {
        world.ask(&key.to_string());
    }
    assert_eq!(world.batch(), None);
    let results = asked
        .iter()
        .map(|digest| json!({"digest": digest, "key": 7}));
    let results: Vec<Value> = results.collect();
    world.answer(1, &json!({"as_of": 5, "results": results}));
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
    assert!(!world.gate.has_work(at(world.millis)));
}

#[test]
fn usage_is_reported_and_a_report_that_was_not_taken_comes_again() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1m"}}));
    world.gate.usage = Usage::new(
        usage::Settings {
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
    let body: Value = serde_json::from_slice(report.body.as_ref().unwrap()).unwrap();
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
            retry_after: None,
        },
    );
    world.pass(60_000);
    assert!(world.gate.next_call(at(world.millis)).is_none());
}

#[test]
fn usage_is_not_reported_to_a_service_that_takes_none() {
    let fresh = json!({"fresh_for": "1h", "max_staleness": "1h"});
    let mut world = World::new(&json!({"freshness": fresh, "usage": {}}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(10_000);
    let report = world.gate.next_call(at(world.millis)).unwrap();
    assert_eq!(report.path, "/v1/usage", "it is on where nothing is said");
    world.gate.sent(1, report.purpose);
    world.end(
        1,
        &CallEnd::Answered {
            status: 404,
            marked: false,
            body: Some(b""),
            retry_after: None,
        },
    );
    for _ in 0..9 {
        world.pass(60_000);
        world.ask("k");
        assert!(world.gate.next_call(at(world.millis)).is_none());
    }
    world.pass(60_000);
    world.ask("k");
    world.pass(10_000);
    let again = world.gate.next_call(at(world.millis)).unwrap();
    assert_eq!(again.path, "/v1/usage");
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
fn who_was_passed_by_others_goes_on_with_what_they_have_come_to_know() {
    let mut world = World::new(&json!({}));
    let mut other = World::beside(&world, &json!({}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    world.call(1);
    world.answer(1, &answer(5, &[("k", json!({"key": null}))]));
    assert_eq!(other.ask("k"), Fate::Waits(1));
    other.teach("k", 6, &good(6));
    assert_eq!(world.ask("k"), allowed());
    world.gate.rung(at(0), &*world.store);
    assert_eq!(world.resume("k"), [(1, allowed())]);
}

#[test]
fn who_was_passed_by_others_is_unknown_where_the_key_has_gone() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "2s"}}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    world.call(1);
    world.answer(1, &answer(5, &[("k", good(5))]));
    world.millis += 2_000;
    assert_eq!(world.ask("k"), Fate::Waits(2));
    world.call(2);
    world.answer(2, &answer(6, &[("k", json!({"key": null}))]));
    let unknown = || Fate::Refused(Reason::KeyUnknown);
    assert_eq!(world.resume("k"), [(1, unknown()), (2, unknown())]);
}

#[test]
fn whose_call_fails_goes_on_with_what_another_worker_was_told() {
    let mut world = World::new(&json!({}));
    let mut other = World::beside(&world, &json!({}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    world.call(1);
    assert_eq!(other.ask("k"), Fate::Waits(1));
    other.teach("k", 6, &good(6));
    world.end(1, &error());
    assert_eq!(world.resume("k"), [(1, allowed())]);
}

#[test]
fn who_was_given_up_goes_on_with_an_answer_that_comes_before_its_turn() {
    let mut world = World::new(&json!({}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    world.call(1);
    world.pass(5_000);
    world.answer(1, &answer(5, &[("k", good(1))]));
    assert_eq!(world.resume("k"), [(1, allowed())]);
}
