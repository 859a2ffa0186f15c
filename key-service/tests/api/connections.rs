//! Clients that send slowly, too much or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use key_service::http::Settings;
use serde_json::json;

use crate::program::Running;
use crate::support::Service;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn impatient() -> Service {
    Service::start_with(Settings {
        head_timeout: SHORT,
        body_timeout: SHORT,
        ..Settings::default()
    })
}

/// Sends this and gives everything that comes until the service closes the connection.
fn exchange(url: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // The service may have closed already, which is what the test is about.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "the service did not close the connection: {error}"
        ),
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_connection_that_sends_no_head_is_closed() {
    let service = impatient();
    for begin in ["", "G", "GET /v1/changes HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        assert_eq!(exchange(&service.url, begin.as_bytes()), "");
    }
}

#[test]
fn a_body_that_does_not_come_is_answered_408_and_ends_the_connection() {
    let service = impatient();
    for (path, token) in [
        ("/v1/resolve", &service.gateway),
        ("/v1/usage", &service.gateway),
        ("/admin/v1/tenants", &service.admin),
        ("/admin/v1/keys/import", &service.admin),
        ("/admin/v1/explain", &service.admin),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
            token.reveal()
        );
        let answer = exchange(&service.url, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(
            answer.contains("urn:keybound:problem:request_timeout"),
            "{answer}"
        );
    }
}

#[test]
fn nobody_waits_for_the_body_of_a_request_that_needs_none_or_may_not_enter() {
    // With the usual limits: the answer must not depend on them.
    let service = Service::furnished();
    let gateway = service.gateway.reveal();
    for (request, token, status) in [
        ("GET /v1/changes", gateway, 200),
        ("GET /healthz", gateway, 200),
        ("POST /v1/resolve", "wrong-wrong-wrong-wrong", 401),
        ("POST /admin/v1/keys", gateway, 403),
        ("POST /nothing", gateway, 404),
    ] {
        let head = format!(
            "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100000000\r\n\r\n"
        );
        let answer = exchange(&service.url, head.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
    }
}

#[test]
fn a_head_or_body_that_is_too_large_is_refused() {
    let service = Service::start();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let answer = exchange(&service.url, head.as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(),
        "{answer}"
    );
    // Chunked: no length is announced, so only reading tells.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for (path, token) in [
        ("/v1/resolve", &service.gateway),
        ("/v1/usage", &service.gateway),
        ("/admin/v1/users", &service.admin),
        ("/admin/v1/keys/import", &service.admin),
        ("/admin/v1/explain", &service.admin),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n{}",
            token.reveal(),
            chunk.repeat(17)
        );
        let mut stream = TcpStream::connect(service.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let _ = stream.write_all(request.as_bytes());
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 413", "{path}");
    }
}

#[test]
fn a_stop_answers_the_polls_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = "gateway-token-number-one";
    let service = Running::start(folder.path(), &[("KEYBOUND_GATEWAY_TOKEN", gateway)]);
    let poll = format!(
        "GET /v1/changes?after=0&wait=60 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway}\r\n\r\n"
    );
    std::thread::scope(|scope| {
        let answers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| exchange(&service.url, poll.as_bytes())))
            .collect();
        wait_for(&service.url, "keybound_service_followers 3");
        let began = std::time::Instant::now();
        service.terminate();
        for answer in answers {
            let answer = answer.join().unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(
                answer.ends_with(&json!({"cursor": 0, "reset": false, "changes": []}).to_string())
                    || answer.contains("\"cursor\":0"),
                "{answer}"
            );
        }
        assert!(began.elapsed() < LONG, "the polls ended, not the wait");
    });
    service.stop();
}

/// Waits until the metrics hold this line.
fn wait_for(url: &str, line: &str) {
    let began = std::time::Instant::now();
    loop {
        let metrics = exchange(
            url,
            b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        );
        if metrics.lines().any(|known| known == line) {
            return;
        }
        assert!(began.elapsed() < LONG, "{line} is not in {metrics}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
