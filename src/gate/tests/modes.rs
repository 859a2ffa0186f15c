//! What the configuration lets through.

use super::*;
use crate::test_util::test;

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
        let counts: Vec<u64> = world
            .gate
            .telemetry
            .counts()
            .since(&mut world.seen)
            .collect();
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
    let sent = [
        ("x-api-key", "k"),
        ("x-user-id", "evil"),
        ("x.user.id", "evil"),
        ("x.api.key", "evil"),
    ];
    let edited = |configuration: &Value| {
        let mut world = World::new(configuration);
        let sent = Sent::new(&sent);
        let headers = sent.request().headers;
        let mut list = headers
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect::<Vec<_>>();
        match world.gate.request(&sent.request(), 1, at(0), &*world.store) {
            Decision::Proceed(passage) => world.gate.edit(&passage, headers, &mut list),
            Decision::Refuse(_) => world.gate.edit_refused(headers, &mut list),
            Decision::Wait => world.gate.edit_waiting(headers, &mut list),
        }
        list.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let nothing = Vec::<String>::new();
    let malformed = json!({"min_length": 10});
    let keep = |mut configuration: Value| {
        configuration["strip_credential"] = json!(false);
        configuration
    };
    let refused = json!({"key_format": malformed});
    // A refused request loses it in any case: nobody but a log would see it.
    assert_eq!(edited(&refused), nothing);
    assert_eq!(edited(&keep(refused)), nothing);
    let waiting = json!({});
    assert_eq!(edited(&waiting), nothing);
    assert_eq!(edited(&keep(waiting)), ["x-api-key"]);
    let open = json!({"default_policy": {"authentication": "none"}});
    assert_eq!(edited(&open), ["x-api-key"]);
    for format in [malformed, json!({})] {
        let shadow = json!({"enforcement": "shadow", "key_format": format});
        assert_eq!(edited(&shadow), sent.map(|(name, _)| name));
    }
}

#[test]
fn who_steers_a_route_must_satisfy_every_policy() {
    let configuration = json!({
        "credentials": [{"header": "x-api-key"}, {"query": "k"}],
        "policies": {
            "trial": {},
            "open": {"authentication": "none"},
            "strict": {"scopes": {"all": ["admin"]}},
        },
    });
    let key = ("x-api-key", "k");
    let missing = || Fate::Refused(Reason::KeyMissing);
    let scope = || Fate::Refused(Reason::ScopeMissing);
    for (more, with_key, without) in [
        (&[][..], allowed(), Fate::Anonymous),
        (&[("x-user-id", "usr_1")], scope(), missing()),
        (&[("x.user.id", "")], scope(), missing()),
        (&[(":path", "/?k=1")], scope(), Fate::Anonymous),
        (&[(":path", "/?k")], scope(), Fate::Anonymous),
    ] {
        let mut world = World::new(&configuration);
        let mut headers = more.to_vec();
        assert_eq!(world.send(&Sent::new(&headers).on_route("open")), without);
        headers.push(key);
        let sent = || Sent::new(&headers).on_route("trial");
        assert_eq!(world.send(&sent()), Fate::Waits(2));
        let cold = world.teach("k", 5, &good(1));
        assert_eq!(cold, [(2, with_key)], "{more:?}");
        let [(_, cold)] = <[_; 1]>::try_from(cold).unwrap();
        assert_eq!(world.send(&sent()), cold, "{more:?}");
    }
    // Whether another route names one is known by the policies that nothing else can name,
    let spoofed = [(":path", "/open"), ("x-user-id", "usr_1")];
    let mut some_routed = configuration.clone();
    some_routed["routes"] = json!([{"match": {"prefix": "/open"}, "policy": "open"}]);
    let unnamed = || Sent::new(&spoofed);
    assert_eq!(World::new(&some_routed).send(&unnamed()), missing());
    // or by this route's.
    let mut all_routed = some_routed;
    all_routed["routes"] = ["open", "trial", "strict"]
        .map(|name| json!({"match": {"prefix": format!("/{name}")}, "policy": name}))
        .into();
    let named = || unnamed().on_route("open");
    assert_eq!(World::new(&all_routed).send(&named()), missing());
    assert_eq!(World::new(&all_routed).send(&unnamed()), Fate::Anonymous);
    // In shadow no header changes, and so no route.
    let mut shadow = all_routed;
    shadow["enforcement"] = json!("shadow");
    let mut world = World::new(&shadow);
    assert_eq!(world.send(&named()), Fate::Anonymous);
    assert_eq!(world.counted("anonymous"), 1);
    // Where no route names a policy nothing is steered.
    let routed = json!({
        "policies": {"open": {"authentication": "none"}},
        "routes": [{"match": {"prefix": "/open"}, "policy": "open"}],
    });
    let open = Sent::new(&[(":path", "/open"), ("x-user-id", "x")]);
    assert_eq!(World::new(&routed).send(&open), Fate::Anonymous);
    let mut world = World::new(&json!({}));
    assert_eq!(
        world.send(&Sent::new(&[key, ("x-user-id", "x")])),
        Fate::Waits(1)
    );
    assert_eq!(world.teach("k", 5, &good(1)), [(1, allowed())]);
}

#[test]
fn what_was_stated_in_a_header_that_is_removed_counts_after_waiting() {
    let configuration = json!({
        "default_policy": {"tenant": {"header": "x-tenant-id"}, "user": {"header": "x-user"}},
    });
    for (tenant, fate) in [
        (&["ten_1"][..], Fate::Allowed("key_1".to_owned())),
        (&["ten_2"], Fate::Refused(Reason::TenantMismatch)),
        (&["ten_1", "ten_1"], Fate::Refused(Reason::TenantMismatch)),
        (&[], Fate::Refused(Reason::TenantMismatch)),
    ] {
        let mut world = World::new(&configuration);
        let mut headers = vec![("x-api-key", "k"), ("x-user", "usr_1")];
        headers.extend(tenant.iter().map(|tenant| ("x-tenant-id", *tenant)));
        let mut record = good(1);
        record["key"]["tenant_id"] = json!("ten_1");
        record["tenant"] = json!({"id": "ten_1", "version": 1, "status": "active"});
        assert_eq!(world.send(&Sent::new(&headers)), Fate::Waits(1));
        world.call(1);
        world.answer(1, &answer(5, &[("k", record)]));
        let waiter = world.gate.next_ready().unwrap();
        // As it was cleaned before it waited.
        let cleaned = Sent::new(&[("x-user", "usr_1")]);
        let now = at(world.millis);
        let decision = world
            .gate
            .resume(waiter, &cleaned.request(), now, &*world.store);
        assert_eq!(super::fate(decision, waiter), fate, "{tenant:?}");
        // From the cache it is the same.
        let again = world.send(&Sent::new(&headers));
        assert_eq!(again, fate, "{tenant:?}");
    }
}
