//! A key and a JWT take turns in one `Authorization: Bearer`, and a key may be the user name of `Basic`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::records;

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl";

fn settings(authentication: &str) -> Value {
    json!({
        "credentials": [{"bearer": "authorization"}, {"basic": "username"}, {"header": "x-api-key"}],
        "key_format": {"prefixes": ["secret-"], "foreign": "absent"},
        "default_policy": {"authentication": authentication},
    })
}

fn bearer(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn basic(name_and_password: &str) -> Request {
    let encoded = STANDARD.encode(name_and_password);
    Request::get("/").header("authorization", format!("Basic {encoded}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_counts_as_absent_and_goes_upstream_untouched() {
    let gateway = Gateway::scripted()
        .settings(settings("optional"))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    for request in [bearer(JWT), basic("anna:secret")] {
        let sent = request.clone();
        let arrived = gateway.passed(&sent).await;
        assert_eq!(arrived.header_values("authorization").len(), 1);
        assert!(arrived.header_values("x-key-id").is_empty());

        // Beside it, a key counts, wherever it stands.
        let arrived = gateway.passed(&request.header("x-api-key", &key)).await;
        assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
        assert_eq!(arrived.header_values("authorization").len(), 1);
    }
    let arrived = gateway.passed(&bearer(JWT)).await;
    assert_eq!(
        arrived.header_values("authorization"),
        [format!("Bearer {JWT}")]
    );
    // The key service was asked about the key alone.
    let asked = gateway.service.resolves();
    let asked: Vec<String> = asked.iter().flat_map(|call| call.digests()).collect();
    assert!(asked.iter().all(|asked| *asked == records::digest(&key)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_the_same_place_is_taken_and_removed() {
    let gateway = Gateway::scripted()
        .settings(settings("required"))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    for request in [
        bearer(&key),
        basic(&format!("{key}:")),
        basic(&format!("{key}:password")),
    ] {
        let arrived = gateway.passed(&request).await;
        assert_eq!(arrived.header_values("x-key-id"), ["key_one"]);
        assert!(arrived.header_values("authorization").is_empty());
    }
    for (request, code) in [
        (bearer(JWT), "key_missing"),
        (basic("anna:secret"), "key_missing"),
        (bearer("secret-two words"), "key_malformed"),
        (bearer(&gateway.stranger()), "key_unknown"),
    ] {
        let answer = gateway.send(&request).await;
        assert_eq!(answer.header("x-keybound-code"), Some(code));
        let challenges = answer.header_values("www-authenticate");
        assert!(
            challenges.contains(&"Basic realm=\"api\""),
            "{challenges:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_that_setting_it_is_a_malformed_key() {
    let mut settings = settings("optional");
    settings["key_format"]["foreign"] = json!("refuse");
    let gateway = Gateway::scripted().settings(settings).start().await;
    for request in [bearer(JWT), basic("anna:secret")] {
        let answer = gateway.send(&request).await;
        assert_eq!(answer.header("x-keybound-code"), Some("key_malformed"));
    }
}
