//! envoy/docker-compose.yaml: what must hold of every service, whatever it is.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use support::paths;

fn file() -> Value {
    let text = fs::read_to_string(paths::root().join("envoy/docker-compose.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn services() -> Vec<(String, Value)> {
    let file = file();
    let services = file["services"].as_object().expect("services");
    assert!(services.len() >= 5);
    services
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

#[test]
fn every_service_is_confined() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(
            service["security_opt"][0], "no-new-privileges:true",
            "{name}"
        );
        // Images of our own name their user themselves.
        if service["build"].is_null() {
            let user = service["user"].as_str().expect("a user");
            assert!(
                !user.starts_with('0') && !user.starts_with("root"),
                "{name}"
            );
        }
    }
}

#[test]
fn every_service_has_a_health_check_and_waits_for_what_it_needs() {
    for (name, service) in services() {
        assert!(service["healthcheck"]["test"].is_array(), "{name}");
        for (other, condition) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(
                condition["condition"], "service_healthy",
                "{name} needs {other}"
            );
        }
    }
}

#[test]
fn nothing_is_open_beyond_this_machine() {
    for (name, service) in services() {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("a text");
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    assert_eq!(file()["networks"]["upstream"]["internal"], true);
    let upstream = &file()["services"]["upstream"];
    assert_eq!(upstream["networks"], serde_json::json!(["upstream"]));
}

/// `explain` judges by what the gateway judges by: there is one file for both.
#[test]
fn the_key_service_reads_envoys_own_file() {
    let file = file();
    let volumes = |service: &str| {
        let volumes = file["services"][service]["volumes"].as_array();
        volumes.expect("volumes").clone()
    };
    let source = |service: &str, target: &str| {
        let volumes = volumes(service);
        let volume = volumes.iter().find(|volume| volume["target"] == target);
        volume.unwrap_or_else(|| panic!("{service} has no {target}"))["source"].clone()
    };
    assert_eq!(
        source("key-service", "/etc/keybound/envoy.yaml"),
        source("envoy", "/etc/envoy/envoy.yaml")
    );
    let command = file["services"]["key-service"]["command"].as_array();
    let given = serde_json::json!("--filter-config=/etc/keybound/envoy.yaml");
    assert!(command.expect("a command").contains(&given));
}

/// The second service is the first one once more, on the same database and behind the same name.
#[test]
fn the_profile_postgresql_has_two_services_behind_one_name() {
    let services = &file()["services"];
    let (first, second) = (&services["key-service"], &services["key-service-2"]);
    for field in ["image", "command", "environment", "healthcheck"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    assert_eq!(second["networks"]["keys"]["aliases"][0], "key-service");
    for service in ["key-service-2", "postgresql"] {
        let profiles = serde_json::json!(["postgresql"]);
        assert_eq!(services[service]["profiles"], profiles);
        assert!(
            services[service]["ports"]
                .as_array()
                .is_none_or(Vec::is_empty)
        );
    }
}

#[test]
fn secrets_come_from_outside_and_must_be_set() {
    let mut secrets = 0;
    for (name, service) in services() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            if ["TOKEN", "PASSWORD", "SECRET"]
                .iter()
                .any(|word| variable.contains(word))
            {
                let value = value.as_str().unwrap_or_default();
                assert!(
                    value.starts_with("${") && value.contains(":?"),
                    "{name}: {variable}"
                );
                secrets += 1;
            }
        }
    }
    assert_eq!(secrets, 9);
}

/// Every variable is in the example, and the example names no other.
#[test]
fn the_example_names_every_variable() {
    let folder = paths::root().join("envoy");
    let compose = fs::read_to_string(folder.join("docker-compose.yaml")).unwrap();
    let used: BTreeSet<&str> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split(':').next())
        // Compose reads this one by itself.
        .chain(["COMPOSE_PROJECT_NAME"])
        .collect();
    let example = fs::read_to_string(folder.join(".env.example")).unwrap();
    let named: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
        .collect();

    assert_eq!(used, named);
    for (name, value) in example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
    {
        assert!(
            value.is_empty() || name == "COMPOSE_PROJECT_NAME",
            "{name} has a value"
        );
    }
}
