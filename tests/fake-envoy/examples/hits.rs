//! Sends requests of a known key through the edge, as many as the first argument says (100000), so that a profiler sees
//! what a hit costs:
//!
//!     cargo build --release -p fake-envoy --example hits
//!     valgrind --tool=callgrind --toggle-collect=envoy_dynamic_module_on_http_filter_request_headers \
//!       target/release/examples/hits 10000

use fake_envoy::{Envoy, Fate, KeyService, Request, counted, headers};
use std::time::Instant;

fn main() {
    let times = std::env::args().nth(1).map(|times| times.parse());
    let times = times.unwrap_or(Ok(100_000)).expect("a number of hits");
    let service = KeyService::default();
    service.has("secret-one", "one", true);
    let envoy = Envoy::held(1);
    let text = r#"{"key_service": {"cluster": "key_service"}}"#;
    let configuration = envoy.configure(text, move |call| service.handles(call));
    let configuration = configuration.expect("the configuration is taken");
    let request = Request {
        headers: headers(&[
            (":authority", "api.example.com"),
            (":path", "/v1/orders/4711?fields=state"),
            (":method", "GET"),
            (":scheme", "http"),
            ("user-agent", "shop-client/4.2"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("x-api-key", "secret-one"),
            ("x-forwarded-for", "10.1.2.3"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", "5b2f3c9a-3c3e-4d9c-8d0b-0a4f6a3c2b1d"),
        ]),
        source: Some(b"10.1.2.3:4711".to_vec()),
        is_answered_at_once: true,
        ..Request::default()
    };
    // The stream ends at once.
    envoy.ends_streams_within(true);
    envoy.worker(0).send(&configuration, request.clone());
    envoy.settle();

    let (last, (took, calls)) =
        envoy
            .worker(0)
            .send_often(&configuration, request, times, |send| {
                let begun = Instant::now();
                let ((), calls) = counted(send);
                (begun.elapsed(), calls)
            });

    assert!(matches!(
        last.last().map(|last| last.fate()),
        Some(Fate::Onward(..))
    ));
    println!("{times} hits in {took:?}, this double of Envoy included");
    for (name, count) in calls {
        println!("  {:5.2} {name}", count as f64 / times as f64);
    }
    drop(configuration);
    assert_eq!(envoy.end(), 0);
}
