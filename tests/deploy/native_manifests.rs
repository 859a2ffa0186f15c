//! Manifests for Istio and Envoy Gateway with the dynamic module: what is of the home, and that all else is as in those
//! of the other home.

use crate::pins::is_pinned;
use keybound::config;
use serde_json::{Value, json};
use std::fs;
use support::manifests::{GATEWAY, ISTIO, NATIVE_GATEWAY, NATIVE_ISTIO, documents, of_kind};
use support::paths;

const IMAGE: &str = concat!(
    "registry.example/keybound/native:",
    env!("CARGO_PKG_VERSION"),
    "@sha256:"
);
const FOLDER: &str = "/etc/keybound";
const FLAG: &str = "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

/// The filter of the configuration that users copy.
fn shipped_filter() -> Value {
    let text = fs::read_to_string(paths::native_configuration()).unwrap();
    let envoy: Value = serde_saphyr::from_str(&text).unwrap();
    let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"][0].clone()
}

/// The filter takes it, and it says the same as that of the other home.
fn assert_settings(found: &Value, other_home: &Value) {
    assert_eq!(found, other_home);
    let token_is_set = |_: &str| Some("a-token-of-the-gateway".to_owned());
    config::parse(found.to_string().as_bytes(), &token_is_set)
        .unwrap_or_else(|error| panic!("the filter refuses {found}: {error}"));
}

/// An image by its digest, mounted read-only where Envoy looks.
fn assert_mounted(pod: &Value, container: &Value) {
    let volume = &pod["volumes"][0];
    let mounted = json!([{"name": volume["name"], "mountPath": FOLDER, "readOnly": true}]);
    assert_eq!(container["volumeMounts"], mounted);
    let image = volume["image"]["reference"].as_str().expect("an image");
    assert!(is_pinned(image, IMAGE, 64), "{image}");
}

fn without(value: &Value, field: &str) -> Value {
    let mut value = value.clone();
    let fields = value.as_object_mut().expect("an object");
    fields
        .remove(field)
        .unwrap_or_else(|| panic!("there is no {field}"));
    value
}

#[test]
fn istios_filter_is_the_shipped_one_and_the_first() {
    let mut filter = of_kind(NATIVE_ISTIO, "EnvoyFilter");
    let patches = filter["spec"]["configPatches"].as_array_mut().unwrap();
    let mut ours = patches.remove(0);
    assert_eq!(ours["applyTo"], "HTTP_FILTER");
    assert_eq!(ours["match"], patches[0]["match"]);
    assert_eq!(ours["patch"]["operation"], "INSERT_FIRST");

    let text = &mut ours["patch"]["value"]["typed_config"]["filter_config"]["value"];
    let settings: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let plugin = of_kind(ISTIO, "WasmPlugin");
    assert_settings(&settings, &plugin["spec"]["pluginConfig"]);
    let shipped = shipped_filter();
    *text = shipped["typed_config"]["filter_config"]["value"].clone();
    assert_eq!(ours["patch"]["value"], shipped);
}

#[test]
fn istio_is_told_all_else_as_in_the_other_home() {
    let mut native = of_kind(NATIVE_ISTIO, "EnvoyFilter");
    let patches = native["spec"]["configPatches"].as_array_mut().unwrap();
    patches.remove(0);
    let bootstrap = patches.last_mut().unwrap();
    assert_eq!(bootstrap["applyTo"], "BOOTSTRAP");
    let value = &mut bootstrap["patch"]["value"];
    let layers = json!({"layers": [{"name": "keybound", "static_layer": {FLAG: true}}]});
    assert_eq!(value["layered_runtime"], layers);
    *value = without(value, "layered_runtime");

    let kinds = |path| -> Vec<Value> {
        let documents = documents(path).into_iter();
        documents.map(|document| document["kind"].clone()).collect()
    };
    assert_eq!(kinds(NATIVE_ISTIO), kinds(ISTIO)[1..]);
    assert_eq!(native, of_kind(ISTIO, "EnvoyFilter"));
    assert_eq!(
        of_kind(NATIVE_ISTIO, "DestinationRule"),
        of_kind(ISTIO, "DestinationRule")
    );
}

#[test]
fn istios_gateway_has_the_token_and_the_module() {
    let patch = &documents("istio/native-gateway.yaml")[0];
    let pod = &patch["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let other = &documents("istio/gateway-token.yaml")[0];
    let mut environment = other["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    environment
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "ENVOY_DYNAMIC_MODULES_SEARCH_PATH", "value": FOLDER}));

    assert_eq!(container["name"], "istio-proxy");
    assert_eq!(container["env"], environment);
    assert_mounted(pod, container);
}

#[test]
fn envoy_gateway_has_the_module_before_all_that_reads_identity() {
    let proxy = of_kind(NATIVE_GATEWAY, "EnvoyProxy");
    let policy = of_kind(NATIVE_GATEWAY, "EnvoyExtensionPolicy");
    let module = &policy["spec"]["dynamicModule"][0];
    let registered = json!([{
        "name": "keybound",
        "source": {"type": "Local", "local": {"path": format!("{FOLDER}/libkeybound.so")}},
        "doNotClose": true,
    }]);

    assert_eq!(proxy["spec"]["dynamicModules"], registered);
    assert_eq!(module["name"], "keybound");
    assert_eq!(module["filterName"], "keybound");
    let deployment = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    assert_mounted(&deployment["pod"], &deployment["container"]);
    let order = json!([{"name": "envoy.filters.http.dynamic_modules", "before": "envoy.filters.http.ext_authz"}]);
    assert_eq!(proxy["spec"]["filterOrder"], order);
    let other = of_kind(GATEWAY, "EnvoyExtensionPolicy");
    assert_settings(&module["config"], &other["spec"]["wasm"][0]["config"]);
}

#[test]
fn envoy_gateway_is_told_all_else_as_in_the_other_home() {
    let mut native = of_kind(NATIVE_GATEWAY, "EnvoyProxy");
    let mut other = of_kind(GATEWAY, "EnvoyProxy");
    let spec = without(&native["spec"], "dynamicModules");
    native["spec"] = without(&spec, "filterOrder");
    other["spec"] = without(&other["spec"], "filterOrder");
    let deployment = "/spec/provider/kubernetes/envoyDeployment";
    let place = native.pointer_mut(deployment).unwrap();
    *place = without(place, "pod");
    place["container"] = without(&place["container"], "volumeMounts");
    let patches = native.pointer_mut("/spec/bootstrap/jsonPatches").unwrap();
    let flag = json!({
        "op": "add",
        "path": format!("/layered_runtime/layers/0/static_layer/{FLAG}"),
        "value": true,
    });
    let patches = patches.as_array_mut().unwrap();
    let before = patches.len();
    patches.retain(|patch| *patch != flag);
    assert_eq!(patches.len() + 1, before);

    // Envoy Gateway names no namespace for the metrics, so they have the usual one of dynamic modules.
    let native = native
        .to_string()
        .replace("^dynamicmodulescustom", "^wasmcustom");
    assert_eq!(native, other.to_string());
    let mut policy = of_kind(NATIVE_GATEWAY, "EnvoyExtensionPolicy");
    let mut other = of_kind(GATEWAY, "EnvoyExtensionPolicy");
    policy["spec"] = without(&policy["spec"], "dynamicModule");
    other["spec"] = without(&other["spec"], "wasm");
    assert_eq!(policy, other);
    for kind in ["ClientTrafficPolicy", "EnvoyPatchPolicy"] {
        assert_eq!(of_kind(NATIVE_GATEWAY, kind), of_kind(GATEWAY, kind));
    }
}
