//! What is read of bodies, and when.

use super::{CHAT, asks, code, gateway, is_for_this_envoy, names, with_scopes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::client::{Connection, Request};

/// docs/security.md, "Bodies that name a model".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_bodies_name_the_model_that_is_documented_or_none() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let key = with_scopes(&gateway, "one", json!(["model:*"]));
    let deep = format!(
        "{}1{}",
        r#"{"model":"a","x":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    let bodies: Vec<(&str, Option<&str>)> = vec![
        (r#"{"model":"a"}"#, Some("a")),
        (" \n{\"model\":\"a\"}\r\n ", Some("a")),
        ("\u{feff}{\"model\":\"a\"}", Some("a")),
        (r#"{"m\u006fdel":"a"}"#, Some("a")),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","model":null}"#, None),
        (r#"{"model":"a","model":["b"]}"#, None),
        (r#"{"model":null,"model":"a"}"#, Some("a")),
        (r#"{"Model":"b","model":"a"}"#, Some("a")),
        (r#"{"model":"a","MODEL":"b"}"#, Some("a")),
        (r#"{"model":"a","model\u0000":"b"}"#, Some("a")),
        (r#"{"model":"a","x":{"model":"b"}}"#, Some("a")),
        (r#"{"x":{"model":"a"}}"#, None),
        (r#"[{"model":"a"}]"#, None),
        (r#""model""#, None),
        (r#"{"model":5}"#, Some("5")),
        (r#"{"model":true}"#, Some("1")),
        (r#"{"model":"\"a\\"}"#, Some(r#""a\"#)),
        (r#"{"model":"a\u0000b"}"#, None),
        (r#"{"model":"a b"}"#, None),
        (r#"{"model":"a\nb"}"#, None),
        (r#"{"model":"ä"}"#, None),
        (r#"{"model":null}"#, None),
        (r#"{"model":["a"]}"#, None),
        (r#"{"model":{"id":"a"}}"#, None),
        (r#"{"model":""}"#, None),
        (r#"{"model":NaN}"#, None),
        (r#"{"model":"a"}x"#, None),
        ("{\"model\":\"a\"}\n{\"model\":\"b\"}", None),
        (r#"{"model":"a",}"#, None),
        ("{\"model\":\"a\"// b\n}", None),
        ("{'model':'a'}", None),
        ("model=a", None),
        ("", None),
        (&deep, None),
    ];
    for (number, (body, model)) in bodies.into_iter().enumerate() {
        let path = format!("/v1/{number}");
        let answer = gateway.send(&asks(&path, &key, body)).await;
        let start: String = body.chars().take(60).collect();
        let wanted = match model {
            Some(_) => (200, None),
            None => (400, Some("model_missing")),
        };
        assert_eq!((answer.status, code(&answer)), wanted, "{start}");
        if let Some(model) = model {
            assert_eq!(gateway.logged(&path).await["model"], model, "{start}");
        }
    }
    for (content_type, read) in [
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("application/json;charset=utf-16", true),
        ("text/plain", false),
        ("application/jsonx", false),
        ("application/x-www-form-urlencoded", false),
        ("multipart/form-data; boundary=x", false),
        ("application/json, text/plain", false),
        ("", false),
    ] {
        let request = Request::post(CHAT, names("a"))
            .header("x-api-key", &key)
            .header("content-type", content_type);
        let status = if read { 200 } else { 400 };
        assert_eq!(
            gateway.send(&request).await.status,
            status,
            "{content_type}"
        );
    }
    let chunks = "5\r\n{\"mod\r\n8\r\nel\":\"a\"}\r\n0\r\n\r\n";
    let request = asks(CHAT, &key, chunks).header("transfer-encoding", "chunked");
    assert_eq!(gateway.send(&request).await.status, 200);
    let compressed = STANDARD
        .decode("H4sIAAAAAAACA6tWys1PSc1RslJKVKoFAP+VoKMNAAAA")
        .expect("base64");
    let request = asks(CHAT, &key, compressed).header("content-encoding", "gzip");
    assert_eq!(code(&gateway.send(&request).await), Some("model_missing"));
    let long = names(&"a".repeat(257));
    let answer = gateway.send(&asks(CHAT, &key, long)).await;
    assert_eq!(code(&answer), Some("model_missing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_is_read_before_the_key_was_checked() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let stranger = gateway.stranger();

    // The body never comes.
    let head = Request::post(CHAT, "")
        .header("x-api-key", &stranger)
        .header("content-type", "application/json")
        .header("content-length", "100000")
        .head_bytes();
    let mut connection = Connection::open(gateway.port())
        .await
        .expect("a connection");
    connection.write(&head).await.expect("a head");
    let answer = connection.read(false).await.expect("an answer");

    assert_eq!(answer.status, 401);
    assert_eq!(code(&answer), Some("key_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_pass_on_ai_routes_and_others_are_not_read() {
    if !is_for_this_envoy() {
        return;
    }
    let gateway = gateway().start().await;
    let key = with_scopes(&gateway, "one", json!(["model:a"]));
    let body = |length: usize| json!({"model": "a", "x": "y".repeat(length)}).to_string();

    // Asked for while the body comes, and when it is known.
    for _ in 0..2 {
        let arrived = gateway.passed(&asks(CHAT, &key, body(900_000))).await;
        assert_eq!(arrived.body_length, body(900_000).len());
    }
    let too_large = gateway.send(&asks(CHAT, &key, body(11_000_000))).await;
    assert_eq!(too_large.status, 413);

    // No model is asked for elsewhere, and nothing of the body is held.
    gateway
        .passed(&asks("/other", &key, "x".repeat(12_000_000)))
        .await;
    assert_eq!(gateway.logged("/other").await["model"], Value::Null);
    let list = gateway.get("/v1/models", &[("x-api-key", &key)]).await;
    assert_eq!(list.status, 200);
    for request in [
        Request::new("DELETE", "/v1/models").header("x-api-key", &key),
        Request::get("/v1/models/a").header("x-api-key", &key),
        Request::get("/v1").header("x-api-key", &key),
    ] {
        assert_eq!(code(&gateway.send(&request).await), Some("model_missing"));
    }
}
