//! A request that makes something and is sent again makes one thing: `Idempotency-Key`.

use key_service::domain::time::now;
use key_service::domain::token::{Role, Token};
use key_service::store::retention::Retention;
use serde_json::{Value, json};

use crate::support::{Answer, Service};

fn send_as(service: &Service, token: &Token, path: &str, key: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {}", token.reveal());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let body = (!body.is_null()).then(|| body.to_string());
    service.send_with("POST", path, &headers, body.as_deref().map(str::as_bytes))
}

fn send(service: &Service, path: &str, key: &str, body: &Value) -> Answer {
    send_as(service, &service.admin, path, key, body)
}

fn cursor(service: &Service) -> Value {
    service.changes("")["cursor"].clone()
}

#[test]
fn a_create_that_is_sent_again_makes_nothing_more_and_is_answered_with_what_was_made() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_old"}));
    for (path, body) in [
        ("/admin/v1/tenants", json!({"name": "new"})),
        (
            "/admin/v1/users",
            json!({"name": "new", "tenant_id": "ten_a"}),
        ),
        (
            "/admin/v1/keys",
            json!({"user_id": "usr_a", "scopes": ["a"]}),
        ),
        ("/admin/v1/keys/key_old/rotate", Value::Null),
    ] {
        let first = send(&service, path, "\"first-try\"-1", &body);
        assert_eq!(first.problem(400), ["idempotency-key"], "{path}");
        let key = format!("of {path}").replace(' ', "-");
        let first = send(&service, path, &key, &body);
        let made = first.expect(201);
        assert_eq!(first.header("idempotent-replayed"), "");
        let before = cursor(&service);
        // With quotes, as the draft writes it, and without, as most send it.
        for key in [key.clone(), format!("\"{key}\"")] {
            let again = send(&service, path, &key, &body);
            let shown = again.expect(201);
            assert_eq!(shown["id"], made["id"], "{path}");
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.header("etag"), first.header("etag"));
            assert_eq!(shown.get("secret").is_some(), made.get("secret").is_some());
            assert_eq!(
                shown.get("secret").cloned().unwrap_or_default(),
                Value::Null
            );
        }
        assert_eq!(cursor(&service), before, "{path}");
    }
}

#[test]
fn the_order_of_fields_makes_no_other_request_and_their_values_do() {
    let service = Service::furnished();
    let text = |body: &str| {
        let authorization = format!("Bearer {}", service.admin.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("idempotency-key", "one"),
        ];
        service.send_with("POST", "/admin/v1/users", &headers, Some(body.as_bytes()))
    };
    let made = text(r#"{"name": "a", "scopes": ["x", "y"]}"#).expect(201);
    let again = text(r#"{ "scopes": ["x","y"], "name": "a" }"#).expect(201);
    assert_eq!(again["id"], made["id"]);
    for other in [
        r#"{"name": "b", "scopes": ["x", "y"]}"#,
        r#"{"name": "a", "scopes": ["y", "x"]}"#,
        r#"{"name": "a", "scopes": ["x", "y"], "login": null}"#,
    ] {
        let answer = text(other);
        answer.problem(422);
        assert_eq!(answer.json()["code"], "idempotency_key_reused");
    }
    let elsewhere = send(&service, "/admin/v1/tenants", "one", &json!({"name": "a"}));
    elsewhere.problem(422);
}

#[test]
fn each_token_has_keys_of_its_own_and_what_failed_is_tried_again() {
    let service = Service::furnished();
    let other = Token::generate(Role::Admin);
    service.write(async |write| {
        assert!(
            write
                .put_token("otto", Role::Admin, &other.digest())
                .await
                .unwrap()
        );
    });
    let body = json!({"name": "new"});
    let of_anna = send(&service, "/admin/v1/tenants", "k", &body).expect(201);
    let of_otto = send_as(&service, &other, "/admin/v1/tenants", "k", &body).expect(201);
    assert_ne!(of_anna["id"], of_otto["id"]);
    let body = json!({"user_id": "usr_later"});
    send(&service, "/admin/v1/keys", "l", &body).problem(400);
    service
        .post("/admin/v1/users", &json!({"id": "usr_later"}))
        .expect(201);
    assert!(send(&service, "/admin/v1/keys", "l", &body).expect(201)["secret"].is_string());
}

#[test]
fn two_that_come_at_once_make_one() {
    let service = Service::furnished();
    let body = json!({"user_id": "usr_a"});
    let answers: Vec<Value> = std::thread::scope(|threads| {
        let tries: Vec<_> = (0..8)
            .map(|_| threads.spawn(|| send(&service, "/admin/v1/keys", "same", &body).expect(201)))
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(
        answers
            .iter()
            .all(|answer| answer["id"] == answers[0]["id"])
    );
    let told = answers.iter().filter(|answer| answer["secret"].is_string());
    assert_eq!(told.count(), 1);
    let keys = service.get("/admin/v1/keys").expect(200);
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_day_later_it_is_another_request_and_nothing_is_kept_of_the_first() {
    let service = Service::furnished();
    let body = json!({"name": "new"});
    let first = send(&service, "/admin/v1/tenants", "k", &body).expect(201);
    service.execute("UPDATE retries SET made_at = made_at - 86400 + 60");
    service.wait_for(async || {
        service
            .store
            .prune(Retention::default(), now())
            .await
            .unwrap();
    });
    let still = send(&service, "/admin/v1/tenants", "k", &body).expect(201);
    assert_eq!(still["id"], first["id"]);
    service.execute("UPDATE retries SET made_at = made_at - 60");
    let later = send(
        &service,
        "/admin/v1/tenants",
        "k",
        &json!({"name": "other"}),
    )
    .expect(201);
    assert_ne!(later["id"], first["id"]);
    service.execute("UPDATE retries SET made_at = made_at - 86400");
    service.wait_for(async || {
        service
            .store
            .prune(Retention::default(), now())
            .await
            .unwrap();
    });
    // What is still there would be found again.
    service.execute("UPDATE retries SET made_at = made_at + 86400");
    let anew = send(
        &service,
        "/admin/v1/tenants",
        "k",
        &json!({"name": "other"}),
    )
    .expect(201);
    assert_ne!(anew["id"], later["id"]);
}
