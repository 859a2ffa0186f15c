//! Approvals, the audit log, the review and tokens on pages.

use serde_json::{Value, json};

use crate::support::Service;
use crate::visitor::Visitor;

/// Markup that must never be any.
const HOSTILE: &str = "<img src=x>\"'&";
const HOSTILE_SHOWN: &str = "&#60;img src=x&#62;&#34;&#39;&#38;";

/// A user who has no API yet, and what it has asked for.
fn asked(service: &Service, api: &str) -> String {
    service
        .patch("/admin/v1/users/usr_a", &json!({"apis": []}))
        .expect(200);
    let request = json!({"user_id": "usr_a", "api": api, "reason": HOSTILE});
    let made = service.post("/admin/v1/approvals", &request).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn status(service: &Service, id: &str) -> Value {
    let list = service.get("/admin/v1/approvals").json();
    let mut items = list["items"].as_array().unwrap().clone().into_iter();
    items.find(|item| item["id"] == id).unwrap()
}

#[test]
fn requests_are_decided_with_the_consequence_said_first() {
    let service = Service::furnished();
    let (one, two) = (asked(&service, "orders"), asked(&service, "stock"));
    let admin = Visitor::with(&service, &service.admin);
    let list = admin.page("/console/approvals");
    assert!(
        list.contains(HOSTILE_SHOWN) && !list.contains("<img src=x>"),
        "{list}"
    );
    assert!(list.contains("orders") && list.contains("stock"), "{list}");
    let form = format!("/console/approvals/{one}/approve?user=usr_a");
    assert!(list.contains(&form), "{list}");
    let page = admin.page(&form);
    assert!(
        page.contains("The user usr_a gets the API orders: all keys of the user"),
        "{page}"
    );
    let path = format!("/console/approvals/{one}/approve");
    assert_eq!(
        admin.done(&path, &[("reason", "fine")]),
        "/console/approvals?done=approved"
    );
    assert_eq!(status(&service, &one)["decision_reason"], "fine");
    assert_eq!(
        service.get("/admin/v1/users/usr_a").json()["apis"],
        json!(["orders"])
    );
    // It is decided once.
    let again = admin.post(&path, &[]);
    assert_eq!(again.status, 409);
    assert!(again.text.contains("approved already"), "{}", again.text);

    let path = format!("/console/approvals/{two}/deny");
    assert!(admin.page(&path).contains("does not get the API stock"));
    // From the chain, one comes back to where one was; not to another site.
    let next = admin.done(&path, &[("next", "/console/keys/key_1")]);
    assert_eq!(next, "/console/keys/key_1?done=denied");
    assert_eq!(status(&service, &two)["status"], "denied");
    let three = asked(&service, "third");
    let path = format!("/console/approvals/{three}/approve");
    let next = admin.done(&path, &[("next", "//evil.example/console")]);
    assert_eq!(next, "/console?done=approved");

    // Those that are decided are not in the way, and can be had.
    let list = admin.page("/console/approvals");
    assert!(
        !list.contains("stock") && list.contains("No request is like this"),
        "{list}"
    );
    let list = admin.page("/console/approvals?status=any");
    assert!(list.contains("stock") && list.contains("orders"), "{list}");
    assert!(list.contains("/console/approvals.csv?status=any"), "{list}");
    let csv = admin.page("/console/approvals.csv?status=denied");
    assert!(csv.lines().count() == 2 && csv.contains("stock,"), "{csv}");
    let json: Value =
        serde_json::from_str(&admin.page("/console/approvals.json?status=any")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
}

#[test]
fn a_viewer_sees_and_decides_nothing() {
    let service = Service::furnished();
    let id = asked(&service, "orders");
    service.make_key(&json!({"id": "key_1"}));
    let viewer = Visitor::with(&service, &service.viewer);
    assert!(!viewer.page("/console/approvals").contains("/approve"));
    let list = viewer.page("/console/tokens");
    assert!(
        list.contains("envoy") && !list.contains("Revoke") && !list.contains("New token"),
        "{list}"
    );
    for path in [
        format!("/console/approvals/{id}/approve"),
        format!("/console/approvals/{id}/deny"),
        "/console/tokens/new".to_owned(),
        "/console/tokens/envoy/revoke".to_owned(),
    ] {
        assert_eq!(viewer.get(&path).status, 403, "{path}");
        let answer = viewer.post(&path, &[("name", "x"), ("role", "admin")]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text.contains("may only read"), "{}", answer.text);
    }
    assert_eq!(status(&service, &id)["status"], "pending");
    let tokens = service.get("/admin/v1/tokens").json();
    assert_eq!(tokens["items"].as_array().unwrap().len(), 3);
    assert!(
        tokens["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|token| token["revoked_at"].is_null())
    );
}

#[test]
fn a_token_is_made_shown_once_and_revoked() {
    let service = Service::furnished();
    let admin = Visitor::with(&service, &service.admin);
    let page = admin.page("/console/tokens/new?role=developer");
    assert!(page.contains("value=\"developer\" selected"), "{page}");
    let once = page.split("name=\"once\" value=\"").nth(1).unwrap();
    let once = once.split('"').next().unwrap();
    let name = "dev / ops ä";
    let fields = [
        ("once", once),
        ("name", name),
        ("role", "developer"),
        ("user_id", "usr_a"),
        ("expires_in", "30d"),
    ];
    let made = admin.post("/console/tokens/new", &fields);
    assert_eq!(made.status, 200, "{}", made.text);
    let token = made.text.split("id=\"secret\">").nth(1).unwrap();
    let token = token.split('<').next().unwrap().to_owned();
    assert!(token.starts_with("kbt_developer_"), "{token}");
    // A page that is loaded again makes none more, and shows none.
    let again = admin.post("/console/tokens/new", &fields);
    assert!(
        again.status == 200 && !again.text.contains(&token),
        "{}",
        again.text
    );
    assert!(
        again.text.contains("has made this token then"),
        "{}",
        again.text
    );
    let list = admin.page("/console/tokens");
    assert!(!list.contains(&token) && list.contains(name), "{list}");
    let form = "/console/tokens/dev%20%2F%20ops%20%C3%A4/revoke";
    assert!(list.contains(form), "{list}");

    let developer = Visitor::new(&service);
    developer.done("/console/sign-in", &[("token", &token)]);
    developer.page("/console/my");
    assert!(admin.page(form).contains("signed out of the console"));
    assert_eq!(admin.done(form, &[]), "/console/tokens?done=revoked");
    assert_eq!(developer.get("/console/my").status, 303);
    assert!(
        admin
            .page("/console/tokens?search=ops")
            .contains(">revoked<")
    );
    let csv = admin.page("/console/tokens.csv");
    assert!(
        csv.starts_with("name,role,") && !csv.contains(&token),
        "{csv}"
    );

    // What the API refuses stands beside its field, with what was typed.
    for (fields, told) in [
        (
            vec![("name", "oidc:anna"), ("role", "admin")],
            "must not begin with oidc:",
        ),
        (vec![("name", "anna"), ("role", "admin")], "anna"),
        (vec![("name", "x"), ("role", "developer")], "user"),
        (
            vec![("name", "x"), ("role", "admin"), ("expires_in", "soon")],
            "value=\"soon\"",
        ),
        (
            vec![
                ("name", HOSTILE),
                ("role", "developer"),
                ("user_id", "usr_none"),
            ],
            HOSTILE_SHOWN,
        ),
    ] {
        let answer = admin.post("/console/tokens/new", &fields);
        assert!(
            (400..500).contains(&answer.status),
            "{fields:?}: {}",
            answer.text
        );
        assert!(
            answer.text.contains(told),
            "{told} is not in {}",
            answer.text
        );
        assert!(!answer.text.contains("<img src=x>"));
    }
}

#[test]
fn the_audit_log_is_narrowed_by_times_as_people_type_them() {
    let service = Service::furnished();
    let name = format!("{HOSTILE} of usr_a");
    service.make_key(&json!({"id": "key_1", "name": name}));
    service
        .patch("/admin/v1/keys/key_1", &json!({"purpose": "stock"}))
        .expect(200);
    let admin = Visitor::with(&service, &service.admin);
    let all = admin.page("/console/audit");
    assert!(all.contains("purpose: none → stock"), "{all}");
    assert!(
        all.contains(HOSTILE_SHOWN) && !all.contains("<img src=x>"),
        "{all}"
    );
    assert!(
        all.contains("href=\"/console/keys/key_1\"")
            && all.contains("href=\"/console/users/usr_a\""),
        "{all}"
    );
    assert!(!all.contains("digest"), "{all}");
    for (query, is_there) in [
        ("kind=key&id=key_1", true),
        ("kind=user", false),
        ("actor=anna&since=1d&kind=key", true),
        ("actor=vera", false),
        ("since=1d+ago", true),
        ("until=2020-01-31", false),
        ("since=2020-01-31&until=2999-12-31T00:00:00Z", true),
    ] {
        let page = admin.page(&format!("/console/audit?{query}"));
        assert_eq!(page.contains("purpose: none → stock"), is_there, "{query}");
    }
    let page = admin.page("/console/audit?since=1d&kind=key");
    assert!(
        page.contains("/console/audit.csv?kind=key&#38;since=1d"),
        "{page}"
    );
    assert!(page.contains("name=\"since\" value=\"1d\""), "{page}");
    let wrong = admin.get("/console/audit?since=yesterday");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("id=\"since-error\""), "{}", wrong.text);
    assert_eq!(admin.get("/console/audit.csv?since=yesterday").status, 400);
    let csv = admin.page("/console/audit.csv?kind=key&since=1d");
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let json: Value = serde_json::from_str(&admin.page("/console/audit.json?id=key_1")).unwrap();
    assert_eq!(json[0]["after"]["purpose"], "stock");
}

#[test]
fn the_review_names_keys_by_reason() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1", "scopes": ["*"], "name": HOSTILE}));
    service
        .make_key(&json!({"id": "key_2", "expires_at": key_service::domain::time::now() + 3600}));
    let viewer = Visitor::with(&service, &service.viewer);
    let all = viewer.page("/console/review");
    for holds in [
        "everything_allowed",
        "no_expiry",
        "expires_soon",
        "/console/keys/key_2",
        HOSTILE_SHOWN,
    ] {
        assert!(all.contains(holds), "{holds} is not in {all}");
    }
    let one = viewer.page("/console/review?reason=expires_soon");
    assert!(
        one.contains("/console/keys/key_2") && !one.contains("/console/keys/key_1"),
        "{one}"
    );
    let one = viewer.page("/console/review?reason=expires_soon&expires_within=1s&tenant=ten_a");
    assert!(one.contains("No key asks for a look"), "{one}");
    let csv = viewer.page("/console/review.csv?reason=everything_allowed");
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let json: Value = serde_json::from_str(&viewer.page("/console/review.json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(
        viewer.get("/console/review?expires_within=soon").status,
        400
    );
}
