//! Where Envoy follows an upstream's redirect itself (`internal_redirect_policy`), or begins a request anew for
//! another reason, the filter sees the request twice, and the second time without its credential.

use serde_json::{Value, json};
use support::client::{Connection, Request, Response};
use support::config::Config;
use support::gateway::{Builder, Gateway};
use support::{needs, records};

const REDIRECTS: &str = "internal_redirects";

const IDENTITY: [(&str, &str); 4] = [
    ("x-key-id", "key_one"),
    ("x-user-id", "usr_one"),
    ("x-tenant-id", "ten_one"),
    ("x-key-scopes", "orders:read orders:write"),
];

fn follows_redirects(config: &mut Config) {
    config.routes()[0]["route"]["internal_redirect_policy"] = json!({});
}

fn gateway(settings: Value) -> Builder {
    Gateway::scripted()
        .settings(json!({"internal_redirects": true}))
        .settings(settings)
        .configure(follows_redirects)
}

/// A request that the upstream answers with a redirect to another path.
fn redirected(path: &str, to: &str) -> Request {
    Request::get(path).header("answer-location", format!("http://localhost{to}"))
}

fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!(answer.header("x-keybound-code"), Some(code));
    assert_eq!(answer.status, status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_told_to() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({})).start().await;
    let key = gateway.knows(records::active("one"));

    // Once from the key service, then from the cache.
    for _ in 0..2 {
        let request = redirected("/302", "/target?a=1").header("x-api-key", &key);
        let arrived = gateway.passed(&request).await;
        assert_eq!(arrived.path, "/target?a=1");
        for (name, value) in IDENTITY {
            assert_eq!(arrived.header_values(name), [value], "{name}");
        }
        assert!(!arrived.everything().contains(&key));
    }
    assert_eq!(gateway.upstream.arrived().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_otherwise_the_target_sees_a_request_without_a_key() {
    let gateway = Gateway::scripted()
        .configure(follows_redirects)
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    let request = redirected("/302", "/target").header("x-api-key", &key);
    assert_refused(&gateway.send(&request).await, 401, "key_missing");
    assert_eq!(gateway.upstream.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policies_of_the_target_are_judged() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({
        "policies": {
            "admin": {"scopes": {"all": ["admin"]}},
            "open": {"authentication": "none"},
            "maybe": {"authentication": "optional"},
        },
        "routes": [
            {"match": {"prefix": "/admin"}, "policy": "admin"},
            {"match": {"prefix": "/open"}, "policy": "open"},
            {"match": {"prefix": "/maybe"}, "policy": "maybe"},
        ],
    }))
    .start()
    .await;
    let key = gateway.knows(records::active("one"));
    let to = |path: &str| redirected("/302", path).header("x-api-key", &key);

    assert_refused(&gateway.send(&to("/admin")).await, 403, "scope_missing");
    let arrived = gateway.passed(&to("/open")).await;
    assert!(arrived.header_values("x-user-id").is_empty());
    let arrived = gateway.passed(&to("/maybe")).await;
    assert_eq!(arrived.header_values("x-user-id"), ["usr_one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_never_changes_who_it_is() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({"credentials": [{"header": "x-api-key"}, {"query": "api_key"}]}))
        .start()
        .await;
    let one = gateway.knows(records::active("one"));
    let other = gateway.knows(records::active("other"));

    for first in [
        redirected("/302", &format!("/target?api_key={other}&a=1")).header("x-api-key", &one),
        redirected(
            &format!("/302?api_key={one}"),
            &format!("/target?api_key={other}&a=1"),
        ),
    ] {
        let request = first.header("answer-x-api-key", &other);
        let arrived = gateway.passed(&request).await;
        assert_eq!(arrived.path, "/target?a=1");
        for (name, value) in IDENTITY {
            assert_eq!(arrived.header_values(name), [value], "{name}");
        }
        assert!(!arrived.everything().contains(&one));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_makes_up_never_counts() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({
        "policies": {"maybe": {"authentication": "optional"}},
        "routes": [{"match": {"prefix": "/302"}, "policy": "maybe"}],
    }))
    .start()
    .await;
    let key = gateway.knows(records::active("one"));
    let spoofed = |mut request: Request| {
        for (name, value) in IDENTITY {
            request = request.header(name, value);
        }
        request
            .header("x-envoy-original-url", "http://localhost/302")
            .header("x-envoy-internal", "true")
            .header("keybound.note", records::digest(&key))
            .header("wasm.keybound.note", records::digest(&key))
    };
    let mut connection = Connection::open(gateway.port()).await.unwrap();
    let good = redirected("/302", "/target").header("x-api-key", &key);
    assert_eq!(connection.send(&good).await.unwrap().status, 200);

    // Neither anew, nor after a redirect, nor behind another's request on the same connection.
    for request in [Request::get("/direct"), redirected("/302", "/target")] {
        let answer = connection.send(&spoofed(request)).await.unwrap();
        assert_refused(&answer, 401, "key_missing");
    }
    let stranger = redirected("/302", "/target").header("x-api-key", gateway.stranger());
    let answer = connection.send(&spoofed(stranger)).await.unwrap();
    assert_refused(&answer, 401, "key_unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_are_those_of_the_client_and_not_of_the_proxy_before_envoy() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({}))
        .configure(|config| config.http_manager()["xff_num_trusted_hops"] = json!(1))
        .start()
        .await;
    let key = gateway.knows(records::active("one").key("networks", json!(["203.0.113.0/24"])));
    let from = |address: &str| {
        redirected("/302", "/target")
            .header("x-api-key", &key)
            .header("x-forwarded-for", address)
    };

    // Once while it waits for the key service, then from the cache.
    for _ in 0..2 {
        let arrived = gateway.passed(&from("203.0.113.7")).await;
        assert_eq!(arrived.path, "/target");
    }
    assert_refused(
        &gateway.send(&from("198.51.100.7")).await,
        403,
        "address_not_allowed",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_outage_too() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let mut gateway = gateway(json!({"unavailable": "allow"})).start().await;
    gateway.service.stop();

    let request = redirected("/302", "/target").header("x-api-key", gateway.stranger());
    let arrived = gateway.passed(&request).await;

    assert_eq!(arrived.path, "/target");
    assert!(arrived.header_values("x-user-id").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likewise_where_a_custom_response_is_fetched_elsewhere() {
    if !needs::sandbox(REDIRECTS) {
        return;
    }
    let gateway = gateway(json!({})).configure(custom_response).start().await;
    let key = gateway.knows(records::active("one"));

    let request = Request::get("/302").header("x-api-key", &key);
    let arrived: Value = serde_json::from_slice(&gateway.send(&request).await.body).unwrap();

    assert_eq!(arrived["path"], "/moved");
    let headers = arrived["headers"].to_string();
    assert!(headers.contains(r#"["x-user-id","usr_one"]"#), "{headers}");
}

/// In place of an upstream's 302 the client gets what the upstream says at another path.
fn custom_response(config: &mut Config) {
    const NAME: &str = "envoy.filters.http.custom_response";
    config.routes()[0]["route"]
        .as_object_mut()
        .unwrap()
        .remove("internal_redirect_policy");
    let policy = json!({
        "@type": "type.googleapis.com/envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy",
        "uri": "http://localhost/moved",
    });
    let matcher = json!({"matcher_list": {"matchers": [{
        "predicate": {"single_predicate": {
            "input": {"name": "status", "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput"}},
            "value_match": {"exact": "302"},
        }},
        "on_match": {"action": {"name": "moved", "typed_config": policy}},
    }]}});
    let filter = json!({"name": NAME, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse",
        "custom_response_matcher": matcher,
    }});
    match &mut config.http_manager()["http_filters"] {
        Value::Array(filters) => filters.insert(0, filter),
        _ => unreachable!("envoy.yaml has filters"),
    }
}
