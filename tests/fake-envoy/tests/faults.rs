//! A fault within the edge costs the requests that it meets, each of which gets 500, and nothing else.
//!
//! It is made without a hook in the module: Envoy says that there are more headers than memory can hold, so that room
//! for them cannot be made; or the line that the core logs of a refusal finds a logger that panics.

mod common;

use common::{Gateway, request, smallest};
use fake_envoy::{Envoy, Exchange, Fate, Handling, lies_about_headers};
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

static PANICS: AtomicBool = AtomicBool::new(false);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        assert!(
            !(PANICS.load(Relaxed) && line.starts_with("refused: ")),
            "on purpose"
        );
    }

    fn flush(&self) {}
}

/// Before the module finds its own.
fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("the first one");
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// Its only request meets a fault.
fn fault(gateway: &Gateway, credential: &str) -> Exchange {
    let worker = gateway.envoy.worker(0);
    let request = request(credential);
    let (last, ()) = worker.send_often(&gateway.configuration, request, 1, lies_about_headers);
    last.into_iter().next().expect("one")
}

fn is_fault(sent: &Exchange) {
    let Fate::Answered(response) = sent.fate() else {
        panic!("{:?}", sent.fate());
    };
    assert_eq!(
        (response.status, response.details.as_str()),
        (500, "keybound_fault")
    );
}

#[test]
fn a_fault_ends_one_request_and_is_counted() {
    begin();
    for ends_within in [false, true] {
        let gateway = Gateway::held(1);
        gateway.envoy.ends_streams_within(ends_within);
        gateway.service.has("secret-one", "one", true);
        gateway.send(0, request("secret-one"));
        gateway.envoy.settle();

        let sent = fault(&gateway, "secret-one");

        is_fault(&sent);
        gateway.envoy.settle();
        assert!(sent.has_ended());
        // The gate begins anew, with what all share.
        let next = gateway.send(0, request("secret-one"));
        assert_eq!(next.upstream("x-key-id").as_deref(), Some("key_one"));
        assert_eq!(gateway.service.asked(), 1);
        gateway.tick();
        let metric = |name: &str| gateway.configuration.metric(&format!("keybound.{name}"));
        assert_eq!(
            (metric("faults"), metric("lookup.shared"), metric("allowed")),
            (1, 1, 2)
        );
        gateway.end();
    }
}

#[test]
fn those_who_wait_get_their_answer() {
    begin();
    for ends_within in [false, true] {
        let envoy = Envoy::held(1);
        envoy.ends_streams_within(ends_within);
        let configuration = envoy
            .configure(&smallest(), |_| Handling::Takes)
            .expect("taken");
        let waiting: Vec<_> = (0..3)
            .map(|_| envoy.worker(0).send(&configuration, request("secret-one")))
            .collect();
        waiting[1].hang_up();
        let one = request("secret-one");
        envoy
            .worker(0)
            .send_often(&configuration, one, 1, lies_about_headers);
        envoy.settle();

        is_fault(&waiting[0]);
        assert_eq!(waiting[1].fate(), Fate::Waiting);
        is_fault(&waiting[2]);
        envoy.tick(&configuration);
        assert_eq!(configuration.metric("keybound.faults"), 1);
        let waits = |(name, _): &(String, u64)| name == "keybound.waiting";
        assert!(!configuration.gauges().iter().any(waits));
        drop(configuration);
        assert_eq!(envoy.end(), 0);
    }
}

/// Here the worker is in the middle of its work.
#[test]
fn a_fault_of_the_core_is_caught_too() {
    begin();
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", true);
    gateway.send(0, request("secret-one"));
    gateway.envoy.settle();

    PANICS.store(true, Relaxed);
    let sent = gateway.send(0, request("two words"));
    PANICS.store(false, Relaxed);

    is_fault(&sent);
    let next = gateway.send(0, request("secret-one"));
    assert_eq!(next.upstream("x-key-id").as_deref(), Some("key_one"));
    gateway.tick();
    assert_eq!(gateway.configuration.metric("keybound.faults"), 1);
    gateway.end();
}
