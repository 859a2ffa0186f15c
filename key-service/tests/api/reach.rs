//! What tokens of one tenant, and those of one user, see and change: for every route that there is.

use std::collections::BTreeSet;

use key_service::domain::approval::{Approval, ApprovalStatus};
use key_service::domain::audit::Action;
use key_service::domain::time::now;
use key_service::domain::token::{Grant, Role, Token};
use key_service::domain::user::User;
use key_service::domain::webhook::{EventKind, Webhook};
use serde_json::{Value, json};

use crate::routes::{Area, routes_of};
use crate::support::{Service, assert_holds};

/// Stands in everything of the other tenant that is not an id.
const THEIRS: &str = "theirs-alone";

/// Those who do not see everything.
const BOUNDED: [Role; 3] = [Role::Admin, Role::Viewer, Role::Developer];

/// Registers a token for `ten_a`, or for its user `usr_a`.
pub fn token(service: &Service, role: Role) -> Token {
    let token = Token::generate(role);
    let some = |id: &str| Some(id.to_owned());
    let bound = match role {
        Role::Developer => (None, some("usr_a")),
        _ => (some("ten_a"), None),
    };
    let grant = Grant {
        tenant_id: bound.0,
        user_id: bound.1,
        ..role.into()
    };
    grant.check().unwrap();
    service.write(async |write| {
        let name = format!("bounded-{}", role.as_str());
        assert!(
            write
                .put_token(&name, grant, &token.digest())
                .await
                .unwrap()
        );
    });
    token
}

/// Two tenants with users and keys, and a key of nobody's tenant.
fn world() -> Service {
    let service = crate::webhooks::furnished();
    let admin = |path: &str, body: Value| service.post(path, &body).expect(201);
    admin("/admin/v1/tenants", json!({"id": "ten_b", "name": THEIRS}));
    admin(
        "/admin/v1/users",
        json!({"id": "usr_a2", "tenant_id": "ten_a", "name": "theirs too"}),
    );
    let of_b = json!({"id": "usr_b", "tenant_id": "ten_b", "name": THEIRS, "login": THEIRS, "contact": THEIRS});
    admin("/admin/v1/users", of_b);
    admin("/admin/v1/users", json!({"id": "usr_n", "name": THEIRS}));
    for (id, user) in [
        ("key_a", "usr_a"),
        ("key_a2", "usr_a2"),
        ("key_b", "usr_b"),
        ("key_n", "usr_n"),
    ] {
        let name = if ["key_b", "key_n"].contains(&id) {
            THEIRS
        } else {
            "ours"
        };
        admin(
            "/admin/v1/keys",
            json!({"id": id, "user_id": user, "name": name, "scopes": ["a:read"]}),
        );
    }
    service
        .import(&line("key_b2", json!({"user_id": "usr_b"})))
        .expect(200);
    service.write(async |write| {
        for (who, tenant) in [("a", Some("ten_a")), ("b", Some("ten_b")), ("n", None)] {
            let user = format!("usr_{who}");
            let before = write.by_id::<User>(&user).await.unwrap().unwrap();
            let narrowed = User {
                apis: Some(Vec::new()),
                ..before.clone()
            };
            let action = Action::Update;
            write.put(action, Some(&before), narrowed).await.unwrap();
            let webhook = Webhook {
                id: format!("whk_{who}"),
                tenant_id: tenant.map(str::to_owned),
                url: format!(
                    "https://{}.example.com",
                    if who == "a" { "ours" } else { THEIRS }
                ),
                events: vec![EventKind::UserStopped],
                created_at: now(),
            };
            write.add_webhook(&webhook).await.unwrap();
            let viewer = Grant {
                tenant_id: tenant.map(str::to_owned),
                ..Role::Viewer.into()
            };
            let name = format!("tok_{who}");
            let made = write.make_token(&name, viewer).await.unwrap();
            made.unwrap();
            // One to approve, and one to deny.
            for kind in ["apa", "apd"] {
                let request = Approval {
                    id: format!("{kind}_{who}"),
                    user_id: user.clone(),
                    tenant_id: tenant.map(str::to_owned),
                    api: format!("{}-{kind}", if who == "a" { "ours" } else { THEIRS }),
                    reason: None,
                    status: ApprovalStatus::Pending,
                    requested_by: "test".to_owned(),
                    created_at: now(),
                    decided_by: None,
                    decided_at: None,
                    decision_reason: None,
                };
                write.put_approval(None, &request).await.unwrap();
            }
        }
    });
    service
}

/// Whether a text holds an id, and not merely another one that begins like it: those made here are of random letters.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let rest = text.get(at + id.len()..).unwrap_or_default();
        !rest.starts_with(|next: char| next.is_ascii_alphanumeric())
    })
}

fn line(id: &str, fields: Value) -> String {
    let mut line = json!({"key": format!("a-key-from-elsewhere-{id}"), "id": id});
    for (name, value) in fields.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string()
}

/// A route with a body that is right, in which `OWN` and `OTHER` stand for whose things it is about; what tokens of a
/// tenant's administrator, its viewer and a developer are answered where it is theirs, and where it is not.
struct Row(&'static str, &'static str, &'static str, [u16; 3], [u16; 3]);

const ROWS: &[Row] = &[
    Row("GET", "/admin/v1/tenants", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/users", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/keys", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/audit", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/tenants/{id}", "", [200; 3], [404; 3]),
    Row("GET", "/admin/v1/users/{id}", "", [200; 3], [404; 3]),
    Row("GET", "/admin/v1/keys/{id}", "", [200; 3], [404; 3]),
    Row("GET", "/admin/v1/users/{id}/usage", "", [200; 3], [404; 3]),
    Row("GET", "/admin/v1/keys/{id}/usage", "", [200; 3], [404; 3]),
    Row(
        "POST",
        "/admin/v1/explain",
        r#"{"key_id": "key_WHO"}"#,
        [200; 3],
        [404; 3],
    ),
    Row(
        "POST",
        "/admin/v1/tenants",
        r#"{"name": "new"}"#,
        [403; 3],
        [403; 3],
    ),
    Row(
        "POST",
        "/admin/v1/users",
        r#"{"tenant_id": "ten_WHO"}"#,
        [201, 403, 403],
        [400, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/keys",
        r#"{"user_id": "usr_WHO"}"#,
        [201, 403, 201],
        [400, 403, 400],
    ),
    Row(
        "POST",
        "/admin/v1/keys/import",
        r#"{"key": "an-imported-key-of-WHO", "user_id": "usr_WHO"}"#,
        [200, 403, 403],
        [400, 403, 403],
    ),
    Row(
        "PATCH",
        "/admin/v1/tenants/{id}",
        r#"{"name": "new"}"#,
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "PATCH",
        "/admin/v1/users/{id}",
        r#"{"name": "new"}"#,
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "PATCH",
        "/admin/v1/keys/{id}",
        r#"{"name": "new"}"#,
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/keys/{id}/rotate",
        "{}",
        [201, 403, 201],
        [404, 403, 404],
    ),
    Row(
        "POST",
        "/admin/v1/keys/{id}/revoke",
        "{}",
        [200, 403, 200],
        [404, 403, 404],
    ),
    // What is sent is nobody's here: see the test of its own.
    Row(
        "POST",
        "/admin/v1/keys/revoke",
        r#"{"key": "a-key-that-nobody-has"}"#,
        [404, 403, 403],
        [404, 403, 403],
    ),
    Row("GET", "/admin/v1/refusals", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/review", "", [200; 3], [200; 3]),
    Row("GET", "/admin/v1/review/counts", "", [200; 3], [200; 3]),
    // What is sent is nobody's here: see the tests of its own.
    Row(
        "POST",
        "/admin/v1/leaks",
        r#"{"keys": ["a-key-that-nobody-has"]}"#,
        [200, 403, 403],
        [200, 403, 403],
    ),
    Row(
        "GET",
        "/admin/v1/tokens",
        "",
        [200, 200, 403],
        [200, 200, 403],
    ),
    Row(
        "POST",
        "/admin/v1/tokens",
        r#"{"name": "new-of-WHO", "role": "viewer", "tenant_id": "ten_WHO"}"#,
        [201, 403, 403],
        [400, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/tokens/{name}/revoke",
        "",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row("GET", "/admin/v1/webhooks", "", [200; 3], [200; 3]),
    Row(
        "POST",
        "/admin/v1/webhooks",
        r#"{"url": "https://ours.example.com", "events": ["key.leaked"], "tenant_id": "ten_WHO"}"#,
        [201, 403, 403],
        [400, 403, 403],
    ),
    // A developer's token sees none: a URL may hold what opens the receiver.
    Row(
        "GET",
        "/admin/v1/webhooks/{id}",
        "",
        [200, 200, 404],
        [404; 3],
    ),
    Row(
        "GET",
        "/admin/v1/webhooks/{id}/dead",
        "",
        [200, 200, 404],
        [404; 3],
    ),
    Row(
        "POST",
        "/admin/v1/webhooks/{id}/redeliver",
        "{}",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "DELETE",
        "/admin/v1/webhooks/{id}",
        "",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row("GET", "/admin/v1/approvals", "", [200; 3], [200; 3]),
    Row(
        "POST",
        "/admin/v1/approvals",
        r#"{"user_id": "usr_WHO", "api": "orders"}"#,
        [201, 403, 201],
        [400, 403, 400],
    ),
    Row(
        "POST",
        "/admin/v1/approvals/{id}/approve",
        "{}",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/approvals/{id}/deny",
        "{}",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/apply",
        r#"{"tenants": [{"id": "ten_WHO", "name": "new"}]}"#,
        [200, 403, 403],
        [400, 403, 403],
    ),
    Row(
        "POST",
        "/admin/v1/diff",
        r#"{"tenants": [{"id": "ten_WHO", "name": "newer"}]}"#,
        [200, 200, 403],
        [400, 400, 403],
    ),
    Row(
        "GET",
        "/admin/v1/export",
        "",
        [200, 403, 403],
        [200, 403, 403],
    ),
    Row(
        "GET",
        "/admin/v1/tenants/{id}/key-rules",
        "",
        [200; 3],
        [404; 3],
    ),
    Row(
        "PUT",
        "/admin/v1/tenants/{id}/key-rules",
        r#"{"require": []}"#,
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "DELETE",
        "/admin/v1/tenants/{id}/key-rules",
        "",
        [200, 403, 403],
        [404, 403, 403],
    ),
    Row(
        "DELETE",
        "/admin/v1/users/{id}",
        "",
        [200, 403, 403],
        [404, 403, 403],
    ),
];

impl Row {
    fn send(&self, service: &Service, token: &Token, who: &str) -> crate::support::Answer {
        let Self(method, template, body, ..) = self;
        let kind = match template.split('/').nth(3).unwrap() {
            "tenants" => "ten",
            "users" => "usr",
            "approvals" if template.ends_with("/deny") => "apd",
            "approvals" => "apa",
            "webhooks" => "whk",
            "tokens" => "tok",
            _ => "key",
        };
        let id = format!("{kind}_{who}");
        let path = template.replace("{id}", &id).replace("{name}", &id);
        let body = body.replace("WHO", who);
        let media = if template.ends_with("/import") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let authorization = format!("Bearer {}", token.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", media),
        ];
        let body = (!body.is_empty()).then_some(body.as_bytes());
        // What stops keys is meant.
        let path = match *method {
            "PATCH" | "DELETE" => format!("{path}?force=true"),
            "GET" if template.ends_with("/export") => format!("{path}?kind=keys"),
            _ => path,
        };
        service.send_with(method, &path, &headers, body)
    }
}

#[test]
fn the_table_names_every_route_of_the_admin_api() {
    let service = Service::start();
    let there: BTreeSet<(String, String)> = routes_of(&service, Area::Admin)
        .into_iter()
        .map(|route| (route.method, route.template))
        .collect();
    let named: BTreeSet<(String, String)> = ROWS
        .iter()
        .map(|Row(method, template, ..)| ((*method).to_owned(), (*template).to_owned()))
        .collect();
    assert_eq!(there, named);
    assert_eq!(named.len(), ROWS.len());
}

#[test]
fn what_is_another_tenants_does_not_exist_on_any_route() {
    let service = world();
    let sequence = || service.changes("")["cursor"].as_i64().unwrap();
    let before = sequence();
    for (index, role) in BOUNDED.into_iter().enumerate() {
        let token = token(&service, role);
        for row in ROWS {
            let Row(method, template, .., others) = row;
            // Of another tenant, of no tenant, and nobody's at all: they are told apart by nothing.
            let [other, homeless, nobody] = ["b", "n", "zz"].map(|who| {
                let answer = row.send(&service, &token, who);
                assert_eq!(
                    answer.status, others[index],
                    "{role:?} {method} {template} {who}: {}",
                    answer.text
                );
                let told = ["ten", "usr", "key", "apa", "apd", "whk", "tok"]
                    .into_iter()
                    .fold(answer.text, |told, kind| {
                        told.replace(&format!("{kind}_{who}"), kind)
                    });
                for secret in [
                    THEIRS, "ten_b", "usr_b", "key_b", "key_b2", "usr_n", "key_n", "apa_b",
                    "apd_b", "apa_n", "whk_b", "tok_b", "tok_n",
                ] {
                    assert!(
                        !names(&told, secret),
                        "{role:?} {method} {template}: {told}"
                    );
                }
                told
            });
            assert_eq!(
                [&other, &homeless],
                [&nobody; 2],
                "{role:?} {method} {template}"
            );
        }
        if role == Role::Developer {
            for row in ROWS.iter().filter(|Row(.., others)| others[index] == 404) {
                // Nor is what a colleague has, but for the tenant of both.
                let answer = row.send(&service, &token, "a2");
                assert_eq!(answer.status, 404, "{}", answer.text);
            }
        }
    }
    assert_eq!(sequence(), before, "something was written");
}

#[test]
fn what_is_ones_own_is_there_on_every_route() {
    for (index, role) in BOUNDED.into_iter().enumerate() {
        let service = world();
        let token = token(&service, role);
        for row in ROWS {
            let Row(method, template, _, own, _) = row;
            let answer = row.send(&service, &token, "a");
            assert_eq!(
                answer.status, own[index],
                "{role:?} {method} {template}: {}",
                answer.text
            );
            for secret in [
                THEIRS, "ten_b", "usr_b", "key_b", "key_b2", "usr_n", "key_n", "apa_b", "apd_b",
                "apa_n", "whk_b", "tok_b", "tok_n",
            ] {
                assert!(
                    !names(&answer.text, secret),
                    "{role:?} {method} {template}: {}",
                    answer.text
                );
            }
        }
    }
}

#[test]
fn a_key_of_another_tenant_is_not_revoked_by_its_text() {
    let service = world();
    let admin = token(&service, Role::Admin);
    service
        .import(&line("key_a3", json!({"user_id": "usr_a"})))
        .expect(200);
    for (id, status) in [("key_b2", 404), ("key_a3", 200)] {
        let body = json!({"key": format!("a-key-from-elsewhere-{id}")}).to_string();
        let path = "/admin/v1/keys/revoke";
        let answer = service.send("POST", path, Some(&admin), Some(body.as_bytes()));
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn lists_hold_what_is_ones_own_whatever_they_are_asked_for() {
    let service = world();
    let viewer = token(&service, Role::Viewer);
    let developer = token(&service, Role::Developer);
    let list = |token: &Token, path: &str| service.send("GET", path, Some(token), None).expect(200);
    assert_eq!(ids(&list(&viewer, "/admin/v1/tenants")), ["ten_a"]);
    assert_eq!(ids(&list(&viewer, "/admin/v1/users")), ["usr_a", "usr_a2"]);
    assert_eq!(ids(&list(&viewer, "/admin/v1/keys")), ["key_a", "key_a2"]);
    assert_eq!(ids(&list(&developer, "/admin/v1/tenants")), ["ten_a"]);
    assert_eq!(ids(&list(&developer, "/admin/v1/users")), ["usr_a"]);
    assert_eq!(ids(&list(&developer, "/admin/v1/keys")), ["key_a"]);
    for path in [
        "/admin/v1/keys?tenant=ten_b",
        "/admin/v1/keys?user=usr_b",
        "/admin/v1/keys?search=key_b",
        "/admin/v1/users?tenant=ten_b",
        "/admin/v1/users?search=theirs-alone",
        "/admin/v1/audit?id=usr_b",
        "/admin/v1/audit?kind=token",
        "/admin/v1/audit?kind=database",
    ] {
        let found = list(&developer, path);
        assert!(found["items"].as_array().unwrap().is_empty(), "{path}");
        if !path.ends_with("kind=token") {
            let found = list(&viewer, path);
            assert!(found["items"].as_array().unwrap().is_empty(), "{path}");
        }
    }
    // A page is full, however many others lie between.
    let page = list(&viewer, "/admin/v1/keys?limit=1");
    let next = page["next_page_token"].as_str().unwrap();
    let rest = list(
        &viewer,
        &format!("/admin/v1/keys?limit=1&page_token={next}"),
    );
    assert_eq!(ids(&rest), ["key_a2"]);
    assert_eq!(rest["next_page_token"], Value::Null);
    // The log of a tenant tells of it, its users, its keys and its tokens.
    let told = |token: &Token| -> BTreeSet<String> {
        let list = list(token, "/admin/v1/audit");
        let entries = list["items"].as_array().unwrap().iter();
        entries
            .map(|entry| entry["entity_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let set =
        |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
    assert_eq!(
        told(&viewer),
        set(&[
            "ten_a",
            "usr_a",
            "usr_a2",
            "key_a",
            "key_a2",
            "apa_a",
            "apd_a",
            "whk_a",
            "tok_a",
            "bounded-viewer"
        ])
    );
    assert_eq!(
        told(&developer),
        set(&["ten_a", "usr_a", "key_a", "apa_a", "apd_a"])
    );
}

#[test]
fn an_id_that_is_taken_elsewhere_is_taken_and_no_more_is_told() {
    let service = world();
    let admin = token(&service, Role::Admin);
    let post = |path: &str, body: &Value| {
        service.send(
            "POST",
            path,
            Some(&admin),
            Some(body.to_string().as_bytes()),
        )
    };
    let user = post("/admin/v1/users", &json!({"id": "usr_b"}));
    user.problem(409);
    let key = post(
        "/admin/v1/keys",
        &json!({"id": "key_b", "user_id": "usr_a"}),
    );
    key.problem(409);
    for answer in [user, key] {
        assert!(!answer.text.contains(THEIRS), "{}", answer.text);
    }
    // A login of another tenant is free here.
    let same = json!({"login": THEIRS});
    assert_holds(
        &post("/admin/v1/users", &same).expect(201),
        &json!({"tenant_id": "ten_a"}),
    );
    // A key that is somebody else's already is not told by its id, and stays as it is.
    let import = |line: &str| {
        let authorization = format!("Bearer {}", admin.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-ndjson"),
        ];
        let path = "/admin/v1/keys/import?partial=true";
        service
            .send_with("POST", path, &headers, Some(line.as_bytes()))
            .expect(200)
    };
    let again = line("key_new", json!({"key": "a-key-from-elsewhere-key_b2"}));
    let report = import(&again);
    assert_holds(
        &report["lines"][0],
        &json!({"result": "failed", "id": null}),
    );
    assert!(!report.to_string().contains("key_b2"), "{report}");
    for (fields, field) in [
        (json!({"user_id": "usr_b"}), "user_id"),
        (json!({"tenant_id": "ten_b"}), "tenant_id"),
    ] {
        let report = import(&line("key_new", fields));
        assert_eq!(report["lines"][0]["errors"][0]["field"], field, "{report}");
    }
    let mine = import(&line("key_new", json!({})));
    assert_eq!(mine["imported"], 1);
    let key = service.get("/admin/v1/keys/key_new").expect(200);
    assert_holds(&key, &json!({"tenant_id": "ten_a", "user_id": null}));
}

#[test]
fn the_user_of_another_tenant_is_shown_as_missing_wherever_a_verdict_is() {
    let service = world();
    let lines = line(
        "key_mixed",
        json!({"user_id": "usr_b", "tenant_id": "ten_a"}),
    );
    service.import(&lines).expect(200);
    let suspended = json!({"status": "suspended"});
    service
        .patch("/admin/v1/users/usr_b?force=true", &suspended)
        .expect(200);
    let viewer = token(&service, Role::Viewer);
    let get = |path: &str| service.send("GET", path, Some(&viewer), None).expect(200);
    assert_eq!(get("/admin/v1/keys/key_mixed")["verdict"], "user_missing");
    let listed = get("/admin/v1/keys?search=key_mixed");
    assert_eq!(listed["items"][0]["verdict"], "user_missing");
    let question = json!({"key_id": "key_mixed"}).to_string();
    let path = "/admin/v1/explain";
    let told = service
        .send("POST", path, Some(&viewer), Some(question.as_bytes()))
        .expect(200);
    assert_eq!(told["verdict"], "user_missing");
    let history = told["history"].as_array().unwrap();
    assert!(
        history.iter().all(|entry| entry["kind"] != "user"),
        "{told}"
    );
    assert!(!told.to_string().contains("is suspended"), "{told}");
    // Nor does who stops that user hear of the key.
    let theirs = Grant {
        tenant_id: Some("ten_b".to_owned()),
        ..Role::Admin.into()
    };
    let admin = Token::generate(Role::Admin);
    service.write(async |write| {
        assert!(write.put_token("b", theirs, &admin.digest()).await.unwrap());
    });
    let path = "/admin/v1/users/usr_b";
    let refused = service.send("DELETE", path, Some(&admin), None);
    refused.problem(409);
    assert!(refused.text.contains("key_b2"), "{}", refused.text);
    assert!(!refused.text.contains("key_mixed"), "{}", refused.text);
    // A key in clear that is not theirs is one that nobody knows.
    let question = json!({"key": "a-key-from-elsewhere-key_b2"}).to_string();
    let path = "/admin/v1/explain";
    let told = service
        .send("POST", path, Some(&viewer), Some(question.as_bytes()))
        .expect(200);
    assert_eq!(told["verdict"], "key_unknown");
}

#[test]
fn a_developer_gives_a_key_no_more_than_the_user_has() {
    let service = world();
    service
        .patch(
            "/admin/v1/users/usr_a",
            &json!({"scopes": ["orders:*", "stock:read"]}),
        )
        .expect(200);
    let developer = token(&service, Role::Developer);
    let make = |scopes: Value| {
        let body = json!({"user_id": "usr_a", "scopes": scopes}).to_string();
        service.send(
            "POST",
            "/admin/v1/keys",
            Some(&developer),
            Some(body.as_bytes()),
        )
    };
    make(json!(["orders:read", "stock:read", "orders:*"])).expect(201);
    make(json!([])).expect(201);
    let wider = make(json!(["orders:read", "*", "stock:write", "stock:*"]));
    assert_eq!(wider.problem(400), ["scopes[1]", "scopes[2]", "scopes[3]"]);
    service
        .patch("/admin/v1/users/usr_a", &json!({"scopes": null}))
        .expect(200);
    make(json!(["*"])).expect(201);
    // Who left makes no keys, and reads none.
    for status in ["deactivated", "suspended", "locked", "pending"] {
        service
            .patch(
                "/admin/v1/users/usr_a?force=true",
                &json!({"status": status}),
            )
            .expect(200);
        make(json!([])).problem(401);
    }
}

#[test]
fn an_expired_token_opens_nothing() {
    let service = Service::furnished();
    let mut tokens = Vec::new();
    for (name, expires_at) in [("over", now()), ("soon", now() + 3600)] {
        let token = Token::generate(Role::Admin);
        let grant = Grant {
            expires_at: Some(expires_at),
            ..Role::Admin.into()
        };
        service.write(async |write| {
            assert!(write.put_token(name, grant, &token.digest()).await.unwrap());
        });
        tokens.push(token);
    }
    let [over, soon] = [&tokens[0], &tokens[1]];
    let path = "/admin/v1/keys";
    let refused = service.send("GET", path, Some(over), None);
    refused.problem(401);
    assert!(refused.text.contains("expired"), "{}", refused.text);
    service.send("GET", path, Some(soon), None).expect(200);
}

/// Whoever reads or writes for a caller does so through a view: the store itself knows no bounds.
#[test]
fn no_route_of_the_admin_api_asks_the_store_itself() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    // What stands before or behind the admin API.
    let free = [
        "app",
        "changes",
        "guard",
        "health",
        "message_counts",
        "metrics",
        "mod",
        "resolve",
        "review_counts",
        "usage",
    ];
    let mut looked = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inner = path.parent().unwrap().file_name().unwrap() != "http";
            if free.contains(&name.as_str()) && !inner {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["app.store", "use crate::store::Store", "{Store,", " Store,"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
            looked += 1;
        }
    }
    assert!(looked > 15, "{looked}");
}
