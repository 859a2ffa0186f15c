//! What pages and clients read of a refusal where Envoy's CORS filter and its own error bodies are in use, as
//! docs/installation.md advises.

use serde_json::{Value, json};
use support::client::Request;
use support::config::Config;
use support::gateway::Gateway;
use support::records;

const ORIGIN: &str = "https://shop.example";
/// What a page must be told that it may read, as docs/installation.md names it.
const EXPOSED: &str = "x-keybound-code, www-authenticate, retry-after, sunset, deprecation";

/// Envoy's CORS filter at these places in the list of filters, and a policy for all routes.
fn cors(places: &'static [usize]) -> impl FnOnce(&mut Config) {
    const NAME: &str = "envoy.filters.http.cors";
    move |config| {
        let Value::Array(filters) = &mut config.http_manager()["http_filters"] else {
            unreachable!("envoy.yaml has filters");
        };
        for place in places {
            filters.insert(
                *place,
                json!({"name": NAME, "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}),
            );
        }
        config.http_manager()["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = json!({NAME: {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [{"exact": ORIGIN}],
            "allow_methods": "GET, POST",
            "allow_headers": "x-api-key, content-type",
            "expose_headers": EXPOSED,
        }});
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_reads_a_refusal_where_cors_stands_before_the_filter_only() {
    for (places, readable) in [(&[0][..], true), (&[1], false), (&[0, 2], true)] {
        let gateway = Gateway::scripted().configure(cors(places)).start().await;
        let key = gateway.knows(records::active("one"));

        let refused = gateway.get("/", &[("origin", ORIGIN)]).await;
        assert_eq!(refused.status, 401);
        let expected = readable.then_some(ORIGIN);
        assert_eq!(
            refused.header("access-control-allow-origin"),
            expected,
            "{places:?}"
        );
        let expected = readable.then_some(EXPOSED);
        assert_eq!(
            refused.header("access-control-expose-headers"),
            expected,
            "{places:?}"
        );
        let allowed = gateway
            .get("/", &[("origin", ORIGIN), ("x-api-key", &key)])
            .await;
        assert_eq!(allowed.status, 200);
        assert_eq!(
            allowed.header("access-control-allow-origin"),
            Some(ORIGIN),
            "{places:?}"
        );

        let preflight = Request::new("OPTIONS", "/").headers(&[
            ("origin", ORIGIN),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-api-key"),
        ]);
        let answer = gateway.send(&preflight).await;
        assert_eq!(answer.status, 200, "{places:?}");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("x-api-key, content-type")
        );
        assert_eq!(gateway.upstream.arrived().len(), 1);
    }
}

fn own_bodies(config: &mut Config) {
    config.http_manager()["local_reply_config"] = json!({"mappers": [{
        "filter": {"status_code_filter": {"comparison": {
            "op": "EQ", "value": {"default_value": 401, "runtime_key": "unused"}}}},
        "body_format_override": {
            "json_format": {"error": "%RESP(x-keybound-code)%", "request": "%REQ(x-request-id)%"},
            "content_type": "application/vnd.shop+json",
        },
        "headers_to_add": [{"header": {"key": "x-shop", "value": "refused"}}],
    }]});
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_error_bodies_leave_codes_headers_and_logs_as_they_are() {
    let gateway = Gateway::scripted().configure(own_bodies).start().await;
    let suspended = gateway.knows(records::active("one").user_status("suspended"));

    let refused = gateway.get("/missing", &[]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"], "key_missing");
    assert!(refused.json()["request"].is_string());
    assert_eq!(
        refused.header("content-type"),
        Some("application/vnd.shop+json")
    );
    assert_eq!(refused.header("x-keybound-code"), Some("key_missing"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(refused.header("www-authenticate").is_some());
    assert_eq!(refused.header("x-shop"), Some("refused"));
    let entry = gateway.logged("/missing").await;
    assert_eq!(entry["code"], "key_missing");
    assert_eq!(entry["details"], "keybound_key_missing");

    // What no mapper is for stays the filter's.
    let refused = gateway.get("/", &[("x-api-key", &suspended)]).await;
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.json()["code"], "user_suspended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_they_tell_no_more_than_the_level_of_detail() {
    let gateway = Gateway::scripted()
        .settings(json!({"rejection": {"detail": "opaque"}}))
        .configure(own_bodies)
        .start()
        .await;

    let refused = gateway
        .get("/", &[("x-api-key", &gateway.stranger())])
        .await;
    assert!(
        !refused.text().contains("key_unknown"),
        "{}",
        refused.text()
    );
    assert_eq!(
        refused.json()["error"],
        json!(refused.header("x-keybound-code"))
    );
}
