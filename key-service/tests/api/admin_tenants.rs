use serde_json::{Value, json};

use crate::support::Service;

#[test]
fn a_tenant_is_created_shown_and_changed() {
    let service = Service::start();
    let made = service
        .post(
            "/admin/v1/tenants",
            &json!({"id": "ten/1?", "name": "The shop"}),
        )
        .expect(201);
    assert_eq!(
        (&made["version"], &made["status"]),
        (&json!(1), &json!("active"))
    );
    let path = "/admin/v1/tenants/ten%2F1%3F";
    assert_eq!(service.get(path).expect(200), made);
    let changed = service
        .patch(path, &json!({"status": "suspended", "name": null}))
        .expect(200);
    assert_eq!(changed["status"], "suspended");
    assert_eq!(changed["name"], Value::Null);
    assert_eq!(changed["version"], 2);
    assert_eq!(service.get(path).expect(200), changed);
    let generated = service.post("/admin/v1/tenants", &json!({})).expect(201);
    assert!(generated["id"].as_str().unwrap().starts_with("ten_"));
}

#[test]
fn what_is_wrong_is_refused() {
    let service = Service::start();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
        .expect(201);
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_a"}))
        .problem(409);
    let wrong = service.post(
        "/admin/v1/tenants",
        &json!({"id": "a b", "name": "", "status": "deleted", "nam": 1}),
    );
    assert_eq!(wrong.problem(400), ["id", "name", "status", "nam"]);
    assert!(
        wrong.text.contains("did you mean \\\"name\\\"?"),
        "{}",
        wrong.text
    );
    service.get("/admin/v1/tenants/ten_b").problem(404);
    service
        .patch("/admin/v1/tenants/ten_b", &json!({}))
        .problem(404);
    assert_eq!(
        service
            .patch("/admin/v1/tenants/ten_a", &json!({"status": null}))
            .problem(400),
        ["status"]
    );
    assert_eq!(
        service
            .patch("/admin/v1/tenants/ten_a", &json!({"id": "x"}))
            .problem(400),
        ["id"]
    );
}

#[test]
fn a_list_goes_page_by_page_and_by_status() {
    let service = Service::start();
    for number in 0..5 {
        let status = if number % 2 == 0 {
            "active"
        } else {
            "suspended"
        };
        let body = json!({"id": format!("ten_{number}"), "status": status});
        service.post("/admin/v1/tenants", &body).expect(201);
    }
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = service.get("/admin/v1/tenants?limit=2").expect(200);
    assert_eq!(ids(&first), ["ten_0", "ten_1"]);
    let token = first["next_page_token"].as_str().unwrap();
    let second = service
        .get(&format!("/admin/v1/tenants?limit=3&page_token={token}"))
        .expect(200);
    assert_eq!(ids(&second), ["ten_2", "ten_3", "ten_4"]);
    assert_eq!(second["next_page_token"], Value::Null);
    let suspended = service
        .get("/admin/v1/tenants?status=suspended")
        .expect(200);
    assert_eq!(ids(&suspended), ["ten_1", "ten_3"]);
}
