//! Nothing that is secret is anywhere but in the one answer that tells it.

use std::path::Path;

use serde_json::json;

use ::support::postgres::done;

use crate::engine;
use crate::routes::{Area, routes};
use crate::support::Service;

/// Everything that the folder's files hold.
fn bytes_of(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

pub fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Everything that the database holds.
pub fn stored(service: &Service) -> Vec<u8> {
    match engine::server() {
        Some(server) => {
            let mut dump = server.client("pg_dump", &service.database().name);
            done(&mut dump).unwrap().into_bytes()
        }
        None => bytes_of(&service.folder()),
    }
}

#[test]
fn neither_files_nor_answers_hold_a_key_or_token() {
    let service = Service::furnished();
    let made = service.make_key(&json!({"id": "key_1"}));
    let rotated = service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    let secrets = [
        made["secret"].as_str().unwrap(),
        rotated["secret"].as_str().unwrap(),
        service.admin.reveal(),
        service.gateway.reveal(),
    ];
    let found = json!({"keys": [made["secret"]], "found_at": "a place"});
    service.post("/admin/v1/leaks", &found).expect(200);
    let files = stored(&service);
    assert!(
        holds(&files, "key_1"),
        "the search must see what is written"
    );
    let mut answers = service.changes("?after=0").to_string();
    let reads = routes(&service).into_iter();
    for route in reads.filter(|route| route.method == "GET" && route.area != Area::Protocol) {
        for id in ["key_1", "usr_a", "ten_a"] {
            let path = route.template.replace("{id}", id);
            answers.push_str(&service.get(&path).text);
        }
    }
    for secret in secrets {
        assert!(!holds(&files, secret));
        assert!(!answers.contains(secret));
        // Nor the random part alone.
        assert!(!holds(&files, &secret[8..40]));
        assert!(!answers.contains(&secret[8..40]));
    }
    let audit = service.get("/admin/v1/audit").text;
    assert!(!audit.contains(&crate::support::digest(&made["secret"])));
    assert!(!audit.contains("digest"));
}

#[test]
fn a_broken_body_is_not_repeated_in_the_answer() {
    let service = Service::start();
    let secret = "kb_live_thisIsAKeyInAWrongPlace";
    for body in [
        format!("{{\"key\": \"{secret}\""),
        format!("{{\"user_id\": \"{secret} \", \"status\": \"{secret}\"}}"),
    ] {
        let answer = service.send(
            "POST",
            "/admin/v1/keys",
            Some(&service.admin),
            Some(body.as_bytes()),
        );
        answer.problem(400);
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}
