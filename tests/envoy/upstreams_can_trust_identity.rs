//! Identity headers come from a verified record, or are not there.

use hyper::Method;
use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::http2;
use support::records;

const HEADERS: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

fn spoofed(mut request: Request) -> Request {
    for name in HEADERS {
        request = request
            .header(name, "spoofed-first")
            .header(name.to_uppercase(), "spoofed-second");
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_says_of_itself_is_replaced() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    // Once from the key service, then from the cache.
    for _ in 0..2 {
        let arrived = gateway
            .passed(&spoofed(Request::get("/")).header("x-api-key", &key))
            .await;
        for (name, value) in
            HEADERS
                .into_iter()
                .zip(["key_one", "usr_one", "ten_one", "orders:read orders:write"])
        {
            assert_eq!(arrived.header_values(name), [value], "{name}");
        }
        assert!(
            !arrived.everything().contains("spoofed"),
            "{}",
            arrived.everything()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_record_does_not_say_is_absent() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(
        records::active("plain")
            .without_tenants()
            .key("scopes", json!(null)),
    );

    let arrived = gateway
        .passed(&spoofed(Request::get("/")).header("x-api-key", &key))
        .await;

    assert_eq!(arrived.header_values("x-key-id"), ["key_plain"]);
    for absent in ["x-tenant-id", "x-key-scopes"] {
        assert!(arrived.header_values(absent).is_empty(), "{absent}");
    }
    assert!(
        !arrived.everything().contains("spoofed"),
        "{}",
        arrived.everything()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_those_that_the_user_has_too() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(
        records::active("narrowed")
            .key(
                "scopes",
                json!(["orders:read", "orders:write", "stock:read"]),
            )
            .user("scopes", json!(["orders:*"])),
    );

    let arrived = gateway
        .passed(&Request::get("/").header("x-api-key", &key))
        .await;

    assert_eq!(
        arrived.header_values("x-key-scopes"),
        ["orders:read orders:write"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_can_be_chosen_and_left_out() {
    let gateway = Gateway::scripted()
        .settings(json!({"identity_headers": {
            "key_id": "x-client", "user_id": null, "environment": "x-stage",
        }}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    let request = Request::get("/")
        .header("x-api-key", &key)
        .header("x-client", "spoofed")
        .header("x-stage", "spoofed")
        .header("x-user-id", "not ours any more");
    let arrived = gateway.passed(&request).await;

    assert_eq!(arrived.header_values("x-client"), ["key_one"]);
    assert_eq!(arrived.header_values("x-stage"), ["live"]);
    assert_eq!(arrived.header_values("x-tenant-id"), ["ten_one"]);
    assert_eq!(arrived.header_values("x-user-id"), ["not ours any more"]);
    assert!(arrived.header_values("x-key-id").is_empty());
}

/// Names that a server which makes variables of headers takes for reserved ones.
const ALIASES: [&str; 8] = [
    "x.user.id",
    "X!Key*Id",
    "x~tenant|id",
    "x'key-scopes",
    "x+user$id",
    "x-user.id",
    "x.api.key",
    "x-api`key",
];

fn with_aliases(request: Request) -> Request {
    ALIASES
        .into_iter()
        .fold(request, |request, name| request.header(name, "spoofed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_punctuation_brings_an_identity_past_the_gateway() {
    let policy = |authentication: &str| json!({"authentication": authentication});
    let mut gateway = Gateway::scripted()
        .settings(json!({
            "unavailable": "allow",
            "policies": {"open": policy("none"), "maybe": policy("optional")},
            "routes": [
                {"match": {"prefix": "/open"}, "policy": "open"},
                {"match": {"prefix": "/maybe"}, "policy": "maybe"},
            ],
        }))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let with_key = |path: &str, key: &str| Request::get(path).header("x-api-key", key);
    let preflight = Request::new("OPTIONS", "/preflight").headers(&[
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
    ]);

    for request in [
        with_key("/cold", &key),
        with_key("/warm", &key),
        Request::get("/open"),
        Request::get("/maybe"),
        preflight,
    ] {
        let request = with_aliases(request).header("x.other.header", "kept");
        let arrived = gateway.passed(&request).await;
        let everything = arrived.everything();
        assert!(!everything.contains("spoofed"), "{everything}");
        assert_eq!(arrived.header_values("x.other.header"), ["kept"]);
    }
    gateway.service.stop();
    let outage = with_aliases(with_key("/outage", &gateway.stranger()));
    let everything = gateway.passed(&outage).await.everything();
    assert!(!everything.contains("spoofed"), "{everything}");
}

const TRAILERS: [(&str, &[u8]); 7] = [
    ("x-user-id", b"spoofed"),
    ("x-key-scopes", b"spoofed"),
    ("x.user.id", b"spoofed"),
    ("x-api-key", b"spoofed"),
    ("x.api.key", b"spoofed"),
    ("authorization", b"Bearer spoofed"),
    ("x-checksum", b"kept"),
];

fn bearer_too() -> Value {
    json!({"credentials": [{"header": "x-api-key"}, {"bearer": "authorization"}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_on_http_2_bring_none_either() {
    let gateway = Gateway::scripted()
        .settings(bearer_too())
        .configure(|config| {
            config.clusters()[0]["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            });
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let connection = http2::Connection::open(gateway.port()).await.unwrap();

    // Once while it waits for the key service, then from the cache.
    for _ in 0..2 {
        let headers = [("x-api-key", key.as_bytes())];
        let answer = connection
            .send_with_trailers(Method::POST, "/", &headers, b"body", &TRAILERS)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
    let arrived = gateway.upstream.arrived();
    assert_eq!(arrived.len(), 2);
    for arrived in arrived {
        let kept = [("x-checksum".to_owned(), "kept".to_owned())];
        assert_eq!(arrived.trailers, kept);
        assert_eq!(arrived.header_values("x-user-id"), ["usr_one"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_those_of_chunks_where_envoy_hands_them_on() {
    let gateway = Gateway::scripted()
        .settings(bearer_too())
        .configure(|config| {
            let trailers = json!({"enable_trailers": true});
            config.http_manager()["http_protocol_options"] = trailers.clone();
            config.clusters()[0]["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http_protocol_options": trailers},
                },
            });
        })
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let mut body = b"4\r\nbody\r\n0\r\n".to_vec();
    for (name, value) in TRAILERS {
        body.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    body.extend(b"\r\n");

    for _ in 0..2 {
        let request = Request::new("POST", "/")
            .header("x-api-key", &key)
            .header("transfer-encoding", "chunked")
            .header("te", "trailers")
            .with_body(&body);
        let arrived = gateway.passed(&request).await;
        let kept = [("x-checksum".to_owned(), "kept".to_owned())];
        assert_eq!(arrived.trailers, kept);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_cannot_write_an_identity_into_the_access_log() {
    let gateway = Gateway::scripted().start().await;
    let locked = gateway.knows(records::active("locked").user_status("locked"));

    gateway.send(&spoofed(Request::get("/no-key"))).await;
    gateway
        .send(&spoofed(Request::get("/locked")).header("x-api-key", &locked))
        .await;

    for path in ["/no-key", "/locked"] {
        let entry = gateway.logged(path).await;
        for field in ["key_id", "user_id", "tenant_id"] {
            assert_eq!(entry[field], json!(null), "{field} of {path}");
        }
    }
}
