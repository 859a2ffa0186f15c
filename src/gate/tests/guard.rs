//! What is told of a request to a filter behind.

use super::*;
use crate::test_util::test;

fn guarded() -> Value {
    json!({
        "guarded_routes": true,
        "policies": {
            "trial": {},
            "strict": {"scopes": {"all": ["admin"]}},
            "open": {"authentication": "none"},
            "maybe": {"authentication": "optional"},
            "own": {"tenant": {"header": "x-tenant-id"}},
        },
        "routes": (["trial", "strict", "open", "maybe", "own"].map(|name| json!({
            "match": {"path": format!("/{name}")}, "policy": name,
        }))),
    })
}

fn with(more: Value) -> Value {
    let mut whole = guarded();
    for (name, value) in more.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

/// All but `strict` and `own`.
const OF_A_KEY: &str = "unnamed maybe open trial ";
const ALL: &str = "unnamed maybe open own strict trial ";

#[test]
fn it_is_what_holds() {
    let mut record = good(1);
    record["key"]["tenant_id"] = json!("ten_1");
    record["tenant"] = json!({"id": "ten_1", "version": 1, "status": "active"});
    let of_its_tenant = [("x-api-key", "k"), ("x-tenant-id", "ten_1")];
    let of_another = [("x-api-key", "k"), ("x-tenant-id", "ten_2")];
    for (headers, policies) in [
        (&of_its_tenant[..1], OF_A_KEY),
        (&of_another, OF_A_KEY),
        (&of_its_tenant, "unnamed maybe open own trial "),
    ] {
        let mut world = World::new(&guarded());
        let sent = Sent::new(headers);
        assert_eq!(world.send(&sent), Fate::Waits(1));
        assert_eq!(world.told.take(), None);
        world.call(1);
        world.answer(1, &answer(5, &[("k", record.clone())]));
        // As it was cleaned before it waited.
        assert_eq!(world.resume_as(&Sent::new(&[])), [(1, allowed())]);
        assert_eq!(world.told.take().as_deref(), Some(policies), "{headers:?}");
        // From the cache it is the same.
        assert_eq!(world.send(&sent), allowed());
        assert_eq!(world.told.take().as_deref(), Some(policies), "{headers:?}");
        // What its own path asks does not hold, and is not asked on this route.
        let sent = Sent::new(&[("x-api-key", "k"), (":path", "/strict")]).on_route("trial");
        assert_eq!(world.send(&sent), allowed());
        assert_eq!(world.told.take().as_deref(), Some(" maybe open trial "));
    }
}

#[test]
fn without_a_key_it_is_what_asks_for_none() {
    let mut world = World::new(&guarded());
    for (route, policies) in [("open", " open "), ("maybe", " maybe open ")] {
        let sent = Sent::new(&[]).on_route(route);
        assert_eq!(world.send(&sent), Fate::Anonymous);
        assert_eq!(world.told.take().as_deref(), Some(policies), "{route}");
    }
    // Nothing is looked at, so nothing is known of what is there.
    let sent = Sent::new(&[("x-api-key", "two words")]).on_route("open");
    assert_eq!(world.send(&sent), Fate::Anonymous);
    assert_eq!(world.told.take().as_deref(), Some(" open "));
    let sent = Sent::new(&[]).on_route("trial");
    assert_eq!(world.send(&sent), Fate::Refused(Reason::KeyMissing));
    assert_eq!(world.told.take(), None);
}

#[test]
fn it_is_all_where_nothing_is_asked() {
    let preflight = [
        (":method", "OPTIONS"),
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
    ];
    let sent = Sent::new(&preflight);
    let mut world = World::new(&guarded());
    assert_eq!(world.send(&sent), Fate::Anonymous);
    assert_eq!(world.told.take().as_deref(), Some(ALL));

    let shadow = with(json!({"enforcement": "shadow"}));
    for headers in [&[][..], &[("x-api-key", "two words")]] {
        let sent = Sent::new(headers).on_route("strict");
        let mut world = World::new(&shadow);
        assert_eq!(world.send(&sent), Fate::Anonymous);
        assert_eq!(world.told.take().as_deref(), Some(ALL));
    }
    let sent = Sent::new(&[]).on_route("open");
    let mut world = World::new(&shadow);
    assert_eq!(world.send(&sent), Fate::Anonymous);
    assert_eq!(world.told.take().as_deref(), Some(ALL));
}

#[test]
fn nobody_is_told_what_nobody_asks() {
    let sent = Sent::new(&[]).on_route("open");
    let untold = with(json!({"guarded_routes": false}));
    let mut world = World::new(&untold);
    assert_eq!(world.send(&sent), Fate::Anonymous);
    assert_eq!(world.told.take(), None);
}

#[test]
fn failing_open_opens_what_fails_open() {
    let mut world = World::new(&with(json!({"unavailable": "allow", "freshness": {
        "fresh_for": "1s", "max_staleness": "10s"}})));
    fn of(key: &str) -> Sent<'_> {
        Sent::new(&[("x-api-key", key)]).on_route("trial")
    }
    assert_eq!(world.send(&of("k")), Fate::Waits(1));
    world.teach("k", 5, &good(1));
    world.pass(20_000);
    // What is known of a key is too old to allow, and refuses what it always refused. Of another nothing is known.
    for (number, key, policies) in [(2, "k", OF_A_KEY), (3, "stranger", ALL)] {
        assert_eq!(world.send(&of(key)), Fate::Waits(number));
        world.call(number);
        world.end(number, &error());
        assert_eq!(world.resume_as(&of(key)), [(number, Fate::Anonymous)]);
        assert_eq!(world.told.take().as_deref(), Some(policies), "{key}");
    }
}

/// What becomes of a request that is to go on, once the route is known that serves it.
fn looked_at_again(
    world: &mut World,
    sent: &Sent<'_>,
    serving: Option<Option<&str>>,
) -> Result<(), Reason> {
    let now = at(world.millis);
    let decision = world.gate.request(&sent.request(), 99, now, &*world.store);
    let Decision::Proceed(passage) = decision else {
        panic!("{decision:?}")
    };
    let Some(serving) = serving else {
        world.gate.passes(&passage, now);
        return Ok(());
    };
    let serving = serving.map(|name| name.as_bytes().to_vec());
    match world.gate.look_again(&passage, serving, now) {
        Some(refusal) => Err(refusal.reason),
        None => Ok(()),
    }
}

#[test]
fn the_route_that_serves_is_asked() {
    const OUTCOMES: [&str; 5] = [
        "allowed",
        "anonymous",
        "rejected.key_missing",
        "rejected.scope_missing",
        "rejected.policy_unknown",
    ];
    let mut world = World::new(&guarded());
    let sent = Sent::new(&[("x-api-key", "k")]);
    assert_eq!(world.send(&sent), Fate::Waits(1));
    world.teach("k", 5, &good(1));
    let anonymous = Sent::new(&[]).on_route("maybe");
    let of_strict_path = Sent::new(&[("x-api-key", "k"), (":path", "/strict")]).on_route("trial");
    for (sent, serving, expected, counted) in [
        // The host does not see it.
        (&sent, None, Ok(()), "allowed"),
        (&sent, Some(None), Ok(()), "allowed"),
        (&sent, Some(Some("trial")), Ok(()), "allowed"),
        (
            &sent,
            Some(Some("strict")),
            Err(Reason::ScopeMissing),
            "rejected.scope_missing",
        ),
        (
            &of_strict_path,
            Some(None),
            Err(Reason::ScopeMissing),
            "rejected.scope_missing",
        ),
        (
            &sent,
            Some(Some("nowhere")),
            Err(Reason::PolicyUnknown),
            "rejected.policy_unknown",
        ),
        (&anonymous, Some(Some("open")), Ok(()), "anonymous"),
        (
            &anonymous,
            Some(Some("trial")),
            Err(Reason::KeyMissing),
            "rejected.key_missing",
        ),
    ] {
        world.counted_all(OUTCOMES);
        let found = looked_at_again(&mut world, sent, serving);
        assert_eq!(found, expected, "{serving:?}");
        // Once, and as what has become of it.
        let each = OUTCOMES.map(|name| u64::from(name == counted));
        assert_eq!(world.counted_all(OUTCOMES), each, "{serving:?}");
    }
}

#[test]
fn in_shadow_no_route_refuses() {
    let mut world = World::new(&with(json!({"enforcement": "shadow"})));
    for serving in ["strict", "nowhere"] {
        let found = looked_at_again(&mut world, &Sent::new(&[]), Some(Some(serving)));
        assert_eq!(found, Ok(()), "{serving}");
    }
}
