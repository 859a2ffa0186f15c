//! `key-service explain`, as it is typed.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::admin_explain::service;
use crate::program::{Running, program, run, text};
use crate::support::Service;

/// Runs `explain` against a service, with something on standard input.
fn explain(service: &Service, arguments: &[&str], input: &str) -> Output {
    let mut child = program(&service.folder())
        .env("KEYBOUND_TOKEN", service.viewer.reveal())
        .env("KEYBOUND_SERVER", &service.url)
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What a whole line of the access log of `envoy/envoy.yaml` has, with these fields.
fn line(fields: Value) -> String {
    let mut line = json!({
        "time": "2026-11-23T09:30:00.123Z", "request_id": "r-1", "method": "GET", "host": "127.0.0.1:10000",
        "path": "/v1/orders", "source_address": "192.0.2.1:4711", "status": 403, "code": null,
        "refused_key_id": null, "key_id": null,
    });
    for (name, value) in fields.as_object().unwrap() {
        line[name] = value.clone();
    }
    format!("{line}\n")
}

/// A time that the audit log reaches back to, as a log writes it.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[test]
fn the_cause_comes_first_then_what_failed_then_the_next_step() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "deactivated"}),
        )
        .expect(200);
    let ask = ["--key-id", "key_1", "--path", "/stock"];
    let short = text(&explain(&service, &ask, "").stdout);
    assert!(short.lines().count() < 10, "{short}");
    for part in ["✗ failed", "user_deactivated", "by anna", "next step: "] {
        assert!(short.contains(part), "{short}");
    }
    assert!(
        !short.contains("passed") && !short.contains("skipped"),
        "{short}"
    );

    let output = explain(&service, &[&ask[..], &["--all"]].concat(), "");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[0],
        "refused: user_deactivated - the key's user usr_a is deactivated"
    );
    let line = |part: &str| {
        let mut checks = lines.iter().skip(1);
        *checks.find(|line| line.contains(part)).unwrap()
    };
    assert!(line(" key_missing ").contains("– skipped"), "{told}");
    assert!(line(" user_deleted ").contains("✓ passed"), "{told}");
    assert!(line(" user_deactivated ").contains("✗ failed"), "{told}");
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("next step: Reactivate the user usr_a"),
        "{told}"
    );
    assert!(!told.contains('\u{1b}'), "no colours in a pipe");

    let json = explain(&service, &["--key-id", "key_1", "--json"], "");
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["verdict"], "user_deactivated");
}

#[test]
fn everything_that_a_request_has_can_be_said() {
    let service = service(&json!({}));
    let key = service.make_key(&json!({"id": "key_1", "networks": ["10.0.0.0/8"]}));
    let secret = key["secret"].as_str().unwrap();
    std::fs::write(service.folder().join("key"), format!("{secret}\n")).unwrap();
    let header = format!("x-api-key: {secret}");
    for (arguments, input, headline) in [
        (
            &["--key-file", "key", "--source-address", "10.1.2.3"][..],
            "",
            "allowed: key key_1",
        ),
        (
            &["--key-file", "-", "--source-address", "10.1.2.3"],
            secret,
            "allowed: key key_1",
        ),
        (&["--key-file", "-"], " x", "refused: key_malformed"),
        (
            &["--header", &header, "--source-address", "[2001:db8::1]:1"],
            "",
            "refused: address_not_allowed",
        ),
        (
            &["--header", "X-Api-Key: a", "--header", "x-api-key: b"],
            "",
            "refused: key_duplicated",
        ),
        (
            &[
                "--digest",
                &"A".repeat(43),
                "--method",
                "PUT",
                "--host",
                "a:1",
            ],
            "",
            "refused: key_unknown",
        ),
        (
            &[
                "--key-id",
                "key_1",
                "--at",
                "2020-01-01T00:00:00Z",
                "--policy",
                "p",
            ],
            "",
            "refused: policy_unknown",
        ),
        (&["--path", "/"], "", "refused: key_missing"),
    ] {
        let output = explain(&service, arguments, input);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(told.starts_with(headline), "{arguments:?}: {told}");
        assert!(!told.contains(secret));
    }
    for (arguments, code, part) in [
        (&["--key-id", "key_2"][..], 1, "no key of this id"),
        (
            &["--key-id", "key_1", "--path", "orders"],
            1,
            "request.path: must be a path",
        ),
        (
            &["--key-id", "key_1", "--digest", "x"],
            2,
            "cannot be used with",
        ),
        (&["--key-file", "nowhere"], 2, "cannot read nowhere"),
        (&["--key-file", "-", "--access-log", "-"], 2, "cannot both"),
        (&["--header", secret], 2, "must be a name and a value"),
        (&[], 2, "there is nothing to explain"),
        (&["--json"], 2, "there is nothing to explain"),
        (&["--request-id", "r"], 2, "--access-log"),
    ] {
        let output = explain(&service, arguments, "");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
}

#[test]
fn one_line_of_the_access_log_is_enough() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1", "networks": ["10.0.0.0/8"]}));
    let refused = line(json!({"code": "address_not_allowed", "refused_key_id": "key_1"}));
    let output = explain(&service, &["--access-log", "-"], &refused);
    let told = text(&output.stdout);
    assert!(
        told.contains("refused: address_not_allowed - the source address 192.0.2.1 is in none"),
        "{told}{}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "");
    std::fs::write(service.folder().join("log"), &refused).unwrap();
    let moved = ["--access-log", "log", "--source-address", "10.0.0.1"];
    let output = explain(&service, &moved, "");
    let told = text(&output.stdout);
    assert!(
        told.starts_with("was refused then (address_not_allowed), would be allowed now: key key_1"),
        "{told}"
    );
    assert!(!told.contains("Nothing is to be done"), "{told}");
    let unknown = line(json!({"code": "key_unknown"}));
    let output = explain(&service, &["--access-log", "-"], &unknown);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("add --key-file"),
        "{}",
        text(&output.stderr)
    );
    // What the log does not hold can be added, and the key stays the log's unless the request has one.
    let added = ["--access-log", "log", "--header", "x-tenant: ten_a"];
    let output = explain(&service, &added, "");
    assert!(text(&output.stdout).starts_with("refused: address_not_allowed"));
    let carried = ["--access-log", "-", "--header", "x-api-key: nobodyKnowsIt"];
    let output = explain(&service, &carried, &unknown);
    assert!(text(&output.stdout).starts_with("refused: key_unknown"));
    let missing = line(json!({"code": "key_missing"}));
    let output = explain(&service, &["--access-log", "-"], &missing);
    assert!(text(&output.stdout).contains("refused: key_missing"));
}

/// The key was good when it was used, or the user was stopped and is active again: both times are told.
#[test]
fn what_the_log_says_and_what_would_be_decided_now_are_both_in_the_first_line() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    let status = |status: &str| {
        service
            .patch(
                "/admin/v1/users/usr_a?force=true",
                &json!({"status": status}),
            )
            .expect(200);
    };
    let allowed =
        line(json!({"time": now(), "status": 200, "details": "via_upstream", "key_id": "key_1"}));
    status("suspended");
    let refused = line(json!({
        "time": now(), "code": "user_suspended", "details": "keybound_user_suspended", "refused_key_id": "key_1",
    }));
    let ask = |line: &str| {
        let output = explain(&service, &["--access-log", "-"], line);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let told = ask(&allowed);
    assert!(
        told.starts_with(
            "was allowed then, would be refused now: user_suspended - the key's user usr_a"
        ),
        "{told}"
    );
    assert!(
        told.contains("user usr_a: status active -> suspended"),
        "{told}"
    );
    let told = ask(&refused);
    assert!(told.starts_with("refused: user_suspended"), "{told}");

    status("active");
    let told = ask(&refused);
    assert!(
        told.starts_with("was refused then (user_suspended), would be allowed now: key key_1"),
        "{told}"
    );
    // Who stopped the user, and who let it on.
    for part in [
        "status active -> suspended",
        "status suspended -> active",
        "by anna",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(
        told.contains("Let the client send the request again"),
        "{told}"
    );
    assert!(!told.contains("Nothing is to be done"), "{told}");
    // A refusal that neither the records nor their history give.
    let other = refused.replace("user_suspended", "scope_missing");
    let told = ask(&other);
    assert!(
        told.starts_with("was refused then (scope_missing), would be allowed now"),
        "{told}"
    );
    assert!(
        told.contains("compare the gateway's configuration"),
        "{told}"
    );
    // Without a line the audit log alone tells what was then.
    let at = serde_json::from_str::<Value>(&refused).unwrap()["time"].clone();
    let at = at.as_str().unwrap();
    let output = explain(&service, &["--key-id", "key_1", "--at", at], "");
    let told = text(&output.stdout);
    assert!(
        told.starts_with(
            "was refused then, as the audit log has it (user_suspended), would be allowed now"
        ),
        "{told}"
    );
}

#[test]
fn lines_of_istio_and_envoy_gateway_are_read_and_other_json_is_refused() {
    let service = service(&json!({}));
    service.make_key(&json!({"id": "key_1"}));
    let suspended = json!({"status": "suspended"});
    service
        .patch("/admin/v1/users/usr_a?force=true", &suspended)
        .expect(200);
    let istio = json!({
        "start_time": now(), "method": "GET", "path": "/v1", "authority": "www.example.com", "response_code": 403,
        "response_code_details": "keybound_user_suspended", "downstream_remote_address": "192.0.2.1:4711",
        "request_id": "r-1",
    });
    let gateway = json!({
        "start_time": now(), "method": "GET", "x-envoy-origin-path": "/v1", ":authority": "www.example.com",
        "response_code": 403, "response_code_details": "keybound_user_suspended",
        "downstream_remote_address": "192.0.2.1:4711", "x-request-id": "r-1",
    });
    for one in [&istio, &gateway] {
        let log = format!("[info] starting\n{one}\n{{\"a\": 1}}\n");
        let by_id = ["--access-log", "-", "--request-id", "r-1"];
        // Their formats name no key.
        let output = explain(&service, &by_id, &log);
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert!(error.contains("names no key (user_suspended)"), "{error}");
        let output = explain(
            &service,
            &[&by_id[..], &["--key-id", "key_1"]].concat(),
            &log,
        );
        let told = text(&output.stdout);
        assert!(told.starts_with("refused: user_suspended"), "{told}");
        let other = explain(
            &service,
            &["--access-log", "-", "--request-id", "r-2"],
            &log,
        );
        assert_eq!(other.status.code(), Some(2));
    }
    for wrong in [
        "{}",
        r#"{"level": "info", "message": "started"}"#,
        r#"{"method": "GET", "path": "/", "status": 403}"#,
        "127.0.0.1 - - GET / 403",
        "",
    ] {
        let output = explain(&service, &["--access-log", "-", "--key-id", "key_1"], wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn without_the_filters_configuration_the_policy_is_not_known() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let output = explain(&service, &["--key-id", "key_1"], "");
    let told = text(&output.stdout);
    assert!(
        told.starts_with("not known: depends on the policy"),
        "{told}"
    );
    assert!(
        told.contains("next step: Start the key service with the filter's configuration"),
        "{told}"
    );
    let refused = line(json!({"code": "scope_missing", "refused_key_id": "key_1"}));
    let told = text(&explain(&service, &["--access-log", "-"], &refused).stdout);
    assert!(
        told.starts_with("was refused then (scope_missing), not known now: depends on the policy"),
        "{told}"
    );
    assert!(!told.contains("Nothing is to be done"), "{told}");
}

#[test]
fn the_filters_configuration_is_read_at_the_start_and_its_errors_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter.json");
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--filter-config",
        "filter.json",
    ];
    std::fs::write(
        &file,
        r#"{"key_service": {"cluster": "c"}, "default_policy": {"scope": 1}}"#,
    )
    .unwrap();
    let wrong = run(folder.path(), &[], &serve);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(
        text(&wrong.stderr),
        "error: filter.json: default_policy.scope: unknown field, did you mean \"scopes\"?\n"
    );
    assert!(!folder.path().join("keybound.db").exists());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run(folder.path(), &[], &serve).status.code(), Some(2));

    std::fs::write(
        &file,
        r#"{"key_service": {"cluster": "c", "token_env": "T"}, "digest": {"pepper_env": "P"},
            "default_policy": {"authentication": "none"}}"#,
    )
    .unwrap();
    let environment = [
        ("KEYBOUND_ADMIN_TOKEN", "admin-token-number-one"),
        ("KEYBOUND_FILTER_CONFIG", "filter.json"),
    ];
    let running = Running::start(folder.path(), &environment);
    let client = [
        ("KEYBOUND_TOKEN", "admin-token-number-one"),
        ("KEYBOUND_SERVER", running.url.as_str()),
    ];
    let told = text(&run(folder.path(), &client, &["explain", "--path", "/"]).stdout);
    assert!(told.contains("the policy asks for no key"), "{told}");
    running.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("gateways would find no key"), "{log}");
}

/// The demonstration's cases are what a real gateway answers; here without one.
#[test]
fn the_demonstration_is_explained_as_the_gateway_decides_and_no_key_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let demo = run(folder.path(), &[], &["demo", "--json"]);
    let cases: Vec<Value> = serde_json::from_slice(&demo.stdout).unwrap();
    assert!(cases.len() > 20);
    let running = Running::start(
        folder.path(),
        &[("KEYBOUND_ADMIN_TOKEN", "admin-token-number-one")],
    );
    let client = [
        ("KEYBOUND_TOKEN", "admin-token-number-one"),
        ("KEYBOUND_SERVER", running.url.as_str()),
    ];
    let mut told = String::new();
    for case in &cases {
        let (key, code) = (case["key"].as_str().unwrap(), &case["expect_code"]);
        std::fs::write(folder.path().join("key"), key).unwrap();
        let arguments = [
            "explain",
            "--json",
            "--source-address",
            "127.0.0.1:1",
            "--key-file",
            "key",
        ];
        let output = run(folder.path(), &client, &arguments);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(&answer["verdict"], code, "{}", case["case"]);
        told.push_str(&text(&output.stdout));
        if code != "key_unknown" {
            let id = format!("key_demo_{}", case["case"].as_str().unwrap());
            let arguments = [
                "explain",
                "--json",
                "--source-address",
                "127.0.0.1:1",
                "--key-id",
                &id,
            ];
            let output = run(folder.path(), &client, &arguments);
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(&answer["verdict"], code, "{id}");
        }
    }
    running.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("/admin/v1/explain"), "{log}");
    for case in &cases {
        let key = case["key"].as_str().unwrap();
        assert!(!log.contains(key) && !told.contains(key));
        assert!(!log.contains(&key[8..40]) && !told.contains(&key[8..40]));
    }
}
