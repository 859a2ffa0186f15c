//! A developer's own pages.

use serde_json::{Value, json};

use crate::secrets::{holds, stored};
use crate::support::Service;
use crate::visitor::Visitor;

/// A tenant with rules, and its user.
fn service() -> Service {
    let service = Service::furnished();
    let rules = json!({"max_lifetime": "90d", "require": ["purpose", "expires_at"], "forbid_scopes": ["*"]});
    let path = "/admin/v1/tenants/ten_a/key-rules";
    service
        .send(
            "PUT",
            path,
            Some(&service.admin),
            Some(rules.to_string().as_bytes()),
        )
        .expect(200);
    service
        .patch(
            "/admin/v1/users/usr_a",
            &json!({"scopes": ["orders:read"], "apis": ["stock"]}),
        )
        .expect(200);
    service
        .post(
            "/admin/v1/users",
            &json!({"id": "usr_b", "tenant_id": "ten_a"}),
        )
        .expect(201);
    let other = json!({"user_id": "usr_b", "id": "key_of_another", "purpose": "x", "expires_at": key_service::domain::time::now() + 9000});
    service.post("/admin/v1/keys", &other).expect(201);
    service
}

const GOOD: [(&str, &str); 5] = [
    ("name", "<b>mine</b>"),
    ("purpose", "stock"),
    ("environment", "live"),
    ("scopes", "orders:read"),
    ("expires_at", "30d"),
];

fn secret(page: &str) -> String {
    let secret = page.split("id=\"secret\">").nth(1).unwrap();
    secret.split('<').next().unwrap().to_owned()
}

fn keys(service: &Service) -> Vec<Value> {
    let list = service.get("/admin/v1/keys?user=usr_a").json();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn the_rules_are_said_before_they_refuse_and_a_key_is_shown_once() {
    let service = service();
    let developer = Visitor::as_developer(&service, "dev", "usr_a");
    let form = developer.page("/console/my/keys/new");
    for said in [
        "A key lives at most 90d.",
        "A key must have: purpose, expires_at.",
        "No key has one of these scopes: *",
        "A key can have these scopes at most: orders:read",
    ] {
        assert!(form.contains(said), "{said} is not in {form}");
        assert!(developer.page("/console/my").contains(said));
    }
    // What breaks them stands beside its field, with what was typed.
    let refused = developer.post(
        "/console/my/keys/new",
        &[("name", "mine"), ("scopes", "orders:read")],
    );
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("id=\"purpose-error\"") && refused.text.contains("value=\"mine\""),
        "{}",
        refused.text
    );
    let wider = [
        &GOOD[..3],
        &[("scopes", "orders:write"), ("expires_at", "30d")],
    ]
    .concat();
    let refused = developer.post("/console/my/keys/new", &wider);
    assert!(
        refused.status >= 400 && refused.text.contains("id=\"scopes-error\""),
        "{}",
        refused.text
    );
    let refused = developer.post("/console/my/keys/new", &[("expires_at", "some day")]);
    assert!(
        refused.status == 400 && refused.text.contains("id=\"expires_at-error\""),
        "{}",
        refused.text
    );
    assert_eq!(keys(&service).len(), 0);

    let once = form.split("name=\"once\" value=\"").nth(1).unwrap();
    let once = ("once", once.split('"').next().unwrap());
    let fields = [&GOOD[..], &[once]].concat();
    let made = developer.post("/console/my/keys/new", &fields);
    assert_eq!(made.status, 200, "{}", made.text);
    let secret = secret(&made.text);
    assert!(secret.starts_with("kb_live_"), "{secret}");
    let again = developer.post("/console/my/keys/new", &fields);
    assert!(
        again.status == 200 && !again.text.contains(&secret),
        "{}",
        again.text
    );
    assert_eq!(keys(&service).len(), 1);
    assert!(!holds(&stored(&service), &secret));
    let list = developer.page("/console/my");
    assert!(
        !list.contains(&secret) && list.contains("&#60;b&#62;mine&#60;/b&#62;"),
        "{list}"
    );
    assert!(!list.contains("<b>mine"), "{list}");
    let id = keys(&service)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        list.contains(&format!("/console/why?key_id={id}")),
        "{list}"
    );
    assert!(list.contains("Requests a day, last 30 days"), "{list}");
    assert_eq!(
        service.resolve(&[&crate::support::digest(&json!(secret))])["results"][0]["key"]["id"],
        id.as_str()
    );
    assert!(
        developer
            .page(&format!("/console/my/keys/{id}"))
            .contains("orders:read")
    );
    developer.page(&format!("/console/why?key_id={id}"));
}

#[test]
fn an_own_key_is_rotated_and_revoked() {
    let service = service();
    let developer = Visitor::as_developer(&service, "dev", "usr_a");
    developer.post("/console/my/keys/new", &GOOD);
    let id = keys(&service)[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/console/my/keys/{id}/rotate");
    assert!(developer.page(&path).contains("works on for the grace"));
    let refused = developer.post(&path, &[("grace", "a while")]);
    assert!(
        refused.status == 400 && refused.text.contains("id=\"grace-error\""),
        "{}",
        refused.text
    );
    let rotated = developer.post(&path, &[("grace", "1h")]);
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    assert!(secret(&rotated.text).starts_with("kb_live_"));
    let again = developer.post(&path, &[]);
    assert_eq!(again.status, 409, "{}", again.text);
    assert_eq!(keys(&service).len(), 2);

    let path = format!("/console/my/keys/{id}/revoke");
    assert!(developer.page(&path).contains("at once and for good"));
    assert_eq!(
        developer.done(&path, &[("reason", "not needed")]),
        "/console/my?done=revoked"
    );
    let revoked = service.get(&format!("/admin/v1/keys/{id}")).json();
    assert_eq!(
        (&revoked["status"], &revoked["revoked_reason"]),
        (&json!("revoked"), &json!("not needed"))
    );
    assert!(
        developer
            .page("/console/my?done=revoked")
            .contains("It is revoked")
    );
    assert!(!developer.page("/console/my").contains(&path));
}

#[test]
fn what_is_anothers_does_not_exist() {
    let service = service();
    let developer = Visitor::as_developer(&service, "dev", "usr_a");
    assert!(!developer.page("/console/my").contains("key_of_another"));
    for path in ["", "/rotate", "/revoke"] {
        let path = format!("/console/my/keys/key_of_another{path}");
        assert_eq!(developer.get(&path).status, 404, "{path}");
    }
    for path in ["/rotate", "/revoke"] {
        let path = format!("/console/my/keys/key_of_another{path}");
        assert_eq!(developer.post(&path, &[]).status, 404, "{path}");
    }
    assert_eq!(
        service.get("/admin/v1/keys/key_of_another").json()["status"],
        "active"
    );
    // Who makes a key for another makes it for themselves.
    let fields = [&GOOD[..], &[("user_id", "usr_b")]].concat();
    developer.post("/console/my/keys/new", &fields);
    assert_eq!(keys(&service).len(), 1);
    for path in [
        "/console",
        "/console/keys",
        "/console/audit",
        "/console/tokens",
        "/console/approvals",
        "/console/review.csv",
    ] {
        let answer = developer.get(path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/console/my"),
            "{path}"
        );
    }
    let answer = developer.post("/console/tokens/new", &[("name", "x"), ("role", "admin")]);
    assert_eq!(answer.header("location"), "/console/my");
}

#[test]
fn an_api_is_asked_for_and_the_answer_is_seen() {
    let service = service();
    let developer = Visitor::as_developer(&service, "dev", "usr_a");
    assert!(
        developer
            .page("/console/my")
            .contains("Your keys may use these APIs: stock")
    );
    let path = "/console/my/ask";
    assert!(
        developer
            .page("/console/my/ask?api=orders")
            .contains("value=\"orders\"")
    );
    let refused = developer.post(path, &[("reason", "x")]);
    assert!(
        refused.status == 400 && refused.text.contains("id=\"api-error\""),
        "{}",
        refused.text
    );
    let had = developer.post(path, &[("api", "stock")]);
    assert!(
        had.status == 409 && had.text.contains("approved for this API already"),
        "{}",
        had.text
    );
    let fields = [
        ("api", "orders"),
        ("reason", "<i>please</i>"),
        ("user_id", "usr_b"),
    ];
    assert_eq!(developer.done(path, &fields), "/console/my?done=asked");
    let page = developer.page("/console/my?done=asked");
    assert!(
        page.contains("&#60;i&#62;please") && page.contains(">pending<"),
        "{page}"
    );
    let admin = Visitor::with(&service, &service.admin);
    let asked = service.get("/admin/v1/approvals").json();
    assert_eq!(asked["items"][0]["user_id"], "usr_a");
    let id = asked["items"][0]["id"].as_str().unwrap();
    admin.done(
        &format!("/console/approvals/{id}/deny"),
        &[("reason", "later")],
    );
    let page = developer.page("/console/my");
    assert!(
        page.contains(">denied<") && page.contains("later"),
        "{page}"
    );
}

#[test]
fn others_are_told_how_a_developer_gets_in() {
    let service = service();
    for (token, offers) in [(&service.admin, true), (&service.viewer, false)] {
        let visitor = Visitor::with(&service, token);
        for path in ["/console/my", "/console/my/keys/new", "/console/my/ask"] {
            let answer = visitor.get(path);
            assert_eq!(answer.status, 403, "{path}");
            assert!(
                answer.text.contains("token create --role developer"),
                "{}",
                answer.text
            );
            let link = answer.text.contains("/console/tokens/new?role=developer");
            assert_eq!(link, offers);
        }
        assert_eq!(visitor.post("/console/my/keys/new", &GOOD).status, 403);
    }
    assert_eq!(keys(&service).len(), 0);
}
