use serde_json::json;
use support::client::{Connection, Request};
use support::gateway::Gateway;
use support::http2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_through_envoy_and_comes_back_byte_for_byte() {
    let gateway = Gateway::scripted().without_filter().start().await;

    let request = Request::post("/orders/a%20b?x=1&y=%7e", "four")
        .header("x-raw", b"caf\xc3\xa9 \xff")
        .header("x-twice", "1")
        .header("x-twice", "2");
    let arrived = gateway.passed(&request).await;

    assert_eq!(arrived.method, "POST");
    assert_eq!(arrived.path, "/orders/a%20b?x=1&y=%7e");
    assert_eq!(arrived.body_length, 4);
    assert_eq!(arrived.header_values("x-raw"), ["caf\u{c3}\u{a9} \u{ff}"]);
    assert_eq!(arrived.header_values("x-twice"), ["1", "2"]);
    assert_eq!(gateway.upstream.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kept_for_the_next_request() {
    let gateway = Gateway::scripted().without_filter().start().await;
    let mut connection = Connection::open(gateway.port()).await.unwrap();

    for number in 0..3 {
        let answer = connection
            .send(&Request::get(format!("/{number}")))
            .await
            .unwrap();
        assert_eq!(answer.json()["path"], format!("/{number}"));
    }
    let answer = connection.send(&Request::head("/head")).await.unwrap();

    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let stats = gateway
        .envoy
        .stats("http.gateway.downstream_cx_total")
        .await
        .unwrap();
    assert_eq!(
        stats["http.gateway.downstream_cx_total"], 2,
        "one to see that it listens, one of ours"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_reaches_the_upstream() {
    let gateway = Gateway::scripted().without_filter().start().await;
    let connection = http2::Connection::open(gateway.port()).await.unwrap();

    let answer = connection
        .send(hyper::Method::GET, "/two", &[("x-raw", b"\xff")], b"")
        .await
        .unwrap();

    assert_eq!(answer.status, 200);
    let arrived: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(arrived["path"], "/two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_log_has_the_path_without_its_query() {
    let gateway = Gateway::scripted().without_filter().start().await;
    gateway.secret("do-not-log-me");

    gateway
        .get(
            "/logged?api_key=do-not-log-me",
            &[("x-api-key", "do-not-log-me")],
        )
        .await;
    let entry = gateway.logged("/logged").await;

    assert_eq!(entry["status"], 200);
    assert_eq!(entry["method"], "GET");
    assert_eq!(entry["host"], "gateway.example");
    assert_eq!(entry["code"], json!(null));
    assert!(
        entry["request_id"]
            .as_str()
            .is_some_and(|id| !id.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_configuration_refuses_what_would_be_read_in_two_ways() {
    let gateway = Gateway::scripted().without_filter().start().await;

    for (target, status) in [("/a%2Fb", 400), ("/a%5cb", 400), ("/a%252Fb", 200)] {
        assert_eq!(gateway.get(target, &[]).await.status, status, "{target}");
    }
    for (target, seen) in [
        ("//a//b", "/a/b"),
        ("/x/../a/./b", "/a/b"),
        ("/x/%2e%2e/a", "/a"),
    ] {
        assert_eq!(
            gateway.passed(&Request::get(target)).await.path,
            seen,
            "{target}"
        );
    }
    assert_eq!(
        gateway.get("/", &[("x_key_id", "spoofed")]).await.status,
        400
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "a secret in Envoy's access log")]
async fn a_secret_in_a_log_fails_the_test() {
    let gateway = Gateway::scripted().without_filter().start().await;
    gateway.secret("in-the-path");

    gateway.get("/in-the-path", &[]).await;
    gateway.logged("/in-the-path").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_configuration_ends_envoy_with_a_message() {
    let (status, log) = Gateway::scripted()
        .without_filter()
        .configure(|config| config.http_manager()["stat_prefix"] = json!(["not text"]))
        .refused()
        .await;

    assert!(!status.success());
    assert!(
        log.contains("stat_prefix") || log.contains("stat prefix"),
        "{log}"
    );
}
