//! Streams, configurations and Envoy end at any time, whatever is under way.

mod common;

use common::{Gateway, request, smallest};
use fake_envoy::{Answer, Configuration, Ending, Envoy, Fate, Handling, KeyService, Request};
use std::time::Duration;

/// A gateway whose key service leaves calls unanswered until a test says so.
fn silent(workers: usize) -> (Envoy, Configuration) {
    let envoy = Envoy::held(workers);
    let configuration = envoy.configure(&smallest(), |_| Handling::Takes);
    (envoy, configuration.expect("taken"))
}

/// Answers all look-ups that are under way, as a service does that knows the keys.
fn answer_all(configuration: &Configuration, service: &KeyService) {
    for call in configuration.calls() {
        if let Some(ending) = service.answer(&call) {
            configuration.ends(call.number, ending);
        }
    }
}

/// The first one finds that the worker had something to do since.
fn pass_two_ticks(envoy: &Envoy, configuration: &Configuration) {
    for _ in 0..2 {
        envoy.tick(configuration);
        envoy.settle();
    }
}

fn service() -> KeyService {
    let service = KeyService::default();
    service.has("secret-one", "one", true);
    service
}

#[test]
fn who_hangs_up_is_forgotten_and_the_others_go_on() {
    let (envoy, configuration) = silent(1);
    let sent: Vec<_> = (0..5)
        .map(|_| envoy.worker(0).send(&configuration, request("secret-one")))
        .collect();
    envoy.settle();
    pass_two_ticks(&envoy, &configuration);
    assert!(
        configuration
            .gauges()
            .contains(&("keybound.waiting".to_owned(), 5))
    );

    // The first is the one that is woken for all: its event is lost with it.
    answer_all(&configuration, &service());
    sent[0].hang_up();
    sent[3].hang_up();
    envoy.settle();

    for (place, sent) in sent.iter().enumerate() {
        let went_on = matches!(sent.fate(), Fate::Onward(..));
        assert_eq!(went_on, !matches!(place, 0 | 3), "{place}");
        assert!(sent.has_ended());
    }
    pass_two_ticks(&envoy, &configuration);
    assert!(
        !configuration
            .gauges()
            .iter()
            .any(|(name, _)| name == "keybound.waiting")
    );
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
fn an_answer_comes_when_nobody_is_left() {
    let (envoy, configuration) = silent(1);
    let sent = envoy.worker(0).send(&configuration, request("secret-one"));
    envoy.settle();
    sent.hang_up();
    answer_all(&configuration, &service());
    envoy.settle();

    // It was not for nothing.
    let hit = envoy.worker(0).send(&configuration, request("secret-one"));
    assert_eq!(hit.upstream("x-key-id").as_deref(), Some("key_one"));
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
fn a_call_ends_once_and_what_was_never_sent_does_not_end() {
    let (envoy, configuration) = silent(1);
    let sent = envoy.worker(0).send(&configuration, request("secret-one"));
    envoy.settle();
    // It is tried once more.
    for _ in 0..2 {
        let number = configuration.calls()[0].number;
        for call in [number, number, 4711] {
            configuration.ends(call, Ending::Answered(Answer::default()));
        }
        envoy.settle();
    }
    assert_eq!(sent.status(), Some(503));
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
fn who_waits_too_long_is_given_up_although_nothing_else_comes() {
    let (envoy, configuration) = silent(2);
    let sent: Vec<_> = (0..2)
        .map(|worker| {
            envoy
                .worker(worker)
                .send(&configuration, request("secret-one"))
        })
        .collect();
    envoy.settle();
    for _ in 0..20 {
        envoy.pass(Duration::from_millis(100));
        envoy.tick(&configuration);
        envoy.settle();
    }
    for sent in sent {
        assert_eq!(sent.status(), Some(503));
    }
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}

#[test]
fn a_configuration_goes_while_its_requests_wait_and_its_calls_are_out() {
    for ends_within in [false, true] {
        let (envoy, old) = silent(2);
        envoy.ends_streams_within(ends_within);
        let waiting: Vec<_> = (0..4)
            .map(|worker| envoy.worker(worker).send(&old, request("secret-one")))
            .collect();
        envoy.settle();
        let new = envoy.configure(&smallest(), {
            let service = service();
            move |call| service.handles(call)
        });
        let new = new.expect("taken");

        // Streams keep the old one, so it lives on; its calls end.
        answer_all(&old, &service());
        drop(old);
        let sent = envoy.worker(0).send(&new, request("secret-one"));
        envoy.settle();

        for sent in waiting.iter().chain([&sent]) {
            assert!(matches!(sent.fate(), Fate::Onward(..)), "{:?}", sent.fate());
            assert!(sent.has_ended());
        }
        drop(new);
        assert_eq!(envoy.end(), 0);
    }
}

#[test]
fn the_last_stream_takes_its_configuration_with_it() {
    let (envoy, configuration) = silent(1);
    let waiting = envoy.worker(0).send(&configuration, request("secret-one"));
    envoy.settle();
    drop(configuration);

    // The call is still out, and the configuration is destroyed by a worker thread.
    waiting.hang_up();

    assert!(waiting.has_ended());
    assert_eq!(envoy.end(), 0);
}

#[test]
fn a_configuration_ends_with_calls_out_and_events_under_way() {
    let (envoy, configuration) = silent(1);
    let waiting = envoy.worker(0).send(&configuration, request("secret-one"));
    waiting.hang_up();
    // The order to send its look-up is still in the queue of the main thread.
    drop(configuration);
    envoy.settle();
    assert_eq!(envoy.end(), 0);
}

#[test]
fn envoy_ends_with_requests_that_wait() {
    let (envoy, configuration) = silent(2);
    let waiting: Vec<_> = (0..4)
        .map(|worker| {
            envoy
                .worker(worker)
                .send(&configuration, request("secret-one"))
        })
        .collect();
    envoy.settle();
    drop(configuration);
    assert_eq!(envoy.end(), 0);
    for sent in waiting {
        assert!(sent.has_ended());
        assert_eq!(sent.fate(), Fate::Waiting);
    }
}

#[test]
fn a_request_that_goes_on_ends_later() {
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", true);
    let streamed = || Request {
        is_answered_at_once: false,
        ..request("secret-one")
    };
    let (one, other) = (gateway.send(0, streamed()), gateway.send(0, streamed()));
    gateway.envoy.settle();
    assert!(matches!(one.fate(), Fate::Onward(..)) && !one.has_ended());
    one.finish();
    other.hang_up();
    assert!(one.has_ended() && other.has_ended());
    gateway.end();
}
