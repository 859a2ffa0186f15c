//! Who stops keys that are in use, or of whose use nobody knows, is told so first.

use key_service::domain::time::{DAY, now};
use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Answer, Service};
use crate::v1_usage::{report, with_keys};

/// Reports that `key_1` was used.
fn used(service: &Service, batch: i64, at: i64) {
    let keys = json!([{"id": "key_1", "allowed": 1, "rejected": 0, "last_at": at}]);
    assert_eq!(report(service, "vm", batch, &keys).status, 204);
}

/// Every write that stops `key_1`: the method, the path and the body.
const STOPS: [(&str, &str, Option<&str>); 7] = [
    ("PATCH", "/admin/v1/users/usr_a", Some("suspended")),
    ("PATCH", "/admin/v1/users/usr_a", Some("locked")),
    ("PATCH", "/admin/v1/users/usr_a", Some("pending")),
    ("PATCH", "/admin/v1/users/usr_a", Some("deactivated")),
    ("DELETE", "/admin/v1/users/usr_a", None),
    ("PATCH", "/admin/v1/tenants/ten_a", Some("suspended")),
    ("PATCH", "/admin/v1/keys/key_1", Some("disabled")),
];

fn send(
    service: &Service,
    (method, path, status): (&str, &str, Option<&str>),
    query: &str,
) -> Answer {
    let body = status.map(|status| json!({"status": status}).to_string());
    service.send(
        method,
        &format!("{path}{query}"),
        Some(&service.admin),
        body.as_deref().map(str::as_bytes),
    )
}

fn set(service: &Service, path: &str, status: &str) {
    send(service, ("PATCH", path, Some(status)), "?force=true").expect(200);
}

/// The ids of the keys in a refusal, and why.
#[track_caller]
fn refused(answer: &Answer) -> (Vec<String>, String) {
    answer.problem(409);
    let body = answer.json();
    assert_eq!(body["code"], "in_use");
    assert!(
        body["detail"].as_str().unwrap().contains("?force=true"),
        "{body}"
    );
    let keys = body["keys"].as_array().unwrap().iter();
    let mut ids: Vec<String> = keys
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    (ids, body["reason"].as_str().unwrap().to_owned())
}

#[test]
fn what_stops_a_key_in_use_is_done_only_by_force() {
    for stop in STOPS {
        let service = with_keys();
        let at = now() - 60;
        used(&service, 1, at);
        for query in ["", "?force=false"] {
            let answer = send(&service, stop, query);
            assert_eq!(
                refused(&answer),
                (vec!["key_1".to_owned()], "used_recently".to_owned())
            );
            assert_eq!(answer.json()["keys"][0]["last_used_at"], at);
        }
        assert_eq!(send(&service, stop, "?force=yes").problem(400), ["force"]);
        assert_eq!(service.get(stop.1).expect(200)["status"], "active");
        let done = send(&service, stop, "?force=true").expect(200);
        assert_eq!(done["status"], stop.2.unwrap_or("deleted"));
    }
}

#[test]
fn where_nobody_reports_use_it_may_be_in_use() {
    for stop in STOPS {
        let service = with_keys();
        let (keys, reason) = refused(&send(&service, stop, ""));
        assert_eq!(reason, "usage_not_reported");
        assert!(keys.contains(&"key_1".to_owned()), "{keys:?}");
        send(&service, stop, "?force=true").expect(200);
    }
}

#[test]
fn a_user_that_was_stopped_before_is_not_stopped_otherwise_unawares() {
    let service = with_keys();
    used(&service, 1, now() - 60);
    set(&service, "/admin/v1/users/usr_a", "locked");
    for status in ["suspended", "deactivated"] {
        refused(&send(
            &service,
            ("PATCH", "/admin/v1/users/usr_a", Some(status)),
            "",
        ));
    }
    refused(&service.delete("/admin/v1/users/usr_a"));
    assert_eq!(
        service.get("/admin/v1/users/usr_a").expect(200)["status"],
        "locked"
    );
}

#[test]
fn what_stops_no_key_in_use_needs_no_force() {
    let service = with_keys();
    used(&service, 1, now() - 31 * DAY);
    for (method, path, status) in STOPS {
        if method == "PATCH" {
            send(&service, (method, path, status), "").expect(200);
            send(&service, (method, path, Some("active")), "").expect(200);
        }
    }
    used(&service, 2, now());
    let path = "/admin/v1/users/usr_a";
    service
        .patch(path, &json!({"status": "active", "name": "x"}))
        .expect(200);
    set(&service, path, "locked");
    service
        .patch(path, &json!({"status": "locked", "name": "y"}))
        .expect(200);
    set(&service, path, "active");
    // To revoke never asks, and what is revoked or expired is stopped already.
    service
        .post("/admin/v1/keys/key_1/revoke", &json!({}))
        .expect(200);
    service
        .patch(path, &json!({"status": "deactivated"}))
        .expect(200);

    let unreported = Service::furnished();
    unreported.make_key(&json!({"id": "key_gone"}));
    unreported
        .post("/admin/v1/keys/key_gone/revoke", &json!({}))
        .expect(200);
    unreported
        .patch(path, &json!({"status": "deactivated"}))
        .expect(200);
    unreported.delete(path).expect(200);
}

#[test]
fn of_many_keys_a_hundred_are_named() {
    let service = Service::furnished();
    for _ in 0..101 {
        service.make_key(&json!({}));
    }
    let answer = service.patch("/admin/v1/tenants/ten_a", &json!({"status": "suspended"}));
    assert_eq!(refused(&answer).0.len(), 100);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("more than 100 keys"), "{detail}");
}

#[test]
fn unknown_use_is_told_apart_from_no_use() {
    let service = with_keys();
    let ids = |query: &str| -> Vec<String> {
        let list = service.get(&format!("/admin/v1/keys{query}")).expect(200);
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(
        (&key["last_used_at"], &key["usage_reported"]),
        (&Value::Null, &json!(false))
    );
    let list = service.get("/admin/v1/keys").expect(200);
    assert_eq!(
        (&list["usage_reported"], &list["items"][1]["usage_reported"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        service.get("/admin/v1/users/usr_a").expect(200)["usage_reported"],
        false
    );
    for query in ["?never_used=true", "?unused_for=0s", "?unused_for=90d"] {
        assert!(ids(query).is_empty(), "{query}");
    }

    // Any report, whatever is in it: somebody counts from now on.
    assert_eq!(report(&service, "vm", 1, &json!([])).status, 204);
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(
        (&key["last_used_at"], &key["usage_reported"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(
        service.get("/admin/v1/keys").expect(200)["usage_reported"],
        true
    );
    assert_eq!(
        service.get("/admin/v1/users/usr_a").expect(200)["usage_reported"],
        true
    );
    assert_eq!(ids("?never_used=true"), ["key_1", "key_2"]);
    assert!(
        ids("?unused_for=90d").is_empty(),
        "nobody counted 90 days ago"
    );

    used(&service, 2, now() - 91 * DAY);
    assert_eq!(ids("?unused_for=90d"), ["key_1"]);
    assert_eq!(ids("?never_used=true"), ["key_2"]);
    used(&service, 3, now());
    assert!(ids("?unused_for=90d").is_empty());
    assert_eq!(
        service.get("/admin/v1/keys?unused_for=long").problem(400),
        ["unused_for"]
    );
}

#[test]
fn the_command_names_its_flag_and_what_is_not_known() {
    let service = with_keys();
    let environment = [
        ("KEYBOUND_SERVER", service.url.as_str()),
        ("KEYBOUND_TOKEN", service.admin.reveal()),
    ];
    let run = |arguments: &[&str]| {
        let output = crate::program::run(&service.folder(), &environment, arguments);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (_, listed, note) = run(&["key", "list", "--wide"]);
    assert!(
        listed.contains("not known") && note.contains("not known"),
        "{listed}{note}"
    );
    assert!(run(&["key", "show", "key_1"]).1.contains("not known"));
    let (_, listed, note) = run(&["key", "list", "--never-used"]);
    assert!(
        !listed.contains("key_1") && note.contains("not known"),
        "{listed}{note}"
    );

    for used_before in [false, true] {
        for stop in [
            &["user", "suspend", "usr_a"][..],
            &["user", "lock", "usr_a"],
            &["user", "deactivate", "usr_a"],
            &["user", "delete", "usr_a"],
            &["tenant", "suspend", "ten_a"],
            &["key", "disable", "key_1"],
        ] {
            let (code, _, error) = run(stop);
            assert_eq!(code, Some(1), "{error}");
            assert!(
                error.contains("--force") && !error.contains("?force"),
                "{error}"
            );
            let used = if used_before {
                "key_1 last used 20"
            } else {
                "key_1 last used not known"
            };
            assert!(error.contains(used), "{error}");
        }
        used(&service, 1, now());
    }
    let (_, listed, note) = run(&["key", "list", "--wide"]);
    assert!(
        listed.contains("never") && note.is_empty(),
        "{listed}{note}"
    );
    for stop in [
        &["key", "disable", "key_1", "--force"][..],
        &["tenant", "suspend", "ten_a", "--force"],
        &["user", "lock", "usr_a", "--force"],
        &["user", "delete", "usr_a", "--force"],
    ] {
        assert_eq!(run(stop).0, Some(0), "{stop:?}");
    }
}
