//! `/admin/v1/refusals`: what passed and what was refused, over time, as far as a token reaches.

use key_service::domain::time::{DAY, HOUR, now};
use key_service::domain::token::{Role, Token};
use key_service::store::retention::Retention;
use serde_json::{Value, json};

use crate::reach::token;
use crate::support::Service;

const PATH: &str = "/admin/v1/refusals";

/// Two tenants, and a user of none, with a key each; a second user of the first with one too.
fn with_keys() -> Service {
    let service = Service::furnished();
    let post = |path: &str, body: Value| service.post(path, &body).expect(201);
    post("/admin/v1/tenants", json!({"id": "ten_b"}));
    for (user, tenant) in [
        ("usr_a2", Some("ten_a")),
        ("usr_b", Some("ten_b")),
        ("usr_n", None),
    ] {
        post("/admin/v1/users", json!({"id": user, "tenant_id": tenant}));
    }
    for (key, user) in [
        ("key_a", "usr_a"),
        ("key_a2", "usr_a2"),
        ("key_b", "usr_b"),
        ("key_n", "usr_n"),
    ] {
        post("/admin/v1/keys", json!({"id": key, "user_id": user}));
    }
    service
}

/// Reports of each key a request that passed, one that was refused for a reason, and one for none.
fn report(service: &Service, batch: i64, at: i64) {
    let keys = ["key_a", "key_a2", "key_b", "key_n", "key_gone"].map(|id| {
        json!({"id": id, "allowed": 1, "rejected": 3, "last_at": at,
               "rejected_by": {"user_suspended": 1, "a_newer_reason": 1}})
    });
    let report = json!({"reporter": "r", "batch": batch, "from": at - 10, "to": at, "keys": keys});
    let body = report.to_string();
    let sent = service.send(
        "POST",
        "/v1/usage",
        Some(&service.gateway),
        Some(body.as_bytes()),
    );
    assert_eq!(sent.status, 204, "{}", sent.text);
}

/// A time whose hour is not over before the test is.
fn steady_now() -> i64 {
    let left = HOUR - now() % HOUR;
    if left < 30 {
        std::thread::sleep(std::time::Duration::from_secs(left.unsigned_abs()));
    }
    now()
}

fn told(service: &Service, token: &Token, query: &str) -> Value {
    service
        .send("GET", &format!("{PATH}{query}"), Some(token), None)
        .expect(200)
}

/// A series that holds this at these steps before the last, and nothing else.
fn series(length: usize, sums: &[(usize, i64)]) -> Value {
    let mut series = vec![0; length];
    for (before_last, sum) in sums {
        series[length - 1 - before_last] = *sum;
    }
    series.into()
}

#[test]
fn hours_and_days_are_summed_over_all_keys_or_those_of_a_tenant() {
    let service = with_keys();
    let none = told(&service, &service.admin, "");
    assert_eq!(none["usage_reported"], false);
    assert_eq!(none["allowed"], series(24, &[]));
    assert_eq!(none["rejected_by"], json!({}));

    let now = steady_now();
    report(&service, 1, now);
    report(&service, 2, now - 2 * HOUR);
    report(&service, 2, now - 2 * HOUR);
    report(&service, 3, now - 3 * DAY);
    report(&service, 4, now - 80 * DAY);
    report(&service, 5, now + 9 * DAY);
    let hour = now / HOUR * HOUR;
    let (admin, viewer) = (&service.admin, &service.viewer);
    for (query, length, step, at, keys) in [
        ("", 24, HOUR, &[(0, 2), (2, 1)][..], 4),
        ("?hours=168", 168, HOUR, &[(0, 2), (2, 1), (72, 1)], 4),
        ("?hours=1", 1, HOUR, &[(0, 2)], 4),
        ("?hours=3&tenant=ten_a", 3, HOUR, &[(0, 2), (2, 1)], 2),
        ("?hours=3&tenant=ten_b", 3, HOUR, &[(0, 2), (2, 1)], 1),
        ("?hours=3&tenant=ten_none", 3, HOUR, &[], 0),
    ] {
        let sums = |of: i64| -> Value {
            let sums: Vec<_> = at.iter().map(|(at, sum)| (*at, sum * of * keys)).collect();
            series(length, &sums)
        };
        let answer = told(&service, admin, query);
        assert_eq!(answer, told(&service, viewer, query), "{query}");
        assert_eq!(answer["step"], step);
        assert_eq!(answer["to"], hour + HOUR);
        assert_eq!(
            answer["from"],
            hour + HOUR - i64::try_from(length).unwrap() * step
        );
        assert_eq!(answer["usage_reported"], true);
        assert_eq!(answer["allowed"], sums(1), "{query}");
        let by = if at.is_empty() {
            json!({})
        } else {
            json!({"user_suspended": sums(1), "other": sums(2)})
        };
        assert_eq!(answer["rejected_by"], by, "{query}");
    }
    let days = told(&service, admin, "?days=90");
    assert_eq!(days["step"], DAY);
    assert_eq!(days["to"], now / DAY * DAY + DAY);
    let allowed = days["allowed"].as_array().unwrap();
    assert_eq!(
        (allowed.len(), &allowed[9], &allowed[86]),
        (90, &json!(4), &json!(4))
    );
    let sum: i64 = allowed.iter().map(|day| day.as_i64().unwrap()).sum();
    assert_eq!(sum, 5 * 4);
    let week = told(&service, admin, "?days=7");
    assert_eq!(week["allowed"].as_array().unwrap(), &allowed[83..]);
}

#[test]
fn a_token_is_told_of_what_is_within_its_reach() {
    let service = with_keys();
    let now = steady_now();
    report(&service, 1, now);
    for role in [Role::Admin, Role::Viewer] {
        let token = token(&service, role);
        let own = told(&service, &token, "?hours=2");
        assert_eq!(own["allowed"], json!([0, 2]));
        assert_eq!(own["rejected_by"]["other"], json!([0, 4]));
        assert_eq!(own, told(&service, &token, "?hours=2&tenant=ten_a"));
        let others = told(&service, &token, "?hours=2&tenant=ten_b");
        assert_eq!(others["allowed"], json!([0, 0]));
        assert_eq!(others["rejected_by"], json!({}));
        assert_eq!(others, told(&service, &token, "?hours=2&tenant=ten_none"));
    }
    // Of one user there are sums by day alone: those days that hold the hours.
    let developer = token(&service, Role::Developer);
    for query in ["?days=2", "?hours=25", "?days=2&tenant=ten_a"] {
        let own = told(&service, &developer, query);
        assert_eq!(own["step"], DAY);
        assert_eq!(own["to"], now / DAY * DAY + DAY);
        assert_eq!(own["allowed"], json!([0, 1]), "{query}");
        assert_eq!(
            own["rejected_by"],
            json!({"user_suspended": [0, 1], "other": [0, 2]}),
            "{query}"
        );
    }
    let others = told(&service, &developer, "?days=2&tenant=ten_b");
    assert_eq!(others["allowed"], json!([0, 0]));
    assert_eq!(others["rejected_by"], json!({}));
}

#[test]
fn hours_and_days_have_bounds_and_are_not_mixed() {
    let service = Service::start();
    for (query, wrong) in [
        ("?hours=0", "hours"),
        ("?hours=169", "hours"),
        ("?days=91", "days"),
        ("?days=0", "days"),
        ("?hours=1&days=1", "days"),
        ("?tenant=", "tenant"),
    ] {
        let answer = service.get(&format!("{PATH}{query}"));
        assert_eq!(answer.problem(400), [wrong], "{query}");
    }
}

#[test]
fn sums_are_kept_as_long_as_counts_of_use() {
    let service = with_keys();
    let now = now();
    report(&service, 1, now - 45 * DAY);
    report(&service, 2, now - 35 * DAY);
    let retention = Retention {
        audit: None,
        usage: Some(40 * DAY),
    };
    service.wait_for(async || service.store.prune(retention, now).await.unwrap());
    let days = told(&service, &service.admin, "?days=90");
    let sums = |of: &Value| -> i64 {
        let series = of.as_array().unwrap().iter();
        series.map(|sum| sum.as_i64().unwrap()).sum()
    };
    assert_eq!(sums(&days["allowed"]), 4);
    assert_eq!(days["allowed"][54], 4);
    assert_eq!(sums(&days["rejected_by"]["user_suspended"]), 4);
}
