//! What the configuration lets through.

use super::*;
use crate::tests::test;

#[test]
fn without_the_key_service_requests_pass_only_where_that_is_configured() {
    let mut world = World::new(&json!({"unavailable": "allow"}));
    world.ask("k");
    world.call(1);
    world.end(1, &error());
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
fn the_credential_goes_no_further_unless_nothing_is_looked_at() {
    let edited = |configuration: &Value| {
        let mut world = World::new(configuration);
        let sent = Sent::new(&[("x-api-key", "k"), ("x-user-id", "evil")]);
        let decision = world.gate.request(&sent.request(), 1, at(0), &*world.store);
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
