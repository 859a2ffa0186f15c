//! The database fails under the running service: what that is called, and that all goes on after it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use key_service::domain::time::now;
use serde_json::{Value, json};

use crate::engine::is_postgresql;
use crate::program::Running;
use crate::support::{Answer, Service, digest};

fn suspend(service: &Service, status: &str) -> Answer {
    let path = "/admin/v1/users/usr_a?force=true";
    service.patch(path, &json!({"status": status}))
}

fn readiness(service: &Service) -> Answer {
    service.send("GET", "/readyz", None, None)
}

fn writable(service: &Service) -> bool {
    let metrics = service.send("GET", "/metrics", None, None).text;
    metrics.contains("keybound_service_writable 1\n")
}

/// Waits for what happens by itself a moment later.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn writes_go_on_after_an_error_on_which_the_database_rolls_back_by_itself() {
    if is_postgresql() {
        return;
    }
    let service = Service::furnished();
    assert_eq!(readiness(&service).expect(200)["writes"], "ok");
    assert!(writable(&service));
    service.execute(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
    );
    for _ in 0..3 {
        suspend(&service, "suspended").problem(503);
    }
    until("not ready", || readiness(&service).status == 503);
    assert!(!writable(&service));
    assert_eq!(service.changes("?after=2")["cursor"], 2, "reads go on");
    service.execute("DROP TRIGGER full");
    suspend(&service, "suspended").expect(200);
    assert_eq!(service.changes("?after=2")["cursor"], 3);
    assert_eq!(readiness(&service).expect(200)["writes"], "ok");
    assert!(writable(&service));
}

#[test]
fn what_would_be_lost_with_a_deleted_or_replaced_file_is_not_acknowledged() {
    if is_postgresql() {
        return;
    }
    let service = Service::furnished();
    let key = service.make_key(&json!({}));
    let digest = digest(&key["secret"]);
    let file = |ending: &str| -> PathBuf { service.folder().join(format!("keybound.db{ending}")) };
    for ending in ["", "-wal", "-shm"] {
        let aside = file("-aside");
        fs::rename(file(ending), &aside).unwrap();
        for replaced in [false, true] {
            if replaced {
                // Not by this process: a file that it closes loses the locks that SQLite holds on it.
                let copied = Command::new("cp")
                    .args([&aside, &file(ending)])
                    .status()
                    .unwrap();
                assert!(copied.success());
            }
            let refused = suspend(&service, "suspended");
            refused.problem(503);
            assert!(
                refused.text.contains("deleted, moved or replaced"),
                "{}",
                refused.text
            );
            let not_ready = readiness(&service);
            not_ready.problem(503);
            assert!(
                not_ready.text.contains("restart the service"),
                "{}",
                not_ready.text
            );
            assert!(!writable(&service));
            assert_eq!(
                service.resolve(&[&digest])["results"][0]["user"]["status"],
                "active"
            );
        }
        fs::rename(&aside, file(ending)).unwrap();
        suspend(&service, "suspended").expect(200);
        assert_eq!(readiness(&service).expect(200)["writes"], "ok");
        suspend(&service, "active").expect(200);
    }
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert!(
        metrics.contains(r#"keybound_service_database_errors_total{error="gone"} 6"#),
        "{metrics}"
    );
}

#[test]
fn a_database_that_was_never_written_calls_no_key_unknown() {
    let service = Service::start();
    let protocol = |method: &str, path: &str, body: Option<&Value>| {
        let body = body.map(Value::to_string);
        let body = body.as_deref().map(str::as_bytes);
        service.send(method, path, Some(&service.gateway), body)
    };
    let asked = json!({"digests": ["A".repeat(43)]});
    let report = json!({"reporter": "vm", "batch": 1, "from": 0, "to": now(), "keys": []});
    let never = |answer: Answer| {
        answer.problem(503);
        assert!(answer.text.contains("not mounted"), "{}", answer.text);
        assert_eq!(answer.header("retry-after"), "1");
    };
    never(protocol("POST", "/v1/resolve", Some(&asked)));
    never(protocol("POST", "/v1/usage", Some(&report)));
    // A new one is well: a gateway begins to follow it, and learns of the first write.
    assert_eq!(
        service.changes(""),
        json!({"cursor": 0, "reset": true, "changes": []})
    );
    assert_eq!(service.changes("?after=0")["reset"], false);
    let ready = readiness(&service).expect(200);
    assert_eq!(ready["written"], false);
    assert!(ready["detail"].as_str().unwrap().contains("not mounted"));
    // Not to a gateway that has seen more of the world.
    never(protocol("GET", "/v1/changes?after=5&wait=30", None));
    let not_ready = readiness(&service);
    not_ready.problem(503);
    assert!(not_ready.text.contains("not mounted"), "{}", not_ready.text);

    service
        .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
        .expect(201);
    let known = protocol("POST", "/v1/resolve", Some(&asked)).expect(200);
    assert_eq!(known["results"][0]["key"], Value::Null);
    assert_eq!(service.changes("?after=5")["reset"], true);
    assert_eq!(protocol("POST", "/v1/usage", Some(&report)).status, 204);
    let ready = readiness(&service).expect(200);
    assert_eq!(
        (&ready["written"], &ready["detail"]),
        (&json!(true), &Value::Null)
    );
}

const ADMIN: &str = "admin-token-number-one";

fn call(service: &Running, method: &str, path: &str, body: &Value) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", service.url))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {ADMIN}"));
    let answer = match body {
        Value::Null => agent.run(request.body(()).unwrap()),
        body => agent.run(request.body(body.to_string()).unwrap()),
    };
    answer.unwrap().status().as_u16()
}

#[test]
fn a_full_disk_is_told_and_forgotten_as_soon_as_there_is_room() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
    let post = |body: &Value| call(&service, "POST", "/admin/v1/tenants", body);
    let ready = || call(&service, "GET", "/readyz", &Value::Null);
    assert_eq!((post(&json!({})), ready()), (201, 200));
    // No file may grow: neither those of the database nor the log of the service.
    let largest_file = |limit: &str| {
        let limited = Command::new("prlimit")
            .args(["--pid", &service.id().to_string()])
            .arg(format!("--fsize={limit}:"))
            .status()
            .unwrap();
        assert!(limited.success());
    };
    largest_file("1");
    for _ in 0..3 {
        assert_eq!(post(&json!({"id": "ten_full"})), 503);
        until("not ready", || ready() == 503);
    }
    assert_eq!(
        call(&service, "GET", "/admin/v1/tenants", &Value::Null),
        200
    );
    largest_file("unlimited");
    until("ready again without a write", || ready() == 200);
    assert_eq!(post(&json!({"id": "ten_full"})), 201);
    service.stop();
}

#[test]
fn a_full_disk_is_noticed_before_somebody_writes() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
    let limited = Command::new("prlimit")
        .args(["--pid", &service.id().to_string(), "--fsize=1:"])
        .status()
        .unwrap();
    assert!(limited.success());
    until("not ready", || {
        call(&service, "GET", "/readyz", &Value::Null) == 503
    });
}
