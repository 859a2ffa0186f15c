//! Two administrators do not overwrite each other: each state has an etag, and a change may say for which it is meant.

use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Answer, Service};

fn send(service: &Service, method: &str, path: &str, tag: Option<&str>, body: &Value) -> Answer {
    let authorization = format!("Bearer {}", service.admin.reveal());
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    headers.extend(tag.map(|tag| ("if-match", tag)));
    let body = (!body.is_null()).then(|| body.to_string());
    service.send_with(method, path, &headers, body.as_deref().map(str::as_bytes))
}

fn world() -> Service {
    let service = Service::furnished();
    for id in ["key_1", "key_2", "key_3"] {
        service.make_key(&json!({"id": id}));
    }
    service
}

/// Every change of a record: the method, the path, the body, and where it is read.
fn changes() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    vec![
        (
            "PATCH",
            "/admin/v1/tenants/ten_a",
            json!({"name": "n"}),
            "/admin/v1/tenants/ten_a",
        ),
        (
            "PATCH",
            "/admin/v1/users/usr_a",
            json!({"name": "n"}),
            "/admin/v1/users/usr_a",
        ),
        (
            "PATCH",
            "/admin/v1/keys/key_1",
            json!({"name": "n"}),
            "/admin/v1/keys/key_1",
        ),
        (
            "POST",
            "/admin/v1/keys/key_2/rotate",
            json!({}),
            "/admin/v1/keys/key_2",
        ),
        (
            "POST",
            "/admin/v1/keys/key_3/revoke",
            Value::Null,
            "/admin/v1/keys/key_3",
        ),
        (
            "DELETE",
            "/admin/v1/users/usr_a?force=true",
            Value::Null,
            "/admin/v1/users/usr_a",
        ),
    ]
}

#[test]
fn the_etag_of_a_record_is_its_version_wherever_it_is_shown() {
    let service = Service::start();
    let tag = |answer: &Answer| {
        let version = answer.json()["version"].as_i64().unwrap();
        assert_eq!(
            answer.header("etag"),
            format!("\"{version}\""),
            "{}",
            answer.text
        );
    };
    tag(&service.post("/admin/v1/tenants", &json!({"id": "ten_a"})));
    tag(&service.post(
        "/admin/v1/users",
        &json!({"id": "usr_a", "tenant_id": "ten_a"}),
    ));
    for id in ["key_1", "key_2", "key_3"] {
        tag(&service.post("/admin/v1/keys", &json!({"id": id, "user_id": "usr_a"})));
    }
    for (method, path, body, read) in changes() {
        tag(&service.get(read));
        let answer = send(&service, method, path, None, &body);
        tag(&answer);
    }
}

#[test]
fn a_change_for_another_version_is_refused_and_says_which_there_is() {
    let service = world();
    for (method, path, body, read) in changes() {
        let before = service.get(read);
        let version = before.json()["version"].as_i64().unwrap();
        for tag in [format!("\"{}\"", version - 1), format!("W/\"{version}\"")] {
            let answer = send(&service, method, path, Some(&tag), &body);
            answer.problem(412);
            let problem = answer.json();
            assert_eq!(
                (&problem["code"], &problem["version"]),
                (&json!("changed_meanwhile"), &json!(version))
            );
            let remedy = format!("if-match: \"{version}\"");
            assert!(
                problem["detail"].as_str().unwrap().contains(&remedy),
                "{problem}"
            );
            assert_eq!(service.get(read).text, before.text, "{method} {path}");
        }
        assert_eq!(
            send(&service, method, path, Some("7"), &body).problem(400),
            ["if-match"]
        );
        let status = send(&service, method, path, Some(before.header("etag")), &body).status;
        assert!((200..300).contains(&status), "{method} {path}: {status}");
    }
    let any = send(
        &service,
        "PATCH",
        "/admin/v1/keys/key_1",
        Some("*"),
        &json!({"name": "m"}),
    );
    any.expect(200);
}

#[test]
fn rules_are_not_overwritten_either() {
    let service = Service::furnished();
    let path = "/admin/v1/tenants/ten_a/key-rules";
    let none = service.get(path).header("etag").to_owned();
    let rules = json!({"require": ["purpose"]});
    let put = send(&service, "PUT", path, Some(&none), &rules);
    put.expect(200);
    assert_eq!(put.header("etag"), service.get(path).header("etag"));
    assert_ne!(put.header("etag"), none);
    for (method, body) in [("PUT", json!({"require": []})), ("DELETE", Value::Null)] {
        send(&service, method, path, Some(&none), &body).problem(412);
    }
    assert_eq!(service.get(path).expect(200)["require"], json!(["purpose"]));
    send(
        &service,
        "DELETE",
        path,
        Some(put.header("etag")),
        &Value::Null,
    )
    .expect(200);
    assert_eq!(service.get(path).header("etag"), none);
}

#[test]
fn commands_change_a_version_that_is_named_and_no_other() {
    let service = world();
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("KEYBOUND_SERVER", service.url.as_str()),
        ("KEYBOUND_TOKEN", service.admin.reveal()),
    ];
    for (kind, id) in [("tenant", "ten_a"), ("user", "usr_a"), ("key", "key_1")] {
        let run = |version: &str| {
            let arguments = [
                kind,
                "update",
                id,
                "--name",
                version,
                "--if-version",
                version,
            ];
            crate::program::run(folder.path(), &environment, &arguments)
        };
        let path = format!("/admin/v1/{kind}s/{id}");
        let version = service.get(&path).expect(200)["version"].to_string();
        let shown = crate::program::run(folder.path(), &environment, &[kind, "show", id]);
        assert!(
            text(&shown.stdout).contains("VERSION"),
            "{}",
            text(&shown.stdout)
        );
        let other = run("1000000");
        assert_eq!(other.status.code(), Some(1));
        let told = text(&other.stderr);
        assert!(told.contains(&format!("--if-version {version}")), "{told}");
        assert!(!told.contains("if-match"), "{told}");
        assert!(run(&version).status.success());
        assert_eq!(service.get(&path).expect(200)["name"], version);
    }
}
