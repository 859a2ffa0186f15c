//! Where a file holds the filter's configuration: the JSON that the filter reads, or what brings it to Envoy.

use std::collections::BTreeSet;

use keybound::config::{self, ConfigError};
use keybound::gate::Settings;
use serde_json::Value;

/// A configuration of the filter, as it arrives there.
#[derive(Debug)]
pub struct Configuration {
    /// What holds it, such as `WasmPlugin keybound`; nothing where it is the file itself.
    pub holder: Option<String>,
    text: Vec<u8>,
    /// The environment variables that the filter sees; nothing where the file does not say.
    variables: Option<BTreeSet<String>>,
}

const KINDS: &str = "the filter's own JSON, a WasmPlugin of Istio, an EnvoyExtensionPolicy of Envoy Gateway, or a \
                     configuration of Envoy with the filter in it";

const DYNAMIC_MODULE: &str = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";

/// The configurations of the filter in a file. Those of other plugins are left out, as far as they can be told.
///
/// # Errors
/// There is none. The error does not repeat what is in the file.
pub fn configurations(text: &[u8]) -> Result<Vec<Configuration>, String> {
    let is_blank = text.trim_ascii().is_empty();
    let documents = match std::str::from_utf8(text) {
        Ok(text) if !is_blank => serde_saphyr::from_multiple::<Value>(text),
        _ => return Ok(vec![Configuration::whole(text)]),
    };
    let looks_like_json = text.trim_ascii_start().starts_with(b"{");
    let documents = match documents {
        Ok(documents) => documents,
        // Its own reader says better what is wrong with it.
        Err(_) if looks_like_json => return Ok(vec![Configuration::whole(text)]),
        Err(error) => return Err(format!("not YAML: {}", error.without_snippet())),
    };
    let mut found = Vec::new();
    for document in &documents {
        collect(document, &mut found);
    }
    if found.is_empty() && looks_like_json {
        return Ok(vec![Configuration::whole(text)]);
    }
    if found.is_empty() {
        return Err(format!(
            "holds no configuration of the filter: give {KINDS}"
        ));
    }
    if found.iter().any(Configuration::is_ours) {
        found.retain(Configuration::is_ours);
    }
    Ok(found)
}

impl Configuration {
    /// The text is that of the filter.
    fn whole(text: &[u8]) -> Self {
        Self {
            holder: None,
            text: text.to_owned(),
            variables: None,
        }
    }

    fn is_ours(&self) -> bool {
        let named = self
            .holder
            .as_ref()
            .is_some_and(|holder| holder.contains("keybound"));
        let key_service = b"key_service";
        named
            || self
                .text
                .windows(key_service.len())
                .any(|part| part == key_service)
    }

    /// What the filter makes of it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(&self) -> Result<Settings, Vec<ConfigError>> {
        config::check(&self.text, &|name| self.variable(name))
    }

    /// Variables belong to the gateway: only whether they are handed on can be seen here.
    fn variable(&self, name: &str) -> Option<String> {
        let is_set = self
            .variables
            .as_ref()
            .is_none_or(|known| known.contains(name));
        is_set.then(|| "set-at-the-gateway".to_owned())
    }
}

/// Goes through all of a document, since a filter may be deep in it.
fn collect(value: &Value, found: &mut Vec<Configuration>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            let kind = text(value, "kind");
            let kind_of_message = text(value, "@type");
            if kind == "WasmPlugin" {
                found.push(of_wasm_plugin(value));
            } else if kind == "EnvoyExtensionPolicy" {
                let plugins = value.pointer("/spec/wasm").and_then(Value::as_array);
                found.extend(plugins.into_iter().flatten().map(of_envoy_gateway));
                let modules = value.pointer("/spec/dynamicModule");
                let modules = modules.and_then(Value::as_array);
                found.extend(modules.into_iter().flatten().map(of_envoy_gateways_module));
            } else if kind_of_message.ends_with("envoy.extensions.filters.http.wasm.v3.Wasm") {
                found.extend(value.get("config").map(of_envoy));
            } else if kind_of_message.ends_with(DYNAMIC_MODULE) {
                found.push(of_dynamic_module(value));
            } else {
                fields.values().for_each(|field| collect(field, found));
            }
        }
        _ => {}
    }
}

/// Istio hands `pluginConfig` over as JSON in a StringValue.
fn of_wasm_plugin(plugin: &Value) -> Configuration {
    let name = plugin.pointer("/metadata/name");
    let environment = plugin.pointer("/spec/vmConfig/env");
    let environment = environment.and_then(Value::as_array);
    Configuration {
        holder: Some(format!(
            "WasmPlugin {}",
            name.map(shown).unwrap_or_default()
        )),
        text: json(plugin.pointer("/spec/pluginConfig")),
        variables: Some(
            environment
                .into_iter()
                .flatten()
                .map(|variable| text(variable, "name"))
                .collect(),
        ),
    }
}

/// Envoy Gateway hands `config` over as JSON in a StringValue.
fn of_envoy_gateway(plugin: &Value) -> Configuration {
    let variables = plugin.pointer("/env/hostKeys");
    Configuration {
        holder: Some(format!("EnvoyExtensionPolicy {}", text(plugin, "name"))),
        text: json(plugin.get("config")),
        variables: Some(texts(variables).collect()),
    }
}

fn of_envoy(config: &Value) -> Configuration {
    let configuration = config.get("configuration");
    let is_text = configuration
        .map(|configuration| text(configuration, "@type"))
        .is_some_and(|kind| kind.ends_with("google.protobuf.StringValue"));
    let environment = config.pointer("/vm_config/environment_variables");
    let handed_on = environment.and_then(|environment| environment.get("host_env_keys"));
    let set = environment.and_then(|environment| environment.get("key_values")?.as_object());
    let set = set.into_iter().flat_map(|set| set.keys().cloned());
    Configuration {
        holder: Some(format!("filter {}", text(config, "name"))),
        text: match configuration {
            None => Vec::new(),
            Some(configuration) if is_text => text(configuration, "value").into_bytes(),
            // Any other message arrives in binary form: this is one, and the filter knows it for what it is.
            Some(_) => b"\x0a\x05\x0a\x01k\x12\x00".to_vec(),
        },
        variables: Some(texts(handed_on).chain(set).collect()),
    }
}

/// Envoy Gateway hands `config` over as JSON in a StringValue. A dynamic module sees all variables of Envoy.
fn of_envoy_gateways_module(module: &Value) -> Configuration {
    Configuration {
        holder: Some(format!("EnvoyExtensionPolicy {}", text(module, "name"))),
        text: json(module.get("config")),
        variables: None,
    }
}

/// Envoy hands a StringValue over as it is, and a Struct as JSON.
fn of_dynamic_module(filter: &Value) -> Configuration {
    let configuration = filter.get("filter_config");
    let kind = configuration.map(|configuration| text(configuration, "@type"));
    let is_struct = kind.is_some_and(|kind| kind.ends_with("google.protobuf.Struct"));
    let value = configuration.and_then(|configuration| configuration.get("value"));
    Configuration {
        holder: Some(format!("filter {}", text(filter, "filter_name"))),
        text: match value {
            Some(value) if is_struct => json(Some(value)),
            value => value.map(shown).unwrap_or_default().into_bytes(),
        },
        variables: None,
    }
}

fn json(value: Option<&Value>) -> Vec<u8> {
    value.map(Value::to_string).unwrap_or_default().into_bytes()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).map(shown).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let configurations = configurations(text.as_bytes()).unwrap();
        configurations
            .iter()
            .flat_map(|configuration| {
                let holder = configuration.holder.clone().unwrap_or_default();
                let problems = configuration.read().err().unwrap_or_default();
                problems
                    .into_iter()
                    .map(move |problem| format!("{holder}: {problem}"))
            })
            .collect()
    }

    #[test]
    fn it_is_found_in_all_that_brings_it_to_envoy() {
        let istio = "kind: WasmPlugin\nmetadata: {name: keybound}\nspec:\n  vmConfig: {env: [{name: TOKEN}]}\n  \
                     pluginConfig: {key_service: {cluster: c, token_env: TOKEN}, preflight: pas}";
        let gateway = "kind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - name: keybound\n    env: {hostKeys: [TOKEN]}\n    \
                       config: {key_service: {cluster: c, token_env: TOKEN}, preflight: pas}";
        let envoy = r#"
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          http_filters:
          - name: keybound
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: keybound
                vm_config: {environment_variables: {host_env_keys: [TOKEN]}}
                configuration:
                  "@type": type.googleapis.com/google.protobuf.StringValue
                  value: '{"key_service": {"cluster": "c", "token_env": "TOKEN"}, "preflight": "pas"}'
"#;
        for (text, holder) in [
            (istio, "WasmPlugin keybound"),
            (gateway, "EnvoyExtensionPolicy keybound"),
            (envoy, "filter keybound"),
        ] {
            let found = problems(text);
            let expected =
                format!("{holder}: preflight: must be \"pass\" or \"check\", not \"pas\"");
            assert_eq!(found, [expected]);
            // A variable that is not handed on is not there for the filter.
            let [problem] = problems(
                &text
                    .replace("[TOKEN]", "[]")
                    .replace("[{name: TOKEN}]", "[]"),
            )
            .into_iter()
            .filter(|problem| problem.contains("token_env"))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
            assert!(
                problem.contains("the environment variable TOKEN is not set"),
                "{problem}"
            );
        }
        // Among other documents and plugins, and in a list.
        let other = "kind: WasmPlugin\nmetadata: {name: other}\nspec: {pluginConfig: {a: 1}}";
        assert_eq!(problems(&format!("{other}\n---\n{istio}")).len(), 1);
        let list = format!("kind: List\nitems:\n- {}", istio.replace('\n', "\n  "));
        assert_eq!(problems(&list).len(), 1);
    }

    #[test]
    fn a_message_that_is_no_text_is_told_as_the_filter_does() {
        let text = r#"{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {
            "name": "keybound", "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}}}"#;
        let [problem] = problems(text).try_into().unwrap();
        assert!(problem.contains("google.protobuf.Struct"), "{problem}");
        let without = r#"{"@type": "x/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"name": "keybound"}}"#;
        let [problem] = problems(without).try_into().unwrap();
        assert!(problem.contains("configuration: empty"), "{problem}");
    }

    #[test]
    fn it_is_found_where_it_is_a_dynamic_module() {
        let module = r#"{"@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "keybound"}, "filter_name": "keybound", "filter_config": CONFIG}"#;
        let text = r#"{"@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": "{\"key_service\": {\"cluster\": \"c\", \"token_env\": \"TOKEN\"}, \"preflight\": \"pas\"}"}"#;
        let fields = r#"{"@type": "type.googleapis.com/google.protobuf.Struct",
            "value": {"key_service": {"cluster": "c", "token_env": "TOKEN"}, "preflight": "pas"}}"#;
        let gateway = "kind: EnvoyExtensionPolicy\nspec:\n  dynamicModule:\n  - name: keybound\n    filterName: keybound\n    \
                       config: {key_service: {cluster: c, token_env: TOKEN}, preflight: pas}";
        for (text, holder) in [
            (module.replace("CONFIG", text), "filter keybound"),
            (module.replace("CONFIG", fields), "filter keybound"),
            (gateway.to_owned(), "EnvoyExtensionPolicy keybound"),
        ] {
            let expected =
                format!("{holder}: preflight: must be \"pass\" or \"check\", not \"pas\"");
            assert_eq!(problems(&text), [expected]);
        }
        let [problem] = problems(&module.replace("CONFIG", "null"))
            .try_into()
            .unwrap();
        assert!(problem.contains("configuration: empty"), "{problem}");
    }

    #[test]
    fn json_is_the_filters_own_text() {
        assert_eq!(
            problems(r#"{"key_service": {"cluster": "c", "token_env": "T"}}"#).len(),
            0
        );
        let [problem] = problems(
            r#"{"key_service": {"cluster": "c"}, "preflight": "pass", "preflight": "pass"}"#,
        )
        .try_into()
        .unwrap();
        assert!(problem.contains("preflight: given twice"), "{problem}");
        let [problem] = problems("{\"key_service\": ").try_into().unwrap();
        assert!(problem.contains("not JSON"), "{problem}");
        let [problem] = problems(" \n").try_into().unwrap();
        assert!(problem.contains("empty"), "{problem}");
    }

    #[test]
    fn a_file_without_one_says_what_is_wanted_and_not_what_is_there() {
        for text in [
            "secret",
            "a: secret\nb: [1",
            "kind: Secret\ndata: {a: secret}",
            "[]",
        ] {
            let problem = configurations(text.as_bytes()).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
