//! What the manifests for Istio and Envoy Gateway put into Envoy's configuration, in a real Envoy in the place of what
//! the shipped configuration has: the access log, the label of refusals, and the headers of answers.

use crate::now;
use serde_json::{Value, json};
use support::client::Request;
use support::config::Config;
use support::gateway::Gateway;
use support::{manifests, records, wait};

/// Takes away what the manifests must bring.
fn strip(config: &mut Config) {
    config.at("/stats_config")["stats_tags"] = json!([]);
    let manager = config.http_manager();
    manager["access_log"] = json!([]);
    manager["route_config"]["response_headers_to_add"] = json!([]);
    for cluster in config.clusters() {
        cluster["typed_extension_protocol_options"] = json!(null);
    }
}

/// Merges as Istio does: messages field by field, lists by appending.
fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(patch)) => base.extend(patch.iter().cloned()),
        (base, patch) => *base = patch.clone(),
    }
}

fn as_istio_does(config: &mut Config) {
    strip(config);
    let manager = manifests::istio_merges("NETWORK_FILTER");
    merge(config.http_manager(), &manager["typed_config"]);
    let routes = manifests::istio_merges("ROUTE_CONFIGURATION");
    merge(&mut config.http_manager()["route_config"], &routes);
    merge(config.at(""), &manifests::istio_merges("BOOTSTRAP"));
}

/// How Envoy Gateway writes its access log is its own: of the manifest are the fields.
fn as_envoy_gateway_does(config: &mut Config) {
    strip(config);
    config.http_manager()["access_log"] = json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/stdout",
            "log_format": {"json_format": manifests::gateway_log_format()},
        },
    }]);
    *config.at("/stats_config") = manifests::gateway_adds("/stats_config");
    config.http_manager()["route_config"]["response_headers_to_add"] =
        manifests::gateway_routes("/response_headers_to_add");
}

async fn tells(change: fn(&mut Config)) {
    let gateway = Gateway::scripted()
        .settings(json!({"credentials": [{"header": "x-api-key"}, {"query": "api_key"}]}))
        .configure(change)
        .start()
        .await;
    let suspended = gateway.knows(records::active("out").user_status("suspended"));
    let replaced = gateway.knows(
        records::active("old")
            .key("replaced_by", "key_newer")
            .key("replaced_at", 1_790_000_000)
            .key("expires_at", now() + 3600),
    );

    let refused = gateway
        .send(&Request::get(format!("/refused?api_key={suspended}")))
        .await;
    let allowed = gateway
        .send(&Request::get(format!("/allowed?api_key={replaced}")).header("answer-vary", "origin"))
        .await;

    assert_eq!((refused.status, allowed.status), (403, 200));
    assert!(allowed.header("sunset").is_some());
    assert_eq!(allowed.header("deprecation"), Some("@1790000000"));
    let vary = allowed.header_values("vary").join(",");
    for name in [
        "origin",
        "x-api-key",
        "x-key-id",
        "x-user-id",
        "x-tenant-id",
        "x-key-scopes",
    ] {
        assert!(vary.split(',').any(|told| told.trim() == name), "{vary}");
    }
    let fields = [
        "method",
        "status",
        "code",
        "refused_key_id",
        "refused_user_id",
        "refused_tenant_id",
        "key_id",
        "user_id",
        "tenant_id",
    ];
    let told = |entry: Value| -> Value { fields.map(|name| entry[name].clone()).into() };
    assert_eq!(
        told(gateway.logged("/refused").await),
        json!([
            "GET",
            403,
            "user_suspended",
            "key_out",
            "usr_out",
            "ten_out",
            null,
            null,
            null
        ])
    );
    assert_eq!(
        told(gateway.logged("/allowed").await),
        json!([
            "GET", 200, null, null, null, null, "key_old", "usr_old", "ten_old"
        ])
    );
    gateway.counted("rejected.user_suspended", 1).await;
    wait::until("the code as a label", async || {
        let scrape = gateway.envoy.admin("/stats/prometheus").await;
        let scrape = scrape.map_err(|error| error.to_string())?.text();
        let wanted = r#"keybound_rejected{code="user_suspended"} 1"#;
        let version = r#"keybound_build_info{version=""#;
        if scrape.contains(wanted) && scrape.contains(version) {
            Ok(())
        } else {
            Err("it is not there".to_owned())
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_istio() {
    tells(as_istio_does).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_envoy_gateway() {
    tells(as_envoy_gateway_does).await;
}
