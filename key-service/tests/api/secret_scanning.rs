//! `/leaks/v1/secret-scanning`: what scanners of public places sign and send.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_service::domain::credential::Credential;
use key_service::http::{ScannerKeys, Settings};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};

use crate::support::{Answer, Service, assert_holds};

const PATH: &str = "/leaks/v1/secret-scanning";

/// A scanner, and a service that was given its public key.
struct Scanner {
    key: KeyPair,
    service: Service,
    _folder: tempfile::TempDir,
}

impl Scanner {
    fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        let published = json!({"public_keys": [
            {"key_identifier": "one", "key": key.public_key_pem(), "is_current": true},
        ]});
        std::fs::write(&file, published.to_string()).unwrap();
        let service = Service::start_with(Settings {
            scanner_keys: Some(Arc::new(ScannerKeys::open(&file).unwrap())),
            ..Settings::default()
        });
        let tenant = json!({"id": "ten_a"});
        service.post("/admin/v1/tenants", &tenant).expect(201);
        let user = json!({"id": "usr_a", "tenant_id": "ten_a"});
        service.post("/admin/v1/users", &user).expect(201);
        Self {
            key,
            service,
            _folder: folder,
        }
    }

    fn signature(&self, body: &str) -> String {
        STANDARD.encode(self.key.sign(body.as_bytes()).unwrap())
    }

    fn send(&self, body: &str) -> Answer {
        let signature = self.signature(body);
        send(&self.service, body, &[("one", &signature)])
    }

    fn found(&self, key: &Value) -> Value {
        json!({"token": key, "type": "keybound_api_key", "url": "https://github.com/octo/job/blob/1/job.sh", "source": "content"})
    }
}

/// Sends a body with these identifiers and signatures.
fn send(service: &Service, body: &str, signed: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    for (identifier, signature) in signed {
        headers.push(("Github-Public-Key-Identifier", identifier));
        headers.push(("Github-Public-Key-Signature", signature));
    }
    service.send_with("POST", PATH, &headers, Some(body.as_bytes()))
}

#[test]
fn what_a_scanner_found_is_revoked_and_the_scanner_is_told_what_it_was() {
    let scanner = Scanner::new();
    let service = &scanner.service;
    let made = service.make_key(&json!({"id": "key_1"}));
    let stranger = json!(Credential::generate(Some("live")).reveal());
    let body = json!([
        scanner.found(&made["secret"]),
        scanner.found(&stranger),
        {"token": "not a key at all", "type": "other", "url": ""},
    ]);
    let answer = scanner.send(&body.to_string());
    let told = answer.expect(200);
    let told = told.as_array().unwrap();
    assert!(!answer.text.contains(made["secret"].as_str().unwrap()));
    let labels: Vec<&str> = told
        .iter()
        .map(|one| one["label"].as_str().unwrap())
        .collect();
    assert_eq!(
        labels,
        ["true_positive", "false_positive", "false_positive"]
    );
    assert_eq!(told[0]["token_type"], "keybound_api_key");
    let plain = key_service::domain::token::Token::chosen(made["secret"].as_str().unwrap());
    // The same hash in the other notation.
    let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(plain.unwrap().digest().as_str())
        .unwrap();
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told[0]["token_hash"], hash);
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    let reason = "leaked, found at https://github.com/octo/job/blob/1/job.sh";
    assert_holds(
        &key,
        &json!({"status": "revoked", "revoked_reason": reason}),
    );
    let audit = service.get("/admin/v1/audit?id=key_1&limit=1").expect(200);
    assert_eq!(audit["items"][0]["actor"], "leak-scanner");
    // What was a key goes on being one for the scanner.
    let again = scanner.send(&json!([scanner.found(&made["secret"])]).to_string());
    assert_eq!(again.expect(200)[0]["label"], "true_positive");
}

#[test]
fn nothing_is_believed_that_the_scanner_has_not_signed() {
    let scanner = Scanner::new();
    let service = &scanner.service;
    let made = service.make_key(&json!({"id": "key_1"}));
    let body = json!([scanner.found(&made["secret"])]).to_string();
    let right = scanner.signature(&body);
    let of_another = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let of_another = STANDARD.encode(of_another.sign(body.as_bytes()).unwrap());
    let of_other_body = scanner.signature("[]");
    for signed in [
        &[][..],
        &[("one", "")],
        &[("one", "no base64!")],
        &[("one", of_another.as_str())],
        &[("one", of_other_body.as_str())],
        &[("two", right.as_str())],
        &[("", right.as_str())],
        &[("one", right.as_str()), ("one", right.as_str())],
    ] {
        let answer = send(service, &body, signed);
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), "");
        assert!(!answer.text.contains(made["secret"].as_str().unwrap()));
    }
    // Neither is a token a signature.
    service
        .send("POST", PATH, Some(&service.admin), Some(body.as_bytes()))
        .problem(401);
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(key["status"], "active");
    // The bytes count as they were sent.
    send(service, &format!("{body}\n"), &[("one", &right)]).problem(401);
    send(service, &body, &[("one", &right)]).expect(200);
}

#[test]
fn without_the_keys_of_a_scanner_the_path_is_not_there() {
    let service = Service::furnished();
    let nothing = service.send_with("POST", "/leaks/v1/nothing", &[], Some(b"[]"));
    let answer = send(&service, "[]", &[("one", "AAAA")]);
    answer.problem(404);
    assert_eq!(answer.text, nothing.text);
}

#[test]
fn wrong_signatures_without_end_are_told_to_wait_and_right_ones_are_not() {
    let scanner = Scanner::new();
    let statuses: Vec<u16> = (0..150)
        .map(|_| send(&scanner.service, "[]", &[("one", "AAAA")]).status)
        .collect();
    assert!(statuses[..50].iter().all(|status| *status == 401));
    assert!(statuses.contains(&429), "{statuses:?}");
    let waits = (0..200).find_map(|_| {
        let answer = send(&scanner.service, "[]", &[("one", "AAAA")]);
        (answer.status == 429).then(|| answer.header("retry-after").to_owned())
    });
    assert!(waits.unwrap().parse::<u16>().unwrap() > 0);
    scanner.send("[]").expect(200);
    // Nor does it count against those who mistype a token.
    scanner
        .service
        .send("GET", "/admin/v1/keys", None, None)
        .problem(401);
}

#[test]
fn a_signed_body_that_is_no_list_of_finds_is_refused() {
    let scanner = Scanner::new();
    for body in [
        "",
        "{}",
        "[{}]",
        "[1]",
        "[{\"token\": 1, \"type\": \"a\"}]",
        "[[",
        "null",
    ] {
        assert_eq!(scanner.send(body).problem(400).len(), 1, "{body}");
    }
    let large = format!("[{}]", " ".repeat(1024 * 1024));
    scanner.send(&large).problem(413);
    assert_eq!(scanner.send("[]").expect(200), json!([]));
}

/// The regular expression that the documentation gives to scanners.
fn published() -> regex::Regex {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/leaks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, block) = page.split_once("```regex\n").unwrap();
    let (pattern, _) = block.split_once("\n```").unwrap();
    regex::Regex::new(pattern).unwrap()
}

#[test]
fn every_key_matches_the_published_pattern_and_what_is_none_does_not() {
    let pattern = published();
    let long = "a".repeat(32);
    for environment in [
        None,
        Some("live"),
        Some("test"),
        Some("eu-1"),
        Some(long.as_str()),
    ] {
        for _ in 0..100 {
            let key = Credential::generate(environment);
            let key = key.reveal();
            for text in [
                key.to_owned(),
                format!("export KEY=\"{key}\"; # the key"),
                format!("curl -H x-api-key:{key} https://api.example.com/?a=b"),
                format!("<a>{key}</a>"),
            ] {
                assert_eq!(pattern.find(&text).unwrap().as_str(), key, "{text}");
            }
            for other in [
                format!("x{key}"),
                format!("{key}x"),
                key[..key.len() - 1].to_owned(),
                key.replacen("kb_", "kc_", 1),
            ] {
                assert!(!pattern.is_match(&other), "{other}");
            }
        }
    }
    for other in ["key_0aB1cD2eF3gH4iJ5", "usr_stock-sync", "kb_live_…a1B2"] {
        assert!(!pattern.is_match(other), "{other}");
    }
    let role = key_service::domain::token::Role::Admin;
    let token = key_service::domain::token::Token::generate(role);
    assert!(!pattern.is_match(token.reveal()));
}
