//! `key-service check-config`: what the filter takes and refuses, before it gets it.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::program::{program, run, text};

const SHIPPED: [&str; 4] = [
    "envoy.yaml",
    "compose/envoy.yaml",
    "istio/keybound.yaml",
    "gateway/keybound.yaml",
];

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy");
    folder.join(name).display().to_string()
}

#[test]
fn what_is_shipped_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    for name in SHIPPED {
        let output = run(folder.path(), &[], &["check-config", &shipped(name)]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).ends_with(": the filter takes it\n"),
            "{}",
            text(&output.stdout)
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "no database is made"
    );
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let istio = std::fs::read_to_string(shipped("istio/keybound.yaml")).unwrap();
    let wrong = istio.replace(
        "      token_env: KEYBOUND_GATEWAY_TOKEN\n",
        "      token_env: OTHER\n      tmeout: 1s\n",
    );
    std::fs::write(folder.path().join("wrong.yaml"), &wrong).unwrap();
    let output = run(folder.path(), &[], &["check-config", "wrong.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    for error in [
        "error: wrong.yaml: WasmPlugin keybound: key_service.tmeout: unknown field, did you mean \"timeout\"?\n",
        "error: wrong.yaml: WasmPlugin keybound: key_service.token_env: the environment variable OTHER is not set",
    ] {
        assert!(errors.contains(error), "{errors}");
    }
    assert_eq!(errors.lines().count(), 2, "{errors}");

    let json = r#"{
        "key_service": {"cluster": "c", "timeout": "2m"}, "limits": {"local_entries": 0}, "policys": {},
        "key_format": {"min_length": 20, "max_length": "x"}, "freshness": {"max_staleness": "x", "fresh_for": "9m"}
    }"#;
    std::fs::write(folder.path().join("filter.json"), json).unwrap();
    let errors = text(&run(folder.path(), &[], &["check-config", "filter.json"]).stderr);
    let fields = [
        "policys",
        "key_service.timeout",
        "key_format.max_length",
        "freshness.max_staleness",
        "limits.local_entries",
    ];
    for field in fields {
        assert!(
            errors.contains(&format!("error: filter.json: {field}: ")),
            "{errors}"
        );
    }
    // What only follows from a mistake is none.
    assert_eq!(errors.lines().count(), fields.len(), "{errors}");
}

#[test]
fn it_reads_standard_input_and_tells_what_it_cannot_read_from_what_the_filter_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let check = |input: &str| {
        let mut child = program(folder.path())
            .args(["check-config", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, told, _) = check(r#"{"key_service": {"cluster": "c", "token_env": "ANY"}}"#);
    assert_eq!(
        (code, told.as_str()),
        (0, "standard input: the filter takes it\n")
    );
    for (input, code, part) in [
        ("", 1, "standard input: configuration: empty"),
        ("{\"key_service\": ", 1, "not JSON"),
        (
            "kind: Deployment",
            2,
            "holds no configuration of the filter",
        ),
        ("a: [", 2, "not YAML"),
    ] {
        let (found, told, error) = check(input);
        assert_eq!((found, told.as_str()), (code, ""), "{error}");
        assert!(error.contains(part), "{error}");
    }
    let missing = run(folder.path(), &[], &["check-config", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(
        run(folder.path(), &[], &["check-config"]).status.code(),
        Some(2)
    );
}

/// A service may be given the same file.
#[test]
fn the_service_finds_the_configuration_in_envoys_own_file() {
    let filter = std::fs::read(shipped("envoy.yaml")).unwrap();
    let filter = key_service::filter::Filter::parse(&filter).unwrap();
    assert!(filter.given);
    let two = "kind: WasmPlugin\nmetadata: {name: keybound}\nspec: {pluginConfig: {key_service: {cluster: a}}}\n---\n\
               kind: WasmPlugin\nmetadata: {name: keybound-2}\nspec: {pluginConfig: {key_service: {cluster: a}, preflight: check}}";
    let error = key_service::filter::Filter::parse(two.as_bytes()).unwrap_err();
    assert!(
        error.contains("holds 2 configurations of the filter that differ"),
        "{error}"
    );
}
