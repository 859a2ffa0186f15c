//! Who users are and what keys are for: fields that gateways need not know.

use serde_json::{Value, json};

use crate::support::{Service, assert_holds};

/// A user of the directory, as it is made.
fn anna() -> Value {
    json!({
        "id": "usr_anna", "tenant_id": "ten_a", "kind": "person", "login": "Anna@Example.com",
        "external_id": "00u1", "display_name": "Anna Example", "contact": "team-orders@example.com",
    })
}

#[test]
fn a_user_says_who_it_is() {
    let service = Service::furnished();
    let made = service.post("/admin/v1/users", &anna()).expect(201);
    assert_holds(&made, &anna());
    let shown = service.get("/admin/v1/users/usr_anna").expect(200);
    assert_holds(&shown, &anna());
    assert!(shown.get("login_key").is_none(), "{shown}");
    let change = json!({"kind": "system", "login": "batch", "external_id": null,
        "display_name": null, "contact": "ops"});
    let changed = service
        .patch("/admin/v1/users/usr_anna", &change)
        .expect(200);
    assert_holds(&changed, &change);
    let audit = service
        .get("/admin/v1/audit?id=usr_anna&limit=1")
        .expect(200);
    assert_holds(&audit["items"][0]["before"], &anna());
    assert_holds(&audit["items"][0]["after"], &change);
    // What was made before there were kinds, or without one, is a person.
    let plain = service.get("/admin/v1/users/usr_a").expect(200);
    assert_holds(&plain, &json!({"kind": "person", "login": null}));
    for (field, wrong) in [("kind", json!("robot")), ("login", json!(" "))] {
        let refused = service.patch("/admin/v1/users/usr_a", &json!({field: wrong}));
        assert_eq!(refused.problem(400), [field]);
    }
}

#[test]
fn a_login_names_one_user_of_its_tenant_whatever_its_case() {
    let service = Service::furnished();
    service.post("/admin/v1/users", &anna()).expect(201);
    let other = |tenant: Value| json!({"tenant_id": tenant, "login": "aNNa@example.COM"});
    let taken = service.post("/admin/v1/users", &other(json!("ten_a")));
    taken.problem(409);
    assert!(taken.text.contains("usr_anna"), "{}", taken.text);
    let mine = json!({"login": "ANNA@EXAMPLE.COM"});
    service.patch("/admin/v1/users/usr_a", &mine).problem(409);
    // Its own login in another case, and that of somebody elsewhere, are no trouble.
    service.patch("/admin/v1/users/usr_anna", &mine).expect(200);
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    for tenant in [json!("ten_b"), Value::Null] {
        service.post("/admin/v1/users", &other(tenant)).expect(201);
    }
    service
        .post("/admin/v1/users", &other(Value::Null))
        .problem(409);
    // Letters beyond ASCII have cases too.
    service
        .patch("/admin/v1/users/usr_a", &json!({"login": "JÜRGEN"}))
        .expect(200);
    let jürgen = json!({"tenant_id": "ten_a", "login": "jürgen"});
    service.post("/admin/v1/users", &jürgen).problem(409);
    // Who is deleted needs it no more.
    service.delete("/admin/v1/users/usr_a").expect(200);
    service.post("/admin/v1/users", &jürgen).expect(201);
}

#[test]
fn a_key_says_what_it_is_for() {
    let service = Service::furnished();
    let what = json!({"name": "Nightly", "purpose": "Nightly sync of stock", "contact": "team-stock",
        "rotate_every": "90d"});
    let key = service.make_key(&what);
    assert_holds(&key, &what);
    let path = format!("/admin/v1/keys/{}", key["id"].as_str().unwrap());
    assert_holds(&service.get(&path).expect(200), &what);
    let rotated = service
        .post(&format!("{path}/rotate"), &json!({}))
        .expect(201);
    assert_holds(&rotated, &what);
    let change = json!({"purpose": null, "contact": "ops", "rotate_every": "36h"});
    assert_holds(&service.patch(&path, &change).expect(200), &change);
    for wrong in ["0s", "1w", ""] {
        let refused = service.patch(&path, &json!({"rotate_every": wrong}));
        assert_eq!(refused.problem(400), ["rotate_every"]);
    }
    let line = json!({"key": "imported-key-0123456789", "id": "key_old", "user_id": "usr_a",
        "purpose": "Brought along", "contact": "team-old", "rotate_every": "24h"});
    service.import(&line.to_string()).expect(200);
    let imported = service.get("/admin/v1/keys/key_old").expect(200);
    assert_holds(
        &imported,
        &json!({"purpose": "Brought along", "contact": "team-old", "rotate_every": "1d"}),
    );
}

#[test]
fn users_and_keys_are_found_by_the_kind_of_user() {
    let service = Service::furnished();
    let system = json!({"id": "usr_batch", "tenant_id": "ten_a", "kind": "system"});
    service.post("/admin/v1/users", &system).expect(201);
    service.make_key(&json!({"id": "key_person"}));
    service.make_key(&json!({"id": "key_system", "user_id": "usr_batch"}));
    service
        .import(r#"{"key": "orphan-key-0123456789", "id": "key_orphan"}"#)
        .expect(200);
    let ids = |path: &str| -> Vec<String> {
        let list = service.get(path).expect(200);
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("/admin/v1/keys?kind=person"), ["key_person"]);
    assert_eq!(ids("/admin/v1/keys?kind=system"), ["key_system"]);
    assert_eq!(ids("/admin/v1/users?kind=system"), ["usr_batch"]);
    assert_eq!(ids("/admin/v1/users?kind=person"), ["usr_a"]);
    service.post("/admin/v1/users", &anna()).expect(201);
    assert_eq!(ids("/admin/v1/users?search=anna%20ex"), ["usr_anna"]);
}
