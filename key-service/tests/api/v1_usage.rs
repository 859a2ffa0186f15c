use key_service::domain::time::now;
use key_service::domain::token::Token;
use serde_json::{Value, json};

use crate::support::{Answer, Service};

pub fn report(service: &Service, reporter: &str, batch: i64, keys: &Value) -> Answer {
    let body = json!({"reporter": reporter, "batch": batch, "from": now() - 10, "to": now(), "keys": keys});
    send(service, &service.gateway, &body)
}

fn send(service: &Service, token: &Token, body: &Value) -> Answer {
    service.send(
        "POST",
        "/v1/usage",
        Some(token),
        Some(body.to_string().as_bytes()),
    )
}

/// With two keys, `key_1` and `key_2`.
pub fn with_keys() -> Service {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    service.make_key(&json!({"id": "key_2"}));
    service
}

#[test]
fn counts_are_summed_and_a_report_sent_again_is_not() {
    let service = with_keys();
    let at = now() - 5;
    let today = at / 86_400 * 86_400;
    let keys = json!([
        {"id": "key_1", "allowed": 120, "rejected": 3, "last_at": at},
        {"id": "key_1", "allowed": 1, "rejected": 0, "last_at": at - 86_400},
        {"id": "key_2", "allowed": 0, "rejected": 2, "last_at": at},
        {"id": "key_gone", "allowed": 1, "rejected": 1, "last_at": at},
    ]);
    for (reporter, batch) in [
        ("vm-a", 1),
        ("vm-a", 1),
        ("vm-b", 1),
        ("vm-a", 2),
        ("vm-a", 1),
    ] {
        let answer = report(&service, reporter, batch, &keys);
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!(answer.header("x-keybound-protocol"), "1");
    }
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(key["last_used_at"], at);
    assert_eq!(
        key["usage"],
        json!([
            {"day": today, "allowed": 360, "rejected": 9},
            {"day": today - 86_400, "allowed": 3, "rejected": 0},
        ])
    );
    let refused = service.get("/admin/v1/keys/key_2").expect(200);
    assert_eq!(
        refused["last_used_at"],
        Value::Null,
        "a refused request is no use"
    );
    let user = service.get("/admin/v1/users/usr_a").expect(200);
    assert_eq!(user["last_used_at"], at);
    assert_eq!(
        user["usage"][0],
        json!({"day": today, "allowed": 360, "rejected": 15})
    );
    let listed = service.get("/admin/v1/keys?never_used=true").expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], "key_2");
    assert_eq!(
        service.changes("?after=4")["cursor"],
        4,
        "a use is no change"
    );
}

#[test]
fn nothing_was_used_in_the_future() {
    let service = with_keys();
    report(
        &service,
        "vm",
        1,
        &json!([{"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now() + 9_999}]),
    );
    let used = service.get("/admin/v1/keys/key_1").expect(200)["last_used_at"]
        .as_i64()
        .unwrap();
    assert!(used <= now());
}

#[test]
fn a_broken_report_counts_nothing() {
    let service = with_keys();
    let wrong = report(
        &service,
        "vm",
        1,
        &json!([
            {"id": "key_1", "allowed": 1, "rejected": 0, "last_at": 5},
            {"id": "a b", "allowed": -1, "rejected": 1.5, "newer": 1}, 7,
        ]),
    );
    assert_eq!(
        wrong.problem(400),
        [
            "keys[1].id",
            "keys[1].allowed",
            "keys[1].rejected",
            "keys[1].last_at",
            "keys[2]"
        ]
    );
    assert_eq!(
        service.get("/admin/v1/keys/key_1").expect(200)["usage"],
        json!([])
    );
    assert_eq!(
        send(&service, &service.gateway, &json!({})).problem(400),
        ["reporter", "batch", "from", "to", "keys"]
    );
    send(&service, &service.admin, &json!({})).problem(403);
}
