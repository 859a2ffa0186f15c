use serde_json::{Value, json};

use crate::support::{Service, assert_holds};

#[test]
fn a_user_is_created_shown_and_changed() {
    let service = Service::furnished();
    let body = json!({
        "id": "usr_b", "tenant_id": "ten_a", "name": "Stock sync", "status": "pending",
        "scopes": ["stock:*"], "apis": ["stock"],
    });
    let made = service.post("/admin/v1/users", &body).expect(201);
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_holds(&service.get("/admin/v1/users/usr_b").expect(200), &made);
    let changed = service
        .patch(
            "/admin/v1/users/usr_b",
            &json!({"status": "active", "scopes": null, "apis": [], "name": "Sync"}),
        )
        .expect(200);
    assert_eq!(changed["scopes"], Value::Null);
    assert_eq!(changed["apis"], json!([]));
    assert_eq!(
        (&changed["status"], &changed["name"]),
        (&json!("active"), &json!("Sync"))
    );
    assert_eq!(changed["version"], 4);
    let shown = service.get("/admin/v1/users/usr_b").expect(200);
    assert_holds(&shown, &changed);
    assert_holds(&shown, &json!({"last_used_at": null, "usage": []}));
    let generated = service.post("/admin/v1/users", &json!({})).expect(201);
    assert!(generated["id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(generated["tenant_id"], Value::Null);
}

#[test]
fn every_status_can_be_set_and_left_but_deleted() {
    let service = Service::furnished();
    for status in ["pending", "suspended", "locked", "deactivated", "active"] {
        let changed = service
            .patch("/admin/v1/users/usr_a", &json!({"status": status}))
            .expect(200);
        assert_eq!(changed["status"], status);
    }
    let refused = service.patch("/admin/v1/users/usr_a", &json!({"status": "deleted"}));
    assert_eq!(refused.problem(400), ["status"]);
}

#[test]
fn a_deleted_user_stays_deleted() {
    let service = Service::furnished();
    let tombstone = service.delete("/admin/v1/users/usr_a").expect(200);
    assert_eq!(
        (&tombstone["status"], &tombstone["version"]),
        (&json!("deleted"), &json!(3))
    );
    assert_eq!(
        service.delete("/admin/v1/users/usr_a").expect(200),
        tombstone
    );
    assert_holds(
        &service.get("/admin/v1/users/usr_a").expect(200),
        &tombstone,
    );
    service
        .patch("/admin/v1/users/usr_a", &json!({"status": "active"}))
        .problem(409);
    service
        .patch("/admin/v1/users/usr_a", &json!({"name": "x"}))
        .problem(409);
    service
        .post("/admin/v1/users", &json!({"id": "usr_a"}))
        .problem(409);
    service
        .post("/admin/v1/keys", &json!({"user_id": "usr_a"}))
        .problem(409);
}

#[test]
fn what_is_wrong_is_refused() {
    let service = Service::furnished();
    service
        .post("/admin/v1/users", &json!({"id": "usr_a"}))
        .problem(409);
    let wrong = service.post("/admin/v1/users", &json!({
        "id": 1, "tenant_id": "a b", "name": "two\nlines", "status": "activ", "scopes": ["a b", "*:x"],
        "apis": "orders", "scope": [],
    }));
    assert_eq!(
        wrong.problem(400),
        [
            "id",
            "tenant_id",
            "name",
            "status",
            "scopes[0]",
            "scopes[1]",
            "apis",
            "scope"
        ]
    );
    assert_eq!(
        service
            .post("/admin/v1/users", &json!({"tenant_id": "ten_x"}))
            .problem(400),
        ["tenant_id"]
    );
    assert_eq!(
        service
            .post("/admin/v1/users", &json!({"status": "deleted"}))
            .problem(400),
        ["status"]
    );
    let moved = service.patch("/admin/v1/users/usr_a", &json!({"tenant_id": "ten_b"}));
    assert_eq!(moved.problem(400), ["tenant_id"]);
    service.get("/admin/v1/users/usr_x").problem(404);
    service
        .patch("/admin/v1/users/usr_x", &json!({}))
        .problem(404);
    service.delete("/admin/v1/users/usr_x").problem(404);
}

#[test]
fn a_list_is_filtered_by_status_and_tenant() {
    let service = Service::furnished();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    service
        .post(
            "/admin/v1/users",
            &json!({"id": "usr_b", "tenant_id": "ten_b"}),
        )
        .expect(201);
    service
        .post(
            "/admin/v1/users",
            &json!({"id": "usr_c", "tenant_id": "ten_b", "status": "locked"}),
        )
        .expect(201);
    for (query, expected) in [
        ("", vec!["usr_a", "usr_b", "usr_c"]),
        ("?tenant=ten_b", vec!["usr_b", "usr_c"]),
        ("?tenant=ten_b&status=locked", vec!["usr_c"]),
        ("?status=deleted", vec![]),
    ] {
        let page = service.get(&format!("/admin/v1/users{query}")).expect(200);
        let ids: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
}
