//! What workers know that read one memory in place.

use super::*;
use crate::test_util::{table, test};

impl World {
    /// A worker that reads a table of its process.
    fn in_place(configuration: &Value) -> Self {
        let mut world = Self::new(configuration);
        let table = table(world.gate.settings().cache.shared_entries);
        world.gate.shares(Arc::clone(&table));
        world.table = Some(table);
        world
    }

    /// Another worker of the same process, which reads the same table.
    fn in_place_beside(other: &Self, configuration: &Value) -> Self {
        let mut world = Self::beside(other, configuration);
        world.gate.never_leads();
        world.gate.shares(Arc::clone(other.table.as_ref().unwrap()));
        world
    }
}

#[test]
fn what_one_worker_has_learned_all_read() {
    let mut world = World::in_place(&json!({}));
    assert_eq!(world.ask("k"), Fate::Waits(1));
    assert_eq!(world.teach("k", 5, &good(1)), [(1, allowed())]);
    let mut other = World::in_place_beside(&world, &json!({}));
    for world in [&mut world, &mut other] {
        assert_eq!((world.ask("k"), world.ask("k")), (allowed(), allowed()));
        assert_eq!(world.batch(), None);
        assert_eq!(world.counted_all(["lookup.shared", "lookup.local"]), [2, 0]);
    }
    // The key and its user are there once, and nowhere else.
    assert_eq!(world.gate.cache_entries(), 2);
    assert_eq!(other.gate.cache_entries(), 0);
    assert_eq!(world.store.bytes(), 0);
}

#[test]
fn one_of_all_that_read_a_table_says_how_full_it_is_and_then_the_next() {
    let mut world = World::in_place(&json!({}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    let mut other = World::beside(&world, &json!({}));
    other.gate.shares(Arc::clone(world.table.as_ref().unwrap()));
    assert_eq!(world.gate.cache_entries(), 2);
    assert_eq!(other.gate.cache_entries(), 0);
    drop(world);
    assert_eq!(other.gate.cache_entries(), 2);
}

#[test]
fn what_one_worker_learns_anew_all_others_read_at_once() {
    let mut world = World::in_place(&json!({}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    let mut other = World::in_place_beside(&world, &json!({}));
    assert_eq!(other.ask("k"), allowed());
    let mut second = suspended(7);
    second["key"]["id"] = json!("key_2");
    world.ask("l");
    world.teach("l", 8, &second);
    assert_eq!(other.ask("k"), Fate::Refused(Reason::UserSuspended));
    // What comes late changes nothing.
    let mut third = good(1);
    third["key"]["id"] = json!("key_3");
    world.ask("m");
    world.teach("m", 6, &third);
    assert_eq!(other.ask("k"), Fate::Refused(Reason::UserSuspended));
}

#[test]
fn a_record_of_another_length_is_found_where_it_has_gone() {
    let mut world = World::in_place(&json!({}));
    world.ask("k");
    world.teach("k", 5, &good(1));
    let mut longer = good(1);
    longer["key"]["id"] = json!("key_2");
    longer["user"]["version"] = json!(7);
    longer["user"]["status"] = json!("locked");
    let apis: Vec<String> = (0..50).map(|number| format!("api-{number}")).collect();
    longer["user"]["apis"] = json!(apis);
    world.ask("l");
    world.teach("l", 8, &longer);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::UserLocked));
    assert_eq!(world.counted_all(["lookup.shared", "lookup.local"]), [1, 0]);
}

#[test]
fn stale_expired_and_unknown_are_what_they_are_elsewhere() {
    let mut world = World::in_place(
        &json!({"freshness": {"fresh_for": "60s", "max_staleness": "5m", "negative_for": "5s"}}),
    );
    world.ask("k");
    world.teach("k", 5, &good(1));
    world.pass(70_000);
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.counted_all(["lookup.shared", "lookup.stale"]), [1, 1]);
    assert_eq!(world.teach("k", 6, &revoked(6)), []);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyRevoked));
    world.pass(300_000);
    assert_eq!(world.ask("k"), Fate::Waits(4));
    world.call(7);
    world.end(7, &error());
    assert_eq!(world.resume("k"), [(4, Fate::Refused(Reason::KeyRevoked))]);
    world.ask("no");
    let unknown = Fate::Refused(Reason::KeyUnknown);
    world.teach("no", 7, &json!({"key": null}));
    assert_eq!(world.ask("no"), unknown);
    assert_eq!(world.counted("lookup.negative"), 1);
}

#[test]
fn that_a_user_does_not_exist_is_read_too() {
    let mut world = World::in_place(&json!({}));
    let mut orphan = good(1);
    orphan["user"] = json!(null);
    world.ask("k");
    world.teach("k", 5, &orphan);
    for _ in 0..2 {
        assert_eq!(world.ask("k"), Fate::Refused(Reason::UserMissing));
    }
    assert_eq!(world.counted_all(["lookup.shared", "lookup.local"]), [2, 0]);
}

#[test]
fn whoever_has_read_a_key_does_not_go_back_to_not_knowing_it() {
    let mut world = World::in_place(&json!({"limits": {"shared_entries": 1}}));
    let mut other = World::in_place_beside(&world, &json!({"limits": {"shared_entries": 1}}));
    other.ask("k");
    other.teach("k", 3, &json!({"key": null}));
    assert_eq!(other.ask("k"), Fate::Refused(Reason::KeyUnknown));
    world.ask("k");
    world.teach("k", 5, &good(5));
    assert_eq!(other.ask("k"), allowed());
    for number in 0..100_u64 {
        let mut record = good(10);
        record["key"]["id"] = json!(format!("key_{number}"));
        let name = format!("k{number}");
        world.ask(&name);
        world.teach(&name, 1_000, &record);
    }
    assert!(matches!(other.ask("k"), Fate::Waits(_)));
}

/// As in the other home, where it is no record of the shared cache either.
#[test]
fn a_record_that_is_too_long_for_the_table_is_kept_by_the_worker() {
    let mut world = World::in_place(&json!({}));
    let mut long = good(1);
    let scopes: Vec<String> = (0..100).map(|number| format!("{number:0100}")).collect();
    long["key"]["scopes"] = json!(scopes);
    world.ask("k");
    assert_eq!(world.teach("k", 5, &long), [(1, allowed())]);
    assert_eq!(world.ask("k"), allowed());
    assert_eq!(world.counted_all(["lookup.shared", "lookup.local"]), [1, 0]);
    assert_eq!(world.batch(), None);
    // One that fits takes its place.
    let mut short = good(2);
    short["key"]["status"] = json!("disabled");
    world.pass(3_600_000);
    world.ask("k");
    world.teach("k", 6, &short);
    assert_eq!(world.ask("k"), Fate::Refused(Reason::KeyDisabled));
    assert_eq!(world.gate.cache_entries(), 2);
}

#[test]
fn more_keys_than_there_is_room_for_take_no_more_of_it() {
    let mut world = World::in_place(&json!({"limits": {"shared_entries": 64}}));
    for number in 0..500_u64 {
        let name = format!("k{number}");
        let mut record = good(number + 1);
        record["key"]["id"] = json!(name);
        world.ask(&name);
        let fates = world.teach(&name, 1_000 + number, &record);
        assert_eq!(fates, [(number + 1, Fate::Allowed(name))]);
    }
    let entries = world.gate.cache_entries();
    assert!((60..=68).contains(&entries), "{entries}");
    world.pass(100);
    let evicted = world.counted("cache.evicted");
    // Their user is among them now and then, and comes back with the next key.
    assert!(
        evicted >= 501 - u64::try_from(entries).unwrap(),
        "{evicted}"
    );
}
