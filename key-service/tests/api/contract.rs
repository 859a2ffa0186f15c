//! The service against its own description: `/openapi.json` is valid, and what is made up from it by chance, right
//! and wrong, is answered as it says.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::text;
use crate::support::Service;

/// A program of the Python environment that `make contract` fetches.
fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target/contract/bin")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make contract`",
        path.display()
    );
    path
}

fn described(service: &Service) -> Value {
    service.get("/openapi.json").expect(200)
}

#[test]
fn the_description_is_valid_openapi_and_names_each_operation_once() {
    let service = Service::start();
    let description = described(&service);
    let file = service.folder().join("openapi.json");
    std::fs::write(&file, description.to_string()).unwrap();
    let output = Command::new(tool("openapi-spec-validator"))
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );

    let operations = description["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let mut ids: Vec<&str> = operations
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
    assert!(
        ids.contains(&"keys_list") && ids.contains(&"users_list"),
        "{ids:?}"
    );
}

/// Where headers are described, any other one counts as wrong there, and must not be taken. Those that are have tests of
/// their own.
fn without_headers(mut description: Value) -> Value {
    let paths = description["paths"].as_object_mut().unwrap().values_mut();
    for operation in paths.flat_map(|path| path.as_object_mut().unwrap().values_mut()) {
        if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters.retain(|parameter| parameter["in"] != "header");
        }
    }
    description
}

/// Requests by chance, the same ones each time: no failure of the service, no status, media type or body that the
/// description does not have, and nothing accepted that it forbids.
#[test]
fn whatever_is_asked_is_answered_as_the_description_says() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_a"}));
    let file = service.folder().join("openapi.json");
    std::fs::write(&file, without_headers(described(&service)).to_string()).unwrap();
    for (token, part) in [
        (&service.admin, "--exclude-path-regex=^/(v1|scim|leaks)/"),
        (&service.gateway, "--include-path-regex=^/v1/"),
    ] {
        // A service that is stopping answers long polls at once, and says that it is not ready.
        service.stop.send_replace(part.starts_with("--include"));
        let output = Command::new(tool("schemathesis"))
            .args(["run", file.to_str().unwrap(), "--url", &service.url, part])
            // Its body is text, which no schema describes.
            .args(["--exclude-path", "/admin/v1/keys/import"])
            .args(["--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", "25", "--seed", "1"])
            .arg("--generation-deterministic")
            .args(["--request-timeout", "70", "--warnings", "off", "--no-color"])
            .args([
                "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,\
                 response_schema_conformance,negative_data_rejection",
            ])
            .args(["-H", &format!("authorization: Bearer {}", token.reveal())])
            .current_dir(service.folder())
            .output()
            .unwrap();
        let told = text(&output.stdout);
        assert!(output.status.success(), "{told}{}", text(&output.stderr));
        let cases = told
            .lines()
            .find_map(|line| line.trim().split_once(" generated"));
        let cases: usize = cases.unwrap().0.parse().unwrap();
        assert!(cases > 100, "{told}");
    }
}
