//! A whole gateway: Envoy with the filter, an upstream, and a key service that is scripted or real.

use crate::access_log;
use crate::client::{Request, Response};
use crate::config::{Config, Ports};
use crate::envoy::{Envoy, Start, crashes};
use crate::failure::{Failure, Result};
use crate::key_service::{KeyService, Tokens, filter_configuration};
use crate::paths;
use crate::ports::{self, Port};
use crate::records::{Known, credential};
use crate::scripted::Scripted;
use crate::upstream::{Arrived, Upstream};
use crate::wait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
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
    key_service: Option<KeyService>,
    token: String,
    secrets: Mutex<Vec<String>>,
    folder: Option<TempDir>,
    _ports: Vec<Port>,
}

type Change = Box<dyn FnOnce(&mut Config)>;

/// How to start one.
pub struct Builder {
    real: bool,
    settings: Vec<Value>,
    configure: Vec<Change>,
    environment: BTreeMap<String, String>,
    token: String,
    workers: usize,
    module: Option<PathBuf>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    fn new(real: bool) -> Self {
        let token = credential("gateway-token");
        Self {
            real,
            settings: Vec::new(),
            configure: Vec::new(),
            environment: BTreeMap::from([("KEYBOUND_GATEWAY_TOKEN".to_owned(), token.clone())]),
            token,
            workers: 2,
            module: None,
        }
    }

    /// Lays settings of the filter over the shipped ones.
    #[must_use]
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings.push(settings);
        self
    }

    /// Changes Envoy's configuration in any way.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Sets an environment variable of Envoy, or removes it.
    #[must_use]
    pub fn environment(mut self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.environment.insert(name.to_owned(), value.to_owned()),
            None => self.environment.remove(name),
        };
        self
    }

    /// Another number of workers than two.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Envoy alone, to try out what is around the filter.
    #[must_use]
    pub fn without_filter(self) -> Self {
        // Whatever the path is, nobody reads it.
        self.module(&paths::shipped_configuration())
            .configure(Config::remove_filter)
    }

    /// Another module in the filter's place.
    #[must_use]
    pub fn module(mut self, path: &Path) -> Self {
        self.module = Some(path.to_owned());
        self
    }

    /// Starts everything.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn start(self) -> Gateway {
        match self.try_start().await {
            Ok(gateway) => gateway,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts everything.
    pub async fn try_start(self) -> Result<Gateway> {
        let prepared = self.prepare()?;
        let (ports, token) = (prepared.ports, prepared.token.clone());
        let upstream = Upstream::start(ports.upstream).await?;
        let (key_service, service) = if let Some(behind) = prepared.behind {
            let tokens = Tokens {
                admin: credential("admin-token"),
                gateway: token.clone(),
            };
            fs::write(
                filter_configuration(prepared.folder.path()),
                &prepared.settings,
            )?;
            let key_service = KeyService::start(behind, prepared.folder.path(), tokens).await?;
            (
                Some(key_service),
                Scripted::start(ports.key_service, Some(behind)).await?,
            )
        } else {
            (None, Scripted::start(ports.key_service, None).await?)
        };
        let envoy = Envoy::start(&prepared.start()).await?;
        Ok(Gateway {
            envoy,
            upstream,
            service,
            key_service,
            secrets: Mutex::new(vec![token.clone()]),
            token,
            folder: Some(prepared.folder),
            _ports: prepared.reserved,
        })
    }

    /// Starts Envoy alone, which must refuse its configuration and end. Gives how it ended and its log.
    ///
    /// # Panics
    /// When Envoy cannot be started, or does not end.
    pub async fn refused(self) -> (ExitStatus, String) {
        let outcome = async {
            let prepared = self.prepare()?;
            let (status, log) = Envoy::start_in_vain(&prepared.start()).await?;
            assert!(
                !log.contains(&prepared.token),
                "the log holds the gateway's token"
            );
            Ok::<_, Failure>((status, log))
        };
        match outcome.await {
            Ok(found) => found,
            Err(error) => panic!("{error}"),
        }
    }

    fn prepare(self) -> Result<Prepared> {
        let reserved: Vec<Port> = (0..5).map(|_| ports::reserve()).collect();
        let number = |index: usize| reserved[index].number();
        let ports = Ports {
            gateway: number(0),
            admin: number(1),
            upstream: number(2),
            key_service: number(3),
        };
        let behind = self.real.then(|| number(4));
        let module = match &self.module {
            Some(path) => path.clone(),
            None => paths::module()?,
        };
        let mut config = Config::shipped(ports, &module)?;
        for settings in &self.settings {
            config.merge_settings(settings);
        }
        for change in self.configure {
            change(&mut config);
        }
        let parent = paths::target().join("tests");
        fs::create_dir_all(&parent)?;
        Ok(Prepared {
            settings: config.filter_text(),
            configuration: config.to_text(),
            ports,
            behind,
            reserved,
            token: self.token,
            environment: self.environment.into_iter().collect(),
            workers: self.workers,
            folder: TempDir::with_prefix_in("gateway-", parent)?,
        })
    }
}

struct Prepared {
    configuration: String,
    /// The filter's part of it.
    settings: String,
    ports: Ports,
    behind: Option<u16>,
    reserved: Vec<Port>,
    token: String,
    environment: Vec<(String, String)>,
    workers: usize,
    folder: TempDir,
}

impl Prepared {
    fn start(&self) -> Start<'_> {
        Start {
            configuration: &self.configuration,
            port: self.ports.gateway,
            admin: self.ports.admin,
            workers: self.workers,
            environment: &self.environment,
            folder: self.folder.path(),
        }
    }
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

    /// The real key service.
    ///
    /// # Panics
    /// When the gateway was started with a scripted one.
    pub fn key_service(&mut self) -> &mut KeyService {
        self.key_service
            .as_mut()
            .expect("this gateway has a scripted key service")
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

    fn faults(&mut self) -> Vec<String> {
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
        let faults = self.faults();
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
