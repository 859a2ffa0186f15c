//! Envoy's configuration, always made from the file that users copy, so that a test of the filter is a
//! test of that file too.

use crate::failure::{Failure, Result};
use crate::home::Home;
use crate::paths;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The ports of a gateway and of what it talks to.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Where clients connect.
    pub gateway: u16,
    /// Envoy's own interface.
    pub admin: u16,
    /// The cluster `upstream`.
    pub upstream: u16,
    /// The cluster `key_service`.
    pub key_service: u16,
}

impl Ports {
    /// The ports as they stand in the shipped file.
    pub const SHIPPED: Self = Self {
        gateway: 10000,
        admin: 9901,
        upstream: 8082,
        key_service: 8081,
    };

    /// The port that stands for a shipped one.
    pub fn in_place_of(self, shipped: u64) -> Option<u16> {
        let all = [
            (Self::SHIPPED.gateway, self.gateway),
            (Self::SHIPPED.admin, self.admin),
            (Self::SHIPPED.upstream, self.upstream),
            (Self::SHIPPED.key_service, self.key_service),
        ];
        all.into_iter()
            .find(|(port, _)| u64::from(*port) == shipped)
            .map(|(_, port)| port)
    }
}

/// The module's path as it stands in the shipped file.
const SHIPPED_MODULE: &str = "/etc/envoy/keybound.wasm";

/// The shipped file's text with other ports and another module, and nothing else changed.
pub fn shipped_with(ports: Ports, module: &Path) -> Result<String> {
    let text = fs::read_to_string(paths::shipped_configuration())?;
    let text = with_ports(text, ports)?;
    replace_once(&text, SHIPPED_MODULE, &module.display().to_string())
}

/// The text of the file that users of a home copy, with other ports and its module, and nothing else changed.
pub fn shipped_for(home: Home, ports: Ports) -> Result<String> {
    let module = home.module()?;
    match home {
        Home::Wasm => shipped_with(ports, &module),
        // Envoy's environment says where the module is.
        Home::Native => with_ports(fs::read_to_string(paths::native_configuration())?, ports),
    }
}

fn with_ports(mut text: String, ports: Ports) -> Result<String> {
    let shipped = Ports::SHIPPED;
    // First to what no port is, so that exchanged ports do not meet each other.
    let all = [
        (shipped.gateway, ports.gateway),
        (shipped.admin, ports.admin),
        (shipped.upstream, ports.upstream),
        (shipped.key_service, ports.key_service),
    ];
    for (old, _) in all {
        text = replace_once(
            &text,
            &format!("port_value: {old} "),
            &format!("port_value: @{old}@ "),
        )?;
    }
    for (old, new) in all {
        text = replace_once(&text, &format!("@{old}@"), &new.to_string())?;
    }
    Ok(text)
}

/// Replaces what must be there exactly once.
pub fn replace_once(text: &str, old: &str, new: &str) -> Result<String> {
    match text.matches(old).count() {
        1 => Ok(text.replacen(old, new, 1)),
        count => Err(Failure::new(format!(
            "envoy.yaml holds {old:?} {count} times instead of once"
        ))),
    }
}

/// A configuration that a test changes in places.
#[derive(Clone, Debug)]
pub struct Config {
    envoy: Value,
    ports: Ports,
}

impl Config {
    /// The shipped configuration with these ports.
    pub fn shipped(ports: Ports, module: &Path) -> Result<Self> {
        let text = shipped_with(ports, module)?;
        serde_saphyr::from_str(&text)
            .map(|envoy| Self { envoy, ports })
            .map_err(|error| Failure::new(format!("envoy.yaml is not YAML: {error}")))
    }

    /// The shipped configuration of the composed system, in which every address is settled.
    pub fn composed() -> Result<Self> {
        let text = fs::read_to_string(paths::root().join("envoy/compose/envoy.yaml"))?;
        let ports = Ports::SHIPPED;
        serde_saphyr::from_str(&text)
            .map(|envoy| Self { envoy, ports })
            .map_err(|error| Failure::new(format!("envoy/compose/envoy.yaml is not YAML: {error}")))
    }

    /// As text for Envoy.
    pub fn to_text(&self) -> String {
        Home::chosen().configured(&self.envoy).to_string()
    }

    /// As text for Envoy, with the listeners in a file of their own.
    pub fn with_listeners_from(&self, file: &Path) -> String {
        let mut config = Home::chosen().configured(&self.envoy);
        config["static_resources"]["listeners"] = json!([]);
        config["node"] = json!({"id": "gateway", "cluster": "gateway"});
        config["dynamic_resources"] = json!({
            "lds_config": {"path_config_source": {"path": file.display().to_string()}},
        });
        config.to_string()
    }

    /// The text of that file.
    pub fn listeners_file(&self, version: u64) -> String {
        let envoy = Home::chosen().configured(&self.envoy);
        let mut listeners = envoy["static_resources"]["listeners"].clone();
        for listener in listeners.as_array_mut().into_iter().flatten() {
            listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        }
        json!({"version_info": version.to_string(), "resources": listeners}).to_string()
    }

    /// Any part, by JSON pointer.
    ///
    /// # Panics
    /// When the shipped file has no such part.
    pub fn at(&mut self, pointer: &str) -> &mut Value {
        self.envoy
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("envoy.yaml has no {pointer}"))
    }

    /// The HTTP connection manager of the listener.
    pub fn http_manager(&mut self) -> &mut Value {
        self.at("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
    }

    /// The ports that it has.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The HTTP filters, the router last.
    pub fn http_filters(&mut self) -> &mut Vec<Value> {
        match self.http_manager().pointer_mut("/http_filters") {
            Some(Value::Array(filters)) => filters,
            _ => panic!("envoy.yaml has no filters"),
        }
    }

    /// The fields of the access log.
    pub fn log_format(&mut self) -> &mut Value {
        self.http_manager()
            .pointer_mut("/access_log/0/typed_config/log_format/json_format")
            .unwrap_or_else(|| panic!("envoy.yaml has no format of its access log"))
    }

    /// The routes of the only virtual host.
    pub fn routes(&mut self) -> &mut Vec<Value> {
        match self
            .http_manager()
            .pointer_mut("/route_config/virtual_hosts/0/routes")
        {
            Some(Value::Array(routes)) => routes,
            _ => panic!("envoy.yaml has no routes"),
        }
    }

    /// The clusters.
    pub fn clusters(&mut self) -> &mut Vec<Value> {
        match self.at("/static_resources/clusters") {
            Value::Array(clusters) => clusters,
            _ => panic!("envoy.yaml has no clusters"),
        }
    }

    /// Key services on these ports of 127.0.0.1, each as good as another.
    pub fn lead_to_key_services(&mut self, ports: impl Iterator<Item = u16>) {
        let endpoint = |port| json!({"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}});
        let endpoints: Vec<Value> = ports.map(endpoint).collect();
        for cluster in self.clusters() {
            if cluster["name"] == "key_service" {
                cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = json!(endpoints);
            }
        }
    }

    /// Takes the filter away: Envoy alone.
    pub fn remove_filter(&mut self) {
        self.http_filters()
            .retain(|filter| filter["name"] != "keybound");
    }

    /// The message that configures the plugin: its VM and its settings.
    pub fn plugin(&mut self) -> &mut Value {
        self.http_manager()
            .pointer_mut("/http_filters/0/typed_config/config")
            .unwrap_or_else(|| panic!("envoy.yaml has no filter"))
    }

    /// The filter's settings as they are now.
    ///
    /// # Panics
    /// When they are not JSON in a StringValue.
    pub fn settings(&mut self) -> Value {
        let text = self.plugin()["configuration"]["value"]
            .as_str()
            .expect("a StringValue")
            .to_owned();
        serde_json::from_str(&text).expect("the filter's settings are JSON")
    }

    /// The text of the filter's settings, whatever it is; empty where there is no filter.
    pub fn filter_text(&mut self) -> String {
        self.http_manager()
            .pointer("/http_filters/0/typed_config/config/configuration/value")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Sets the filter's settings, in whatever text.
    pub fn set_settings(&mut self, text: &str) {
        self.plugin()["configuration"]["value"] = json!(text);
    }

    /// Lays these settings over those that are there: objects are merged, anything else replaced.
    pub fn merge_settings(&mut self, changes: &Value) {
        let mut settings = self.settings();
        merge(&mut settings, changes);
        self.set_settings(&settings.to_string());
    }
}

/// Lays changes over a value: objects are merged, anything else replaced.
pub fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(base.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (base, changes) => *base = changes.clone(),
    }
}
