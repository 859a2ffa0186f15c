//! A real Envoy.

use crate::client::{Request, Response};
use crate::failure::{Failure, Result};
use crate::home::Home;
use crate::paths;
use crate::process::Process;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use tokio::net::TcpStream;

/// What an Envoy writes when code of the filter crashed, or when the filter called the host wrongly.
const CRASHES: [&str; 6] = [
    "[critical]",
    "wasm trap",
    "in-VM backtrace",
    "Function: proxy_on_",
    "Uncaught RuntimeError",
    "panicked at",
];

/// How long connections of a replaced listener or process have to end, in seconds, unless a test says otherwise.
pub const DRAIN: u32 = 2;

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    /// Those that a hot restart replaced, until they have ended.
    replaced: Vec<Process>,
    epoch: u32,
    start: Start,
}

/// How to start one.
#[derive(Clone, Debug)]
pub struct Start {
    /// The configuration, in YAML or JSON.
    pub configuration: String,
    /// Where clients will connect.
    pub port: u16,
    /// Where its own interface will be.
    pub admin: u16,
    /// Worker threads.
    pub workers: usize,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where its files go.
    pub folder: PathBuf,
    /// How long connections of a replaced listener or process have to end, in seconds.
    pub drain: u32,
    /// Whether another process may take over from it.
    pub hot_restart: bool,
    /// Whether it logs what the filter says to those who look for a fault in it.
    pub debug: bool,
}

impl Envoy {
    /// Starts it and waits until it serves.
    pub async fn start(start: Start) -> Result<Self> {
        let epoch = 0;
        let mut process = launch(&start, epoch)?;
        serves(&mut process, &start, epoch).await?;
        Ok(Self {
            process,
            replaced: Vec::new(),
            epoch,
            start,
        })
    }

    /// Starts it and waits until it ends by itself, as it does with a configuration that it refuses.
    /// Gives how it ended and what it logged.
    pub async fn start_in_vain(start: &Start) -> Result<(ExitStatus, String)> {
        let mut process = launch(start, 0)?;
        let status = process.wait().await?;
        Ok((status, process.log()))
    }

    /// Starts another process, which takes over the listeners; waits until that one serves. The first one
    /// goes on with the connections that it has, for a while.
    pub async fn hot_restart(&mut self) -> Result<()> {
        if !self.start.hot_restart {
            return Err(Failure::new("this Envoy was started without hot restart"));
        }
        let epoch = self.epoch + 1;
        let mut process = launch(&self.start, epoch)?;
        serves(&mut process, &self.start, epoch).await?;
        self.replaced
            .push(std::mem::replace(&mut self.process, process));
        self.epoch = epoch;
        Ok(())
    }

    /// Waits until the processes that were replaced have ended, each in order.
    pub async fn replaced_have_ended(&mut self) -> Result<()> {
        for mut process in self.replaced.drain(..) {
            let status = process.wait().await?;
            if !status.success() {
                return Err(Failure::new(format!(
                    "the replaced Envoy ended badly: {status}"
                )));
            }
        }
        Ok(())
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.start.port
    }

    /// Asks Envoy's own interface.
    pub async fn admin(&self, target: &str) -> Result<Response> {
        Request::get(target).send(self.start.admin).await
    }

    /// Counters and gauges whose name begins with `prefix`.
    pub async fn stats(&self, prefix: &str) -> Result<BTreeMap<String, u64>> {
        let answer = self.admin("/stats").await?;
        Ok(answer
            .text()
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.starts_with(prefix))
            .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
            .collect())
    }

    /// Bytes of memory that it occupies.
    pub fn resident_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"))
            .and_then(|kibibytes| kibibytes.trim().parse::<u64>().ok())
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| Failure::new("/proc does not tell Envoy's memory"))
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its access log.
    pub fn access_log(&self) -> String {
        self.process.output()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if self.start.hot_restart {
            // What the processes shared, which Envoy leaves behind.
            let name = format!("/dev/shm/envoy_shared_memory_{}0", self.start.admin);
            let _ = fs::remove_file(name);
        }
    }
}

fn launch(start: &Start, epoch: u32) -> Result<Process> {
    let file = start.folder.join("envoy.yaml");
    fs::write(&file, &start.configuration)?;
    let mut command = Command::new(paths::envoy()?);
    command
        .arg("--config-path")
        .arg(&file)
        .args(["--concurrency", &start.workers.to_string()])
        .args(["--log-level", "info"])
        .args(["--drain-time-s", &start.drain.to_string()])
        .args(["--parent-shutdown-time-s", &(2 * start.drain).to_string()])
        // Access log lines are wanted at once, not every ten seconds.
        .args(["--file-flush-interval-msec", "20"])
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .envs(Home::chosen().environment());
    if start.debug {
        command.args(["--component-log-level", "wasm:debug,dynamic_modules:debug"]);
    }
    if start.hot_restart {
        command
            // Of this Envoy alone, since its port is reserved on the whole machine.
            .args(["--base-id", &start.admin.to_string()])
            .args(["--restart-epoch", &epoch.to_string()]);
    } else {
        // Tests run side by side: none may take over another's listeners.
        command.arg("--disable-hot-restart");
    }
    Process::spawn("envoy", &mut command, &start.folder)
}

/// Waits until the process itself serves, and not one whose place it takes.
async fn serves(process: &mut Process, start: &Start, epoch: u32) -> Result<()> {
    let (admin, port) = (start.admin, start.port);
    process
        .ready(async || {
            let answer = Request::get("/server_info").send(admin).await?;
            let info: Value = serde_json::from_slice(&answer.body)?;
            let found = info["command_line_options"]["restart_epoch"]
                .as_u64()
                .unwrap_or(0);
            if info["state"] != "LIVE" || found != u64::from(epoch) {
                return Err(Failure::new(format!(
                    "/server_info answers {}, epoch {found}",
                    info["state"]
                )));
            }
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await
}

/// Which Envoy it is, as major and minor number: some of what is documented is for later ones.
pub fn version() -> Result<(u32, u32)> {
    let output = Command::new(paths::envoy()?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // PATH  version: HASH/1.40.0/Clean/RELEASE/BoringSSL
    let mut numbers = text
        .split_once("version: ")
        .and_then(|(_, version)| version.split('/').nth(1))
        .unwrap_or_default()
        .split('.')
        .map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(Failure::new(format!("no version in {text:?}"))),
    }
}

/// Lines of a log that tell of a crash.
pub fn crashes(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| CRASHES.iter().any(|sign| line.contains(sign)))
        .collect()
}
