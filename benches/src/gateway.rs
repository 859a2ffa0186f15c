//! The Envoy process that is measured, with a listener for each filter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::client::Request;
use support::config::{Config, Ports};
use support::failure::{Failure, Result};
use support::home::{Home, SEARCH_PATH, STRIPS_PREFIX};
use support::paths;
use support::ports::{self, Port};
use support::process::Process;

use crate::authorization;

/// A listener: the shipped one with another filter, which answers every request by itself.
#[derive(Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Its filter before the router.
    pub filter: Option<Value>,
    /// Whether responses tell of keys that will stop working, as the shipped configuration does.
    pub notices: bool,
}

/// Modules of both homes.
#[derive(Debug)]
pub struct Modules {
    /// Ours, for Proxy-Wasm.
    pub keybound: PathBuf,
    /// One that does nothing, as the SDK makes it.
    pub empty: PathBuf,
    /// The same without the exports that it does not need.
    pub empty_trimmed: PathBuf,
    /// One that makes the host calls of a hit, and does nothing else.
    pub host_calls: PathBuf,
    template: Value,
}

/// The services that Envoy asks.
#[derive(Debug, Clone, Copy)]
pub struct Services {
    /// Of the key service.
    pub key_service: u16,
    /// Of the authorization service.
    pub authorization: authorization::Ports,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    admin: u16,
    listeners: Vec<(String, Port)>,
    _reserved: Vec<Port>,
}

/// Which processors who runs on: Envoy on the first, everything else on the others.
#[derive(Debug)]
pub struct Processors {
    envoy: CpuSet,
    others: CpuSet,
}

impl Processors {
    /// Shares out the processors that this program may use; nothing where there is only one.
    pub fn share_out() -> Result<Option<Self>> {
        let failed = |error| Failure::new(format!("which processors there are: {error}"));
        let all = sched_getaffinity(Pid::from_raw(0)).map_err(failed)?;
        let (mut envoy, mut others) = (CpuSet::new(), CpuSet::new());
        let mut count = 0;
        for processor in 0..CpuSet::count() {
            if all.is_set(processor).map_err(failed)? {
                let set = if count == 0 { &mut envoy } else { &mut others };
                set.set(processor).map_err(failed)?;
                count += 1;
            }
        }
        Ok((count > 1).then_some(Self { envoy, others }))
    }

    /// Moves this thread, and what it starts from now on, away from Envoy.
    pub fn leave_to_envoy(&self) -> Result<()> {
        pin(&self.others)
    }

    fn enter_envoy(&self) -> Result<()> {
        pin(&self.envoy)
    }
}

fn pin(processors: &CpuSet) -> Result<()> {
    sched_setaffinity(Pid::from_raw(0), processors)
        .map_err(|error| Failure::new(format!("moving to another processor: {error}")))
}

impl Modules {
    /// Where they are, once they are built.
    pub fn built() -> Result<Self> {
        let keybound = paths::module()?;
        let folder = folder();
        let mut config = Config::shipped(Ports::SHIPPED, &keybound)?;
        let template = config
            .http_manager()
            .pointer("/http_filters/0")
            .cloned()
            .ok_or_else(|| Failure::new("envoy.yaml has no filter"))?;
        Ok(Self {
            keybound,
            empty: folder.join("empty.wasm"),
            empty_trimmed: folder.join("empty-trimmed.wasm"),
            host_calls: folder.join("host-calls.wasm"),
            template,
        })
    }

    /// A filter as the shipped configuration has it, with another module, memory and settings.
    pub fn filter(&self, module: &Path, vm: &str, settings: &str) -> Value {
        let mut filter = self.template.clone();
        filter["name"] = vm.into();
        let plugin = &mut filter["typed_config"]["config"];
        plugin["name"] = vm.into();
        plugin["configuration"]["value"] = settings.into();
        plugin["vm_config"]["vm_id"] = vm.into();
        plugin["vm_config"]["code"]["local"]["filename"] = module.display().to_string().into();
        filter
    }

    /// The calls of Envoy that a hit makes as a dynamic module, and nothing else.
    pub fn native_calls(&self) -> Value {
        let mut filter = Home::Native.filter(&self.template);
        filter["typed_config"]["dynamic_module_config"]["name"] = "native_calls".into();
        filter
    }
}

/// Keybound with these settings beside the required ones.
pub fn keybound(modules: &Modules, home: Home, vm: &str, settings: &Value) -> Value {
    let mut all = json!({
        "key_service": {"cluster": "key_service", "token_env": "KEYBOUND_GATEWAY_TOKEN"},
    });
    for (name, value) in settings.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    home.filter(&modules.filter(&modules.keybound, vm, &all.to_string()))
}

/// Where modules are taken from and results are written to.
pub fn folder() -> PathBuf {
    paths::target().join("bench")
}

impl Gateway {
    /// Starts Envoy with one worker on a processor of its own.
    pub async fn start(
        listeners: Vec<Listener>,
        modules: &Modules,
        services: Services,
        processors: Option<&Processors>,
    ) -> Result<Self> {
        let reserved: Vec<Port> = (0..3).map(|_| ports::reserve()).collect();
        let ports = Ports {
            gateway: reserved[0].number(),
            admin: reserved[1].number(),
            upstream: reserved[2].number(),
            key_service: services.key_service,
        };
        let mut config = Config::shipped(ports, &modules.keybound)?;
        let shipped = config.at("/static_resources/listeners/0").clone();
        let mut named = Vec::new();
        let mut configured = Vec::new();
        for listener in listeners {
            let port = ports::reserve();
            configured.push(listener.configure(&shipped, port.number()));
            named.push((listener.name, port));
        }
        *config.at("/static_resources/listeners") = configured.into();
        config
            .clusters()
            .extend(authorization_clusters(services.authorization));

        let folder = folder().join("run");
        fs::create_dir_all(&folder)?;
        let file = folder.join("envoy.json");
        config.at("/layered_runtime/layers/0/static_layer")[STRIPS_PREFIX] = true.into();
        fs::write(&file, config.at("").to_string())?;
        let mut command = Command::new(paths::envoy()?);
        command
            .arg("--config-path")
            .arg(&file)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["--log-level", "warn"])
            .env("KEYBOUND_GATEWAY_TOKEN", "bench")
            .env(SEARCH_PATH, self::folder());
        for old in ["envoy.log", "envoy.out"] {
            let _ = fs::remove_file(folder.join(old));
        }
        // Its threads inherit the place of the thread that starts it.
        if let Some(processors) = processors {
            processors.enter_envoy()?;
        }
        let process = Process::spawn("envoy", &mut command, &folder);
        if let Some(processors) = processors {
            processors.leave_to_envoy()?;
        }
        let mut gateway = Self {
            process: process?,
            admin: ports.admin,
            listeners: named,
            _reserved: reserved,
        };
        let admin = gateway.admin;
        gateway
            .process
            .ready(async || match Request::get("/ready").send(admin).await? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(Failure::new(answer.text())),
            })
            .await?;
        Ok(gateway)
    }

    /// The port of a listener.
    pub fn port(&self, listener: &str) -> Result<u16> {
        self.listeners
            .iter()
            .find(|(name, _)| name == listener)
            .map(|(_, port)| port.number())
            .ok_or_else(|| Failure::new(format!("there is no listener {listener}")))
    }

    /// Processor time of the whole process until now, to the nanosecond.
    pub fn cpu_time(&self) -> Result<Duration> {
        let time = clock_getcpuclockid(self.pid()?)
            .and_then(ClockId::now)
            .map_err(|error| Failure::new(format!("processor time of Envoy: {error}")))?;
        Ok(time.into())
    }

    /// Memory of the process.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid()?)
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.process.id())
            .map(Pid::from_raw)
            .map_err(|error| Failure::new(error.to_string()))
    }

    /// A counter of the filter, over all listeners; 0 where it has not counted yet.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let name = format!("wasmcustom.keybound.{name}");
        let answer = Request::get(format!("/stats?filter=^{name}$"))
            .send(self.admin)
            .await?;
        let text = answer.text();
        let value = text.split_once(": ").map_or("0", |(_, value)| value.trim());
        value
            .parse()
            .map_err(|_| Failure::new(format!("{name} is {value:?}")))
    }
}

impl Listener {
    fn configure(&self, shipped: &Value, port: u16) -> Value {
        let mut listener = shipped.clone();
        listener["name"] = self.name.clone().into();
        listener["address"]["socket_address"]["port_value"] = port.into();
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        manager["stat_prefix"] = self.name.clone().into();
        if let Some(manager) = manager.as_object_mut() {
            // A log would be measured too, and everybody's is different.
            manager.remove("access_log");
            // While a million keys are warmed up, the connections of other measurements stay open.
            manager["common_http_protocol_options"]["idle_timeout"] = json!("3600s");
        }
        let router = manager["http_filters"]
            .as_array()
            .and_then(|filters| filters.last())
            .cloned();
        let filters: Vec<Value> = self.filter.clone().into_iter().chain(router).collect();
        manager["http_filters"] = filters.into();
        let routes = &mut manager["route_config"];
        if let (Some(routes), false) = (routes.as_object_mut(), self.notices) {
            routes.remove("response_headers_to_add");
        }
        routes["virtual_hosts"][0]["routes"] = json!([{
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
        }]);
        listener
    }
}

fn authorization_clusters(ports: authorization::Ports) -> [Value; 2] {
    let cluster = |name: &str, port: u16| {
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                    "address": "127.0.0.1", "port_value": port,
                }}}}]}],
            },
        })
    };
    let http = cluster("authorization_http", ports.http);
    let mut grpc = cluster("authorization_grpc", ports.grpc);
    grpc["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    });
    [http, grpc]
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All that is resident.
    pub resident: u64,
    /// The part of it that is linear memory of WebAssembly VMs.
    pub wasm: u64,
}

/// V8 reserves this much address space behind the memory of each VM, so that no access needs a check.
const GUARD: u64 = 4 << 30;

impl Memory {
    fn of(process: Pid) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/smaps"))?;
        let mut memory = Self::default();
        // Linear memory is the writable mapping directly in front of a guard.
        let mut candidate = 0;
        let mut writable = false;
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("Rss:") {
                let kilobytes: u64 = value
                    .trim()
                    .trim_end_matches(" kB")
                    .parse()
                    .unwrap_or_default();
                memory.resident += kilobytes * 1024;
                candidate = if writable { kilobytes * 1024 } else { 0 };
            } else if let Some((length, rights)) = mapping(line) {
                if length >= GUARD && rights.starts_with("---") {
                    memory.wasm += candidate;
                }
                writable = rights.starts_with("rw");
            }
        }
        Ok(memory)
    }
}

/// The length and the rights of a mapping, from the first line about it.
fn mapping(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split(' ');
    let (begin, end) = words.next()?.split_once('-')?;
    let begin = u64::from_str_radix(begin, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    Some((end - begin, words.next()?))
}
