//! A field given twice: which one counts would depend on who reads it.

use serde_json::json;

use crate::support::{Service, digest};

#[test]
fn a_field_given_twice_is_refused_wherever_it_is() {
    let service = Service::furnished();
    let made = service.make_key(&json!({"id": "key_1"}));
    let digest = digest(&made["secret"]);
    for (method, path, body, field) in [
        (
            "POST",
            "/admin/v1/tenants",
            r#"{"id": "ten_1", "id": "ten_2"}"#,
            "id",
        ),
        (
            "PATCH",
            "/admin/v1/users/usr_a",
            r#"{"status": "active", "status": "suspended"}"#,
            "status",
        ),
        (
            "PATCH",
            "/admin/v1/keys/key_1",
            r#"{"hours": {"days": ["mon"], "from": "08:00", "from": "09:00", "to": "10:00"}}"#,
            "hours.from",
        ),
        (
            "POST",
            "/admin/v1/keys",
            r#"{"user_id": "usr_a", "scopes": ["a"], "scopes": ["*"]}"#,
            "scopes",
        ),
        (
            "POST",
            "/admin/v1/keys/key_1/rotate",
            r#"{"grace": "1h", "grace": "9d"}"#,
            "grace",
        ),
        (
            "POST",
            "/admin/v1/leaks",
            r#"{"keys": ["a"], "keys": ["b"]}"#,
            "keys",
        ),
        (
            "POST",
            "/admin/v1/webhooks",
            r#"{"url": "https://a.example.com", "url": "https://b.example.com"}"#,
            "url",
        ),
        (
            "POST",
            "/admin/v1/tokens",
            r#"{"name": "a", "role": "viewer", "role": "admin"}"#,
            "role",
        ),
        (
            "POST",
            "/admin/v1/approvals",
            r#"{"user_id": "usr_a", "api": "orders", "api": "stock"}"#,
            "api",
        ),
        (
            "POST",
            "/admin/v1/explain",
            r#"{"key_id": "key_1", "request": {"path": "/a", "path": "/b"}}"#,
            "request.path",
        ),
        (
            "POST",
            "/admin/v1/apply",
            r#"{"users": [{"id": "usr_1", "id": "usr_2"}]}"#,
            "users[0].id",
        ),
    ] {
        let answer = service.send(method, path, Some(&service.admin), Some(body.as_bytes()));
        assert_eq!(answer.problem(400), [field], "{method} {path}");
    }
    let line = format!(r#"{{"digest": "{digest}", "user_id": "usr_a", "user_id": "usr_b"}}"#);
    let headers = [
        (
            "authorization",
            format!("Bearer {}", service.admin.reveal()),
        ),
        ("content-type", "application/x-ndjson".to_owned()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = service.send_with(
        "POST",
        "/admin/v1/keys/import",
        &headers,
        Some(line.as_bytes()),
    );
    assert_eq!(answer.problem(400), ["line 1.user_id"]);
    for (path, body, field) in [
        ("/v1/resolve", format!(r#"{{"digests": [], "digests": ["{digest}"]}}"#), "digests"),
        (
            "/v1/usage",
            r#"{"reporter": "a", "batch": 1, "from": 1, "to": 2, "keys": [{"id": "key_1", "id": "key_2"}]}"#.to_owned(),
            "keys[0].id",
        ),
    ] {
        let answer = service.send("POST", path, Some(&service.gateway), Some(body.as_bytes()));
        assert_eq!(answer.problem(400), [field], "{path}");
    }
}
