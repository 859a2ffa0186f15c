use serde_json::{Value, json};

use crate::support::{Answer, Service, digest};

fn import(service: &Service, query: &str, lines: &str) -> Answer {
    let authorization = format!("Bearer {}", service.admin.reveal());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-ndjson"),
    ];
    let path = format!("/admin/v1/keys/import{query}");
    service.send_with("POST", &path, &headers, Some(lines.as_bytes()))
}

const CLEAR: &str = "an-old-key-of-some-length";

#[test]
fn keys_come_in_clear_or_by_digest_and_resolve() {
    let service = Service::furnished();
    let other = digest(&json!("another-old-key"));
    let lines = format!(
        "{}\n\n{}\r\n",
        json!({"key": CLEAR, "user_id": "usr_a", "id": "k1", "scopes": ["a"], "expires_at": 4_000_000_000_i64, "name": "old"}),
        json!({"digest": other, "user_id": "usr_a", "status": "disabled", "hint": "anot…"}),
    );
    let report = import(&service, "", &lines).expect(200);
    assert_eq!(
        (&report["imported"], &report["existing"], &report["failed"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(
        report["lines"][0],
        json!({"line": 1, "result": "imported", "id": "k1"})
    );
    assert_eq!(report["lines"][1]["line"], 3);
    let answer = service.resolve(&[&digest(&json!(CLEAR)), &other]);
    assert_eq!(answer["results"][0]["key"]["id"], "k1");
    assert_eq!(answer["results"][0]["key"]["tenant_id"], "ten_a");
    assert_eq!(answer["results"][0]["key"]["expires_at"], 4_000_000_000_i64);
    assert_eq!(answer["results"][1]["key"]["status"], "disabled");
    let key = service.get("/admin/v1/keys/k1").expect(200);
    assert_eq!(key["hint"], "…ngth");
    let again = import(&service, "", &lines).expect(200);
    assert_eq!(
        (&again["imported"], &again["existing"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(
        service.changes("?after=4")["cursor"],
        4,
        "importing again changes nothing"
    );
    assert_eq!(
        service.get("/admin/v1/audit").expect(200)["items"][0]["action"],
        "import"
    );
}

#[test]
fn a_broken_line_keeps_all_out_unless_partial() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "taken"}));
    let lines = [
        json!({"key": CLEAR, "user_id": "usr_a"}).to_string(),
        "{\"key\": \"secret-in-a-broken-line\"".to_owned(),
        json!({"key": "x y", "scope": []}).to_string(),
        json!({"user_id": "usr_a"}).to_string(),
        json!({"key": "a-key-of-its-own", "digest": digest(&json!("x"))}).to_string(),
        json!({"key": "a-key-of-its-own", "id": "taken"}).to_string(),
        json!({"key": CLEAR, "id": "other"}).to_string(),
        json!({"key": "a-key-of-its-own", "not_before": 5, "expires_at": 5}).to_string(),
    ]
    .join("\n");
    let wrong = [
        "line 2",
        "line 3.key",
        "line 3.scope",
        "line 4",
        "line 5",
        "line 6.id",
        "line 7.id",
        "line 8.expires_at",
    ];
    let refused = import(&service, "", &lines);
    assert_eq!(refused.problem(400), wrong);
    for text in ["secret-in-a-broken-line", CLEAR, "a-key-of-its-own", "x y"] {
        assert!(!refused.text.contains(text), "{text}");
    }
    assert_eq!(service.changes("?after=3")["cursor"], 3);
    let report = import(&service, "?partial=true", &lines).expect(200);
    assert_eq!(
        (&report["imported"], &report["failed"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(report["lines"][2]["result"], "failed");
    assert_eq!(report["lines"][2]["errors"][0]["field"], "key");
    assert_eq!(service.changes("?after=3")["cursor"], 4);
}

#[test]
fn what_a_gateway_will_refuse_is_imported_with_a_warning() {
    let service = Service::furnished();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    let warnings = |fields: Value| {
        let mut line = fields.clone();
        line["key"] = json!(format!("key for {fields}").replace([' ', '"', '{', '}'], ""));
        let report = import(&service, "", &line.to_string()).expect(200);
        report["lines"][0]["warnings"].clone()
    };
    assert_eq!(warnings(json!({"user_id": "usr_a"})), Value::Null);
    assert_eq!(warnings(json!({})), json!(["the key has no user"]));
    assert_eq!(
        warnings(json!({"user_id": "usr_x"})),
        json!(["there is no user of this id"])
    );
    assert_eq!(
        warnings(json!({"user_id": "usr_a", "tenant_id": "ten_b"})),
        json!(["its user belongs to another tenant"])
    );
    assert_eq!(
        warnings(json!({"user_id": "usr_a", "tenant_id": "ten_x"})),
        json!([
            "its user belongs to another tenant",
            "there is no tenant of this id"
        ])
    );
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let count = |query: &str| {
        service.get(&format!("/admin/v1/keys?{query}")).expect(200)["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count("owner=missing"), count("owner=inactive")), (2, 3));
    assert_eq!(
        service.get("/admin/v1/keys?owner=gone").problem(400),
        ["owner"]
    );
}

#[test]
fn wrong_requests_are_problems() {
    let service = Service::furnished();
    assert_eq!(import(&service, "?partial=1", "").problem(400), ["partial"]);
    import(&service, "", &" ".repeat(1024 * 1024 + 1)).problem(413);
    service
        .post("/admin/v1/keys/import", &json!({"key": CLEAR}))
        .problem(415);
    service
        .send("POST", "/admin/v1/keys/import", Some(&service.viewer), None)
        .problem(403);
    import(&service, "", "\n \n").problem(400);
    service.get("/admin/v1/keys/import").problem(405);
}

#[test]
fn a_key_that_has_expired_is_taken_only_where_that_is_meant() {
    let service = Service::furnished();
    let line = json!({"key": CLEAR, "user_id": "usr_a", "id": "k1", "expires_at": 5}).to_string();
    let refused = import(&service, "", &line);
    assert_eq!(refused.problem(400), ["line 1.expires_at"]);
    assert!(refused.text.contains("allow_expired"), "{}", refused.text);
    import(&service, "?allow_expired=true", &line).expect(200);
    let key = service.get("/admin/v1/keys/k1").expect(200);
    assert_eq!(key["expires_at"], 5);
    // What is there already is no matter of its time.
    assert_eq!(import(&service, "", &line).expect(200)["existing"], 1);
}

#[test]
fn a_dry_run_reports_as_an_import_does_and_writes_nothing() {
    let service = Service::furnished();
    let before = service.changes("")["cursor"].clone();
    let lines = format!(
        "\u{feff}{}\r\n{}",
        json!({"key": CLEAR, "user_id": "usr_a"}),
        json!({"key": "x y"})
    );
    assert_eq!(
        import(&service, "?dry_run=true", &lines).problem(400),
        ["line 2.key"]
    );
    let report = import(&service, "?dry_run=true&partial=true", &lines).expect(200);
    assert_eq!(
        (&report["imported"], &report["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(service.changes("")["cursor"], before);
    let unknown = service.resolve(&[&digest(&json!(CLEAR))]);
    assert!(unknown["results"][0]["key"].is_null());
}
