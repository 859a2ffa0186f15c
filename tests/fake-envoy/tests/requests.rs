//! Requests through the whole edge: those that are known, and those that wait.

mod common;

use common::{Gateway, request};
use fake_envoy::{Fate, headers};

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
