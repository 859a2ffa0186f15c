//! Ticks, counters and the change feed: what the main thread does for workers.

mod common;

use common::{Gateway, request};
use fake_envoy::Fate;
use std::time::Duration;

#[test]
fn what_an_idle_worker_has_counted_is_handed_on() {
    let gateway = Gateway::held(2);
    for worker in [0, 1, 1] {
        assert_eq!(
            gateway.send(worker, request("two words")).status(),
            Some(401)
        );
    }
    assert_eq!(
        gateway
            .configuration
            .metric("keybound.rejected.key_malformed"),
        0
    );

    gateway.tick();

    assert_eq!(
        gateway
            .configuration
            .metric("keybound.rejected.key_malformed"),
        3
    );
    gateway.tick();
    assert_eq!(
        gateway
            .configuration
            .metric("keybound.rejected.key_malformed"),
        3
    );
    gateway.end();
}

#[test]
fn a_change_is_obeyed_by_the_next_request_of_each_worker() {
    let gateway = Gateway::held(2);
    gateway.service.has("secret-one", "one", true);
    gateway.tick();
    for _ in 0..2 {
        for worker in [0, 1] {
            let sent = gateway.send(worker, request("secret-one"));
            gateway.envoy.settle();
            assert!(matches!(sent.fate(), Fate::Onward(..)), "{:?}", sent.fate());
        }
    }
    let polls = gateway.configuration.calls();
    assert_eq!(polls.len(), 1, "{polls:?}");

    gateway.service.has("secret-one", "one", false);
    let news = gateway
        .service
        .answer(&polls[0])
        .expect("something has changed");
    gateway.configuration.ends(polls[0].number, news);

    for worker in [0, 1] {
        assert_eq!(
            gateway.send(worker, request("secret-one")).status(),
            Some(401)
        );
    }
    gateway.tick();
    assert_eq!(gateway.configuration.metric("keybound.changes.applied"), 1);
    assert_eq!(
        gateway
            .configuration
            .metric("keybound.rejected.key_revoked"),
        2
    );
    gateway.end();
}

#[test]
fn a_feed_that_breaks_is_followed_again_where_no_request_comes() {
    let gateway = Gateway::held(1);
    gateway.service.has("secret-one", "one", true);
    gateway.tick();
    for _ in 0..3 {
        let polls = gateway.configuration.calls();
        assert_eq!(polls.len(), 1, "{polls:?}");
        gateway
            .configuration
            .ends(polls[0].number, fake_envoy::Ending::Broken);
        for _ in 0..40 {
            gateway.envoy.pass(Duration::from_millis(100));
            gateway.tick();
        }
    }
    assert_eq!(gateway.configuration.calls().len(), 1);
    gateway.end();
}
