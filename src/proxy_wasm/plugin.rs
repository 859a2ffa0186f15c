//! A configuration that runs in this VM: the host and the worker that it drives.

use std::cell::RefCell;
use std::time::Duration;

use log::error;
use proxy_wasm::hostcalls as sdk;
use proxy_wasm::types::{BufferType, LogLevel};

use super::envoy::{Envoy, unique_name};
use super::hostcalls;
use crate::config;
use crate::gate::Edition;
use crate::host::Clocks;
use crate::time::Instant;
use crate::worker::{TICK, Worker};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
}}

/// What the root context of a plugin and its requests share.
#[derive(Debug)]
pub(super) struct Plugin {
    pub(super) envoy: Envoy,
    pub(super) worker: RefCell<Worker>,
}

impl Plugin {
    /// Takes over the configuration; nothing where it is refused.
    pub(super) fn configure(root: u32) -> Option<Self> {
        let text = sdk::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        let text = text.ok().flatten().unwrap_or_default();
        match config::parse(&text, &|name| std::env::var(name).ok()) {
            Ok(settings) if settings.internal_redirects && !Envoy::declare_note() => {
                error!(
                    "keybound configuration: internal_redirects: this host cannot keep what it needs"
                );
                None
            }
            Ok(settings) => {
                let envoy = Envoy::new(root);
                let edition = edition(&text, Instant::from_millis(envoy.monotonic_millis()));
                let worker = Worker::new(settings, unique_name(), Some(edition), &envoy);
                let _ = sdk::set_tick_period(Duration::from_millis(TICK));
                Some(Self {
                    worker: RefCell::new(worker),
                    envoy,
                })
            }
            Err(wrong) => {
                error!("keybound configuration: {wrong}");
                None
            }
        }
    }

    /// Calls the worker in a callback of the root context.
    pub(super) fn drive(&self, act: impl FnOnce(&mut Worker, &Envoy)) {
        self.envoy.is_called_back();
        act(&mut self.worker.borrow_mut(), &self.envoy);
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.worker.borrow_mut().end(&self.envoy);
    }
}

/// What this runs: Envoy's `name` and `root_id` tell the plugin from others in the process, and its text, its
/// variables and the module's version tell it from itself before an update.
fn edition(configuration: &[u8], now: Instant) -> Edition {
    let plugin = ["plugin_name", "plugin_root_id"].map(|name| {
        let value = hostcalls::property(name.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    });
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").into(),
        String::from_utf8_lossy(configuration).into_owned(),
    ];
    for (name, value) in std::env::vars_os() {
        parts.push(name.to_string_lossy().into_owned());
        parts.push(value.to_string_lossy().into_owned());
    }
    let borrowed: Vec<&str> = parts.iter().map(String::as_str).collect();
    Edition::new(&plugin.each_ref().map(String::as_str), &borrowed, now)
}

/// Takes over the host's log level, which an operator can change at any time: a line that the host would
/// drop is then not even written.
pub(super) fn follow_log_level() {
    if let Ok(level) = sdk::get_log_level() {
        proxy_wasm::set_log_level(level);
    }
}
