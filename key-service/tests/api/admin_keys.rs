use key_service::domain::audit::Action;
use key_service::domain::key::Key;
use key_service::domain::time::now;
use serde_json::{Value, json};

use crate::support::{Service, assert_holds, digest};

#[test]
fn a_new_key_is_told_once_and_follows_its_user() {
    let service = Service::furnished();
    let made = service.make_key(&json!({"name": "Nightly", "scopes": ["orders:*"]}));
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("kb_live_") && secret.len() == 46,
        "{secret}"
    );
    assert_eq!(made["hint"], format!("kb_live_…{}", &secret[42..]));
    assert_eq!(made["tenant_id"], "ten_a");
    assert!(made["id"].as_str().unwrap().starts_with("key_"));
    assert_eq!(made.get("digest"), None);
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    shown["last_used_at"] = Value::Null;
    shown["usage_reported"] = json!(false);
    shown["verdict"] = json!("allowed");
    assert_eq!(
        service.get("/admin/v1/keys").expect(200)["items"],
        json!([shown])
    );
    shown["last_rejected_at"] = Value::Null;
    shown["usage"] = json!([]);
    assert_eq!(service.get(&path).expect(200), shown);
    let plain = service
        .post("/admin/v1/keys", &json!({"user_id": "usr_a", "id": "k1"}))
        .expect(201);
    assert!(plain["secret"].as_str().unwrap().starts_with("kb_"));
    assert_eq!(plain["secret"].as_str().unwrap().len(), 41);
    assert_eq!(plain["id"], "k1");
}

#[test]
fn what_is_wrong_is_refused_all_at_once() {
    let service = Service::furnished();
    let wrong = service.post("/admin/v1/keys", &json!({
        "id": "", "environment": "Live", "name": 3, "not_before": -1, "expires_at": "2027-01-01T00:00:00Z",
        "scopes": ["*:a"], "networks": ["10.0.0.0/8", "10.0.0.0/33"],
        "hours": {"days": ["monday"], "from": "24:00", "to": "8:00", "tz": "CET"}, "user": "usr_a",
    }));
    assert_eq!(
        wrong.problem(400),
        [
            "user_id",
            "id",
            "environment",
            "name",
            "not_before",
            "expires_at",
            "scopes[0]",
            "networks[1]",
            "hours.days[0]",
            "hours.from",
            "hours.to",
            "hours.tz",
            "user"
        ]
    );
    assert!(
        wrong.text.contains("did you mean \\\"user_id\\\"?"),
        "{}",
        wrong.text
    );
    for (body, field) in [
        (json!({"user_id": "usr_x"}), "user_id"),
        (
            json!({"user_id": "usr_a", "tenant_id": "ten_b"}),
            "tenant_id",
        ),
        (
            json!({"user_id": "usr_a", "not_before": 20, "expires_at": 20}),
            "expires_at",
        ),
        (json!({"user_id": "usr_a", "expires_at": 1.5}), "expires_at"),
        (
            json!({"user_id": "usr_a", "expires_at": 253_402_300_800_i64}),
            "expires_at",
        ),
        (
            json!({"user_id": "usr_a", "scopes": vec!["a"; 257]}),
            "scopes",
        ),
    ] {
        assert_eq!(
            service.post("/admin/v1/keys", &body).problem(400),
            [field],
            "{body}"
        );
    }
    service.make_key(&json!({"id": "key_1"}));
    service
        .post(
            "/admin/v1/keys",
            &json!({"user_id": "usr_a", "id": "key_1"}),
        )
        .problem(409);
}

#[test]
fn a_key_is_changed_switched_off_and_on() {
    let service = Service::furnished();
    service.make_key(
        &json!({"id": "key_1", "expires_at": 4_000_000_000_i64, "networks": ["10.0.0.0/8"]}),
    );
    let path = "/admin/v1/keys/key_1";
    let changed = service
        .patch(&format!("{path}?force=true"), &json!({
            "name": "n", "status": "disabled", "scopes": ["a"], "networks": ["::1"], "not_before": 5,
            "hours": {"days": ["sat"], "from": "22:00", "to": "06:00"},
        }))
        .expect(200);
    assert_eq!(changed["status"], "disabled");
    assert_eq!(changed["networks"], json!(["::1/128"]));
    assert_eq!(changed["hours"]["days"], json!(["sat"]));
    assert_eq!(changed["expires_at"], 4_000_000_000_i64);
    let cleared = service
        .patch(path, &json!({"status": "active", "networks": null, "hours": null, "expires_at": null, "not_before": null}))
        .expect(200);
    for field in ["networks", "hours", "expires_at", "not_before"] {
        assert_eq!(cleared[field], Value::Null, "{field}");
    }
    assert_holds(&service.get(path).expect(200), &cleared);
    for (body, field) in [
        (json!({"status": "revoked"}), "status"),
        (json!({"scopes": null}), "scopes"),
        (json!({"user_id": "usr_b"}), "user_id"),
        (json!({"not_before": 9, "expires_at": 8}), "expires_at"),
    ] {
        assert_eq!(service.patch(path, &body).problem(400), [field], "{body}");
    }
    service
        .patch("/admin/v1/keys/key_x", &json!({}))
        .problem(404);
    service.get("/admin/v1/keys/key_x").problem(404);
}

#[test]
fn a_revoked_key_stays_revoked() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let revoked = service
        .post("/admin/v1/keys/key_1/revoke", &json!({"reason": "leaked"}))
        .expect(200);
    assert_eq!(
        (&revoked["status"], &revoked["revoked_reason"]),
        (&json!("revoked"), &json!("leaked"))
    );
    assert!(revoked["revoked_at"].is_i64());
    assert_eq!(
        service
            .post("/admin/v1/keys/key_1/revoke", &json!({"reason": "other"}))
            .expect(200),
        revoked
    );
    service
        .patch("/admin/v1/keys/key_1", &json!({"status": "active"}))
        .problem(409);
    service
        .patch("/admin/v1/keys/key_1", &json!({"expires_at": null}))
        .problem(409);
    service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .problem(409);
    service
        .post("/admin/v1/keys/key_x/revoke", &json!({}))
        .problem(404);
    assert_eq!(
        service
            .post("/admin/v1/keys/key_1/revoke", &json!({"reason": 1}))
            .problem(400),
        ["reason"]
    );
    let bare = service.make_key(&json!({"id": "key_2"}));
    assert_eq!(bare["status"], "active");
    let answer = service.send(
        "POST",
        "/admin/v1/keys/key_2/revoke",
        Some(&service.admin),
        None,
    );
    assert_eq!(answer.expect(200)["status"], "revoked");
}

#[test]
fn a_rotation_leaves_both_keys_for_the_grace_period() {
    let service = Service::furnished();
    let old = service.make_key(&json!({
        "id": "key_1", "name": "n", "scopes": ["a"], "networks": ["10.0.0.0/8"],
        "hours": {"days": ["sat"], "from": "22:00", "to": "06:00"},
    }));
    let before = now();
    let new = service
        .post("/admin/v1/keys/key_1/rotate", &json!({"grace": "2h"}))
        .expect(201);
    assert_ne!(new["secret"], old["secret"]);
    for field in [
        "user_id",
        "tenant_id",
        "environment",
        "name",
        "scopes",
        "networks",
        "hours",
        "status",
        "expires_at",
    ] {
        assert_eq!(new[field], old[field], "{field}");
    }
    let replaced = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(replaced["replaced_by"], new["id"]);
    assert_eq!(replaced["status"], "active");
    let at = replaced["replaced_at"].as_i64().unwrap();
    assert!((before..=now()).contains(&at));
    assert_eq!(replaced["expires_at"], at + 7200);
    // The successor is told first, so no reader ever looks for one that is not there.
    assert!(new["version"].as_i64() < replaced["version"].as_i64());
    let answer = service.resolve(&[&digest(&old["secret"]), &digest(&new["secret"])]);
    assert_eq!(
        answer["results"][0]["key"]["replaced_by"],
        answer["results"][1]["key"]["id"]
    );
    service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .problem(409);
}

#[test]
fn grace_is_a_day_if_not_given_and_never_lengthens_a_life() {
    let service = Service::furnished();
    let soon = now() + 3600;
    service.make_key(&json!({"id": "key_1", "expires_at": soon}));
    service.make_key(&json!({"id": "key_2"}));
    service.make_key(&json!({"id": "key_3"}));
    let new = service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    assert_eq!(
        service.get("/admin/v1/keys/key_1").expect(200)["expires_at"],
        soon
    );
    assert!(
        new["expires_at"].as_i64().unwrap() >= soon,
        "the new key has a life of its own"
    );
    service
        .send(
            "POST",
            "/admin/v1/keys/key_2/rotate",
            Some(&service.admin),
            None,
        )
        .expect(201);
    let life = |id: &str| {
        let key = service.get(&format!("/admin/v1/keys/{id}")).expect(200);
        key["expires_at"].as_i64().unwrap() - key["replaced_at"].as_i64().unwrap()
    };
    assert_eq!(life("key_2"), 86_400);
    service
        .post("/admin/v1/keys/key_3/rotate", &json!({"grace": "0s"}))
        .expect(201);
    assert_eq!(life("key_3"), 0);
    for grace in [json!("1w"), json!(""), json!(24), json!("99999d")] {
        assert_eq!(
            service
                .post("/admin/v1/keys/key_1/rotate", &json!({"grace": grace}))
                .problem(400),
            ["grace"]
        );
    }
    service
        .post("/admin/v1/keys/key_x/rotate", &json!({}))
        .problem(404);
}

#[test]
fn a_list_is_filtered_by_status_tenant_and_user() {
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
    service.make_key(&json!({"id": "key_1"}));
    service.make_key(&json!({"id": "key_2", "user_id": "usr_b", "expires_at": now() + 86_400}));
    service.make_key(&json!({"id": "key_3", "user_id": "usr_b"}));
    service
        .post("/admin/v1/keys/key_3/revoke", &json!({}))
        .expect(200);
    for (query, expected) in [
        ("", vec!["key_1", "key_2", "key_3"]),
        ("?tenant=ten_b", vec!["key_2", "key_3"]),
        ("?user=usr_a", vec!["key_1"]),
        ("?status=revoked&tenant=ten_b&user=usr_b", vec!["key_3"]),
        ("?status=disabled", vec![]),
        ("?expires_within=30d", vec!["key_2"]),
        ("?expires_within=1h", vec![]),
    ] {
        let page = service.get(&format!("/admin/v1/keys{query}")).expect(200);
        let ids: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[test]
fn a_key_is_not_made_or_changed_to_have_expired_already() {
    let service = Service::furnished();
    for past in [0, now() - 1] {
        let body = json!({"user_id": "usr_a", "expires_at": past});
        let refused = service.post("/admin/v1/keys", &body);
        assert_eq!(refused.problem(400), ["expires_at"]);
        assert!(refused.text.contains("is in the past"), "{}", refused.text);
    }
    service.make_key(&json!({"id": "key_1", "expires_at": now() + 1000}));
    let path = "/admin/v1/keys/key_1";
    let refused = service.patch(path, &json!({"expires_at": now() - 1}));
    assert_eq!(refused.problem(400), ["expires_at"]);
    // One that has expired meanwhile is changed in all else, and revived.
    service.write(async |write| {
        let before = write.by_id::<Key>("key_1").await.unwrap().unwrap();
        let after = Key {
            expires_at: Some(5),
            ..before.clone()
        };
        write
            .put(Action::Update, Some(&before), after)
            .await
            .unwrap();
    });
    service
        .patch(path, &json!({"name": "old", "expires_at": 5}))
        .expect(200);
    service
        .patch(path, &json!({"expires_at": now() + 1000}))
        .expect(200);
}

#[test]
fn a_rotation_is_taken_back_once_the_new_key_is_revoked() {
    let service = Service::furnished();
    let end = now() + 9000;
    service.make_key(&json!({"id": "key_1", "expires_at": end}));
    let path = "/admin/v1/keys/key_1";
    let new = service
        .post(&format!("{path}/rotate"), &json!({"grace": "0s"}))
        .expect(201);
    let back = json!({"replaced_by": null, "expires_at": end});
    let refused = service.patch(path, &back);
    refused.problem(409);
    assert!(
        refused.text.contains(new["id"].as_str().unwrap()),
        "{}",
        refused.text
    );
    let other = service.patch(path, &json!({"replaced_by": "key_2"}));
    assert_eq!(other.problem(400), ["replaced_by"]);
    let revoke = format!("/admin/v1/keys/{}/revoke", new["id"].as_str().unwrap());
    service.post(&revoke, &json!({})).expect(200);
    let key = service.patch(path, &back).expect(200);
    assert_holds(
        &key,
        &json!({"replaced_by": null, "replaced_at": null, "expires_at": end, "status": "active"}),
    );
    service
        .post(&format!("{path}/rotate"), &json!({}))
        .expect(201);
}

#[test]
fn a_reason_that_comes_later_is_kept_where_there_was_none() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let revoke = |body| {
        service
            .post("/admin/v1/keys/key_1/revoke", &body)
            .expect(200)
    };
    let first = revoke(json!({}));
    assert!(first["revoked_reason"].is_null());
    let second = revoke(json!({"reason": "leaked"}));
    assert_eq!(second["revoked_reason"], "leaked");
    assert_eq!(second["revoked_at"], first["revoked_at"]);
    assert_eq!(
        revoke(json!({"reason": "another"}))["revoked_reason"],
        "leaked"
    );
}
