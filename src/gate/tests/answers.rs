//! What answers of the key service come to.

use super::*;
use crate::test_util::test;

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

    let mut other = World::beside(&world, &json!({}));
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
        world.teach_in_vain("k", 5, &good(5)),
        [(2, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
}

#[test]
fn whatever_is_not_an_answer_is_an_outage_and_never_an_unknown_key() {
    let good = answer(5, &[("k", good(1))]).to_string();
    let good = good.as_bytes();
    let answered = |status, marked, body| CallEnd::Answered {
        status,
        marked,
        body,
        retry_after: None,
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
        // A broken connection is tried once more.
        if let Some(batch) = world.batch() {
            world.gate.sent(2, Purpose::Resolve(batch));
            world.end(2, &end);
        }
        assert_eq!(
            world.resume("k"),
            [(1, Fate::Refused(Reason::KeyServiceUnavailable))],
            "{end:?}"
        );
        world.pass(100);
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
        [(1, allowed()), (2, unavailable()), (4, unavailable())]
    );
    // What was left out is asked for once more, alone in the end.
    assert_eq!(world.call(2), [digest("c")]);
    world.answer(2, &answer(5, &[]));
    assert_eq!(world.resume("c"), [(3, unavailable())]);
    assert_eq!(world.batch(), None);
}

/// The keys that a service is asked for in the next call, if there is one.
fn asked(world: &mut World, call: u64) -> Vec<String> {
    let Some(batch) = world.batch() else {
        return Vec::new();
    };
    let digests = batch.digests.iter();
    let digests = digests.map(|digest| URL_SAFE_NO_PAD.encode(digest.bytes()));
    let digests = digests.collect();
    world.gate.sent(call, Purpose::Resolve(batch));
    digests
}

/// What a service says of some digests, each of which it knows as the same key.
fn known_as(digests: &[String]) -> Value {
    let results: Vec<Value> = digests
        .iter()
        .map(|digest| {
            let mut result = good(1);
            result["digest"] = json!(digest);
            result
        })
        .collect();
    json!({"as_of": 5, "results": results})
}

#[test]
fn what_a_service_leaves_out_is_asked_for_in_smaller_calls_and_is_no_outage_of_the_others() {
    let mut world = World::new(&json!({"limits": {"lookups_in_flight": 1}}));
    for key in 0..64 {
        world.ask(&key.to_string());
    }
    // As many as fit: five.
    let (mut calls, mut answered) = (0, 0);
    loop {
        let digests = asked(&mut world, 1);
        if digests.is_empty() {
            break;
        }
        calls += 1;
        let fitting = digests.get(..5).unwrap_or(&digests);
        world.answer(1, &known_as(fitting));
        let fates = world.resume("0");
        assert_eq!(fates.len(), fitting.len());
        assert!(fates.iter().all(|(_, fate)| *fate == allowed()));
        answered += fates.len();
    }
    assert_eq!(answered, 64);
    assert!(calls <= 16, "{calls} calls");
    assert_eq!(world.counted("fetch.error"), 0);
}

#[test]
fn an_answer_that_is_too_long_or_spoiled_by_one_is_asked_for_in_halves() {
    let too_long = || CallEnd::Answered {
        status: 200,
        marked: true,
        body: None,
        retry_after: None,
    };
    let no_json = || CallEnd::Answered {
        status: 200,
        marked: true,
        body: Some(b"{\"as_of\": 5, \"results\": [\x01"),
        retry_after: None,
    };
    // What breaks off is tried once more when it is alone.
    let broken = || CallEnd::Broken;
    let spoiled: [(&dyn Fn() -> CallEnd<'static>, usize); 3] =
        [(&too_long, 13), (&no_json, 13), (&broken, 14)];
    for (spoiled, expected) in spoiled {
        let mut world = World::new(&json!({"limits": {"lookups_in_flight": 1}}));
        for key in 0..64 {
            world.ask(&key.to_string());
        }
        let bad = digest("7");
        let (mut calls, mut fates) = (0, Vec::new());
        loop {
            let digests = asked(&mut world, 1);
            if digests.is_empty() {
                break;
            }
            calls += 1;
            if digests.contains(&bad) {
                world.end(1, &spoiled());
            } else {
                world.answer(1, &known_as(&digests));
            }
            fates.extend(world.resume("0"));
        }
        // Down to the one that is bad: 64, 32, 16, 8, 4, 2, 1, and the other half each time.
        assert_eq!(calls, expected);
        let (refused, passed): (Vec<_>, Vec<_>) =
            fates.into_iter().partition(|(_, fate)| *fate != allowed());
        assert_eq!(refused, [(8, Fate::Refused(Reason::KeyServiceUnavailable))]);
        assert_eq!(passed.len(), 63);
    }
}

#[test]
fn a_service_that_never_answers_well_is_left_alone_all_the_same() {
    let mut world = World::new(&json!({}));
    for key in 0..64 {
        world.ask(&key.to_string());
    }
    let mut calls = 0;
    while !asked(&mut world, 1).is_empty() {
        calls += 1;
        let end = CallEnd::Answered {
            status: 200,
            marked: true,
            body: Some(b"<html>"),
            retry_after: None,
        };
        world.end(1, &end);
    }
    assert!(calls <= 9, "{calls}");
    assert_eq!(world.resume("0").len(), 64);
}

#[test]
fn the_digests_asked_for_are_json() {
    let batch = Batch {
        digests: vec![
            Digester::plain().digest(b"a"),
            Digester::plain().digest(b"b"),
        ],
        asked: at(0).instant,
        epoch: 0,
        probe: false,
    };
    let body: Value = serde_json::from_slice(&crate::gate::answers::resolve_body(&batch)).unwrap();
    assert_eq!(body, json!({"digests": [digest("a"), digest("b")]}));
}

#[test]
fn unknown_from_behind_does_not_answer_for_a_key_that_is_known() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "10s"}}));
    world.ask("k");
    world.teach("k", 9, &revoked(9));
    world.pass(10_000);
    assert_eq!(world.ask("k"), Fate::Waits(2));
    assert_eq!(
        world.teach_in_vain("k", 5, &json!({"key": null})),
        [(2, Fate::Refused(Reason::KeyRevoked))]
    );
}

#[test]
fn a_newer_key_that_another_vm_has_learned_meanwhile_counts_with_its_own_user() {
    let mut first = World::new(&json!({}));
    assert_eq!(first.ask("k"), Fate::Waits(1));
    first.call(1);
    // While the first worker waits, the key gets another user, and a second worker learns of it.
    let mut moved = suspended(9);
    moved["key"]["version"] = json!(9);
    moved["key"]["user_id"] = json!("usr_2");
    moved["user"]["id"] = json!("usr_2");
    let mut second = World::beside(&first, &json!({}));
    second.ask("k");
    second.teach("k", 9, &moved);
    // The first worker's answer comes from behind, with the user that the key had.
    first.answer(1, &answer(5, &[("k", good(5))]));
    assert_eq!(
        first.resume("k"),
        [(1, Fate::Refused(Reason::UserSuspended))]
    );
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
        world.teach_in_vain("k", 6, &good(1)),
        [(2, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
}

#[test]
fn what_was_known_and_has_made_room_is_not_believed_in_an_older_version() {
    let small = json!({"limits": {"local_entries": 1, "shared_entries": 1}});
    let mut world = World::new(&small);
    world.ask("k");
    world.teach("k", 90, &revoked(90));
    for number in 0..40 {
        let key = number.to_string();
        let mut record = good(91 + number);
        record["key"]["id"] = json!(key);
        world.ask(&key);
        world.pass(1);
        world.teach(&key, 91 + number, &record);
    }
    let waiter = world.next;
    assert_eq!(world.ask("k"), Fate::Waits(waiter));
    // A replica that lags behind still says what was true before.
    assert_eq!(
        world.teach_in_vain("k", 80, &good(80)),
        [(waiter, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
}

#[test]
fn who_has_known_a_key_does_not_remember_that_it_was_unknown() {
    let small = json!({"limits": {"local_entries": 16, "shared_entries": 1}});
    let mut world = World::new(&small);
    world.ask("k");
    world.teach("k", 5, &json!({"key": null}));
    let mut other = World::beside(&world, &small);
    other.ask("k");
    other.teach("k", 6, &good(6));
    assert_eq!(world.ask("k"), allowed());
    for number in 0..40 {
        let key = number.to_string();
        let mut record = good(10);
        record["key"]["id"] = json!(key);
        other.ask(&key);
        other.pass(1);
        other.teach(&key, 10, &record);
        assert_eq!(world.ask(&key), Fate::Allowed(key));
    }
    assert!(matches!(world.ask("k"), Fate::Waits(_)));
}
