//! `/admin/v1/tokens`: who calls this service, made and revoked by those who administer it.

use key_service::domain::time::{DAY, now};
use key_service::domain::token::{Role, Token};
use serde_json::{Value, json};

use crate::reach::token;
use crate::support::{Answer, Service, assert_holds};

const PATH: &str = "/admin/v1/tokens";

/// Two tenants, with the users `usr_a` and `usr_b`.
fn service() -> Service {
    let service = Service::furnished();
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    let of_b = json!({"id": "usr_b", "tenant_id": "ten_b"});
    service.post("/admin/v1/users", &of_b).expect(201);
    service
}

fn post(service: &Service, token: &Token, path: &str, body: &Value) -> Answer {
    let body = (!body.is_null()).then(|| body.to_string());
    service.send(
        "POST",
        path,
        Some(token),
        body.as_deref().map(str::as_bytes),
    )
}

fn names(service: &Service, token: &Token, query: &str) -> Vec<String> {
    let list = service.send("GET", &format!("{PATH}{query}"), Some(token), None);
    let list = list.expect(200);
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The token of an answer, which holds it.
fn text(made: &Value) -> Token {
    Token::chosen(made["token"].as_str().unwrap()).unwrap()
}

#[test]
fn a_token_is_made_is_told_once_opens_what_it_is_for_and_is_revoked() {
    let service = service();
    let body = json!({"name": "otto", "role": "viewer", "tenant_id": "ten_a", "expires_in": "90d"});
    let made = service.post(PATH, &body).expect(201);
    assert_holds(
        &made,
        &json!({"name": "otto", "role": "viewer", "tenant_id": "ten_a", "user_id": null, "revoked_at": null}),
    );
    let left = made["expires_at"].as_i64().unwrap() - now() - 90 * DAY;
    assert!((-60..=0).contains(&left), "{left}");
    let viewer = text(&made);
    assert!(viewer.reveal().starts_with("kbt_viewer_"));
    let tenants = service.send("GET", "/admin/v1/tenants", Some(&viewer), None);
    assert_eq!(tenants.expect(200)["items"].as_array().unwrap().len(), 1);
    let list = service.get(PATH);
    assert!(!list.text.contains(viewer.reveal()) && !list.text.contains("digest"));
    let mut told = made.clone();
    told.as_object_mut().unwrap().remove("token");
    assert!(list.json()["items"].as_array().unwrap().contains(&told));

    let path = format!("{PATH}/otto/revoke");
    let revoked = service.send("POST", &path, Some(&service.admin), None);
    let revoked = revoked.expect(200);
    assert!(revoked["revoked_at"].is_i64());
    service
        .send("GET", "/admin/v1/tenants", Some(&viewer), None)
        .problem(401);
    // Again, and nothing changes.
    let again = service.send("POST", &path, Some(&service.admin), None);
    assert_eq!(again.expect(200), revoked);
    service.post(PATH, &body).problem(409);
    assert_eq!(names(&service, &service.admin, "?search=ott"), ["otto"]);
    let none = format!("{PATH}/nobody/revoke");
    service
        .send("POST", &none, Some(&service.admin), None)
        .problem(404);

    let log = service
        .get("/admin/v1/audit?kind=token&id=otto")
        .expect(200);
    let log = log["items"].as_array().unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), &entry["actor"]))
        .collect();
    assert_eq!(
        told,
        [("revoke", &json!("anna")), ("create", &json!("anna"))]
    );
    assert_holds(
        &log[1]["after"],
        &json!({"name": "otto", "role": "viewer", "tenant_id": "ten_a"}),
    );
}

#[test]
fn a_request_that_is_sent_again_makes_one_token_and_shows_it_no_more() {
    let service = service();
    let body = json!({"name": "otto", "role": "gateway"}).to_string();
    let authorization = format!("Bearer {}", service.admin.reveal());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let send = || service.send_with("POST", PATH, &headers, Some(body.as_bytes()));
    let first = send();
    let made = first.expect(201);
    let again = send();
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("etag"), first.header("etag"));
    let shown = again.expect(201);
    assert_eq!(
        (&shown["name"], &shown["token"]),
        (&json!("otto"), &Value::Null)
    );
    let held = crate::secrets::stored(&service);
    assert!(!crate::secrets::holds(
        &held,
        made["token"].as_str().unwrap()
    ));
}

#[test]
fn what_no_token_can_be_is_refused_by_its_field() {
    let service = service();
    let deleted = "/admin/v1/users/usr_b?force=true";
    service.delete(deleted).expect(200);
    for (body, field) in [
        (json!({"name": "scim:x", "role": "admin"}), "name"),
        (json!({"name": "oidc:x", "role": "admin"}), "name"),
        (json!({"name": "two\nlines", "role": "admin"}), "name"),
        (json!({"name": "x", "role": "admins"}), "role"),
        (
            json!({"name": "x", "role": "admin", "expires_in": "0s"}),
            "expires_in",
        ),
        (json!({"name": "x", "role": "scim"}), "tenant_id"),
        (
            json!({"name": "x", "role": "gateway", "tenant_id": "ten_a"}),
            "tenant_id",
        ),
        (json!({"name": "x", "role": "developer"}), "user_id"),
        (
            json!({"name": "x", "role": "viewer", "user_id": "usr_a"}),
            "user_id",
        ),
        (
            json!({"name": "x", "role": "developer", "user_id": "usr_a", "tenant_id": "ten_a"}),
            "tenant_id",
        ),
        (
            json!({"name": "x", "role": "scim", "tenant_id": "ten_none"}),
            "tenant_id",
        ),
        (
            json!({"name": "x", "role": "developer", "user_id": "usr_none"}),
            "user_id",
        ),
        (
            json!({"name": "x", "role": "developer", "user_id": "usr_b"}),
            "user_id",
        ),
    ] {
        let refused = service.post(PATH, &body);
        assert_eq!(refused.problem(400), [field], "{body}");
    }
    assert_eq!(names(&service, &service.admin, "?search=x"), [""; 0]);
}

#[test]
fn who_administers_one_tenant_sees_and_makes_tokens_of_that_alone() {
    let service = service();
    for body in [
        json!({"name": "all", "role": "viewer"}),
        json!({"name": "envoy-2", "role": "gateway"}),
        json!({"name": "viewer-b", "role": "viewer", "tenant_id": "ten_b"}),
        json!({"name": "ben-b", "role": "developer", "user_id": "usr_b"}),
        json!({"name": "ben-a", "role": "developer", "user_id": "usr_a"}),
        json!({"name": "okta-a", "role": "scim", "tenant_id": "ten_a"}),
    ] {
        service.post(PATH, &body).expect(201);
    }
    let admin = token(&service, Role::Admin);
    let viewer = token(&service, Role::Viewer);
    let own = ["ben-a", "okta-a", "bounded-admin", "bounded-viewer"];
    for token in [&admin, &viewer] {
        assert_eq!(names(&service, token, ""), own);
        assert_eq!(names(&service, token, "?tenant=ten_b"), [""; 0]);
        assert_eq!(names(&service, token, "?user=usr_a"), ["ben-a"]);
        assert_eq!(names(&service, token, "?user=usr_b"), [""; 0]);
        assert_eq!(names(&service, token, "?role=scim&search=OKTA"), ["okta-a"]);
    }
    assert_eq!(
        names(&service, &service.admin, "?tenant=ten_b"),
        ["viewer-b", "ben-b"]
    );
    // Page by page.
    let page = service.get(&format!("{PATH}?limit=3&tenant=ten_a"));
    let next = page.json()["next_page_token"].as_str().unwrap().to_owned();
    let rest = names(&service, &admin, &format!("?limit=3&page_token={next}"));
    assert_eq!(rest, own[3..]);

    for (name, body) in [
        ("a1", json!({"role": "admin"})),
        ("a2", json!({"role": "viewer", "tenant_id": "ten_a"})),
        ("a3", json!({"role": "scim"})),
        ("a4", json!({"role": "developer", "user_id": "usr_a"})),
    ] {
        let mut body = body;
        body["name"] = name.into();
        let made = post(&service, &admin, PATH, &body).expect(201);
        let tenant = if name == "a4" {
            Value::Null
        } else {
            json!("ten_a")
        };
        assert_eq!(made["tenant_id"], tenant, "{body}");
    }
    let made = post(
        &service,
        &admin,
        PATH,
        &json!({"name": "a5", "role": "admin"}),
    );
    let further = text(&made.expect(201));
    assert_eq!(names(&service, &further, "?search=bounded"), own[2..]);
    for (body, field) in [
        (json!({"role": "gateway"}), "role"),
        (json!({"role": "admin", "tenant_id": "ten_b"}), "tenant_id"),
        (json!({"role": "scim", "tenant_id": "ten_b"}), "tenant_id"),
        (json!({"role": "developer", "user_id": "usr_b"}), "user_id"),
    ] {
        let mut body = body;
        body["name"] = "wider".into();
        let refused = post(&service, &admin, PATH, &body);
        assert_eq!(refused.problem(400), [field], "{body}");
    }
    // A name that is taken elsewhere is taken, and no more is told.
    let taken = post(
        &service,
        &admin,
        PATH,
        &json!({"name": "viewer-b", "role": "viewer"}),
    );
    taken.problem(409);
    assert!(!taken.text.contains("ten_b"), "{}", taken.text);
    for name in ["all", "envoy-2", "viewer-b", "ben-b"] {
        let path = format!("{PATH}/{name}/revoke");
        post(&service, &admin, &path, &Value::Null).problem(404);
    }
    for name in ["ben-a", "okta-a", "bounded-viewer", "bounded-admin"] {
        let path = format!("{PATH}/{name}/revoke");
        post(&service, &admin, &path, &Value::Null).expect(200);
    }
    // The last one was its own.
    service.send("GET", PATH, Some(&admin), None).problem(401);
    service.send("GET", PATH, Some(&further), None).expect(200);
}

#[test]
fn who_only_reads_makes_and_revokes_none_and_a_developer_sees_none() {
    let service = service();
    let developer = token(&service, Role::Developer);
    let body = json!({"name": "more", "role": "developer", "user_id": "usr_a"});
    for token in [&service.viewer, &developer] {
        post(&service, token, PATH, &body).problem(403);
        let path = format!("{PATH}/anna/revoke");
        post(&service, token, &path, &Value::Null).problem(403);
    }
    service
        .send("GET", PATH, Some(&developer), None)
        .problem(403);
    assert!(!names(&service, &service.viewer, "").is_empty());
    assert!(names(&service, &service.admin, "?search=more").is_empty());
}

#[test]
fn a_name_of_any_letters_is_revoked() {
    let service = service();
    let body = json!({"name": "Änne / 100%", "role": "viewer"});
    service.post(PATH, &body).expect(201);
    let path = format!("{PATH}/%C3%84nne%20%2F%20100%25/revoke");
    let revoked = post(&service, &service.admin, &path, &Value::Null).expect(200);
    assert_eq!(revoked["name"], "Änne / 100%");
}
