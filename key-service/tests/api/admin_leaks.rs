//! `/admin/v1/leaks`: keys that were found somewhere, and what becomes of them.

use key_service::domain::credential::Credential;
use key_service::domain::token::Role;
use serde_json::{Value, json};

use crate::reach::token;
use crate::support::{Answer, Service, assert_holds, digest};

const PATH: &str = "/admin/v1/leaks";
const RULES: &str = "/admin/v1/tenants/ten_a/key-rules";

fn report(service: &Service, body: &Value) -> Answer {
    service.post(PATH, body)
}

/// The outcome and the key's id of each that was reported.
#[track_caller]
fn outcomes(answer: &Answer) -> Vec<(String, Value)> {
    let body = answer.expect(200);
    let results = body["results"].as_array().unwrap().iter();
    results
        .map(|result| {
            let outcome = result["outcome"].as_str().unwrap().to_owned();
            (outcome, result["key_id"].clone())
        })
        .collect()
}

fn of(outcome: &str, id: Value) -> (String, Value) {
    (outcome.to_owned(), id)
}

fn flag(service: &Service) {
    let body = json!({"on_leak": "flag"}).to_string();
    let token = Some(&service.admin);
    let put = service.send("PUT", RULES, token, Some(body.as_bytes()));
    assert_eq!(put.expect(200)["on_leak"], "flag");
}

fn counted(service: &Service, outcome: &str) -> u64 {
    let metrics = service.send("GET", "/metrics", None, None).text;
    let name = format!("keybound_service_leaks_reported_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn a_key_that_was_found_is_revoked_in_clear_and_by_its_digest() {
    let service = Service::furnished();
    let [clear, hashed] =
        ["key_1", "key_2"].map(|id| service.make_key(&json!({"id": id}))["secret"].clone());
    let foreign = json!({"key": "a-key-from-elsewhere", "id": "key_3", "user_id": "usr_a"});
    service.import(&foreign.to_string()).expect(200);
    let body = json!({
        "keys": [clear, "a-key-from-elsewhere"], "digests": [digest(&hashed)],
        "found_at": "https://git.example.com/job.sh",
    });
    let answer = report(&service, &body);
    assert_eq!(
        outcomes(&answer),
        [
            of("revoked", json!("key_1")),
            of("revoked", json!("key_3")),
            of("revoked", json!("key_2"))
        ]
    );
    for id in ["key_1", "key_2", "key_3"] {
        let key = service.get(&format!("/admin/v1/keys/{id}")).expect(200);
        let reason = "leaked, found at https://git.example.com/job.sh";
        assert_holds(
            &key,
            &json!({"status": "revoked", "revoked_reason": reason, "verdict": "key_revoked"}),
        );
        assert!(key["leaked_at"].is_i64());
    }
    let found = service.resolve(&[&digest(&clear)]);
    assert_eq!(found["results"][0]["key"]["status"], "revoked");
    let audit = service.get("/admin/v1/audit?id=key_1&limit=1").expect(200);
    let entry = &audit["items"][0];
    assert_holds(entry, &json!({"action": "revoke", "actor": "anna"}));
    assert_eq!(entry["after"]["found_at"], "https://git.example.com/job.sh");
    assert_eq!(counted(&service, "revoked"), 3);
    // Once more is nothing new.
    let sequence = service.changes("")["cursor"].clone();
    let again = report(&service, &body);
    assert!(
        outcomes(&again)
            .iter()
            .all(|(outcome, _)| outcome == "revoked_before")
    );
    assert_eq!(service.changes("")["cursor"], sequence);
    assert_eq!(counted(&service, "revoked_before"), 3);
    assert_eq!(counted(&service, "revoked"), 3);
}

#[test]
fn a_key_whose_tenant_says_so_goes_on_and_is_in_the_review() {
    let service = Service::furnished();
    flag(&service);
    let key = service.make_key(&json!({"id": "key_1"}));
    let body = json!({"keys": [key["secret"]]});
    assert_eq!(
        outcomes(&report(&service, &body)),
        [of("flagged", json!("key_1"))]
    );
    assert_eq!(
        outcomes(&report(&service, &body)),
        [of("flagged_before", json!("key_1"))]
    );
    let shown = service.get("/admin/v1/keys/key_1").expect(200);
    assert_holds(&shown, &json!({"status": "active", "verdict": "allowed"}));
    let review = service.get("/admin/v1/review").expect(200);
    let reasons = review["items"][0]["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("leaked")), "{review}");
    // A key that took its place is not public, and one that is revoked asks for no look.
    let new = service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    assert_eq!(new["leaked_at"], Value::Null);
    service
        .post("/admin/v1/keys/key_1/revoke", &json!({}))
        .expect(200);
    let review = service.get("/admin/v1/review").expect(200);
    assert!(!review.to_string().contains("leaked"), "{review}");
    // Where the rules are others by then, a key that was flagged is revoked.
    let second = new["secret"].clone();
    report(&service, &json!({"keys": [second]})).expect(200);
    service.delete(RULES).expect(200);
    let (outcome, _) = &outcomes(&report(&service, &json!({"keys": [second]})))[0];
    assert_eq!(outcome, "revoked");
}

#[test]
fn of_what_is_not_known_or_not_ones_own_nothing_is_told() {
    let service = Service::furnished();
    let other = json!({"id": "ten_b"});
    service.post("/admin/v1/tenants", &other).expect(201);
    let user = json!({"id": "usr_b", "tenant_id": "ten_b"});
    service.post("/admin/v1/users", &user).expect(201);
    let theirs = service
        .post(
            "/admin/v1/keys",
            &json!({"user_id": "usr_b", "id": "key_b"}),
        )
        .expect(201);
    let admin = token(&service, Role::Admin);
    let stranger = Credential::generate(Some("live"));
    for key in [
        theirs["secret"].clone(),
        json!(stranger.reveal()),
        json!("x"),
    ] {
        let body = json!({"keys": [key], "digests": ["A".repeat(43)]}).to_string();
        let answer = service.send("POST", PATH, Some(&admin), Some(body.as_bytes()));
        assert_eq!(
            answer.text,
            r#"{"results":[{"outcome":"unknown","key_id":null},{"outcome":"unknown","key_id":null}]}"#
        );
    }
    let key = service.get("/admin/v1/keys/key_b").expect(200);
    assert_holds(&key, &json!({"status": "active", "leaked_at": null}));
    assert_eq!(counted(&service, "unknown"), 6);
}

#[test]
fn a_report_that_cannot_be_read_changes_nothing_and_shows_no_key() {
    let service = Service::furnished();
    let key = service.make_key(&json!({"id": "key_1"}));
    let secret = key["secret"].as_str().unwrap();
    for (body, field) in [
        (json!({}), "keys"),
        (json!({"keys": [], "digests": []}), "keys"),
        (json!({"keys": [secret, "not ok"]}), "keys[1]"),
        (json!({"keys": [secret], "digests": [secret]}), "digests[0]"),
        (json!({"keys": vec![secret; 1001]}), "keys"),
        (json!({"keys": [secret], "found_at": "a\nb"}), "found_at"),
    ] {
        let answer = report(&service, &body);
        assert_eq!(answer.problem(400), [field]);
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
    let shown = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(shown["status"], "active");
}

#[test]
fn a_report_of_many_keys_is_done_in_parts_and_answered_in_order() {
    let service = Service::furnished();
    let lines: String = (0..250)
        .map(|number| {
            let line = json!({"key": format!("an-old-key-{number:04}"), "id": format!("key_{number}"), "user_id": "usr_a"});
            format!("{line}\n")
        })
        .collect();
    service.import(&lines).expect(200);
    let keys: Vec<String> = (0..500)
        .map(|number| match number % 2 {
            0 => format!("an-old-key-{:04}", number / 2),
            _ => format!("nobody-has-this-{number}"),
        })
        .collect();
    let found = outcomes(&report(&service, &json!({"keys": keys})));
    for (number, (outcome, id)) in found.into_iter().enumerate() {
        let wanted = match number % 2 {
            0 => ("revoked", json!(format!("key_{}", number / 2))),
            _ => ("unknown", Value::Null),
        };
        assert_eq!((outcome.as_str(), id), wanted);
    }
    assert_eq!(counted(&service, "revoked"), 250);
}
