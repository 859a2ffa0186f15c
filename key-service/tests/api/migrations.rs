//! The pages of `docs/migration/`: each command in them, run by a shell on the export that the page shows.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Service, digest};

/// The blocks of a language in a page, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/migration")
        .join(page);
    let page = std::fs::read_to_string(path).unwrap();
    let begin = format!("\n```{language}\n");
    let mut parts = page.split(&begin);
    parts.next();
    parts
        .map(|part| part.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// Runs the page's commands in a folder that holds its first JSON block as `export`, and gives what they printed.
fn follow(service: &Service, page: &str, export: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(export), &blocks(page, "json")[0]).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_key-service"))
        .parent()
        .unwrap();
    let path = std::env::var("PATH").unwrap();
    let commands = blocks(page, "sh");
    assert!(!commands.is_empty());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands.join("\n")])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("KEYBOUND_SERVER", &service.url)
        .env("KEYBOUND_TOKEN", service.admin.reveal())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        !folder.path().join("keys.ndjson").exists(),
        "keys in clear are left behind"
    );
    text(&output.stdout)
}

/// The record that a gateway gets for a key.
fn resolved(service: &Service, key: &str) -> Value {
    service.resolve(&[&digest(&json!(key))])["results"][0].clone()
}

#[test]
fn keys_of_api_key_auth_go_on_working() {
    let service = Service::start();
    follow(&service, "envoy-api-key-auth.md", "credentials.json");
    for (key, user) in [
        ("2d9b6c1e-shop", "usr_stock-sync"),
        ("77aa01f4-shop", "usr_stock-sync"),
        ("c0ffee00-news", "usr_newsletter"),
    ] {
        let result = resolved(&service, key);
        assert_eq!(result["key"]["status"], "active", "{key}");
        assert_eq!(result["user"]["id"], user, "{key}");
        assert_eq!(result["tenant"]["id"], "ten_shop", "{key}");
    }
}

#[test]
fn keys_of_kong_go_on_working_with_their_groups_as_scopes() {
    let service = Service::start();
    let printed = follow(&service, "kong.md", "kong.json");
    assert!(
        printed.contains("left out, a reference: newsletter"),
        "{printed}"
    );
    let result = resolved(&service, "kongkey-one-8f1d33");
    assert_eq!(result["user"]["id"], "usr_stock-sync");
    assert_eq!(result["key"]["scopes"], json!(["orders", "stock"]));
    assert_eq!(result["key"]["expires_at"], Value::Null);
    let result = resolved(&service, "kongkey-two-90aa17");
    assert!(result["key"]["expires_at"].is_u64(), "{result}");
    assert_eq!(
        resolved(&service, "{vault://env/newsletter-key}")["key"],
        Value::Null
    );
    let policy: Value = serde_json::from_str(&blocks("kong.md", "json")[1]).unwrap();
    assert!(policy["routes"].is_array());
}
