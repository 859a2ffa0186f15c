//! The database has another history than the one that gateways followed: they start over.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use ::support::postgres::{Server, done};
use serde_json::{Value, json};

use crate::engine::{VERSION, is_postgresql};
use crate::postgresql_failing::{call, start_on};
use crate::postgresql_services::until;
use crate::program::Running;

/// An address that stands for one server now and for another later, as a name or a proxy in front of a cluster does.
struct Switch {
    port: u16,
    to: Arc<AtomicU16>,
}

impl Switch {
    fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Arc::new(AtomicU16::new(to));
        let target = Arc::clone(&to);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst)))
                else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, to }
    }
}

fn tenant(service: &Running, id: &str) -> i64 {
    let (status, _, made) = call(service, "POST", "/admin/v1/tenants", &json!({"id": id}));
    assert_eq!(status, 201, "{made}");
    made["version"].as_i64().unwrap()
}

fn changes(service: &Running, after: i64) -> Value {
    let (status, _, page) = call(
        service,
        "GET",
        &format!("/v1/changes?after={after}"),
        &Value::Null,
    );
    assert_eq!(status, 200, "{page}");
    page
}

fn metric(service: &Running, line: &str) -> bool {
    let (_, _, text) = call(service, "GET", "/metrics", &Value::Null);
    text.as_str().unwrap().contains(line)
}

#[test]
fn a_standby_that_was_behind_and_is_promoted_makes_every_follower_start_over() {
    if !is_postgresql() {
        return;
    }
    let version = VERSION.as_deref().unwrap();
    let mut primary = Server::start(version).unwrap();
    primary.create("keys").unwrap();
    let mut standby = primary.standby(version).unwrap();
    let switch = Switch::new(primary.port());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://keybound@127.0.0.1:{}/keys", switch.port);
    let service = start_on(&primary, folder.path(), &url);
    let kept = tenant(&service, "ten_kept");
    until("the standby has it", || {
        standby
            .ask("keys", "SELECT count(*) FROM tenants")
            .is_ok_and(|count| count == "1")
    });
    standby.stop().unwrap();
    let lost: Vec<i64> = (0..5)
        .map(|number| tenant(&service, &format!("ten_lost_{number}")))
        .collect();
    let cursor = *lost.last().unwrap();
    assert_eq!(changes(&service, cursor)["reset"], false);

    primary.kill();
    standby.resume().unwrap();
    switch.to.store(standby.port(), Ordering::SeqCst);
    standby.promote().unwrap();
    // By itself, and before anybody writes.
    until("the numbers are moved on", || {
        call(&service, "GET", "/readyz", &Value::Null).0 == 200
            && metric(&service, "keybound_service_database_origin_changes_total 1")
    });
    for after in [kept, lost[0], cursor] {
        let page = changes(&service, after);
        assert_eq!(page["reset"], true, "after {after}: {page}");
        assert!(page["cursor"].as_i64().unwrap() > 1_000_000_000);
    }
    let begin = changes(&service, cursor)["cursor"].as_i64().unwrap();
    let new = tenant(&service, "ten_new");
    assert_eq!(new, begin + 1);
    let page = changes(&service, begin);
    assert_eq!(
        (&page["reset"], &page["changes"][0]["id"]),
        (&json!(false), &json!("ten_new"))
    );
    assert_eq!(changes(&service, cursor)["reset"], true);
    // The log says so, and is whole.
    let (_, _, audit) = call(
        &service,
        "GET",
        "/admin/v1/audit?kind=database",
        &Value::Null,
    );
    assert_eq!(audit["items"][0]["actor"], "key-service");
    service.stop();
    let verified = crate::program::run(
        folder.path(),
        &[("KEYBOUND_DATABASE", &url)],
        &["audit", "verify"],
    );
    assert!(verified.status.success());
}

#[test]
fn a_dump_that_is_restored_in_another_cluster_makes_every_follower_start_over() {
    if !is_postgresql() {
        return;
    }
    let version = VERSION.as_deref().unwrap();
    let (first, second) = (
        Server::start(version).unwrap(),
        Server::start(version).unwrap(),
    );
    first.create("keys").unwrap();
    second.create("keys").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = start_on(&first, folder.path(), &first.url("keys"));
    tenant(&service, "ten_a");
    let dump = done(first.client("pg_dump", "keys").arg("--no-owner")).unwrap();
    let cursor = tenant(&service, "ten_b");
    service.stop();

    let file = folder.path().join("dump.sql");
    std::fs::write(&file, dump).unwrap();
    let mut restore = second.client("psql", "keys");
    done(
        restore
            .args(["--quiet", "--no-psqlrc", "--file"])
            .arg(&file),
    )
    .unwrap();
    let service = start_on(&second, folder.path(), &second.url("keys"));
    until("the numbers are moved on", || {
        metric(&service, "keybound_service_database_origin_changes_total 1")
    });
    for after in [cursor, cursor - 1] {
        assert_eq!(changes(&service, after)["reset"], true);
    }
    assert!(tenant(&service, "ten_c") > 1_000_000_000);
    service.stop();
    // Where nothing has changed, nothing is moved.
    let again = start_on(&second, folder.path(), &second.url("keys"));
    let next = tenant(&again, "ten_d");
    assert!(
        metric(&again, "keybound_service_database_origin_changes_total 0"),
        "{next}"
    );
    again.stop();
}
