//! The pages of `docs/migration/`: each command in them, run by a shell on the export that the page shows.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use key_service::domain::time::now;
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

/// A program that stands in for another system's: it writes an export that the page shows.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the page's commands in a folder that holds its blocks of the language as `block-0`, …, and the first of them
/// under this name, too. Gives what they printed, to people and to programs.
fn follow(
    service: &Service,
    page: &str,
    (language, export): (&str, &str),
    programs: &[(&str, &str)],
) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (index, block) in blocks(page, language).iter().enumerate() {
        std::fs::write(folder.path().join(format!("block-{index}")), block).unwrap();
        if index == 0 {
            std::fs::write(folder.path().join(export), block).unwrap();
        }
    }
    for (name, script) in programs {
        stand_in(folder.path(), name, script);
    }
    let before = names(folder.path());
    let built = Path::new(env!("CARGO_BIN_EXE_key-service"))
        .parent()
        .unwrap();
    let path = std::env::var("PATH").unwrap();
    let commands = blocks(page, "sh");
    assert!(!commands.is_empty());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands.join("\n")])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:{}:{path}", folder.path().display(), built.display()),
        )
        .env("ADMIN_KEY", "an-admin-key")
        .env("KEYBOUND_SERVER", &service.url)
        .env("KEYBOUND_TOKEN", service.admin.reveal())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        ["credentials.json", "export"].contains(&export) || !folder.path().join(export).exists(),
        "keys in clear are left behind"
    );
    let mut left = names(folder.path());
    left.retain(|name| !before.contains(name));
    assert_eq!(left, [""; 0], "keys in clear are left behind");
    text(&output.stdout) + &text(&output.stderr)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// The record that a gateway gets for a key.
fn resolved(service: &Service, key: &str) -> Value {
    service.resolve(&[&digest(&json!(key))])["results"][0].clone()
}

#[test]
fn keys_of_api_key_auth_go_on_working() {
    let service = Service::start();
    follow(
        &service,
        "envoy-api-key-auth.md",
        ("json", "credentials.json"),
        &[],
    );
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
    let printed = follow(
        &service,
        "kong.md",
        ("yaml", "export"),
        &[("deck", "cp block-0 kong.yaml")],
    );
    for left_out in [
        "left out: consumer newsletter: {vault://env/newsletter-key} refers to a key that is elsewhere",
        "left out: consumer newsletter: 1 basicauth_credentials",
    ] {
        assert!(printed.contains(left_out), "{printed}");
    }
    let result = resolved(&service, "kongkey-one-8f1d33");
    assert_eq!(result["user"]["id"], "usr_stock-sync");
    assert_eq!(result["user"]["tenant_id"], "ten_shop");
    assert_eq!(result["key"]["scopes"], json!(["orders", "stock"]));
    assert_eq!(result["key"]["expires_at"], Value::Null);
    let result = resolved(&service, "kongkey-two-90aa17");
    let end = result["key"]["expires_at"].as_i64().unwrap() - now();
    assert!((2_592_000 - 600..=2_592_000).contains(&end), "{result}");
    assert_eq!(
        resolved(&service, "{vault://env/newsletter-key}")["key"],
        Value::Null
    );
    let policy: Value = serde_json::from_str(&blocks("kong.md", "json")[0]).unwrap();
    assert!(policy["routes"].is_array());
}

#[test]
fn keys_of_apisix_go_on_working_those_of_credentials_too() {
    let service = Service::start();
    let curl = "for url; do :; done; case $url in */stock_sync/credentials) cat block-1;; */credentials) \
                echo '{\"total\": 0, \"list\": []}';; */consumers) cat block-0;; esac";
    let printed = follow(&service, "apisix.md", ("json", "export"), &[("curl", curl)]);
    for left_out in [
        "left out: consumer newsletter: $secret://vault/1/newsletter/key refers to a key",
        "left out: consumer newsletter: basic-auth",
    ] {
        assert!(printed.contains(left_out), "{printed}");
    }
    for (key, name) in [
        ("apisixkey-one-8f1d33", "stock_sync"),
        ("apisixkey-two-90aa17", "night"),
    ] {
        let result = resolved(&service, key);
        assert_eq!(result["user"]["id"], "usr_stock_sync", "{key}");
        assert_eq!(result["tenant"]["id"], "ten_shop", "{key}");
        let id = result["key"]["id"].as_str().unwrap();
        assert_eq!(
            service.get(&format!("/admin/v1/keys/{id}")).expect(200)["name"],
            name
        );
    }
}

#[test]
fn keys_of_envoy_gateway_go_on_working() {
    let service = Service::start();
    let printed = follow(
        &service,
        "envoy-gateway.md",
        ("yaml", "export"),
        &[("kubectl", "cat block-0")],
    );
    let left_out = "left out: Secret news-keys, client letters: its value is not base64 of a text";
    assert!(printed.contains(left_out), "{printed}");
    for (key, user) in [
        ("egkey-one-8f1d33", "usr_stock-sync"),
        ("egkey-two-90aa17", "usr_newsletter"),
    ] {
        let result = resolved(&service, key);
        assert_eq!(result["user"]["id"], user, "{key}");
        assert_eq!(result["tenant"]["id"], "ten_shop", "{key}");
    }
}

#[test]
fn keys_of_a_table_go_on_working() {
    let service = Service::start();
    follow(&service, "csv.md", ("csv", "keys.csv"), &[]);
    let result = resolved(&service, "tablekey-one-8f1d33");
    assert_eq!(result["key"]["scopes"], json!(["orders:read", "stock:*"]));
    assert_eq!(result["key"]["environment"], "live");
    assert_eq!(result["user"]["id"], "usr_stock-sync");
    let result = resolved(&service, "tablekey-two-90aa17");
    assert_eq!(result["key"]["expires_at"], 4_102_444_800_i64);
    let result = resolved(&service, "tablekey-three-11bc02");
    assert_eq!(result["user"]["id"], "usr_newsletter");
    assert_eq!(result["key"]["scopes"], json!([]));
}
