//! A fault within the edge costs the requests that it meets, each of which gets 500, and nothing else.
//!
//! It is made without a hook in the module: Envoy says that there are more headers than memory can hold, so that room
//! for them cannot be made; or the line that the core logs of a refusal finds a logger that panics.

mod common;

use common::{Gateway, request, smallest};
use fake_envoy::{Answer, Ending, Envoy, Exchange, Fate, Handling, headers, lies_about_headers};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How the line begins at which the logger panics, once, after so many others like it.
static PANICS: Mutex<Option<(&str, usize)>> = Mutex::new(None);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        let is_it = {
            let mut panics = panics();
            match &mut *panics {
                Some((begin, before)) if line.starts_with(*begin) => match before.checked_sub(1) {
                    Some(left) => {
                        *before = left;
                        false
                    }
                    None => panics.take().is_some(),
                },
                _ => false,
            }
        };
        assert!(!is_it, "on purpose");
    }

    fn flush(&self) {}
}

fn panics() -> MutexGuard<'static, Option<(&'static str, usize)>> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before the module finds its own. One test at a time: all have one logger.
fn begin() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("the first one");
        log::set_max_level(log::LevelFilter::Debug);
    });
    one
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
    let _one = begin();
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
    let _one = begin();
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
    let _one = begin();
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", true);
    gateway.send(0, request("secret-one"));
    gateway.envoy.settle();

    *panics() = Some(("refused: ", 0));
    let sent = gateway.send(0, request("two words"));

    is_fault(&sent);
    let next = gateway.send(0, request("secret-one"));
    assert_eq!(next.upstream("x-key-id").as_deref(), Some("key_one"));
    gateway.tick();
    assert_eq!(gateway.configuration.metric("keybound.faults"), 1);
    gateway.end();
}

/// The main thread begins to follow the feed once more, and forgets no worker's call.
#[test]
fn a_fault_on_the_main_thread_costs_what_it_knew() {
    let _one = begin();
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", true);

    *panics() = Some(("change feed: connected", 0));
    gateway.tick();
    assert!(panics().is_none(), "nobody followed the feed");

    for _ in 0..100 {
        gateway.envoy.pass(Duration::from_millis(100));
        gateway.tick();
    }
    assert_eq!(gateway.configuration.metric("keybound.faults"), 1);
    let sent = gateway.send(0, request("secret-one"));
    gateway.envoy.settle();
    assert_eq!(sent.upstream("x-key-id").as_deref(), Some("key_one"));
    let polls = gateway.configuration.calls();
    assert_eq!(polls.len(), 1, "{polls:?}");
    gateway.service.has("secret-one", "one", false);
    let news = gateway.service.answer(&polls[0]).expect("a change");
    gateway.configuration.ends(polls[0].number, news);
    assert_eq!(gateway.send(0, request("secret-one")).status(), Some(401));
    gateway.end();
}

/// The main thread does its work, so it is not the worker's own thread that meets the fault.
#[test]
fn a_fault_in_the_work_of_an_idle_worker_lets_it_begin_anew() {
    let _one = begin();
    let envoy = Envoy::held(1);
    let configuration = envoy
        .configure(&smallest(), |_| Handling::Takes)
        .expect("taken");
    let sent = envoy.worker(0).send(&configuration, request("secret-one"));
    envoy.settle();
    sent.hang_up();
    let calls = configuration.calls();
    let asked = calls.iter().find(|call| !call.body.is_empty());
    let refused = Answer {
        headers: headers(&[(":status", "401")]),
        body: Vec::new(),
    };
    configuration.ends(asked.expect("a call").number, Ending::Answered(refused));

    *panics() = Some(("key service: ", 0));
    for _ in 0..3 {
        envoy.tick(&configuration);
        envoy.settle();
    }
    assert!(panics().is_none(), "nothing was said of the answer");

    assert_eq!(configuration.metric("keybound.faults"), 1);
    let sent = envoy.worker(0).send(&configuration, request("two words"));
    assert_eq!(sent.status(), Some(401));
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}
