//! How a gateway is put together and started.

use super::Gateway;
use crate::config::{Config, Ports};
use crate::documented::Section;
use crate::envoy::{DRAIN, Envoy, Start};
use crate::failure::{Failure, Result};
use crate::fault_proxy::FaultProxy;
use crate::home::Home;
use crate::key_service::{KeyService, Tokens, filter_configuration};
use crate::paths;
use crate::ports::{self, Port};
use crate::records::credential;
use crate::scripted::Scripted;
use crate::upstream::Upstream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use tempfile::TempDir;

type Change = Box<dyn FnOnce(&mut Config)>;
type Script = Box<dyn FnOnce(&Scripted)>;

/// How to start one.
pub struct Builder {
    real: bool,
    direct: bool,
    fault_proxy: bool,
    database: Option<PathBuf>,
    postgresql: Option<String>,
    follows_second: bool,
    location: Option<String>,
    settings: Vec<Value>,
    configure: Vec<Change>,
    environment: BTreeMap<String, String>,
    token: String,
    workers: usize,
    module: Option<PathBuf>,
    script: Option<Script>,
    updates: bool,
    drain: u32,
    hot_restart: bool,
    debug: bool,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new(real: bool) -> Self {
        let token = credential("gateway-token");
        Self {
            real,
            direct: false,
            fault_proxy: false,
            database: None,
            postgresql: None,
            follows_second: false,
            location: None,
            settings: Vec::new(),
            configure: Vec::new(),
            environment: BTreeMap::from([("KEYBOUND_GATEWAY_TOKEN".to_owned(), token.clone())]),
            token,
            workers: 2,
            module: None,
            script: None,
            updates: false,
            drain: DRAIN,
            hot_restart: false,
            debug: true,
        }
    }

    /// Replaced listeners have this many seconds to end.
    #[must_use]
    pub fn drains_for(mut self, seconds: u32) -> Self {
        self.drain = seconds;
        self
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

    /// Adds what a section of a page under `docs/` tells to add; without a heading, the whole page.
    #[must_use]
    pub fn documented(self, page: &str, heading: Option<&str>) -> Self {
        let section = Section::read(page, heading).unwrap_or_else(|error| panic!("{error}"));
        self.configure(move |config| {
            section
                .add_to(config)
                .unwrap_or_else(|error| panic!("{error}"));
        })
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

    /// A proxy that damages bytes between Envoy and the key service. A real service is then reached
    /// through nothing else.
    #[must_use]
    pub fn fault_proxy(mut self) -> Self {
        self.fault_proxy = true;
        self
    }

    /// Nothing between Envoy and a real key service: neither what counts nor what scripts answers.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// A real key service begins with a copy of this database.
    #[must_use]
    pub fn database(mut self, path: &Path) -> Self {
        self.database = Some(path.to_owned());
        self
    }

    /// Two real key services on this database of PostgreSQL, both in Envoy's cluster. Between Envoy and them is
    /// either a proxy for each ([`Builder::fault_proxy`]) or nothing.
    #[must_use]
    pub fn postgresql(mut self, url: &str) -> Self {
        self.postgresql = Some(url.to_owned());
        self
    }

    /// Envoy's cluster holds the second of them alone.
    #[must_use]
    pub fn follows_second(mut self) -> Self {
        self.follows_second = true;
        self
    }

    /// A real key service keeps its records in this database of PostgreSQL.
    #[must_use]
    pub fn records_in(mut self, url: &str) -> Self {
        self.location = Some(url.to_owned());
        self
    }

    /// What the scripted service is told before Envoy starts.
    #[must_use]
    pub fn script(mut self, script: impl FnOnce(&Scripted) + 'static) -> Self {
        self.script = Some(Box::new(script));
        self
    }

    /// Envoy reads its listeners from a file, so that [`Gateway::update`] can replace them.
    #[must_use]
    pub fn updates(mut self) -> Self {
        self.updates = true;
        self
    }

    /// Envoy allows [`Envoy::hot_restart`](crate::envoy::Envoy::hot_restart).
    #[must_use]
    pub fn hot_restart(mut self) -> Self {
        self.hot_restart = true;
        self
    }

    /// Neither access log nor debug lines: they would be most of what a million requests cost.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.debug = false;
        self.configure(|config| config.http_manager()["access_log"] = json!([]))
    }

    /// Envoy answers allowed requests itself, so that no upstream shares the processors.
    #[must_use]
    pub fn without_upstream(self) -> Self {
        self.configure(|config| {
            config.routes()[0] =
                json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
        })
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
    pub async fn try_start(mut self) -> Result<Gateway> {
        let script = self.script.take();
        let prepared = self.prepare()?;
        let number = |part: Part| prepared.reserved[part as usize].number();
        let upstream = Upstream::start(number(Part::Upstream)).await?;

        // Envoy, the fault proxy, the counting service, the real one: each that there is talks to the next.
        let key_services = prepared.key_services().await?;
        let behind = key_services.first().map(KeyService::port);
        let counting = if prepared.fault_proxy || prepared.is_direct() {
            number(Part::Unseen)
        } else {
            number(Part::KeyService)
        };
        let service = Scripted::start(counting, behind).await?;
        if let Some(script) = script {
            script(&service);
        }
        let mut fault_proxies = Vec::new();
        if prepared.fault_proxy {
            let mut behind: Vec<u16> = key_services.iter().map(KeyService::port).collect();
            if behind.is_empty() {
                behind.push(counting);
            }
            for (front, behind) in FRONTS.into_iter().zip(behind) {
                fault_proxies.push(FaultProxy::start(number(front), behind).await?);
            }
        }
        let envoy = Envoy::start(prepared.start()).await?;
        Ok(Gateway {
            envoy,
            upstream,
            service,
            fault_proxies,
            key_services,
            secrets: Mutex::new(vec![prepared.token.clone()]),
            token: prepared.token,
            config: prepared.config,
            listeners: prepared.listeners,
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
        let reserved: Vec<Port> = (0..Part::COUNT).map(|_| ports::reserve()).collect();
        let number = |part: Part| reserved[part as usize].number();
        let ports = Ports {
            gateway: number(Part::Gateway),
            admin: number(Part::Admin),
            upstream: number(Part::Upstream),
            key_service: number(Part::KeyService),
        };
        let module = match &self.module {
            Some(path) => path.clone(),
            None => Home::chosen().module()?,
        };
        let mut environment = self.environment;
        let special = self.fault_proxy || self.updates || self.hot_restart;
        let elsewhere = self.postgresql.is_some() || self.location.is_some();
        let composed = composed()?.filter(|_| self.real && !special && !elsewhere);
        let mut config = if composed.is_some() {
            environment.insert("KEYBOUND_PORT".to_owned(), ports.gateway.to_string());
            environment.insert("KEYBOUND_STATS_PORT".to_owned(), ports.admin.to_string());
            Config::composed()?
        } else {
            Config::shipped(ports, &module)?
        };
        if self.postgresql.is_some() {
            let fronts = FRONTS.into_iter().skip(usize::from(self.follows_second));
            config.lead_to_key_services(fronts.map(number));
        }
        for settings in &self.settings {
            config.merge_settings(settings);
        }
        for change in self.configure {
            change(&mut config);
        }
        let parent = paths::target().join("tests");
        fs::create_dir_all(&parent)?;
        let folder = TempDir::with_prefix_in("gateway-", parent)?;
        if let Some(database) = &self.database {
            fs::copy(database, folder.path().join("keys.db"))?;
        }
        let (configuration, listeners) = if self.updates {
            let file = folder.path().join("listeners.json");
            fs::write(&file, config.listeners_file(0))?;
            (config.with_listeners_from(&file), Some(file))
        } else {
            (config.to_text(), None)
        };
        let start = Start {
            configuration,
            port: ports.gateway,
            admin: ports.admin,
            workers: self.workers,
            environment: environment.into_iter().collect(),
            folder: folder.path().to_owned(),
            drain: self.drain,
            hot_restart: self.hot_restart,
            debug: self.debug,
        };
        Ok(Prepared {
            settings: config.filter_text(),
            start,
            config,
            listeners,
            real: self.real,
            composed,
            direct: self.direct,
            fault_proxy: self.fault_proxy,
            postgresql: self.postgresql,
            location: self.location,
            reserved,
            token: self.token,
            folder,
        })
    }
}

/// Where a gateway with the real key service is to be the composed system, with the test's settings: the program
/// that starts a container in place of the key service. The one that ENVOY names then starts another: see
/// `tests/containers`. What a test does to files or to the connection between the two needs processes.
fn composed() -> Result<Option<PathBuf>> {
    paths::named_by("KEYBOUND_COMPOSED")
}

/// Whose port it is.
#[derive(Clone, Copy)]
enum Part {
    Gateway,
    Admin,
    Upstream,
    /// What Envoy takes for the key service.
    KeyService,
    RealService,
    /// The same for a second one on the same database.
    OtherKeyService,
    OtherRealService,
    /// The scripted service where something else stands before it.
    Unseen,
}

impl Part {
    const COUNT: usize = Self::Unseen as usize + 1;
}

/// What Envoy takes for key services.
const FRONTS: [Part; 2] = [Part::KeyService, Part::OtherKeyService];

struct Prepared {
    start: Start,
    /// The filter's part of the configuration.
    settings: String,
    config: Config,
    listeners: Option<PathBuf>,
    real: bool,
    composed: Option<PathBuf>,
    direct: bool,
    fault_proxy: bool,
    postgresql: Option<String>,
    location: Option<String>,
    reserved: Vec<Port>,
    token: String,
    folder: TempDir,
}

impl Prepared {
    fn start(&self) -> Start {
        self.start.clone()
    }

    /// Whether Envoy talks to the real key services themselves.
    fn is_direct(&self) -> bool {
        self.direct || (self.postgresql.is_some() && !self.fault_proxy)
    }

    async fn key_services(&self) -> Result<Vec<KeyService>> {
        if !self.real {
            return Ok(Vec::new());
        }
        let tokens = Tokens {
            admin: credential("admin-token"),
            gateway: self.token.clone(),
        };
        let folder = self.folder.path();
        fs::write(filter_configuration(folder), &self.settings)?;
        let program = match &self.composed {
            Some(program) => program.clone(),
            None => paths::key_service()?,
        };
        let ports = if self.is_direct() {
            FRONTS
        } else {
            [Part::RealService, Part::OtherRealService]
        };
        let [first, second] = ports.map(|part| self.reserved[part as usize].number());
        let Some(url) = &self.postgresql else {
            let service = match self.location.clone() {
                Some(location) => {
                    KeyService::start_on(program, first, folder, location, tokens).await?
                }
                None => KeyService::start_program(program, first, folder, tokens).await?,
            };
            return Ok(vec![service]);
        };
        let mut services = Vec::new();
        for port in [first, second] {
            let folder = folder.join(format!("key-service-{port}"));
            fs::create_dir(&folder)?;
            let (program, tokens) = (program.clone(), tokens.clone());
            services.push(KeyService::start_on(program, port, &folder, url.clone(), tokens).await?);
        }
        Ok(services)
    }
}
