//! `/admin/v1/approvals`: who asks for an API, who decides, and what comes of it.

use std::collections::BTreeSet;

use key_service::domain::token::{Role, Token};
use serde_json::{Value, json};

use crate::admin_explain;
use crate::reach::token;
use crate::support::{Answer, Service, assert_holds};

const PATH: &str = "/admin/v1/approvals";

/// With a user that has the API `stock` alone.
fn furnished() -> Service {
    let service = Service::furnished();
    narrow(&service);
    service
}

fn narrow(service: &Service) {
    let apis = json!({"apis": ["stock"]});
    service.patch("/admin/v1/users/usr_a", &apis).expect(200);
}

fn ask(service: &Service, api: &str) -> Answer {
    let body = json!({"user_id": "usr_a", "api": api, "reason": "for the report"});
    service.post(PATH, &body)
}

fn asked(service: &Service, api: &str) -> String {
    let made = ask(service, api).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn decide(service: &Service, id: &str, how: &str) -> Answer {
    let body = json!({"reason": "as agreed"});
    service.post(&format!("{PATH}/{id}/{how}"), &body)
}

fn apis(service: &Service) -> Value {
    service.get("/admin/v1/users/usr_a").expect(200)["apis"].clone()
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap()).collect()
}

fn send(service: &Service, token: &Token, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    service.send("POST", path, Some(token), Some(body.as_bytes()))
}

#[test]
fn what_is_approved_the_user_has_from_then_on_and_gateways_hear_of_it() {
    let service = furnished();
    let made = ask(&service, "orders").expect(201);
    let fields = json!({"user_id": "usr_a", "tenant_id": "ten_a", "api": "orders", "reason": "for the report",
        "status": "pending", "requested_by": "anna", "decided_by": null, "decided_at": null});
    assert_holds(&made, &fields);
    assert_eq!(apis(&service), json!(["stock"]), "asking gives nothing");
    let before = service.changes("")["cursor"].as_i64().unwrap();
    let id = made["id"].as_str().unwrap();
    let approved = decide(&service, id, "approve").expect(200);
    let fields =
        json!({"status": "approved", "decided_by": "anna", "decision_reason": "as agreed"});
    assert_holds(&approved, &fields);
    assert!(approved["decided_at"].as_i64() >= made["created_at"].as_i64());
    assert_eq!(apis(&service), json!(["stock", "orders"]));
    let told = service.changes(&format!("?after={before}"));
    let user = &told["changes"][0]["user"];
    assert_eq!(user["apis"], json!(["stock", "orders"]), "{told}");
}

#[test]
fn what_is_denied_the_user_has_not_and_may_ask_for_again() {
    let service = furnished();
    let id = asked(&service, "orders");
    let denied = decide(&service, &id, "deny").expect(200);
    assert_eq!(denied["status"], "denied");
    assert_eq!(apis(&service), json!(["stock"]));
    let again = asked(&service, "orders");
    assert_ne!(again, id);
}

#[test]
fn a_request_is_decided_once() {
    let service = furnished();
    for (first, seconds) in [("approve", "orders"), ("deny", "billing")] {
        let id = asked(&service, seconds);
        decide(&service, &id, first).expect(200);
        let list = service.get(PATH).expect(200);
        for second in ["approve", "deny"] {
            decide(&service, &id, second).problem(409);
        }
        assert_eq!(service.get(PATH).expect(200), list);
    }
    assert_eq!(apis(&service), json!(["stock", "orders"]));
    decide(&service, "apr_nobody", "approve").problem(404);
    decide(&service, "apr_nobody", "deny").problem(404);
}

#[test]
fn what_the_user_has_or_has_asked_for_is_not_asked_for_again() {
    let service = furnished();
    let has = ask(&service, "stock");
    has.problem(409);
    assert!(has.text.contains("for this API already"), "{}", has.text);
    let id = asked(&service, "orders");
    let pending = ask(&service, "orders");
    pending.problem(409);
    assert!(pending.text.contains(&id), "{}", pending.text);
    asked(&service, "billing");
    service
        .patch("/admin/v1/users/usr_a", &json!({"apis": null}))
        .expect(200);
    let all = ask(&service, "invoices");
    all.problem(409);
    assert!(all.text.contains("every API already"), "{}", all.text);
    // What nobody needs any more can still be decided, and all stays all.
    decide(&service, &id, "approve").expect(200);
    assert_eq!(apis(&service), Value::Null);
}

#[test]
fn nobody_who_is_gone_gets_an_api() {
    let service = furnished();
    let [first, second] = ["orders", "billing"].map(|api| asked(&service, api));
    service
        .delete("/admin/v1/users/usr_a?force=true")
        .expect(200);
    ask(&service, "invoices").problem(409);
    decide(&service, &first, "approve").problem(409);
    decide(&service, &first, "deny").expect(200);
    assert_eq!(apis(&service), json!(["stock"]));
    let pending = service.get(&format!("{PATH}?status=pending")).expect(200);
    assert_eq!(ids(&pending), [second]);
    let nobody = json!({"user_id": "usr_nobody", "api": "orders"});
    assert_eq!(service.post(PATH, &nobody).problem(400), ["user_id"]);
}

#[test]
fn no_user_is_approved_for_more_apis_than_gateways_take_nor_asks_without_end() {
    let service = furnished();
    let id = asked(&service, "one-more");
    let full: Vec<String> = (0..256).map(|number| format!("api-{number}")).collect();
    service
        .patch("/admin/v1/users/usr_a", &json!({"apis": full}))
        .expect(200);
    decide(&service, &id, "approve").problem(409);
    for number in 1..100 {
        asked(&service, &format!("wanted-{number}"));
    }
    let more = ask(&service, "and-another");
    more.problem(409);
    assert!(more.text.contains("100 requests"), "{}", more.text);
    decide(&service, &id, "deny").expect(200);
    asked(&service, "and-another");
}

#[test]
fn requests_are_listed_by_what_they_are_and_a_page_at_a_time() {
    let service = furnished();
    let user = json!({"id": "usr_b", "tenant_id": "ten_a", "apis": []});
    service.post("/admin/v1/users", &user).expect(201);
    let [orders, billing] = ["orders", "billing"].map(|api| asked(&service, api));
    let of_b = service
        .post(PATH, &json!({"user_id": "usr_b", "api": "orders"}))
        .expect(201);
    let of_b = of_b["id"].as_str().unwrap().to_owned();
    decide(&service, &billing, "deny").expect(200);
    for (query, wanted) in [
        ("", vec![&orders, &billing, &of_b]),
        ("?status=pending", vec![&orders, &of_b]),
        ("?status=denied", vec![&billing]),
        ("?status=approved", vec![]),
        ("?user=usr_b", vec![&of_b]),
        ("?api=orders&user=usr_a", vec![&orders]),
        ("?tenant=ten_a", vec![&orders, &billing, &of_b]),
        ("?tenant=ten_b", vec![]),
    ] {
        let list = service.get(&format!("{PATH}{query}")).expect(200);
        assert_eq!(ids(&list), wanted, "{query}");
    }
    let first = service.get(&format!("{PATH}?limit=2")).expect(200);
    assert_eq!(ids(&first), [&orders[..], &billing[..]]);
    let next = first["next_page_token"].as_str().unwrap();
    let rest = service
        .get(&format!("{PATH}?limit=2&page_token={next}"))
        .expect(200);
    assert_eq!(ids(&rest), [&of_b[..]]);
    assert_eq!(rest["next_page_token"], Value::Null);
    let wrong = service.get(&format!("{PATH}?status=open"));
    assert_eq!(wrong.problem(400), ["status"]);
}

#[test]
fn a_developer_asks_for_the_own_user_and_decides_nothing() {
    let service = furnished();
    let user = json!({"id": "usr_b", "tenant_id": "ten_a", "apis": []});
    service.post("/admin/v1/users", &user).expect(201);
    let developer = token(&service, Role::Developer);
    let own = json!({"user_id": "usr_a", "api": "orders"});
    let made = send(&service, &developer, PATH, &own).expect(201);
    assert_eq!(made["requested_by"], "bounded-developer");
    let id = made["id"].as_str().unwrap();
    let colleague = json!({"user_id": "usr_b", "api": "orders"});
    let refused = send(&service, &developer, PATH, &colleague);
    assert_eq!(refused.problem(400), ["user_id"]);
    service.post(PATH, &colleague).expect(201);
    for how in ["approve", "deny"] {
        send(
            &service,
            &developer,
            &format!("{PATH}/{id}/{how}"),
            &json!({}),
        )
        .problem(403);
    }
    let listed = service
        .send("GET", PATH, Some(&developer), None)
        .expect(200);
    assert_eq!(ids(&listed), [id], "a colleague's requests are not there");
    // The log of one's own tells of one's own requests.
    let log = service
        .send(
            "GET",
            "/admin/v1/audit?kind=approval",
            Some(&developer),
            None,
        )
        .expect(200);
    let about = log["items"].as_array().unwrap().iter();
    let about: Vec<&str> = about
        .map(|entry| entry["entity_id"].as_str().unwrap())
        .collect();
    assert_eq!(about, [id]);
    // Whoever administers the tenant decides.
    let admin = token(&service, Role::Admin);
    let approved = send(
        &service,
        &admin,
        &format!("{PATH}/{id}/approve"),
        &json!({}),
    )
    .expect(200);
    assert_eq!(approved["decided_by"], "bounded-admin");
}

#[test]
fn the_audit_log_tells_of_the_request_the_decision_and_the_user() {
    let service = furnished();
    let id = asked(&service, "orders");
    decide(&service, &id, "approve").expect(200);
    let log = service.get(&format!("/admin/v1/audit?id={id}")).expect(200);
    let entries = log["items"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                &entry["action"],
                &entry["before"]["status"],
                &entry["after"]["status"],
            )
        })
        .collect();
    let [pending, approved, none] = [json!("pending"), json!("approved"), Value::Null];
    assert_eq!(
        told,
        [
            (&json!("update"), &pending, &approved),
            (&json!("create"), &none, &pending)
        ]
    );
    assert!(entries.iter().all(|entry| entry["kind"] == "approval"));
    let log = service
        .get("/admin/v1/audit?kind=user&id=usr_a&limit=1")
        .expect(200);
    let entry = &log["items"][0];
    assert_eq!(entry["before"]["apis"], json!(["stock"]));
    assert_eq!(entry["after"]["apis"], json!(["stock", "orders"]));
}

#[test]
fn an_explanation_shows_the_request_and_what_to_do_about_it() {
    let filter = json!({
        "policies": {"orders": {"api": "orders"}, "billing": {"api": "billing"}},
    });
    let service = admin_explain::service(&filter);
    narrow(&service);
    service.make_key(&json!({"id": "key_1"}));
    let why = |token: &Token| {
        let question = json!({"key_id": "key_1", "policy": "orders"}).to_string();
        let path = "/admin/v1/explain";
        let answer = service.send("POST", path, Some(token), Some(question.as_bytes()));
        let answer = answer.expect(200);
        assert_eq!(answer["verdict"], "api_not_approved", "{answer:#}");
        answer
    };
    let text = |answer: &Value, field: &str| answer[field].as_str().unwrap().to_owned();
    let of_requests = |answer: &Value| {
        let history = answer["history"].as_array().unwrap().iter();
        let entries = history.filter(|entry| entry["kind"] == "approval");
        entries
            .inspect(|entry| assert_eq!(entry["cause"], true, "{entry}"))
            .filter(|entry| entry["field"] == "status")
            .map(|entry| (text(entry, "id"), entry["to"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let never = why(&service.admin);
    let step = text(&never, "next_step");
    assert!(
        step.starts_with("Approve the API orders for the user usr_a"),
        "{step}"
    );
    assert!(step.contains("key-service approval request"), "{step}");

    // Of what is asked for beside it, nothing is said.
    asked(&service, "billing");
    let id = asked(&service, "orders");
    for token in [&service.admin, &token(&service, Role::Developer)] {
        let pending = why(token);
        let step = text(&pending, "next_step");
        assert!(
            step.starts_with(&format!("Decide the request {id}")),
            "{step}"
        );
        assert!(
            step.contains(&format!("key-service approval approve {id}")),
            "{step}"
        );
        let summary = text(&pending, "summary");
        assert!(summary.contains("was asked for by anna at "), "{summary}");
        assert_eq!(of_requests(&pending), [(id.clone(), "pending".to_owned())]);
    }

    decide(&service, &id, "deny").expect(200);
    let denied = why(&service.admin);
    let summary = text(&denied, "summary");
    assert!(
        summary.contains(&format!(
            "The request {id} for the API orders was denied by anna"
        )),
        "{summary}"
    );
    let step = text(&denied, "next_step");
    assert!(step.starts_with("Approve the API orders"), "{step}");
    let history = denied["history"].as_array().unwrap();
    let reason = |entry: &&Value| entry["field"] == "decision_reason";
    assert_eq!(history.iter().find(reason).unwrap()["to"], "as agreed");
    let told: BTreeSet<String> = of_requests(&denied).into_iter().map(|(_, to)| to).collect();
    assert_eq!(
        told,
        BTreeSet::from(["pending".to_owned(), "denied".to_owned()])
    );

    let id = asked(&service, "orders");
    decide(&service, &id, "approve").expect(200);
    let question = json!({"key_id": "key_1", "policy": "orders"});
    let allowed = service.post("/admin/v1/explain", &question).expect(200);
    assert_eq!(allowed["verdict"], "allowed");
    narrow(&service);
    let taken = text(&why(&service.admin), "summary");
    assert!(taken.contains("the API taken away later"), "{taken}");
}
