//! The manifests for Istio, Envoy Gateway and Kubernetes under `envoy/`.

use crate::paths;
use serde_json::Value;
use std::fs;

/// For Istio's ingress gateway.
pub const ISTIO: &str = "istio/keybound.yaml";

/// For Envoy Gateway.
pub const GATEWAY: &str = "gateway/keybound.yaml";

/// The same with the dynamic module.
pub const NATIVE_ISTIO: &str = "istio/native.yaml";

/// The same with the dynamic module.
pub const NATIVE_GATEWAY: &str = "gateway/native.yaml";

/// Every document of a file.
///
/// # Panics
/// When it is not there, or not YAML.
pub fn documents(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(paths::root().join("envoy").join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split("\n---\n")
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
        .collect()
}

/// The only document of a kind.
///
/// # Panics
/// When there is none, or more than one.
pub fn of_kind(path: &str, kind: &str) -> Value {
    let mut found: Vec<_> = documents(path)
        .into_iter()
        .filter(|document| document["kind"] == kind)
        .collect();
    assert_eq!(found.len(), 1, "{kind} in {path}");
    found.remove(0)
}

/// What an EnvoyFilter of Istio merges into a part of Envoy's configuration.
///
/// # Panics
/// When there is no such patch, or more than one.
pub fn istio_merges(part: &str) -> Value {
    let filter = of_kind(ISTIO, "EnvoyFilter");
    let mut patches: Vec<_> = filter["spec"]["configPatches"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|patch| patch["applyTo"] == part)
        .collect();
    assert_eq!(patches.len(), 1, "patches of {part}");
    let patch = patches.remove(0);
    assert_eq!(patch["match"]["context"], "GATEWAY", "{part}");
    assert_eq!(patch["patch"]["operation"], "MERGE", "{part}");
    patch["patch"]["value"].clone()
}

/// What Envoy Gateway puts at a place of Envoy's bootstrap.
///
/// # Panics
/// When there is no such patch.
pub fn gateway_adds(place: &str) -> Value {
    let proxy = of_kind(GATEWAY, "EnvoyProxy");
    let patch = proxy["spec"]["bootstrap"]["jsonPatches"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|patch| patch["path"] == place)
        .unwrap_or_else(|| panic!("nothing is put at {place}"));
    assert_eq!(patch["op"], "add", "{place}");
    patch["value"].clone()
}

/// What Envoy Gateway puts at a place of its routes' configuration.
///
/// # Panics
/// When there is no such patch.
pub fn gateway_routes(place: &str) -> Value {
    let policy = of_kind(GATEWAY, "EnvoyPatchPolicy");
    let patch = policy["spec"]["jsonPatches"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|patch| patch["operation"]["path"] == place)
        .unwrap_or_else(|| panic!("nothing is put at {place}"));
    assert_eq!(
        patch["type"],
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    );
    assert_eq!(patch["operation"]["op"], "add", "{place}");
    patch["operation"]["value"].clone()
}

/// The fields of Envoy Gateway's access log.
pub fn gateway_log_format() -> Value {
    let proxy = of_kind(GATEWAY, "EnvoyProxy");
    let settings = &proxy["spec"]["telemetry"]["accessLog"]["settings"];
    assert_eq!(settings[0]["format"]["type"], "JSON");
    settings[0]["format"]["json"].clone()
}
