//! A whole gateway: Envoy with the filter, an upstream, and a key service that is scripted or real.

mod builder;

pub use builder::Builder;

use crate::access_log;
use crate::client::{Request, Response};
use crate::config::Config;
use crate::envoy::{Envoy, crashes};
use crate::failure::Result;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::key_service::KeyService;
use crate::ports::Port;
use crate::records::{Known, credential};
use crate::scripted::Scripted;
use crate::upstream::{Arrived, Upstream};
use crate::wait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// What every counter of the filter begins with.
const COUNTERS: &str = "wasmcustom.keybound.";

/// A running gateway. Dropping it stops everything, and then fails the test if Envoy's log tells of a
/// crash or holds a secret.
#[derive(Debug)]
pub struct Gateway {
    /// Envoy.
    pub envoy: Envoy,
    /// Where allowed requests arrive.
    pub upstream: Upstream,
    /// What Envoy takes for the key service. In front of a real one it only counts, until it is told
    /// otherwise.
    pub service: Scripted,
    fault_proxies: Vec<FaultProxy>,
    key_services: Vec<KeyService>,
    token: String,
    secrets: Mutex<Vec<String>>,
    config: Config,
    /// The file of Envoy's listeners, where they can be updated.
    listeners: Option<PathBuf>,
    folder: Option<TempDir>,
    _ports: Vec<Port>,
}

impl Gateway {
    /// With a key service that does what the test says.
    pub fn scripted() -> Builder {
        Builder::new(false)
    }

    /// With the real key service.
    pub fn real() -> Builder {
        Builder::new(true)
    }

    /// The real key service; the first, where there are several on one database.
    ///
    /// # Panics
    /// When the gateway was started with a scripted one.
    pub fn key_service(&mut self) -> &mut KeyService {
        self.key_services
            .first_mut()
            .expect("this gateway has a scripted key service")
    }

    /// All of them.
    pub fn key_services(&mut self) -> &mut [KeyService] {
        &mut self.key_services
    }

    /// From now on this happens between Envoy and every key service.
    ///
    /// # Panics
    /// When the gateway was started without [`Builder::fault_proxy`].
    pub fn disturb(&self, fault: Fault) {
        assert!(
            !self.fault_proxies.is_empty(),
            "this gateway has no fault proxy"
        );
        for proxy in &self.fault_proxies {
            proxy.set(fault);
        }
    }

    /// Gives Envoy another configuration of its listener, and waits until it has taken it.
    ///
    /// # Panics
    /// When Envoy refuses it, or its listeners are not read from a file.
    pub async fn update(&mut self, change: impl FnOnce(&mut Config)) -> Result<()> {
        const UPDATES: &str = "listener_manager.lds.update_";
        let file = self
            .listeners
            .as_ref()
            .expect("this gateway was started without updates()");
        let before = self.envoy.stats(UPDATES).await?;
        let count = |stats: &BTreeMap<String, u64>, name: &str| {
            stats.get(&format!("{UPDATES}{name}")).copied().unwrap_or(0)
        };
        change(&mut self.config);
        let version = count(&before, "success") + count(&before, "rejected");
        let partial = file.with_extension("partial");
        fs::write(&partial, self.config.listeners_file(version))?;
        fs::rename(&partial, file)?;
        wait::until("Envoy to take the update", async || {
            let now = self
                .envoy
                .stats(UPDATES)
                .await
                .map_err(|error| error.to_string())?;
            assert_eq!(
                count(&now, "rejected"),
                count(&before, "rejected"),
                "Envoy refuses the update"
            );
            if count(&now, "success") > count(&before, "success") {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.envoy.port()
    }

    /// The token with which the filter asks the key service.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Teaches the scripted service a key and gives its credential, which from now on is a secret.
    pub fn knows(&self, known: Known) -> String {
        self.service.knows(&known);
        self.secret(&known.credential);
        known.credential
    }

    /// A credential that nobody knows. It is a secret all the same: it may be another's, mistyped.
    pub fn stranger(&self) -> String {
        let credential = credential("stranger");
        self.secret(&credential);
        credential
    }

    /// What must not be in Envoy's logs.
    pub fn secret(&self, secret: &str) {
        self.secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(secret.to_owned());
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn send(&self, request: &Request) -> Response {
        match request.send(self.port()).await {
            Ok(response) => response,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a GET.
    pub async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(&Request::get(target).headers(headers)).await
    }

    /// Sends a request that must be allowed, and gives it as the upstream saw it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn passed(&self, request: &Request) -> Arrived {
        let answer = self.send(request).await;
        assert_eq!(answer.status, 200, "refused: {}", answer.text());
        serde_json::from_slice(&answer.body).expect("the upstream's answer")
    }

    /// The filter's counters and gauges as they are now, without what all their names begin with.
    pub async fn counters(&self) -> BTreeMap<String, u64> {
        let stats = self.envoy.stats(COUNTERS).await.unwrap_or_default();
        stats
            .into_iter()
            .map(|(name, value)| (name[COUNTERS.len()..].to_owned(), value))
            .collect()
    }

    /// Waits until a counter has this value. Counters are collected in each VM and leave it on a tick.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn counted(&self, name: &str, value: u64) {
        let outcome = wait::until(&format!("counter {name} to be {value}"), async || {
            let counters = self.counters().await;
            if counters.get(name).copied().unwrap_or(0) == value {
                Ok(())
            } else {
                Err(format!("{counters:?}"))
            }
        })
        .await;
        if let Err(error) = outcome {
            panic!("{error}");
        }
    }

    /// Waits for the access log's entry of the only request for this path.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub async fn logged(&self, path: &str) -> Value {
        let outcome = wait::until(&format!("the access log's entry for {path}"), async || {
            let mut entries = access_log::of_path(&self.envoy.access_log(), path);
            if entries.len() > 1 {
                panic!(
                    "{path} is in the access log {} times: {entries:?}",
                    entries.len()
                );
            }
            entries.pop().ok_or_else(|| "none".to_owned())
        })
        .await;
        match outcome {
            Ok(entry) => entry,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until Envoy's log holds a text.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn log_says(&self, text: &str) {
        let outcome = wait::until(&format!("{text:?} in Envoy's log"), async || {
            if self.envoy.log().contains(text) {
                Ok(())
            } else {
                Err("it is not there".to_owned())
            }
        })
        .await;
        if let Err(error) = outcome {
            panic!("{error}");
        }
    }

    fn wrong(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        // Stopped first: what it logs while it ends counts too.
        match self.envoy.process().stop_now() {
            Ok(status) if status.success() => {}
            Ok(status) => faults.push(format!("Envoy ended badly: {status}")),
            Err(error) => faults.push(error.to_string()),
        }
        let (log, access_log) = (self.envoy.log(), self.envoy.access_log());
        faults.extend(
            crashes(&log)
                .into_iter()
                .map(|line| format!("a crash in Envoy's log: {line}")),
        );
        for secret in self
            .secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            for (name, text) in [("log", &log), ("access log", &access_log)] {
                if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
                    faults.push(format!("a secret in Envoy's {name}: {line}"));
                }
            }
        }
        faults
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let faults = self.wrong();
        if panicking || !faults.is_empty() {
            let kept = self.folder.take().map(TempDir::keep).unwrap_or_default();
            eprintln!("{}", self.envoy.process().tail(40));
            eprintln!("logs of the failed test: {}", kept.display());
        }
        for fault in &faults {
            eprintln!("{fault}");
        }
        assert!(panicking || faults.is_empty(), "{}", faults.join("\n"));
    }
}
