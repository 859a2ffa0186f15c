//! What a worker knows, and for how long.

use super::*;
use crate::test_util::test;

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
    let mut other = World::beside(&world, &json!({}));
    assert_eq!(other.ask("k"), allowed());
    assert_eq!(other.ask("k"), allowed());
    assert_eq!(other.batch(), None);
    let mut seen = Seen::default();
    let counts: Vec<u64> = other.gate.telemetry.counts().since(&mut seen).collect();
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
    // A stale one counts as what it is besides.
    let counted = world.counted_all(["lookup.local", "lookup.shared", "lookup.stale"]);
    assert_eq!(counted, [3, 0, 2]);
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
    world.end(7, &error());
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
    world.end(7, &error());
    assert_eq!(world.resume("k"), [(2, Fate::Refused(Reason::KeyRevoked))]);
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
fn a_key_that_is_no_longer_known_is_gone_for_all() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s"}}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(2_000);
    assert_eq!(world.ask("k"), allowed());
    world.teach("k", 6, &json!({"key": null}));
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyUnknown));
    let mut other = World::beside(&world, &json!({}));
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
    let mut other = World::beside(&world, &limits);
    let known = (0..500)
        .filter(|key| other.ask(&key.to_string()) == allowed())
        .count();
    assert!((16..=64).contains(&known), "{known} of 500");
}
