//! PostgreSQL fails under the running service: what that is called, and that all goes on after it.

use std::process::Stdio;

use ::support::ports;
use ::support::postgres::Server;
use serde_json::{Value, json};

use crate::engine::{self, VERSION, is_postgresql};
use crate::postgresql_services::{Held, until};
use crate::program::{Running, program};
use crate::support::{Service, digest};

const ADMIN: &str = "admin-token-number-one";
const GATEWAY: &str = "gateway-token-number-one";

/// Status, `retry-after` and body of an answer of a running program.
pub fn call(service: &Running, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let token = if path.starts_with("/v1") {
        GATEWAY
    } else {
        ADMIN
    };
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", service.url))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    let answer = match body {
        Value::Null => agent.run(request.body(()).unwrap()),
        body => agent.run(request.body(body.to_string()).unwrap()),
    };
    let mut answer = answer.unwrap();
    let retry = answer.headers().get("retry-after");
    let retry = retry.map_or("", |value| value.to_str().unwrap()).to_owned();
    let text = answer.body_mut().read_to_string().unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (answer.status().as_u16(), retry, body)
}

/// A service on a database of a server of its own.
pub fn start_on(server: &Server, folder: &std::path::Path, url: &str) -> Running {
    let _ = server;
    Running::start(
        folder,
        &[
            ("KEYBOUND_DATABASE", url),
            ("KEYBOUND_ADMIN_TOKEN", ADMIN),
            ("KEYBOUND_GATEWAY_TOKEN", GATEWAY),
        ],
    )
}

fn suspend(service: &Service, status: &str) -> crate::support::Answer {
    let path = "/admin/v1/users/usr_a?force=true";
    service.patch(path, &json!({"status": status}))
}

#[test]
fn a_restart_is_an_outage_that_is_told_and_ends_by_itself() {
    if !is_postgresql() {
        return;
    }
    let mut server = Server::start(VERSION.as_deref().unwrap()).unwrap();
    server.create("keys").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = start_on(&server, folder.path(), &server.url("keys"));
    let tenant = |id: &str| call(&service, "POST", "/admin/v1/tenants", &json!({"id": id}));
    assert_eq!(tenant("ten_a").0, 201);
    let asked = json!({"digests": ["A".repeat(43)]});

    server.stop().unwrap();
    until("it is noticed", || {
        call(&service, "GET", "/readyz", &Value::Null).0 == 503
    });
    for (method, path, body) in [
        ("POST", "/admin/v1/tenants", &json!({"id": "ten_b"})),
        ("POST", "/v1/resolve", &asked),
        ("GET", "/v1/changes?after=1&wait=30", &Value::Null),
        ("GET", "/readyz", &Value::Null),
    ] {
        let (status, retry, answer) = call(&service, method, path, body);
        assert_eq!((status, retry.as_str()), (503, "1"), "{path}: {answer}");
        assert!(
            answer["detail"]
                .as_str()
                .unwrap()
                .contains("cannot be reached"),
            "{answer}"
        );
    }
    let (_, _, metrics) = call(&service, "GET", "/metrics", &Value::Null);
    assert!(
        metrics
            .as_str()
            .unwrap()
            .contains("keybound_service_database_errors_total{error=\"away\"}")
    );

    server.resume().unwrap();
    until("it is back", || {
        let (status, _, ready) = call(&service, "GET", "/readyz", &Value::Null);
        status == 200 && ready["listening"] == true
    });
    assert_eq!(tenant("ten_b").0, 201);
    let (_, _, page) = call(&service, "GET", "/v1/changes?after=1", &Value::Null);
    assert_eq!(
        (&page["reset"], &page["changes"][0]["id"]),
        (&json!(false), &json!("ten_b"))
    );
    assert_eq!(call(&service, "POST", "/v1/resolve", &asked).0, 200);
    service.stop();
}

#[test]
fn where_no_writes_are_taken_reads_go_on() {
    if !is_postgresql() {
        return;
    }
    let service = Service::furnished();
    let server = engine::server().unwrap();
    let key = service.make_key(&json!({}));
    let name = &service.database().name;
    let mut session = Vec::new();
    let mut set = |value: &str| {
        let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        server.ask("postgres", &sql).unwrap();
        // Counts for new connections.
        let end = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        session.push(server.ask("postgres", &end).unwrap());
    };
    set("on");
    until("writes are refused", || {
        let refused = suspend(&service, "suspended");
        refused.problem(503);
        assert_eq!(refused.header("retry-after"), "1");
        refused.text.contains("takes no writes")
    });
    until("reads go on", || {
        let body = json!({"digests": [digest(&key["secret"])]}).to_string();
        let answer = service.send(
            "POST",
            "/v1/resolve",
            Some(&service.gateway),
            Some(body.as_bytes()),
        );
        answer.status == 200 && answer.json()["results"][0]["user"]["status"] == "active"
    });
    until("it is ready for what reads", || {
        let ready = service.send("GET", "/readyz", None, None);
        ready.status == 200 && ready.json()["writes"] == "read_only"
    });
    assert_eq!(service.changes("?after=3")["cursor"], 3);
    set("off");
    until("writes are taken again", || {
        suspend(&service, "suspended").status == 200
    });
    assert_eq!(service.changes("?after=3")["cursor"], 4);
    until("it is ready for all", || {
        let ready = service.send("GET", "/readyz", None, None);
        ready.status == 200 && ready.json()["writes"] == "ok"
    });
}

#[test]
fn while_another_holds_the_sequence_reads_go_on_and_writes_are_told_to_come_again() {
    if !is_postgresql() {
        return;
    }
    let service = Service::furnished();
    let server = engine::server().unwrap();
    let name = &service.database().name;
    let held = Held::take(server, name);
    let refused = suspend(&service, "suspended");
    refused.problem(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.text.contains("locked"), "{}", refused.text);
    assert_eq!(service.changes("?after=2")["cursor"], 2);
    // Counts of use wait for no number.
    let body = json!({"reporter": "vm", "batch": 1, "from": 0, "to": 1, "keys": []}).to_string();
    let counted = service.send(
        "POST",
        "/v1/usage",
        Some(&service.gateway),
        Some(body.as_bytes()),
    );
    assert_eq!(counted.status, 204, "{}", counted.text);
    held.release();
    suspend(&service, "suspended").expect(200);
}

#[test]
fn a_full_disk_is_told_and_forgotten_as_soon_as_there_is_room() {
    if !is_postgresql() {
        return;
    }
    let service = Service::furnished();
    service.execute(
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END$$; \
         CREATE TRIGGER fill BEFORE INSERT ON audit EXECUTE FUNCTION fill()",
    );
    for _ in 0..3 {
        let refused = suspend(&service, "suspended");
        refused.problem(503);
        assert!(
            refused.text.contains("its disk is full"),
            "{}",
            refused.text
        );
    }
    assert_eq!(service.send("GET", "/readyz", None, None).status, 503);
    assert_eq!(service.changes("?after=2")["cursor"], 2, "reads go on");
    service.execute("DROP TRIGGER fill ON audit");
    suspend(&service, "suspended").expect(200);
    assert_eq!(service.changes("?after=2")["cursor"], 3);
    assert_eq!(service.send("GET", "/readyz", None, None).status, 200);
}

#[test]
fn a_service_that_starts_while_the_server_is_away_waits_and_comes_up_by_itself() {
    if !is_postgresql() {
        return;
    }
    let mut server = Server::start(VERSION.as_deref().unwrap()).unwrap();
    server.create("keys").unwrap();
    server.stop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = ports::reserve();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let url = format!("http://127.0.0.1:{}", port.number());
    let mut child = program(folder.path())
        .args(["serve", "--listen", &port.number().to_string()])
        .env("KEYBOUND_DATABASE", server.url("keys"))
        .env("PGPASSWORD", "hunter22-of-the-database")
        .env("KEYBOUND_ADMIN_TOKEN", ADMIN)
        .env("RUST_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let get = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        agent.get(format!("{url}{path}")).call()
    };
    until("it answers", || get("/healthz").is_ok());
    assert_eq!(get("/healthz").unwrap().status(), 200);
    for path in ["/readyz", "/v1/changes", "/admin/v1/tenants"] {
        let answer = get(path).unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.headers()["retry-after"], "1", "{path}");
    }
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    until("it says so", || log().contains("waiting for it"));

    server.resume().unwrap();
    until("it is ready", || get("/readyz").unwrap().status() == 200);
    assert_eq!(log().matches("waiting for it").count(), 1, "{}", log());
    assert!(!log().contains("hunter22"), "{}", log());
    child.kill().unwrap();
    child.wait().unwrap();
}
