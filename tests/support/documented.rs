//! Configurations as they stand in `docs/`, so that a test runs what users copy.

use crate::config::{Config, Ports, merge};
use crate::failure::{Failure, Result};
use crate::paths;
use serde_json::Value;
use std::fs;

/// The examples in a section of a page, whatever is below its heading's level too.
#[derive(Clone, Debug)]
pub struct Section {
    page: String,
    text: String,
}

impl Section {
    /// Reads `docs/PAGE`; without a heading, all of it.
    pub fn read(page: &str, heading: Option<&str>) -> Result<Self> {
        let text = fs::read_to_string(paths::root().join("docs").join(page))?;
        let text = match heading {
            None => text,
            Some(heading) => text
                .split("\n## ")
                .find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'))
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(format!("docs/{page} has no section {heading:?}")))?,
        };
        Ok(Self {
            page: page.to_owned(),
            text,
        })
    }

    /// Its examples in a language.
    pub fn examples(&self, language: &str) -> Vec<&str> {
        self.text
            .split(&format!("\n```{language}\n"))
            .skip(1)
            .filter_map(|rest| rest.split("\n```").next())
            .collect()
    }

    /// Adds to a configuration all that the section tells to add to it: examples in JSON are settings of the
    /// filter, and those in YAML are parts of envoy.yaml, each under the name of the list or field where it
    /// belongs.
    pub fn add_to(&self, config: &mut Config) -> Result<()> {
        for example in self.examples("json") {
            let settings = serde_json::from_str(example).map_err(|error| self.fault(&error))?;
            config.merge_settings(&settings);
        }
        for example in self.examples("yaml") {
            let parts: Value =
                serde_saphyr::from_str(example).map_err(|error| self.fault(&error))?;
            for (name, mut part) in parts.as_object().cloned().into_iter().flatten() {
                with_ports(&mut part, config.ports());
                self.put(config, &name, part)?;
            }
        }
        Ok(())
    }

    fn put(&self, config: &mut Config, name: &str, part: Value) -> Result<()> {
        let (list, place) = match name {
            // Before the router.
            "http_filters" => {
                let filters = config.http_filters();
                let place = filters.len() - 1;
                (filters, place)
            }
            // Before the one that takes all.
            "routes" => (config.routes(), 0),
            "clusters" => (config.clusters(), 0),
            "json_format" => {
                merge(config.log_format(), &part);
                return Ok(());
            }
            _ => {
                merge(&mut config.http_manager()[name], &part);
                return Ok(());
            }
        };
        let Value::Array(added) = part else {
            return Err(self.fault(&format!("{name} is no list: {part}")));
        };
        list.splice(place..place, added);
        Ok(())
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(format!("docs/{}: {error}", self.page))
    }
}

/// Puts the ports of a test where the shipped ones stand.
fn with_ports(part: &mut Value, ports: Ports) {
    match part {
        Value::Object(fields) => {
            for (name, value) in fields {
                let shipped = value.as_u64().filter(|_| name == "port_value");
                if let Some(port) = shipped.and_then(|port| ports.in_place_of(port)) {
                    *value = port.into();
                }
                with_ports(value, ports);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| with_ports(item, ports)),
        _ => {}
    }
}
