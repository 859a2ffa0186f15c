//! In which home the filter runs: as a Proxy-Wasm module, or as an Envoy dynamic module. Tests write their configurations
//! for the first; for the other one the same settings are put into its own form when Envoy is started.

use crate::failure::Result;
use crate::paths;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A home of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In Envoy's sandbox for WebAssembly: the default.
    Wasm,
    /// In Envoy itself.
    Native,
}

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
/// The variable by which Envoy is told where modules are.
pub const SEARCH_PATH: &str = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH";

/// The guard without which the counters of a module are called otherwise than those of the other home.
pub const STRIPS_PREFIX: &str =
    "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

const NATIVE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

impl Home {
    /// The home that `KEYBOUND_HOME` names: `wasm` or `native`.
    ///
    /// # Panics
    /// When it names another.
    pub fn chosen() -> Self {
        match std::env::var("KEYBOUND_HOME").as_deref() {
            Err(_) | Ok("" | "wasm") => Self::Wasm,
            Ok("native") => Self::Native,
            Ok(other) => panic!("KEYBOUND_HOME is {other:?}: wasm or native"),
        }
    }

    /// Where Envoy looks for modules, as an environment variable of its own.
    pub fn environment(self) -> Option<(String, String)> {
        let folder = match self {
            Self::Wasm => return None,
            Self::Native => paths::target(),
        };
        Some((SEARCH_PATH.to_owned(), folder.display().to_string()))
    }

    /// What the filter was built into.
    pub fn module(self) -> Result<PathBuf> {
        match self {
            Self::Wasm => paths::module(),
            Self::Native => paths::native_module(),
        }
    }

    /// A filter of an HTTP connection manager for this home.
    pub fn filter(self, filter: &Value) -> Value {
        let mut filter = filter.clone();
        if self == Self::Native {
            to_native(&mut filter);
        }
        filter
    }

    /// A configuration of Envoy for this home.
    pub fn configured(self, envoy: &Value) -> Value {
        let mut envoy = envoy.clone();
        if self == Self::Native {
            to_native(&mut envoy);
            if let Some(layers) = envoy.pointer_mut("/layered_runtime/layers/0/static_layer") {
                layers[STRIPS_PREFIX] = json!(true);
            }
        }
        envoy
    }
}

fn to_native(part: &mut Value) {
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(to_native),
        Value::Object(fields) if fields.get("@type").is_some_and(|kind| kind == WASM) => {
            let configuration = part["config"]["configuration"].take();
            *part = json!({
                "@type": NATIVE,
                "dynamic_module_config": {
                    "name": "keybound", "do_not_close": true, "metrics_namespace": "wasmcustom",
                },
                "filter_name": "keybound",
            });
            if !configuration.is_null() {
                part["filter_config"] = configuration;
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(to_native),
        _ => {}
    }
}
