//! `/admin/v1/tenants/{id}/key-rules`: what is asked of keys, where, and what is not.

use key_service::domain::time::{DAY, now};
use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Answer, Service};

const RULES: &str = "/admin/v1/tenants/ten_a/key-rules";

fn put(service: &Service, rules: &Value) -> Answer {
    let body = rules.to_string();
    service.send("PUT", RULES, Some(&service.admin), Some(body.as_bytes()))
}

fn ruled(rules: &Value) -> Service {
    let service = Service::furnished();
    put(&service, rules).expect(200);
    service
}

/// The fields and the rules that an answer names, which must be a 422.
#[track_caller]
fn broken(answer: &Answer) -> Vec<(String, String)> {
    let body = answer.expect(422);
    assert_eq!(body["code"], "breaks_rules");
    let errors = body["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            let text = |name: &str| error[name].as_str().unwrap().to_owned();
            (text("field"), text("rule"))
        })
        .collect()
}

fn create(service: &Service, fields: &Value) -> Answer {
    let mut body = json!({"user_id": "usr_a"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    service.post("/admin/v1/keys", &body)
}

#[test]
fn rules_are_shown_replaced_and_taken_away() {
    let service = Service::furnished();
    let none = json!({"max_lifetime": null, "require": [], "name_pattern": null, "forbid_scopes": [], "owners": null, "on_leak": null});
    assert_eq!(service.get(RULES).expect(200), none);
    let rules = json!({"max_lifetime": "90d", "require": ["purpose", "expires_at"], "name_pattern": "[a-z-]+", "forbid_scopes": ["*"], "owners": "system", "on_leak": "flag"});
    assert_eq!(put(&service, &rules).expect(200), rules);
    assert_eq!(service.get(RULES).expect(200), rules);
    put(&service, &rules).expect(200);
    let fewer = json!({"require": ["contact"]});
    assert_eq!(
        put(&service, &fewer).expect(200)["max_lifetime"],
        Value::Null
    );
    assert_eq!(service.delete(RULES).expect(200), none);
    assert_eq!(service.get(RULES).expect(200), none);
    let audit = service.get("/admin/v1/audit?kind=key_rules").expect(200);
    let actions = audit["items"].as_array().unwrap().iter();
    let actions: Vec<&str> = actions
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["delete", "update", "create"],
        "what changes nothing is no entry"
    );
    assert_eq!(audit["items"][1]["before"], rules);
    service
        .get("/admin/v1/tenants/ten_b/key-rules")
        .problem(404);
    let body = b"{}";
    service
        .send(
            "PUT",
            "/admin/v1/tenants/ten_b/key-rules",
            Some(&service.admin),
            Some(body),
        )
        .problem(404);
    service
        .delete("/admin/v1/tenants/ten_b/key-rules")
        .problem(404);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let service = Service::furnished();
    for (rules, field) in [
        (json!({"max_lifetime": "90"}), "max_lifetime"),
        (json!({"max_lifetime": "0d"}), "max_lifetime"),
        (json!({"require": ["porpose"]}), "require[0]"),
        (json!({"name_pattern": "("}), "name_pattern"),
        (json!({"name_pattern": "a)|(b"}), "name_pattern"),
        (json!({"forbid_scopes": ["a b"]}), "forbid_scopes[0]"),
        (json!({"owners": "persons"}), "owners"),
        (json!({"on_leak": "ignore"}), "on_leak"),
    ] {
        assert_eq!(put(&service, &rules).problem(400), [field], "{rules}");
    }
    assert_eq!(service.get(RULES).expect(200)["require"], json!([]));
}

#[test]
fn each_rule_names_the_field_that_breaks_it() {
    let in_days = |days: i64| now() + days * DAY;
    for (rules, bad, field, good) in [
        (
            json!({"max_lifetime": "90d"}),
            json!({}),
            "expires_at",
            json!({"expires_at": in_days(90) - 10}),
        ),
        (
            json!({"max_lifetime": "90d"}),
            json!({"expires_at": in_days(91)}),
            "expires_at",
            json!({"expires_at": in_days(95), "not_before": in_days(6)}),
        ),
        (
            json!({"require": ["purpose"]}),
            json!({}),
            "purpose",
            json!({"purpose": "stock"}),
        ),
        (
            json!({"require": ["contact"]}),
            json!({}),
            "contact",
            json!({"contact": "a@b"}),
        ),
        (
            json!({"require": ["expires_at"]}),
            json!({}),
            "expires_at",
            json!({"expires_at": in_days(9_000)}),
        ),
        (
            json!({"require": ["scopes"]}),
            json!({"scopes": []}),
            "scopes",
            json!({"scopes": ["a"]}),
        ),
        (
            json!({"require": ["networks"]}),
            json!({}),
            "networks",
            json!({"networks": []}),
        ),
        (
            json!({"name_pattern": "[a-z]+"}),
            json!({}),
            "name",
            json!({"name": "stock"}),
        ),
        (
            json!({"name_pattern": "[a-z]+"}),
            json!({"name": "stock 1"}),
            "name",
            json!({"name": "x"}),
        ),
        (
            json!({"forbid_scopes": ["*", "a:*"]}),
            json!({"scopes": ["b", "*"]}),
            "scopes[1]",
            json!({"scopes": ["a", "b:*"]}),
        ),
    ] {
        let service = ruled(&rules);
        let rule = rules.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(broken(&create(&service, &bad)), [(field.to_owned(), rule)]);
        create(&service, &good).expect(201);
    }
    let service = ruled(&json!({"owners": "system"}));
    assert_eq!(
        broken(&create(&service, &json!({}))),
        [("user_id".to_owned(), "owners".to_owned())]
    );
    service
        .patch("/admin/v1/users/usr_a", &json!({"kind": "system"}))
        .expect(200);
    create(&service, &json!({})).expect(201);
    let all = ruled(&json!({"require": ["purpose", "contact"], "name_pattern": "a"}));
    assert_eq!(broken(&create(&all, &json!({}))).len(), 3);
}

#[test]
fn another_tenant_and_none_are_not_asked() {
    let service = ruled(&json!({"require": ["purpose"]}));
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    for (id, tenant) in [("usr_b", json!("ten_b")), ("usr_none", Value::Null)] {
        service
            .post("/admin/v1/users", &json!({"id": id, "tenant_id": tenant}))
            .expect(201);
        service
            .post("/admin/v1/keys", &json!({"user_id": id}))
            .expect(201);
    }
    create(&service, &json!({})).problem(422);
}

#[test]
fn a_key_that_is_there_goes_on_can_be_stopped_and_is_held_to_the_rules_when_it_changes() {
    let service = Service::furnished();
    for id in ["key_1", "key_2"] {
        service.make_key(&json!({"id": id}));
    }
    put(
        &service,
        &json!({"require": ["purpose"], "max_lifetime": "90d"}),
    )
    .expect(200);
    assert_eq!(
        service.get("/admin/v1/keys/key_1").expect(200)["verdict"],
        "allowed"
    );
    let purpose = ("purpose".to_owned(), "require".to_owned());
    let lifetime = ("expires_at".to_owned(), "max_lifetime".to_owned());
    let path = "/admin/v1/keys/key_1";
    let fixed = json!({"purpose": "stock", "expires_at": now() + DAY});
    assert_eq!(
        broken(&service.patch(path, &json!({"name": "n"}))),
        [lifetime.clone(), purpose.clone()]
    );
    assert_eq!(
        broken(&service.patch(path, &json!({"purpose": "stock"}))),
        std::slice::from_ref(&lifetime)
    );
    let rotate = service.post(&format!("{path}/rotate"), &json!({}));
    assert_eq!(broken(&rotate), [lifetime.clone(), purpose.clone()]);
    assert_eq!(
        service.get("/admin/v1/keys").expect(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let stop = format!("{path}?force=true");
    assert_eq!(
        broken(&service.patch(&stop, &json!({"status": "disabled", "name": "n"}))).len(),
        2
    );
    service
        .patch(&stop, &json!({"status": "disabled"}))
        .expect(200);
    assert_eq!(
        broken(&service.patch(path, &json!({"status": "active"}))).len(),
        2
    );
    service.patch(path, &fixed).expect(200);
    service
        .patch(path, &json!({"status": "active"}))
        .expect(200);
    service
        .post(&format!("{path}/rotate"), &json!({}))
        .expect(201);
    service
        .post("/admin/v1/keys/key_2/revoke", &json!({}))
        .expect(200);
}

#[test]
fn a_rotation_within_the_rules_can_be_taken_back() {
    let service = ruled(&json!({"max_lifetime": "90d"}));
    let end = now() + 90 * DAY - 5;
    create(&service, &json!({"id": "key_1", "expires_at": end})).expect(201);
    let new = service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    let revoke = format!("/admin/v1/keys/{}/revoke", new["id"].as_str().unwrap());
    service.post(&revoke, &json!({})).expect(200);
    let back = json!({"replaced_by": null, "expires_at": end});
    service.patch("/admin/v1/keys/key_1", &back).expect(200);
}

#[test]
fn an_import_is_held_to_the_rules_of_each_keys_tenant() {
    let service = ruled(&json!({"require": ["purpose"], "owners": "system"}));
    let line = |n: usize, more: &Value| {
        let mut line = json!({"key": format!("an-old-key-{n}")});
        for (name, value) in more.as_object().unwrap() {
            line[name] = value.clone();
        }
        line.to_string()
    };
    let lines = [
        line(1, &json!({"user_id": "usr_a", "purpose": "stock"})),
        line(2, &json!({"tenant_id": "ten_a"})),
        line(3, &json!({"tenant_id": "ten_a", "purpose": "orphan"})),
        line(4, &json!({})),
    ];
    let all = service.import(&lines.join("\n"));
    let names = broken(&all);
    assert_eq!(
        names,
        [
            ("line 1.user_id".to_owned(), "owners".to_owned()),
            ("line 2.purpose".to_owned(), "require".to_owned())
        ]
    );
    assert_eq!(
        service.get("/admin/v1/keys").expect(200)["items"],
        json!([])
    );
    let mixed = service.import(&format!("{}\n{{\"key\": 1}}", lines[1]));
    mixed.problem(400);
    let authorization = format!("Bearer {}", service.admin.reveal());
    let headers = [("authorization", authorization.as_str())];
    let path = "/admin/v1/keys/import?partial=true";
    let report = service
        .send_with("POST", path, &headers, Some(lines.join("\n").as_bytes()))
        .expect(200);
    let results = report["lines"].as_array().unwrap().iter();
    let results: Vec<&str> = results
        .map(|line| line["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["failed", "failed", "imported", "imported"]);
    assert_eq!(report["lines"][1]["errors"][0]["rule"], "require");
}

#[test]
fn the_command_sets_shows_and_clears_them() {
    let service = Service::furnished();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let environment = [
            ("KEYBOUND_SERVER", service.url.as_str()),
            ("KEYBOUND_TOKEN", service.admin.reveal()),
        ];
        crate::program::run(folder.path(), &environment, arguments)
    };
    let set = run(&[
        "tenant",
        "rules",
        "set",
        "ten_a",
        "--max-lifetime",
        "90d",
        "--require",
        "purpose",
        "--require",
        "contact",
        "--forbid-scope",
        "*",
        "--owners",
        "system",
        "--name-pattern",
        "[a-z]+",
        "--on-leak",
        "flag",
    ]);
    assert!(set.status.success(), "{}", text(&set.stderr));
    let rules = json!({"max_lifetime": "90d", "require": ["purpose", "contact"], "name_pattern": "[a-z]+", "forbid_scopes": ["*"], "owners": "system", "on_leak": "flag"});
    assert_eq!(service.get(RULES).expect(200), rules);
    let shown = text(&run(&["tenant", "rules", "show", "ten_a"]).stdout);
    assert!(
        shown.contains("90d") && shown.contains("purpose contact"),
        "{shown}"
    );
    let refused = run(&["key", "create", "--user", "usr_a"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = text(&refused.stderr);
    assert!(
        error.contains("purpose: is missing: say what the key is for (rule require)"),
        "{error}"
    );
    assert!(run(&["tenant", "rules", "clear", "ten_a"]).status.success());
    assert_eq!(
        run(&["tenant", "rules", "set", "ten_a"]).status.code(),
        Some(2),
        "nothing is said"
    );
    assert!(run(&["key", "create", "--user", "usr_a"]).status.success());
}
