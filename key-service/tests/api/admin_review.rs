//! `/admin/v1/review`: which keys ask for a look, and why; the command and the counts that follow from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use key_service::domain::review::ReviewReason;
use key_service::domain::time::{DAY, now};
use key_service::domain::token::{Role, Token};
use serde_json::{Value, json};

use crate::program::text;
use crate::reach;
use crate::support::Service;

/// The reasons of each key that asks for a look, in order. Asked for one reason alone, it is those keys that have it.
fn reasons(service: &Service, query: &str) -> Vec<(String, Vec<String>)> {
    let all = pages(service, query);
    for (word, _) in ReviewReason::WORDS {
        let having = all
            .iter()
            .filter(|(_, reasons)| reasons.iter().any(|reason| reason == word));
        let having: Vec<_> = having.cloned().collect();
        let asked = pages(service, &format!("{query}&reason={word}"));
        assert_eq!(asked, having, "{query} {word}");
    }
    all
}

fn pages(service: &Service, query: &str) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let answer = service
            .get(&format!("/admin/v1/review?{query}{token}"))
            .expect(200);
        for item in answer["items"].as_array().unwrap() {
            let reasons = item["reasons"].as_array().unwrap().iter();
            let reasons = reasons.map(|reason| reason.as_str().unwrap().to_owned());
            all.push((
                item["key_id"].as_str().unwrap().to_owned(),
                reasons.collect(),
            ));
        }
        match answer["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => return all,
        }
    }
}

fn told(key: &str, reasons: &[&str]) -> (String, Vec<String>) {
    (
        key.to_owned(),
        reasons.iter().map(|reason| (*reason).to_owned()).collect(),
    )
}

/// A key that nothing is wrong with.
fn make(service: &Service, id: &str, fields: &Value) {
    let mut key = json!({"id": id, "expires_at": now() + 200 * DAY});
    for (name, value) in fields.as_object().unwrap() {
        key[name] = value.clone();
    }
    service.make_key(&key);
}

fn report(service: &Service, key: &str, at: i64) {
    let report = json!({"reporter": "r", "batch": at, "from": at, "to": at, "keys": [{"id": key, "allowed": 1, "rejected": 0, "last_at": at}]});
    let sent = service.send(
        "POST",
        "/v1/usage",
        Some(&service.gateway),
        Some(report.to_string().as_bytes()),
    );
    assert_eq!(sent.status, 204, "{}", sent.text);
}

#[test]
fn each_reason_is_told_and_nothing_of_what_is_over_or_right() {
    let service = Service::furnished();
    make(&service, "right", &json!({}));
    make(&service, "no_expiry", &json!({"expires_at": null}));
    make(&service, "soon", &json!({"expires_at": now() + 29 * DAY}));
    make(&service, "everything", &json!({"scopes": ["a", "*"]}));
    make(&service, "narrower", &json!({"scopes": ["a:*"]}));
    make(&service, "due", &json!({"rotate_every": "1s"}));
    make(&service, "not_due", &json!({"rotate_every": "90d"}));
    make(&service, "revoked", &json!({"expires_at": null}));
    service
        .post("/admin/v1/keys/revoked/revoke", &json!({}))
        .expect(200);
    make(&service, "disabled", &json!({"expires_at": null}));
    service
        .patch(
            "/admin/v1/keys/disabled?force=true",
            &json!({"status": "disabled"}),
        )
        .expect(200);
    // Its end is meant to come: another has taken its place.
    make(&service, "replaced", &json!({"rotate_every": "1s"}));
    let new = service
        .post("/admin/v1/keys/replaced/rotate", &json!({"grace": "1h"}))
        .expect(201);
    service
        .patch(
            &format!("/admin/v1/keys/{}", new["id"].as_str().unwrap()),
            &json!({"rotate_every": null}),
        )
        .expect(200);
    let lines = [
        json!({"key": "key-of-nobody", "id": "orphan", "expires_at": now() + 200 * DAY}),
        json!({"key": "key-of-a-ghost", "id": "ghost", "user_id": "usr_ghost", "expires_at": now() + 200 * DAY}),
        json!({"key": "key-that-is-over", "id": "over", "expires_at": 5}),
    ];
    let lines = lines.map(|line| line.to_string()).join("\n");
    let authorization = format!("Bearer {}", service.admin.reveal());
    let headers = [("authorization", authorization.as_str())];
    service
        .send_with(
            "POST",
            "/admin/v1/keys/import?allow_expired=true",
            &headers,
            Some(lines.as_bytes()),
        )
        .expect(200);
    std::thread::sleep(Duration::from_millis(1100));
    let expected = [
        told("no_expiry", &["no_expiry"]),
        told("soon", &["expires_soon"]),
        told("everything", &["everything_allowed"]),
        told("due", &["rotation_due"]),
        told("disabled", &["no_expiry"]),
        told("orphan", &["orphaned"]),
        told("ghost", &["orphaned"]),
    ];
    assert_eq!(reasons(&service, ""), expected);
    assert_eq!(reasons(&service, "limit=2"), expected, "page by page");
    assert_eq!(reasons(&service, "expires_within=1d&limit=100").len(), 6);
    assert_eq!(reasons(&service, "tenant=ten_a").len(), 5);
    assert_eq!(reasons(&service, "tenant=ten_b"), []);
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let all = reasons(&service, "");
    assert!(all.contains(&told("right", &["owner_inactive"])));
    assert!(all.contains(&told("no_expiry", &["owner_inactive", "no_expiry"])));
    assert!(
        !all.iter()
            .any(|(key, _)| ["revoked", "over"].contains(&key.as_str()))
    );
}

#[test]
fn use_that_nobody_reports_is_told_apart_from_none() {
    let service = Service::furnished();
    for id in ["never", "old", "new", "used"] {
        make(&service, id, &json!({}));
    }
    make(&service, "no_expiry", &json!({"expires_at": null}));
    service.execute(&format!(
        "UPDATE keys SET created_at = {} WHERE id <> 'new'",
        now() - 200 * DAY
    ));
    assert_eq!(reasons(&service, "").len(), 1, "nobody knows what is used");
    let answer = service.get("/admin/v1/review").expect(200);
    assert_eq!(answer["usage_reported"], false);
    assert_eq!(answer["items"][0]["usage_reported"], false);
    assert_eq!(answer["items"][0]["last_used_at"], Value::Null);
    report(&service, "used", now() - 10);
    report(&service, "old", now() - 91 * DAY);
    let dormant = told("old", &["dormant"]);
    let no_expiry = told("no_expiry", &["no_expiry"]);
    assert_eq!(
        reasons(&service, ""),
        [dormant.clone(), no_expiry.clone()],
        "what is known for a moment is no never"
    );
    service.execute(&format!(
        "UPDATE usage_reporting SET since = {}",
        now() - 31 * DAY
    ));
    let never = told("never", &["never_used"]);
    let both = told("no_expiry", &["never_used", "no_expiry"]);
    assert_eq!(
        reasons(&service, ""),
        [never.clone(), dormant, both.clone()]
    );
    assert_eq!(reasons(&service, "dormant_after=92d"), [never, both]);
    let answer = service.get("/admin/v1/review").expect(200);
    let last = answer["items"][1]["last_used_at"].as_i64().unwrap();
    assert_eq!((now() - last) / DAY, 91);
    assert_eq!(answer["usage_reported"], true);
}

#[test]
fn what_breaks_the_rules_of_its_tenant_is_named() {
    let service = Service::furnished();
    make(&service, "broken", &json!({}));
    make(&service, "kept", &json!({"purpose": "stock"}));
    let rules = json!({"require": ["purpose"]}).to_string();
    service
        .send(
            "PUT",
            "/admin/v1/tenants/ten_a/key-rules",
            Some(&service.admin),
            Some(rules.as_bytes()),
        )
        .expect(200);
    assert_eq!(reasons(&service, ""), [told("broken", &["breaks_rules"])]);
    let rules = json!({"owners": "system"}).to_string();
    service
        .send(
            "PUT",
            "/admin/v1/tenants/ten_a/key-rules",
            Some(&service.admin),
            Some(rules.as_bytes()),
        )
        .expect(200);
    assert_eq!(reasons(&service, "").len(), 2);
    service
        .patch("/admin/v1/users/usr_a", &json!({"kind": "system"}))
        .expect(200);
    assert_eq!(reasons(&service, ""), []);
}

#[test]
fn more_keys_than_are_read_at_once_are_all_looked_at() {
    let service = Service::furnished();
    let line = |n: usize| json!({"key": format!("an-old-key-{n:05}"), "id": format!("k{n}"), "user_id": "usr_a", "expires_at": if n % 1_000 == 999 { None } else { Some(now() + 99 * DAY) }});
    for part in 0..5 {
        let lines: Vec<String> = (part * 900..(part + 1) * 900)
            .map(|n| line(n).to_string())
            .collect();
        service.import(&lines.join("\n")).expect(200);
    }
    let expected = ["k999", "k1999", "k2999", "k3999"].map(|key| told(key, &["no_expiry"]));
    assert_eq!(reasons(&service, ""), expected);
    assert_eq!(reasons(&service, "limit=3"), expected);
}

#[test]
fn the_command_prints_a_line_a_key_and_reason_and_fails_where_that_is_asked_for() {
    let service = Service::furnished();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let environment = [
            ("KEYBOUND_SERVER", service.url.as_str()),
            ("KEYBOUND_TOKEN", service.admin.reveal()),
        ];
        crate::program::run(
            folder.path(),
            &environment,
            &[&["review"], arguments].concat(),
        )
    };
    make(&service, "right", &json!({}));
    let none = run(&["--fail"]);
    assert!(none.status.success(), "{}", text(&none.stderr));
    make(
        &service,
        "key_1",
        &json!({"expires_at": null, "scopes": ["*"], "name": "one, \"two\""}),
    );
    let table = run(&[]);
    assert!(table.status.success());
    let table = text(&table.stdout);
    for row in [
        "key_1  no_expiry           usr_a  one, \"two\"",
        "key_1  everything_allowed  usr_a",
    ] {
        assert!(table.contains(row), "{table}");
    }
    let csv = text(&run(&["--csv", "--tenant", "ten_a"]).stdout);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(
        rows[0],
        "key_id,user_id,tenant_id,name,reason,last_used,expires"
    );
    assert_eq!(
        rows[1],
        "key_1,usr_a,ten_a,\"one, \"\"two\"\"\",no_expiry,not known,"
    );
    assert_eq!(rows.len(), 3);
    for (reason, lines) in [("no_expiry", 3), ("orphaned", 1)] {
        let csv = text(&run(&["--csv", "--reason", reason]).stdout);
        assert_eq!(csv.lines().count(), lines, "{csv}");
    }
    assert_eq!(run(&["--reason", "orphan"]).status.code(), Some(2));
    let json: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(
        json["items"][0]["reasons"],
        json!(["no_expiry", "everything_allowed"])
    );
    let failed = run(&["--fail"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        text(&failed.stderr).contains("1 keys ask for a look"),
        "{}",
        text(&failed.stderr)
    );
    assert_eq!(run(&["--csv", "--json"]).status.code(), Some(2));
}

#[test]
fn the_metrics_count_keys_by_reason() {
    let service = Service::furnished();
    make(&service, "a", &json!({"expires_at": null, "scopes": ["*"]}));
    make(&service, "b", &json!({"expires_at": null}));
    let lines = [
        r#"keybound_service_keys_to_review{reason="no_expiry"} 2"#,
        r#"keybound_service_keys_to_review{reason="everything_allowed"} 1"#,
        r#"keybound_service_keys_to_review{reason="orphaned"} 0"#,
        r#"keybound_service_keys_to_review{reason="rotation_due"} 0"#,
    ];
    let metrics = service.send("GET", "/metrics", None, None).text;
    for line in lines {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

/// How many keys have each reason, by what the counts say; those that nobody has are left out.
fn counted(service: &Service, token: &Token, query: &str) -> BTreeMap<String, i64> {
    let path = format!("/admin/v1/review/counts{query}");
    let answer = service.send("GET", &path, Some(token), None).expect(200);
    assert!((now() - answer["counted_at"].as_i64().unwrap()) < 60);
    let counts = answer["counts"].as_object().unwrap();
    assert_eq!(counts.len(), ReviewReason::WORDS.len());
    let counts = counts
        .iter()
        .map(|(reason, count)| (reason.clone(), count.as_i64().unwrap()));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn counts_are_of_what_a_token_reaches_and_follow_what_changes() {
    let service = Service::furnished();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    for (user, tenant) in [("usr_a2", "ten_a"), ("usr_b", "ten_b")] {
        service
            .post("/admin/v1/users", &json!({"id": user, "tenant_id": tenant}))
            .expect(201);
    }
    for (id, user) in [("a", "usr_a"), ("a2", "usr_a2"), ("b", "usr_b")] {
        make(
            &service,
            id,
            &json!({"user_id": user, "expires_at": null, "scopes": ["*"]}),
        );
    }
    service
        .import(&json!({"key": "key-of-nobody-at-all", "id": "orphan"}).to_string())
        .expect(200);
    let counts = |sums: &[(&str, i64)]| -> BTreeMap<String, i64> {
        sums.iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect()
    };
    let both = |count| counts(&[("no_expiry", count), ("everything_allowed", count)]);
    let all = counts(&[("no_expiry", 4), ("everything_allowed", 3), ("orphaned", 1)]);
    assert_eq!(counted(&service, &service.admin, ""), all);
    assert_eq!(counted(&service, &service.viewer, ""), all);
    assert_eq!(counted(&service, &service.admin, "?tenant=ten_b"), both(1));
    assert_eq!(
        counted(&service, &service.admin, "?tenant=ten_none"),
        counts(&[])
    );
    for (role, own) in [(Role::Admin, 2), (Role::Viewer, 2), (Role::Developer, 1)] {
        let token = reach::token(&service, role);
        assert_eq!(counted(&service, &token, ""), both(own), "{role:?}");
        assert_eq!(counted(&service, &token, "?tenant=ten_a"), both(own));
        assert_eq!(counted(&service, &token, "?tenant=ten_b"), counts(&[]));
    }
    let answer = service.get("/admin/v1/review/counts").expect(200);
    assert_eq!(answer["usage_reported"], false);
    service
        .post("/admin/v1/keys/b/revoke", &json!({}))
        .expect(200);
    // A count is followed by a rest.
    let until = Instant::now() + Duration::from_secs(30);
    let less = counts(&[("no_expiry", 3), ("everything_allowed", 2), ("orphaned", 1)]);
    while counted(&service, &service.admin, "") != less {
        assert!(Instant::now() < until, "counts stay as they were");
        std::thread::sleep(Duration::from_millis(20));
    }
}
