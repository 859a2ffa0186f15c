use std::sync::Arc;

use key_service::domain::credential::Digester;
use key_service::filter::Filter;
use key_service::http::Settings;
use keybound::verdict::Reason;
use serde_json::{Value, json};

use crate::support::{Answer, Service, digest};

const PATH: &str = "/admin/v1/explain";

/// With tenant `ten_a` and its user `usr_a`, and this configuration of the filter.
pub fn service(filter: &Value) -> Service {
    let mut whole = json!({"key_service": {"cluster": "key_service"}});
    for (name, value) in filter.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let filter = Filter::parse(whole.to_string().as_bytes()).unwrap();
    let service = Service::start_with(Settings {
        filter: Arc::new(filter),
        ..Settings::default()
    });
    let tenant = json!({"id": "ten_a"});
    service.post("/admin/v1/tenants", &tenant).expect(201);
    let user = json!({"id": "usr_a", "tenant_id": "ten_a"});
    service.post("/admin/v1/users", &user).expect(201);
    service
}

fn ask(service: &Service, question: &Value) -> Value {
    service.post(PATH, question).expect(200)
}

fn result<'a>(answer: &'a Value, code: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["code"] == code).unwrap()
}

#[test]
fn every_check_is_there_in_order_with_what_made_it_so() {
    let service = service(&json!({"default_policy": {"scopes": {"all": ["orders:read"]}}}));
    let key = service.make_key(&json!({"id": "key_1", "networks": ["10.0.0.0/8"]}));
    let question = json!({
        "key": key["secret"],
        "request": {
            "method": "POST", "host": "api.example.com:8443", "path": "/v1/orders?page=2",
            "headers": {"accept": "*/*", "X-Twice": ["1", "2"]},
            "source_address": "192.0.2.1:4711", "at": 1_795_426_200,
        },
    });
    let answer = ask(&service, &question);
    assert_eq!(answer["verdict"], "scope_missing");
    assert_eq!(
        answer["summary"],
        "refused: scope_missing - the default policy asks for all of the scopes orders:read, and the key \
         key_1 has none; missing: orders:read (of the key)"
    );
    assert_eq!(
        answer["next_step"],
        "Grant orders:read to the key key_1, as far as it should have it."
    );
    let codes: Vec<&str> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, Reason::CHECKS.map(Reason::code));
    for (code, outcome, detail) in [
        (
            "key_malformed",
            "passed",
            "The credential has the form of a key (46 bytes).",
        ),
        (
            "user_deactivated",
            "passed",
            "The key's user usr_a is active.",
        ),
        (
            "tenant_missing",
            "passed",
            "The key's tenant ten_a exists, and its user usr_a belongs to it.",
        ),
        (
            "user_mismatch",
            "skipped",
            "Not looked at: the policy does not ask whether the request states its user.",
        ),
        (
            "address_not_allowed",
            "failed",
            "The source address 192.0.2.1 is in none of the networks of the key key_1: 10.0.0.0/8.",
        ),
        (
            "outside_hours",
            "skipped",
            "The key key_1 may be used at any hour.",
        ),
    ] {
        assert_eq!(result(&answer, code)["result"], outcome, "{code}");
        assert_eq!(result(&answer, code)["detail"], detail);
    }
}

#[test]
fn a_key_is_found_by_itself_its_id_its_digest_or_in_the_request() {
    let service = service(&json!({"credentials": [{"header": "x-api-key"}, {"query": "api_key"}]}));
    let key = service.make_key(&json!({"id": "key_1"}));
    let secret = key["secret"].as_str().unwrap();
    for question in [
        json!({"key": secret}),
        json!({"key_id": "key_1"}),
        json!({"digest": digest(&key["secret"])}),
        json!({"request": {"headers": {"x-api-key": secret}}}),
        json!({"request": {"path": format!("/v1?a=1&api_key={secret}")}}),
    ] {
        let answer = ask(&service, &question);
        assert_eq!(
            answer["summary"], "allowed: key key_1 of user usr_a in tenant ten_a",
            "{question}"
        );
        let named = question.get("key_id").is_some() || question.get("digest").is_some();
        let sent = if named { "skipped" } else { "passed" };
        for code in ["key_missing", "key_duplicated", "key_malformed"] {
            assert_eq!(result(&answer, code)["result"], sent, "{question}");
        }
    }
    for (question, code) in [
        (json!({"key": "kb_live_nobodyKnowsThisKey"}), "key_unknown"),
        (json!({"digest": "A".repeat(43)}), "key_unknown"),
        (json!({"key": " spaced"}), "key_malformed"),
        (json!({"key": ""}), "key_missing"),
        (json!({"request": {}}), "key_missing"),
        (
            json!({"request": {"headers": {"x-api-key": ["a", "b"]}}}),
            "key_duplicated",
        ),
    ] {
        assert_eq!(ask(&service, &question)["verdict"], code, "{question}");
    }
    service.post(PATH, &json!({"key_id": "key_2"})).problem(404);
}

#[test]
fn migration_the_first_line_names_the_deactivated_user() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    let deactivated = json!({"status": "deactivated"});
    service
        .patch("/admin/v1/users/usr_a?force=true", &deactivated)
        .expect(200);
    let answer = ask(
        &service,
        &json!({"key_id": "key_1", "request": {"path": "/stock"}}),
    );
    assert_eq!(
        answer["summary"],
        "refused: user_deactivated - the key's user usr_a is deactivated"
    );
    // The repair: a system user with a key of its own.
    let user = json!({"id": "usr_stock", "tenant_id": "ten_a"});
    service.post("/admin/v1/users", &user).expect(201);
    let key = service.make_key(&json!({"user_id": "usr_stock"}));
    assert_eq!(
        ask(&service, &json!({"key": key["secret"]}))["verdict"],
        "allowed"
    );
}

#[test]
fn wrong_tenant_the_first_line_names_both_tenants() {
    let service = service(&json!({
        "policies": {"summaries": {"tenant": {"value": "ten_content"}}},
        "routes": [{"match": {"prefix": "/summaries"}, "policy": "summaries"}],
    }));
    service.make_key(&json!({"id": "key_1"}));
    let request = json!({"path": "/summaries/7"});
    let answer = ask(&service, &json!({"key_id": "key_1", "request": request}));
    assert_eq!(
        answer["summary"],
        "refused: tenant_mismatch - the policy summaries is for the tenant ten_content only, and the key's \
         tenant is ten_a"
    );
    // The repair: a key of the right tenant.
    let tenant = json!({"id": "ten_content"});
    service.post("/admin/v1/tenants", &tenant).expect(201);
    let user = json!({"id": "usr_content", "tenant_id": "ten_content"});
    service.post("/admin/v1/users", &user).expect(201);
    let key = service.make_key(&json!({"user_id": "usr_content"}));
    let question = json!({"key": key["secret"], "request": request});
    assert_eq!(ask(&service, &question)["verdict"], "allowed");
}

#[test]
fn overnight_the_first_line_names_the_user_until_it_is_reactivated() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    let question = json!({"key_id": "key_1"});
    for (status, verdict) in [
        ("active", "allowed"),
        ("deactivated", "user_deactivated"),
        ("active", "allowed"),
    ] {
        service
            .patch(
                "/admin/v1/users/usr_a?force=true",
                &json!({"status": status}),
            )
            .expect(200);
        let answer = ask(&service, &question);
        assert_eq!(answer["verdict"], verdict);
        let summary = answer["summary"].as_str().unwrap();
        assert!(summary.contains("usr_a"), "{summary}");
    }
}

#[test]
fn the_policy_is_the_filters_own_choice_or_the_one_that_is_named() {
    let service = service(&json!({
        "policies": {"test": {"environment": "test"}, "open": {"authentication": "none"}},
        "routes": [{"match": {"hosts": ["test.example.com"]}, "policy": "test"}],
    }));
    service.make_key(&json!({"id": "key_1"}));
    let ask = |host: &str, policy: Option<&str>| {
        let mut question = json!({"key_id": "key_1", "request": {"host": host}});
        if let Some(policy) = policy {
            question["policy"] = json!(policy);
        }
        let answer = ask(&service, &question);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("verdict"), text("policy"))
    };
    let (verdict, policy) = ask("test.example.com:8443", None);
    assert_eq!(verdict, "environment_mismatch");
    assert!(
        policy.starts_with("The policy test, chosen by routes[0]; Envoy's route metadata"),
        "{policy}"
    );
    let (verdict, policy) = ask("example.com", None);
    assert_eq!(verdict, "allowed");
    assert!(policy.starts_with("The default policy"), "{policy}");
    let (verdict, policy) = ask("test.example.com", Some("open"));
    assert_eq!(verdict, "allowed");
    assert!(
        policy.starts_with("The policy open, which the question names"),
        "{policy}"
    );
    let (verdict, policy) = ask("test.example.com", Some("opne"));
    assert_eq!(verdict, "policy_unknown");
    assert_eq!(policy, "There is no policy \"opne\": there are open, test.");
    let default = Service::furnished();
    let answer = default.post(PATH, &json!({"request": {}})).expect(200);
    let policy = answer["policy"].as_str().unwrap();
    assert!(policy.contains("without --filter-config"), "{policy}");
}

/// Without the filter's configuration, what a policy asks is not known: neither passed nor failed.
#[test]
fn a_policy_that_is_not_known_makes_no_verdict_conclusive() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let answer = ask(&service, &json!({"key_id": "key_1"}));
    assert_eq!(answer["verdict"], "allowed");
    assert_eq!(answer["conclusive"], false);
    let summary = answer["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("not known: depends on the policy"),
        "{summary}"
    );
    for code in [
        "user_mismatch",
        "tenant_mismatch",
        "environment_mismatch",
        "api_not_approved",
        "scope_missing",
    ] {
        assert_eq!(result(&answer, code)["result"], "skipped");
        let detail = result(&answer, code)["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("Not known: depends on the policy"),
            "{detail}"
        );
    }
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "locked"}),
        )
        .expect(200);
    let answer = ask(&service, &json!({"key_id": "key_1", "policy": "orders"}));
    assert_eq!(
        (&answer["verdict"], &answer["conclusive"]),
        (&json!("user_locked"), &json!(true))
    );
}

#[test]
fn the_history_says_since_when_and_by_whom() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1", "scopes": ["a"]}));
    for change in [json!({"status": "suspended"}), json!({"name": "Ann"})] {
        service
            .patch("/admin/v1/users/usr_a?force=true", &change)
            .expect(200);
    }
    service
        .patch("/admin/v1/keys/key_1", &json!({"scopes": ["a", "b"]}))
        .expect(200);
    let answer = ask(&service, &json!({"key_id": "key_1"}));
    assert_eq!(answer["verdict"], "user_suspended");
    assert_eq!(
        answer["then"],
        Value::Null,
        "no earlier time is asked about"
    );
    let history = answer["history"].as_array().unwrap();
    let told: Vec<Value> = history
        .iter()
        .map(|change| {
            json!([
                change["kind"],
                change["field"],
                change["from"],
                change["to"],
                change["cause"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["key", "scopes", ["a"], ["a", "b"], false]),
            json!(["user", "name", null, "Ann", false]),
            json!(["user", "status", "active", "suspended", true]),
            json!(["key", "status", null, "active", false]),
            json!(["user", "status", null, "active", true]),
            json!(["tenant", "status", null, "active", false]),
        ]
    );
    let change = &history[2];
    assert_eq!(
        (&change["actor"], &change["action"]),
        (&json!("anna"), &json!("update"))
    );
    assert_eq!(change["id"], "usr_a");
    assert!(change["at"].is_i64() && change["audit_id"].is_i64());
    // Of a credential that nobody knows there is none.
    let unknown = ask(&service, &json!({"key": "kb_live_nobodyKnowsThisKey"}));
    assert_eq!(unknown["history"], json!([]));
}

/// However much was changed since, the change that matters is told.
#[test]
fn the_history_of_what_fails_is_told_however_old() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    let user = "/admin/v1/users/usr_a?force=true";
    service
        .patch(user, &json!({"status": "locked"}))
        .expect(200);
    for number in 0..30 {
        let name = json!({"name": format!("Ann {number}")});
        service.patch(user, &name).expect(200);
    }
    let answer = ask(&service, &json!({"key_id": "key_1"}));
    let history = answer["history"].as_array().unwrap();
    assert!(history.len() < 20, "{}", history.len());
    let causes: Vec<&Value> = history
        .iter()
        .filter(|change| change["cause"] == true)
        .collect();
    assert_eq!(causes[0]["to"], "locked");
}

#[test]
fn an_earlier_time_is_judged_by_the_records_of_then() {
    let service = service(&json!({}));
    let before = key_service::domain::time::now() - 1_000;
    service.make_key(&json!({"id": "key_1"}));
    let user = "/admin/v1/users/usr_a?force=true";
    service
        .patch(user, &json!({"status": "suspended"}))
        .expect(200);
    let during = key_service::domain::time::now();
    service
        .patch(user, &json!({"status": "active"}))
        .expect(200);
    let ask = |at: i64| ask(&service, &json!({"key_id": "key_1", "request": {"at": at}}));
    let answer = ask(during);
    assert_eq!(answer["verdict"], "allowed");
    assert_eq!(answer["then"]["verdict"], "user_suspended");
    assert_eq!(
        answer["then"]["summary"],
        "refused: user_suspended - the key's user usr_a is suspended"
    );
    assert_eq!(
        ask(before)["then"]["verdict"],
        "key_unknown",
        "it was not made yet"
    );
    assert_eq!(ask(during + 1_000)["then"], Value::Null, "that is to come");
}

#[test]
fn clear_keys_are_digested_with_the_services_own_pepper() {
    let pepper = Digester::peppered(b"pepper");
    let text =
        br#"{"key_service": {"cluster": "c", "token_env": "T"}, "digest": {"pepper_env": "P"}}"#;
    let service = Service::start_with(Settings {
        digester: pepper,
        filter: Arc::new(Filter::parse(text).unwrap()),
        ..Settings::default()
    });
    service
        .post("/admin/v1/users", &json!({"id": "usr_a"}))
        .expect(201);
    let key = service.make_key(&json!({}));
    assert_eq!(
        ask(&service, &json!({"key": key["secret"]}))["verdict"],
        "allowed"
    );
}

#[test]
fn everything_wrong_is_told_with_its_path_and_never_with_the_key() {
    let service = service(&json!({}));
    let key = service.make_key(&json!({"id": "key_1"}));
    let secret = key["secret"].as_str().unwrap();
    let problem = |question: &Value| -> (Vec<String>, Answer) {
        let answer = service.post(PATH, question);
        assert!(!answer.text.contains(secret), "{}", answer.text);
        (answer.problem(400), answer)
    };
    for (question, fields) in [
        (json!({}), &["request"][..]),
        (
            json!({"key": 7, "key_id": "a b", "digest": "x", "polcy": "p"}),
            &["key", "key_id", "digest", "polcy"],
        ),
        (json!({"key": secret, "key_id": "key_1"}), &["key_id"]),
        (
            json!({"key": secret, "key_id": "key_1", "digest": digest(&key["secret"])}),
            &["key_id", "digest"],
        ),
        (json!({"key_id": "key_1", "request": []}), &["request"]),
        (
            json!({"key_id": "key_1", "request": {
                "method": "a b", "host": "a/b", "path": "orders", "source_address": "localhost", "at": "now",
                "header": {},
            }}),
            &[
                "request.method",
                "request.host",
                "request.path",
                "request.source_address",
                "request.at",
                "request.header",
            ],
        ),
        (
            json!({"request": {"headers": [secret]}}),
            &["request.headers"],
        ),
        (
            json!({"request": {"headers": {format!("x-api-key: {secret}"): ""}}}),
            &["request.headers"],
        ),
        (
            json!({"request": {"headers": {"x-api-key": format!("{secret}\n")}}}),
            &["request.headers.x-api-key"],
        ),
        (
            json!({"request": {"headers": {"x-api-key": [secret, 7]}}}),
            &["request.headers.x-api-key"],
        ),
        (
            json!({"request": {"headers": {"Host": "a"}}}),
            &["request.headers.Host"],
        ),
        (
            json!({"key": secret, "request": {"headers": {"x-api-key": secret}}}),
            &["key"],
        ),
        (
            json!({"key_id": "key_1", "request": {"headers": {"x-api-key": secret}}}),
            &["key_id"],
        ),
        (
            json!({"key_id": "key_1", "request": {"headers": {"x-api-key": "a b"}}}),
            &["key_id"],
        ),
    ] {
        assert_eq!(
            problem(&question).0,
            fields,
            "{}",
            problem(&question).1.text
        );
    }
    let body = format!("{{\"key\": \"{secret}\"");
    let broken = service.send("POST", PATH, Some(&service.admin), Some(body.as_bytes()));
    broken.problem(400);
    assert!(!broken.text.contains(secret));
}

#[test]
fn a_viewer_may_ask_and_nothing_is_written() {
    let service = service(&json!({}));
    let key = service.make_key(&json!({"id": "key_1"}));
    let audit = service.get("/admin/v1/audit").text;
    let body = json!({"key": key["secret"]}).to_string();
    let answer = service.send("POST", PATH, Some(&service.viewer), Some(body.as_bytes()));
    assert_eq!(answer.expect(200)["verdict"], "allowed");
    assert!(!answer.text.contains(key["secret"].as_str().unwrap()));
    assert_eq!(service.get("/admin/v1/audit").text, audit);
    // What a viewer may ask, it may still not write.
    service
        .send("POST", "/admin/v1/keys", Some(&service.viewer), Some(b"{}"))
        .problem(403);
    service
        .send("POST", PATH, Some(&service.gateway), Some(body.as_bytes()))
        .problem(403);
}
