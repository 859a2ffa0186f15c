//! Manifests for Istio, Envoy Gateway and Kubernetes: what must hold of them beyond their schemas. (`make
//! manifests` checks those of Kubernetes' own kinds.)

use keybound::config;
use serde_json::{Value, json};
use std::fs;
use support::manifests::{self, GATEWAY, ISTIO, documents, of_kind};
use support::paths;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TOKEN: &str = "KEYBOUND_GATEWAY_TOKEN";

const KUBERNETES: &str = "kubernetes/key-service.yaml";
const POSTGRESQL: &str = "kubernetes/key-service-postgresql.yaml";

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The host name and port of the key service, as its manifest has them.
fn address() -> (String, u64) {
    let service = of_kind(KUBERNETES, "Service");
    let name = text(&service["metadata"]["name"]);
    let namespace = text(&service["metadata"]["namespace"]);
    let port = service["spec"]["ports"][0]["port"]
        .as_u64()
        .expect("a port");
    (format!("{name}.{namespace}.svc.cluster.local"), port)
}

/// What both make of their configuration: the same JSON, as text.
fn accepted(configuration: &Value) -> keybound::gate::Settings {
    let token_is_set = |name: &str| (name == TOKEN).then(|| "a-token-of-the-gateway".to_owned());
    config::parse(configuration.to_string().as_bytes(), &token_is_set)
        .unwrap_or_else(|error| panic!("the filter refuses {configuration}: {error}"))
}

fn is_a_checksum(value: &Value) -> bool {
    let digits = text(value);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn istio_runs_the_filter_first_and_refuses_without_it() {
    let plugin = of_kind(ISTIO, "WasmPlugin");
    let spec = &plugin["spec"];
    let (host, port) = address();

    assert_eq!(spec["phase"], "AUTHN");
    assert_eq!(spec["failStrategy"], "FAIL_CLOSE");
    assert!(is_a_checksum(&spec["sha256"]));
    assert!(text(&spec["url"]).starts_with("oci://"));
    assert!(text(&spec["url"]).ends_with(&format!(":{VERSION}")));
    let wanted = json!([{"name": TOKEN, "valueFrom": "HOST"}]);
    assert_eq!(spec["vmConfig"]["env"], wanted);
    accepted(&spec["pluginConfig"]);
    let cluster = format!("outbound|{port}||{host}");
    assert_eq!(
        spec["pluginConfig"]["key_service"]["cluster"],
        cluster.as_str()
    );
    let rule = of_kind(ISTIO, "DestinationRule");
    assert_eq!(rule["spec"]["host"], host.as_str());
    // The patches are for the pods that have the plugin.
    let filter = of_kind(ISTIO, "EnvoyFilter");
    assert_eq!(
        filter["spec"]["workloadSelector"]["labels"],
        spec["selector"]["matchLabels"]
    );
}

#[test]
fn istios_gateway_has_the_token_from_a_secret() {
    let patch = &documents("istio/gateway-token.yaml")[0];
    let container = &patch["spec"]["template"]["spec"]["containers"][0];

    assert_eq!(container["name"], "istio-proxy");
    assert_eq!(container["env"][0]["name"], TOKEN);
    assert!(container["env"][0]["valueFrom"]["secretKeyRef"].is_object());
    // Without it a pod never hears of patches of its bootstrap, such as the statistics tags.
    let asks = json!({"name": "BOOTSTRAP_XDS_AGENT", "value": "true"});
    assert_eq!(container["env"][1], asks);
}

/// The shipped configuration's access log, statistics tags and headers of answers. That they work is shown in Envoy,
/// by `tests/envoy/manifests_tell_what_the_shipped_configuration_tells.rs`.
#[test]
fn operators_and_clients_are_told_what_envoy_yaml_tells() {
    let text = fs::read_to_string(paths::shipped_configuration()).unwrap();
    let shipped: Value = serde_saphyr::from_str(&text).unwrap();
    let manager = &shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let logged = &manager["access_log"][0]["typed_config"]["log_format"]["json_format"];
    let tags = &shipped["stats_config"]["stats_tags"];
    let vary = &shipped["static_resources"]["clusters"][0]["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
        ["http_filters"][0]["typed_config"]["mutations"]["response_mutations"][0]["append"];
    let mut headers = manager["route_config"]["response_headers_to_add"].clone();
    headers.as_array_mut().unwrap().push(vary.clone());

    let mut of_istio =
        manifests::istio_merges("NETWORK_FILTER")["typed_config"]["access_log"][0]["typed_config"]
            ["log_format"]["json_format"]
            .clone();
    // In the spelling of older Envoys.
    assert_eq!(of_istio["path"], "%REQ_WITHOUT_QUERY(:path)%");
    of_istio["path"] = logged["path"].clone();
    assert_eq!(&of_istio, logged);
    assert_eq!(&manifests::gateway_log_format(), logged);
    assert_eq!(
        &manifests::istio_merges("BOOTSTRAP")["stats_config"]["stats_tags"],
        tags
    );
    assert_eq!(
        &manifests::gateway_adds("/stats_config")["stats_tags"],
        tags
    );
    assert_eq!(
        manifests::istio_merges("ROUTE_CONFIGURATION")["response_headers_to_add"],
        headers
    );
    assert_eq!(
        manifests::gateway_routes("/response_headers_to_add"),
        headers
    );
}

#[test]
fn envoy_gateway_runs_the_filter_first_and_refuses_without_it() {
    let proxy = of_kind(GATEWAY, "EnvoyProxy");
    let policy = of_kind(GATEWAY, "EnvoyExtensionPolicy");
    let plugin = &policy["spec"]["wasm"][0];

    assert_eq!(plugin["failOpen"], false);
    assert!(is_a_checksum(&plugin["code"]["image"]["sha256"]));
    assert!(text(&plugin["code"]["image"]["url"]).ends_with(&format!(":{VERSION}")));
    assert_eq!(plugin["env"]["hostKeys"], json!([TOKEN]));
    let container = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"];
    assert_eq!(container["env"][0]["name"], TOKEN);
    assert!(container["env"][0]["valueFrom"]["secretKeyRef"].is_object());
    let order = &proxy["spec"]["filterOrder"][0];
    assert_eq!(order["name"], "envoy.filters.http.wasm");
    assert_eq!(order["before"], "envoy.filters.http.ext_authz");
    // The whole Gateway, and not some of its routes.
    assert_eq!(policy["spec"]["targetRefs"][0]["kind"], "Gateway");
    let traffic = of_kind(GATEWAY, "ClientTrafficPolicy");
    assert_eq!(traffic["spec"]["targetRefs"], policy["spec"]["targetRefs"]);
    accepted(&plugin["config"]);
}

#[test]
fn envoy_gateways_cluster_is_the_one_that_the_filter_asks() {
    let cluster = manifests::gateway_adds("/static_resources/clusters/-");
    let policy = of_kind(GATEWAY, "EnvoyExtensionPolicy");
    let asked = &policy["spec"]["wasm"][0]["config"]["key_service"];
    let (host, port) = address();

    assert_eq!(cluster["name"], asked["cluster"]);
    assert_eq!(cluster["load_assignment"]["cluster_name"], asked["cluster"]);
    let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    assert_eq!(
        cluster.pointer(endpoint),
        Some(&json!({"address": host, "port_value": port}))
    );
}

/// `explain` judges by what the gateway judges by.
#[test]
fn the_key_service_has_the_filters_configuration() {
    let map = of_kind(KUBERNETES, "ConfigMap");
    let configuration: Value = serde_json::from_str(text(&map["data"]["filter.json"])).unwrap();
    let plugin = of_kind(ISTIO, "WasmPlugin");
    let policy = of_kind(GATEWAY, "EnvoyExtensionPolicy");
    assert_eq!(configuration, plugin["spec"]["pluginConfig"]);
    // The name of the cluster has no part in a verdict.
    let mut of_gateway = policy["spec"]["wasm"][0]["config"].clone();
    of_gateway["key_service"]["cluster"] = configuration["key_service"]["cluster"].clone();
    assert_eq!(configuration, of_gateway);

    let deployment = of_kind(KUBERNETES, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let has = |list: &Value, item: &Value| list.as_array().unwrap().contains(item);
    assert!(has(
        &container["args"],
        &json!("--filter-config=/etc/keybound/filter.json")
    ));
    let mounted = json!({"name": "filter", "mountPath": "/etc/keybound", "readOnly": true});
    assert!(has(&container["volumeMounts"], &mounted));
    let volume = json!({"name": "filter", "configMap": {"name": map["metadata"]["name"]}});
    assert!(has(&pod["volumes"], &volume));
}

#[test]
fn the_key_service_is_confined() {
    let deployment = of_kind(KUBERNETES, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];

    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let confined = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(container["securityContext"], confined);
    assert!(text(&container["image"]).ends_with(&format!(":{VERSION}")));
    for variable in container["env"].as_array().expect("a list") {
        assert!(
            variable["valueFrom"]["secretKeyRef"].is_object(),
            "{variable}"
        );
    }
    let network = of_kind(KUBERNETES, "NetworkPolicy");
    assert_eq!(network["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(network["spec"]["egress"], json!([]));
}

/// SQLite: two at once would be two truths.
#[test]
fn the_key_service_is_one() {
    let deployment = of_kind(KUBERNETES, "Deployment");

    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
}

#[test]
fn everything_selects_the_key_services_pods() {
    let deployment = of_kind(KUBERNETES, "Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let service = of_kind(KUBERNETES, "Service");
    let network = of_kind(KUBERNETES, "NetworkPolicy");
    let budget = of_kind(KUBERNETES, "PodDisruptionBudget");

    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &network["spec"]["podSelector"]["matchLabels"],
        &budget["spec"]["selector"]["matchLabels"],
    ] {
        let selector = selector.as_object().expect("labels");
        assert!(!selector.is_empty());
        for (name, value) in selector {
            assert_eq!(&labels[name], value, "{name}");
        }
    }
}

/// On PostgreSQL it is the same, but for where its records are and how many there are of it.
#[test]
fn on_postgresql_there_are_two_that_keep_nothing() {
    let (one, two) = (
        of_kind(KUBERNETES, "Deployment"),
        of_kind(POSTGRESQL, "Deployment"),
    );
    assert_eq!(two["spec"]["replicas"], 2);
    assert_eq!(two["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(
        two["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
        0
    );
    let container = |of: &Value| of["spec"]["template"]["spec"]["containers"][0].clone();
    let (one, mut two) = (container(&one), container(&two));
    for field in [
        "image",
        "ports",
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "securityContext",
    ] {
        assert_eq!(one[field], two[field], "{field}");
    }
    let arguments = one["args"].as_array().unwrap().iter();
    let arguments: Vec<&Value> = arguments
        .filter(|argument| !text(argument).starts_with("--database"))
        .collect();
    assert_eq!(json!(arguments), two["args"]);
    let password = two["env"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(password["name"], "PGPASSWORD");
    assert!(password["valueFrom"]["secretKeyRef"].is_object());
    let map = documents(POSTGRESQL)
        .into_iter()
        .find(|document| document["metadata"]["name"] == "database")
        .unwrap();
    let url = text(&map["data"]["url"]);
    assert!(
        url.starts_with("postgres://keybound@") && url.contains("sslmode=verify-full"),
        "{url}"
    );
    // Who is not ready has no way to the database: another one answers.
    let service = of_kind(POSTGRESQL, "Service");
    assert!(service["spec"]["publishNotReadyAddresses"].is_null());
    let network = of_kind(POSTGRESQL, "NetworkPolicy");
    assert_eq!(network["spec"]["egress"].as_array().unwrap().len(), 2);
    let secret = of_kind(POSTGRESQL, "Secret");
    for (name, value) in secret["stringData"].as_object().expect("an object") {
        assert!(text(value).len() < 20, "{name}");
    }
}

/// What stands in for a secret must not become one: the service takes no token below 20 characters.
#[test]
fn no_manifest_holds_a_token() {
    let secret = of_kind(KUBERNETES, "Secret");
    for (name, value) in secret["stringData"].as_object().expect("an object") {
        assert!(text(value).len() < 20, "{name}");
    }
    assert!(secret["data"].is_null());
}
