use serde_json::{Value, json};

use crate::support::Service;

fn entries(service: &Service, query: &str) -> Vec<Value> {
    let page = service.get(&format!("/admin/v1/audit{query}")).expect(200);
    page["items"].as_array().unwrap().clone()
}

#[test]
fn every_write_is_there_with_who_when_before_and_after() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "locked"}),
        )
        .expect(200);
    service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    service
        .post("/admin/v1/keys/key_1/revoke", &json!({}))
        .expect(200);
    service
        .delete("/admin/v1/users/usr_a?force=true")
        .expect(200);
    let all = entries(&service, "");
    let told: Vec<String> = all
        .iter()
        .rev()
        .map(|entry| {
            format!("{} {} {}", entry["actor"], entry["action"], entry["kind"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        told,
        [
            "test create token",
            "test create token",
            "test create token",
            "anna create tenant",
            "anna create user",
            "anna create key",
            "anna update user",
            "anna rotate key",
            "anna rotate key",
            "anna revoke key",
            "anna delete user",
        ]
    );
    let locked = &all[4];
    assert_eq!(locked["before"]["status"], "active");
    assert_eq!(locked["after"]["status"], "locked");
    assert_eq!(locked["after"]["version"], locked["seq"]);
    assert!(locked["at"].is_i64());
    assert_eq!(all[5]["before"], Value::Null);
    assert_eq!(entries(&service, "?kind=user&id=usr_a").len(), 3);
}

#[test]
fn what_was_refused_or_changed_nothing_leaves_no_trace() {
    let service = Service::furnished();
    let before = entries(&service, "").len();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
        .problem(409);
    service
        .patch("/admin/v1/users/usr_a", &json!({"status": "active"}))
        .expect(200);
    service
        .post(
            "/admin/v1/keys",
            &json!({"user_id": "usr_a", "tenant_id": "ten_b"}),
        )
        .problem(400);
    assert_eq!(entries(&service, "").len(), before);
    assert_eq!(service.changes("?after=2")["cursor"], 2);
}

#[test]
fn the_newest_come_first_page_by_page() {
    let service = Service::furnished();
    let first = service.get("/admin/v1/audit?limit=2").expect(200);
    assert_eq!(first["items"][0]["kind"], "user");
    let token = first["next_page_token"].as_str().unwrap();
    let second = service
        .get(&format!("/admin/v1/audit?page_token={token}"))
        .expect(200);
    assert_eq!(second["items"].as_array().unwrap().len(), 3);
    assert_eq!(second["next_page_token"], Value::Null);
}
