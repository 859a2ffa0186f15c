//! What the change feed does to what workers know.

use super::*;
use crate::test_util::test;

/// A worker that follows the feed, and another of the same process.
fn two() -> (World, World) {
    let configuration = json!({
        "key_service": {"cluster": "key_service"},
        "freshness": {"fresh_for": "1s", "max_staleness": "60s"},
    });
    let mut first = World::new(&configuration);
    let mut second = World::beside(&first, &configuration);
    first.gate.reachable_by(1);
    second.gate.reachable_by(2);
    first.pass(0);
    second.pass(0);
    (first, second)
}

impl World {
    /// Sends the poll that is due: its path.
    fn poll(&mut self) -> Option<String> {
        let outgoing = self.gate.next_call(at(self.millis))?;
        assert!(matches!(outgoing.purpose, Purpose::Changes(_)));
        assert_eq!(outgoing.body, None);
        self.gate.sent(50, outgoing.purpose);
        Some(outgoing.path)
    }

    fn news(&mut self, cursor: u64, changes: &Value) {
        let body = json!({"cursor": cursor, "reset": false, "changes": changes});
        self.answer(50, &body);
    }

    /// Lets the feed begin at a sequence.
    fn connect(&mut self, cursor: u64) {
        assert_eq!(self.poll().unwrap(), "/v1/changes?limit=500");
        let body = json!({"cursor": cursor, "reset": true, "changes": []});
        self.answer(50, &body);
    }

    fn rung(&mut self) {
        self.gate.rung(at(self.millis), &*self.store);
    }
}

fn user_suspended(sequence: u64) -> Value {
    let user = json!({"id": "usr_1", "version": sequence, "status": "suspended"});
    json!([{"seq": sequence, "kind": "user", "id": "usr_1", "user": user}])
}

#[test]
fn one_vm_follows_and_all_obey() {
    let (mut first, mut second) = two();
    assert_eq!(second.poll(), None);
    first.connect(5);
    second.rung();
    assert_eq!(
        first.poll().unwrap(),
        "/v1/changes?after=5&wait=20&limit=500"
    );
    first.ask("k");
    first.teach("k", 5, &good(1));
    assert_eq!(second.ask("k"), allowed());
    assert_eq!(second.batch(), None);
    assert_eq!(first.gate.take_rings(), [2]);
    first.news(6, &user_suspended(6));
    assert_eq!(first.ask("k"), Fate::Refused(Reason::UserSuspended));
    assert_eq!(first.gate.take_rings(), [2]);
    assert_eq!(second.ask("k"), allowed());
    second.rung();
    assert_eq!(second.ask("k"), Fate::Refused(Reason::UserSuspended));
    assert_eq!(first.counted("changes.applied"), 1);
    assert_eq!(
        first.poll().unwrap(),
        "/v1/changes?after=6&wait=20&limit=500"
    );
}

#[test]
fn a_vm_that_was_not_rung_looks_on_its_tick() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.pass(100);
    second.ask("k");
    second.teach("k", 5, &good(1));
    first.poll();
    first.news(6, &user_suspended(6));
    second.pass(100);
    assert_eq!(second.ask("k"), Fate::Refused(Reason::UserSuspended));
}

#[test]
fn while_the_feed_is_followed_nothing_is_asked_for_again() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.teach("k", 5, &good(1));
    for _ in 0..10 {
        first.pass(20_000);
        first.news(5, &json!([]));
        first.pass(100);
        first.poll().unwrap();
        assert_eq!(first.ask("k"), allowed());
    }
    assert_eq!(first.counted("lookup.stale"), 0);
    // It breaks: the record counts as confirmed when the last answer was asked for.
    first.end(50, &CallEnd::Broken);
    assert_eq!(first.ask("k"), allowed());
    assert_eq!(first.counted("lookup.stale"), 1);
}

#[test]
fn a_key_that_was_guessed_before_it_was_made_works_at_once() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.rung();
    second.ask("k");
    second.teach("k", 5, &json!({"key": null}));
    assert_eq!(second.ask("k"), Fate::Refused(Reason::KeyUnknown));
    first.poll();
    let key = json!({"id": "key_1", "version": 6, "user_id": "usr_1", "status": "active"});
    first.news(
        6,
        &json!([{"seq": 6, "kind": "key", "id": "key_1", "digest": digest("k"), "key": key}]),
    );
    second.rung();
    assert!(matches!(second.ask("k"), Fate::Waits(_)));
    assert_eq!(second.teach("k", 6, &good(6)).len(), 1);
    assert_eq!(second.ask("k"), allowed());
}

#[test]
fn an_answer_from_before_a_change_is_asked_for_again() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.rung();
    first.poll();
    second.ask("k");
    second.call(1);
    first.news(6, &user_suspended(6));
    second.rung();
    second.answer(1, &answer(5, &[("k", good(1))]));
    assert_eq!(second.resume("k"), []);
    second.call(1);
    second.answer(1, &answer(6, &[("k", suspended(6))]));
    assert_eq!(
        second.resume("k"),
        [(1, Fate::Refused(Reason::UserSuspended))]
    );
}

#[test]
fn an_answer_from_before_a_change_of_others_is_believed() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.rung();
    first.poll();
    second.ask("k");
    second.call(1);
    let other = json!({"id": "usr_9", "version": 6, "status": "locked"});
    first.news(
        6,
        &json!([{"seq": 6, "kind": "user", "id": "usr_9", "user": other}]),
    );
    second.rung();
    second.answer(1, &answer(5, &[("k", good(1))]));
    assert_eq!(second.resume("k"), [(1, allowed())]);
}

#[test]
fn a_service_that_keeps_answering_from_behind_is_unavailable() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.news(6, &user_suspended(6));
    for _ in 0..3 {
        assert_eq!(first.resume("k"), []);
        first.call(1);
        first.answer(1, &answer(5, &[("k", good(1))]));
    }
    assert_eq!(
        first.resume("k"),
        [(1, Fate::Refused(Reason::KeyServiceUnavailable))]
    );
    assert!(!first.gate.has_work(at(0)));
}

#[test]
fn who_has_an_answer_but_did_not_go_on_does_not_go_on_with_what_has_changed() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.call(1);
    first.answer(1, &answer(5, &[("k", good(1))]));
    first.news(6, &user_suspended(6));
    // The user is in the shared cache, suspended; the key is in its own cache still.
    assert_eq!(
        first.resume("k"),
        [(1, Fate::Refused(Reason::UserSuspended))]
    );
}

#[test]
fn after_a_reset_nothing_is_believed_that_was_known_before() {
    let (mut first, mut second) = two();
    first.connect(500);
    second.rung();
    first.poll();
    second.ask("k");
    second.teach("k", 500, &good(400));
    // A backup is restored, in which the key is revoked and all numbers are lower.
    first.answer(50, &json!({"cursor": 300, "reset": true, "changes": []}));
    assert_eq!(first.counted("changes.reset"), 1);
    second.rung();
    assert!(matches!(second.ask("k"), Fate::Waits(_)));
    let fates = second.teach("k", 300, &revoked(250));
    assert_eq!(fates, [(2, Fate::Refused(Reason::KeyRevoked))]);
    let mut third = World::beside(&first, &json!({"key_service": {"cluster": "key_service"}}));
    assert_eq!(third.ask("k"), Fate::Refused(Reason::KeyRevoked));
}

#[test]
fn an_answer_to_a_question_from_before_a_reset_is_asked_for_again() {
    let (mut first, _) = two();
    first.connect(500);
    first.poll();
    first.ask("k");
    first.news(500, &json!([]));
    first.call(1);
    first.pass(600);
    first.poll();
    first.answer(50, &json!({"cursor": 900, "reset": true, "changes": []}));
    first.answer(1, &answer(900, &[("k", good(1))]));
    assert_eq!(first.call(2), [digest("k")]);
}

#[test]
fn a_broken_feed_is_tried_again_by_whoever_comes_first() {
    let (mut first, mut second) = two();
    first.poll();
    first.end(50, &CallEnd::Broken);
    first.pass(0);
    first.poll().unwrap();
    first.end(50, &CallEnd::Broken);
    assert_eq!(first.poll(), None);
    second.pass(100);
    assert_eq!(second.poll().unwrap(), "/v1/changes?limit=500");
}

#[test]
fn a_service_without_a_feed_is_asked_again_after_a_minute() {
    let (mut first, _) = two();
    first.poll();
    let none = CallEnd::Answered {
        status: 404,
        marked: true,
        body: Some(b"{}"),
        retry_after: None,
    };
    first.end(50, &none);
    assert!(!first.gate.feed_link(at(0)).unwrap().0);
    first.pass(59_999);
    assert_eq!(first.poll(), None);
    first.pass(1);
    first.poll().unwrap();
}

#[test]
fn a_record_that_is_older_by_the_time_that_the_machine_slept_is_asked_for_again() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.teach("k", 5, &good(1));
    first.pass(100);
    assert_eq!(first.ask("k"), allowed());
    let mut awake = at(first.millis + 100);
    awake.unix += 60;
    first.gate.tick(awake, &*first.store);
    assert!(matches!(first.ask("k"), Fate::Waits(_)));
}

#[test]
fn a_sleep_counts_once_however_often_the_clock_is_set_later() {
    let mut world = World::new(&json!({"freshness": {"fresh_for": "1s", "max_staleness": "60s"}}));
    let mut ahead = 0;
    let mut step = |world: &mut World, seconds: u64| {
        ahead += seconds;
        world.millis += 100;
        let mut now = at(world.millis);
        now.unix += ahead;
        world.gate.tick(now, &*world.store);
    };
    step(&mut world, 0);
    world.ask("k");
    world.teach("k", 5, &good(1));
    step(&mut world, 3_600);
    assert!(matches!(world.ask("k"), Fate::Waits(_)));
    world.teach("k", 5, &good(1));
    // Whatever was learned after the sleep is as old as the steps after that.
    for steps in 1..=19 {
        step(&mut world, 3);
        assert_eq!(world.ask("k"), allowed(), "{steps} steps");
    }
    step(&mut world, 3);
    let waits = world.next;
    assert_eq!(world.ask("k"), Fate::Waits(waits));
}

#[test]
fn a_change_that_cannot_be_read_is_asked_for() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.teach("k", 5, &good(1));
    first.news(
        6,
        &json!([{"seq": 6, "kind": "user", "id": "usr_1", "user": {"id": "usr_1", "status": 7}}]),
    );
    assert!(matches!(first.ask("k"), Fate::Waits(_)));
}

/// An answer whose body is too long to be read.
fn too_long() -> CallEnd<'static> {
    CallEnd::Answered {
        status: 200,
        marked: true,
        body: None,
        retry_after: None,
    }
}

#[test]
fn a_feed_that_is_not_well_formed_is_no_feed() {
    let (mut first, _) = two();
    first.connect(5);
    for limit in [500, 125, 31, 7, 1] {
        assert!(first.gate.feed_link(at(0)).unwrap().0);
        let path = format!("/v1/changes?after=5&wait=20&limit={limit}");
        assert_eq!(first.poll().unwrap(), path);
        first.answer(50, &json!({"cursor": 4, "reset": false, "changes": []}));
    }
    assert!(!first.gate.feed_link(at(0)).unwrap().0);
}

#[test]
fn of_an_answer_that_is_too_long_fewer_changes_are_asked_for_until_it_fits() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.rung();
    first.poll();
    first.ask("k");
    first.teach("k", 5, &good(1));
    first.end(50, &too_long());
    assert_eq!(
        first.poll().unwrap(),
        "/v1/changes?after=5&wait=20&limit=125"
    );
    first.end(50, &too_long());
    assert_eq!(
        first.poll().unwrap(),
        "/v1/changes?after=5&wait=20&limit=31"
    );
    first.news(6, &user_suspended(6));
    second.rung();
    for world in [&mut first, &mut second] {
        assert_eq!(world.ask("k"), Fate::Refused(Reason::UserSuspended));
        assert!(world.gate.feed_link(at(0)).unwrap().0);
    }
    // What fits is followed by more.
    for limit in [125, 500, 500] {
        let path = format!("/v1/changes?after=6&wait=20&limit={limit}");
        assert_eq!(first.poll().unwrap(), path);
        first.news(6, &json!([]));
        first.pass(500);
    }
}

#[test]
fn a_single_change_that_cannot_be_taken_is_a_feed_that_does_not_work_for_whoever_follows_it() {
    let (mut first, mut second) = two();
    first.connect(5);
    for _ in 0..5 {
        first.poll().unwrap();
        first.end(50, &too_long());
    }
    assert!(!first.gate.feed_link(at(0)).unwrap().0);
    second.pass(0);
    assert_eq!(
        second.poll().unwrap(),
        "/v1/changes?after=5&wait=20&limit=1"
    );
    second.news(6, &user_suspended(6));
    assert_eq!(
        second.poll().unwrap(),
        "/v1/changes?after=6&wait=20&limit=7"
    );
}

#[test]
fn an_answer_that_was_cut_by_its_length_confirms_nothing() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.end(50, &CallEnd::Broken);
    first.pass(1_000);
    first.poll().unwrap();
    let scopes = vec!["x".repeat(128); 256];
    let changes: Vec<Value> = (6..16)
        .map(|seq| {
            let id = format!("usr_{seq}");
            let user = json!({"id": id, "version": seq, "status": "active", "scopes": scopes});
            json!({"seq": seq, "kind": "user", "id": id, "user": user})
        })
        .collect();
    first.news(15, &json!(changes));
    assert!(!first.gate.feed_link(at(first.millis)).unwrap().0);
    first.poll().unwrap();
    first.news(16, &user_suspended(16));
    assert!(first.gate.feed_link(at(first.millis)).unwrap().0);
}

#[test]
fn a_cursor_that_has_moved_is_followed_at_once_and_one_that_has_not_is_not() {
    let (mut first, _) = two();
    first.connect(5);
    for cursor in 6..60 {
        first.poll().expect("the cursor has moved");
        first.news(cursor, &json!([]));
    }
    first.poll().unwrap();
    first.news(59, &json!([]));
    assert_eq!(first.poll(), None);
    first.pass(499);
    assert_eq!(first.poll(), None);
    first.pass(1);
    first.poll().unwrap();
}

#[test]
fn a_feed_that_goes_on_and_on_is_not_asked_without_end() {
    let (mut first, _) = two();
    first.connect(5);
    let (mut polls, mut cursor) = (0, 5);
    for _ in 0..3_000 {
        while first.poll().is_some() {
            polls += 1;
            cursor += 1;
            let changes = match polls % 2 {
                0 => user_suspended(cursor),
                _ => json!([]),
            };
            first.news(cursor, &changes);
        }
        first.pass(1);
    }
    assert!(
        (790..=810).contains(&polls),
        "{polls} polls in three seconds"
    );
}

#[test]
fn what_was_learned_before_the_first_answer_of_the_feed_counts_if_it_is_not_older() {
    for (as_of, counts) in [(4, false), (5, true), (6, true)] {
        let (mut first, mut second) = two();
        first.poll();
        first.ask("k");
        first.teach("k", as_of, &good(1));
        first.ask("u");
        first.teach("u", as_of, &json!({"key": null}));
        // The answer to one is on its way.
        second.ask("v");
        second.call(7);
        first.answer(50, &json!({"cursor": 5, "reset": true, "changes": []}));
        first.poll().unwrap();
        second.rung();
        second.answer(7, &answer(as_of, &[("v", good(1))]));
        let asked_again = second.resume("v").is_empty();
        assert_eq!(asked_again, !counts, "{as_of}");
        for world in [&mut first, &mut second] {
            let known = world.ask("k") == allowed();
            assert_eq!(known, counts, "{as_of}");
        }
        let known = first.ask("u") == Fate::Refused(Reason::KeyUnknown);
        assert_eq!(known, counts, "{as_of}");
        // From there on the feed tells of everything.
        first.news(7, &user_suspended(7));
        second.rung();
        if counts {
            for world in [&mut first, &mut second] {
                assert_eq!(world.ask("k"), Fate::Refused(Reason::UserSuspended));
            }
        }
    }
}

#[test]
fn what_the_feed_has_told_of_since_its_first_answer_counts_for_those_who_look_later() {
    let (mut first, mut second) = two();
    first.poll();
    second.ask("k");
    second.teach("k", 5, &good(1));
    second.ask("u");
    second.teach("u", 5, &json!({"key": null}));
    first.answer(50, &json!({"cursor": 5, "reset": true, "changes": []}));
    first.poll();
    let key = json!({"id": "key_9", "version": 7, "user_id": "usr_1", "status": "active"});
    let mut changes = user_suspended(6);
    changes.as_array_mut().unwrap().push(json!(
        {"seq": 7, "kind": "key", "id": "key_9", "digest": digest("u"), "key": key}
    ));
    first.news(7, &changes);
    second.rung();
    assert_eq!(second.ask("k"), Fate::Refused(Reason::UserSuspended));
    assert_ne!(second.ask("u"), Fate::Refused(Reason::KeyUnknown));
}

#[test]
fn where_the_feed_began_late_nothing_counts_that_was_learned_before() {
    let (mut first, _) = two();
    first.poll();
    first.end(50, &CallEnd::Broken);
    first.pass(0);
    first.ask("k");
    first.teach("k", 900, &good(400));
    // A backup has been restored meanwhile.
    first.connect(300);
    assert!(matches!(first.ask("k"), Fate::Waits(_)));
}

#[test]
fn a_full_answer_confirms_nothing_for_more_may_have_changed_long_ago() {
    let (mut first, _) = two();
    first.connect(5);
    first.poll();
    first.ask("k");
    first.teach("k", 5, &good(1));
    first.end(50, &CallEnd::Broken);
    first.pass(59_000);
    first.poll().unwrap();
    let others: Vec<Value> = (6..506)
        .map(|seq| {
            let id = format!("usr_{seq}");
            let user = json!({"id": id, "version": seq, "status": "active"});
            json!({"seq": seq, "kind": "user", "id": id, "user": user})
        })
        .collect();
    first.news(505, &json!(others));
    first.pass(1_000);
    assert!(matches!(first.ask("k"), Fate::Waits(_)));
    assert!(!first.gate.feed_link(at(first.millis)).unwrap().0);
    // What follows is the whole rest, and nothing of it is about the key.
    first.call(1);
    assert_eq!(
        first.poll().unwrap(),
        "/v1/changes?after=505&wait=20&limit=500"
    );
    first.news(506, &json!([]));
    assert_eq!(first.ask("k"), allowed());
}

#[test]
fn a_vm_that_has_missed_more_than_the_journal_holds_forgets_all_that_it_alone_knows() {
    let (mut first, mut second) = two();
    first.connect(5);
    second.rung();
    second.ask("k");
    second.teach("k", 5, &good(1));
    first.pass(1_000);
    first.poll();
    first.news(6, &user_suspended(6));
    for page in 0..3 {
        let from = 7 + page * 400;
        let others: Vec<Value> = (from..from + 400)
            .map(|seq| {
                let id = format!("usr_{seq}");
                let user = json!({"id": id, "version": seq, "status": "active"});
                json!({"seq": seq, "kind": "user", "id": id, "user": user})
            })
            .collect();
        first.poll().unwrap();
        first.news(from + 399, &json!(others));
    }
    assert_eq!(second.ask("k"), allowed());
    second.rung();
    assert_eq!(second.ask("k"), Fate::Refused(Reason::UserSuspended));
}
