//! Requests through the whole edge: those that are known, and those that wait.

mod common;

use common::{Gateway, request, smallest};
use fake_envoy::{Answer, Ending, Envoy, Fate, Handling, KeyService, Request, headers, take_log};

#[test]
fn who_is_not_known_waits_and_who_is_known_does_not() {
    for ends_within in [false, true] {
        let gateway = Gateway::held(1);
        gateway.envoy.ends_streams_within(ends_within);
        gateway.service.has("secret-one", "one", true);

        let miss = gateway.send(0, request("secret-one"));
        assert_eq!(miss.fate(), Fate::Waiting);
        gateway.envoy.settle();
        assert_eq!(miss.upstream("x-user-id").as_deref(), Some("usr_one"));
        assert!(miss.route_was_cleared() && miss.has_ended());

        let hit = gateway.send(0, request("secret-one"));
        let Fate::Onward(upstream, trailers) = hit.fate() else {
            panic!("{:?}", hit.fate());
        };
        let mut expected = headers(&[
            (":method", "GET"),
            (":path", "/v1/orders"),
            (":authority", "api.example.com"),
            ("user-agent", "shop-client/4.2"),
            ("x-key-id", "key_one"),
            ("x-user-id", "usr_one"),
            ("x-tenant-id", "ten_one"),
            ("x-key-scopes", "orders:read"),
        ]);
        let mut upstream = upstream;
        expected.sort();
        upstream.sort();
        assert_eq!((upstream, trailers), (expected, Vec::new()));
        assert_eq!(gateway.service.asked(), 1);
        gateway.end();
    }
}

#[test]
fn a_refused_key_is_told_why() {
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", false);

    let refused = gateway.send(0, request("secret-one"));
    gateway.envoy.settle();

    let Fate::Answered(response) = refused.fate() else {
        panic!("{:?}", refused.fate());
    };
    assert_eq!(
        (response.status, response.details.as_str()),
        (401, "keybound_key_revoked")
    );
    let state = refused.filter_state("wasm.keybound.code");
    assert_eq!(state.as_deref(), Some("key_revoked"));
    assert!(refused.has_ended());
    let again = gateway.send(0, request("secret-one"));
    assert_eq!(again.status(), Some(401));
    assert!(!again.route_was_cleared());
    gateway.end();
}

#[test]
fn body_and_trailers_wait_with_a_request_and_end_within_its_going_on() {
    for ends_within in [false, true] {
        for is_known in [false, true] {
            let gateway = Gateway::held(1);
            gateway.envoy.ends_streams_within(ends_within);
            gateway.service.has("secret-one", "one", true);
            if is_known {
                gateway.send(0, request("secret-one"));
                gateway.envoy.settle();
            }

            let sent = gateway.send(
                0,
                Request {
                    has_body: true,
                    trailers: Some(headers(&[
                        ("x-user-id", "made-up"),
                        ("x-sum", "7"),
                        ("x-none", ""),
                    ])),
                    ..request("secret-one")
                },
            );
            gateway.envoy.settle();

            let Fate::Onward(upstream, trailers) = sent.fate() else {
                panic!("{:?}", sent.fate());
            };
            assert!(upstream.contains(&("x-user-id".to_owned(), b"usr_one".to_vec())));
            assert_eq!(trailers, headers(&[("x-sum", "7"), ("x-none", "")]));
            assert!(sent.has_ended());
            gateway.end();
        }
    }
}

/// What is empty comes as a null pointer.
#[test]
fn nothing_is_read_where_there_is_nothing() {
    let gateway = Gateway::held(1);
    let mut empty = request("");
    empty.headers.push(("x-empty".to_owned(), Vec::new()));
    empty.policy = Some(Vec::new());
    empty.source = Some(Vec::new());
    let bare = Request::default();

    for request in [empty, bare] {
        let sent = gateway.send(0, request);
        assert!(
            matches!(sent.status(), Some(401 | 500)),
            "{:?}",
            sent.fate()
        );
    }
    gateway.end();
}

#[test]
fn an_answer_of_nothing_is_an_outage() {
    let answers = || [Ending::Answered(Answer::default()), Ending::Broken];
    for answer in answers() {
        for handling in [
            Handling::Soon(answer.clone()),
            Handling::Within(answer.clone()),
        ] {
            let envoy = Envoy::held(1);
            let configuration = envoy.configure(&smallest(), move |_| handling.clone());
            let configuration = configuration.expect("taken");

            let sent = envoy.worker(0).send(&configuration, request("secret-one"));
            envoy.settle();

            assert_eq!(sent.status(), Some(503));
            drop(configuration);
            assert_eq!(envoy.end(), 0);
        }
    }
}

#[test]
fn a_call_that_envoy_does_not_take_is_an_outage() {
    let envoy = Envoy::held(1);
    let configuration = envoy.configure(&smallest(), |_| Handling::Refuses(2));
    let configuration = configuration.expect("taken");

    let sent = envoy.worker(0).send(&configuration, request("secret-one"));
    envoy.settle();

    assert_eq!(sent.status(), Some(503));
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
#[cfg_attr(
    miri,
    ignore = "what the feed waits for at most passes there within a call"
)]
fn an_answer_within_a_call_is_as_good_as_one_behind_it() {
    let service = KeyService::default();
    service.has("secret-one", "one", true);
    let envoy = Envoy::held(1);
    let configuration = envoy.configure(&smallest(), move |call| match service.answer(call) {
        Some(ending) => Handling::Within(ending),
        None => Handling::Takes,
    });
    let configuration = configuration.expect("taken");

    let sent: Vec<_> = ["secret-one", "secret-two"]
        .map(|credential| envoy.worker(0).send(&configuration, request(credential)))
        .into();
    envoy.settle();

    assert_eq!(sent[0].upstream("x-key-id").as_deref(), Some("key_one"));
    assert_eq!(sent[1].status(), Some(401));
    // The change feed is followed, too: its answers come within calls that answers cause.
    envoy.tick(&configuration);
    envoy.settle();
    assert_eq!(configuration.metric("keybound.changes.reset"), 0);
    assert!(
        configuration
            .calls()
            .iter()
            .any(|call| call.header(":path").contains("after=1"))
    );
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
fn what_another_filter_answers_is_passed_by() {
    for ends_within in [false, true] {
        let gateway = Gateway::held(1);
        gateway.envoy.ends_streams_within(ends_within);
        let sent = gateway
            .envoy
            .worker(0)
            .answer_elsewhere(&gateway.configuration, request("secret-one"));
        assert_eq!(sent.fate(), Fate::Begun);
        assert!(sent.has_ended());
        gateway.end();
    }
}

#[test]
fn a_configuration_is_refused_with_the_reason() {
    let envoy = Envoy::held(1);
    let refused = |name: &str, text: &str| {
        envoy
            .configure_named(name, text.as_bytes(), |_| Handling::Takes)
            .is_none()
    };
    assert!(refused("keybound", "{\"key_service\": {\"cluster\": 7}}"));
    assert!(refused("keybound", ""));
    assert!(refused("another", &smallest()));
    let log = take_log();
    assert!(
        log.iter()
            .any(|(level, line)| *level == 4 && line.contains("key_service.cluster")),
        "{log:?}"
    );
    assert_eq!(envoy.end(), 0);
}
