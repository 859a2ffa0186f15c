//! A client can send any bytes. None of them passes as a key, crashes the filter, or is changed on its
//! way when it is none of the filter's business.

use serde_json::json;
use support::client::Request;
use support::gateway::Gateway;
use support::records;

/// Every byte that HTTP lets through in a header's value and that is no visible ASCII.
fn odd_bytes() -> Vec<u8> {
    std::iter::once(b'\t').chain(0x80..=0xff).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_credential() {
    let gateway = Gateway::scripted()
        .settings(json!({"credentials": [
            {"header": "x-api-key"}, {"bearer": "authorization"}, {"query": "api_key"}, {"cookie": "api_key"},
        ]}))
        .start()
        .await;

    for byte in odd_bytes() {
        let credential = [b"good", [byte].as_slice(), b"key"].concat();
        let answer = gateway
            .send(&Request::get("/").header("x-api-key", &credential))
            .await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_malformed"),
            "byte {byte:#x}"
        );
    }
    let bytes = odd_bytes();
    for (name, request) in [
        (
            "bearer",
            Request::get("/").header("authorization", [b"Bearer x", bytes.as_slice()].concat()),
        ),
        (
            "cookie",
            Request::get("/").header("cookie", [b"api_key=x", &bytes[1..]].concat()),
        ),
        ("query", Request::get("/?api_key=x%ff%00%c3%28")),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(
            answer.header("x-keybound-code"),
            Some("key_malformed"),
            "{name}: {}",
            answer.text()
        );
    }
    assert!(gateway.service.resolves().is_empty());
    // What cannot be decoded authenticates nobody; whether it is malformed or unknown does not matter.
    for query in ["x%zz", "x%f", "x%"] {
        let answer = gateway.get(&format!("/?api_key={query}"), &[]).await;
        assert_eq!(answer.status, 401, "{query}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_headers_that_are_nobodys_business() {
    let gateway = Gateway::scripted()
        .settings(json!({"credentials": [{"header": "x-api-key"}, {"bearer": "authorization"}, {"cookie": "api_key"}]}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let bytes = odd_bytes();
    let as_characters: String = bytes.iter().map(|byte| char::from(*byte)).collect();

    let request = Request::get("/")
        .header("x-other", [b"a", bytes.as_slice(), b"z"].concat())
        .header("authorization", [b"Basic ", &bytes[1..], b"z"].concat())
        .header("cookie", [b"other=", &bytes[1..]].concat())
        .header("x-api-key", &key);
    let arrived = gateway.passed(&request).await;

    assert_eq!(
        arrived.header_values("x-other"),
        [format!("a{as_characters}z")]
    );
    assert_eq!(
        arrived.header_values("authorization"),
        [format!("Basic {}z", &as_characters[1..])]
    );
    assert_eq!(
        arrived.header_values("cookie"),
        [format!("other={}", &as_characters[1..])]
    );
    let refused = gateway
        .send(&Request::get("/").header("x-other", &bytes))
        .await;
    assert_eq!(refused.header("x-keybound-code"), Some("key_missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_identity_headers_of_the_client() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    let request = Request::get("/")
        .header("x-key-id", odd_bytes())
        .header("x-user-id", "")
        .header("x-api-key", &key);
    let arrived = gateway.passed(&request).await;

    assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
    assert_eq!(arrived.header_values("x-user-id"), ["usr_one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_64_kib() {
    let gateway = Gateway::scripted()
        .configure(|config| config.http_manager()["max_request_headers_kb"] = json!(192))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let long = "x".repeat(64 * 1024);

    let arrived = gateway
        .passed(
            &Request::get("/")
                .header("x-long", &long)
                .header("x-api-key", &key),
        )
        .await;
    assert_eq!(arrived.header_values("x-long"), [long.as_str()]);
    let answer = gateway
        .send(&Request::get("/").header("x-api-key", &long))
        .await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_malformed"));
    let answer = gateway
        .send(&Request::get("/").header("x-key-id", &long))
        .await;
    assert_eq!(answer.header("x-keybound-code"), Some("key_missing"));
    // The upstream of these tests takes no longer ones.
    let target = format!("/?{}", "x".repeat(60_000));
    let arrived = gateway
        .passed(&Request::get(&target).header("x-api-key", &key))
        .await;
    assert_eq!(arrived.path, target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_64_kib_is_too_much_for_the_shipped_configuration() {
    let gateway = Gateway::scripted().start().await;

    let answer = gateway
        .send(&Request::get("/").header("x-api-key", "x".repeat(64 * 1024)))
        .await;

    assert_eq!(answer.status, 431, "Envoy itself, before the filter");
    assert_eq!(
        gateway.get("/", &[]).await.header("x-keybound-code"),
        Some("key_missing")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ninety_headers_and_none_but_the_needed() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    let mut request = Request::get("/").header("x-api-key", &key);
    for number in 0..80 {
        request = request.header(format!("x-number-{number}"), number.to_string());
    }
    let arrived = gateway.passed(&request).await;
    assert_eq!(arrived.header_values("x-number-79"), ["79"]);

    let answer = gateway
        .send(&Request::new("GET", "/").header("host", ""))
        .await;
    assert!([400, 401].contains(&answer.status), "{}", answer.status);
    for request in [
        Request::new("OPTIONS", "*"),
        Request::new("CONNECT", "example.com:443"),
    ] {
        let answer = gateway.send(&request).await;
        assert!(
            (400..500).contains(&answer.status),
            "{request:?}: {}",
            answer.status
        );
    }
    assert_eq!(gateway.upstream.arrived().len(), 1);
}
