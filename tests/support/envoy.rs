//! A real Envoy.

use crate::client::{Request, Response};
use crate::failure::{Failure, Result};
use crate::paths;
use crate::process::Process;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
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

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: u16,
    port: u16,
}

/// How to start one.
#[derive(Debug)]
pub struct Start<'a> {
    /// The configuration, in YAML or JSON.
    pub configuration: &'a str,
    /// Where clients will connect.
    pub port: u16,
    /// Where its own interface will be.
    pub admin: u16,
    /// Worker threads.
    pub workers: usize,
    /// Environment variables.
    pub environment: &'a [(String, String)],
    /// Where its files go.
    pub folder: &'a Path,
}

impl Envoy {
    /// Starts it and waits until it serves.
    pub async fn start(start: &Start<'_>) -> Result<Self> {
        let mut envoy = Self::launch(start)?;
        let (admin, port) = (envoy.admin, envoy.port);
        envoy
            .process
            .ready(async || {
                let answer = Request::get("/ready").send(admin).await?;
                if answer.status != 200 {
                    return Err(Failure::new(format!(
                        "/ready answers {}: {}",
                        answer.status,
                        answer.text()
                    )));
                }
                TcpStream::connect(("127.0.0.1", port)).await?;
                Ok(())
            })
            .await?;
        Ok(envoy)
    }

    /// Starts it and waits until it ends by itself, as it does with a configuration that it refuses.
    /// Gives how it ended and what it logged.
    pub async fn start_in_vain(start: &Start<'_>) -> Result<(ExitStatus, String)> {
        let mut envoy = Self::launch(start)?;
        let status = envoy.process.wait().await?;
        Ok((status, envoy.process.log()))
    }

    fn launch(start: &Start<'_>) -> Result<Self> {
        let file = start.folder.join("envoy.yaml");
        fs::write(&file, start.configuration)?;
        let mut command = Command::new(paths::envoy()?);
        command
            .arg("--config-path")
            .arg(&file)
            .args(["--concurrency", &start.workers.to_string()])
            // Tests run side by side: none may take over another's listeners.
            .arg("--disable-hot-restart")
            .args(["--log-level", "info", "--component-log-level", "wasm:debug"])
            // Access log lines are wanted at once, not every ten seconds.
            .args(["--file-flush-interval-msec", "20"])
            .envs(start.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::spawn("envoy", &mut command, start.folder)?;
        Ok(Self {
            process,
            admin: start.admin,
            port: start.port,
        })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks Envoy's own interface.
    pub async fn admin(&self, target: &str) -> Result<Response> {
        Request::get(target).send(self.admin).await
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

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its access log.
    pub fn access_log(&self) -> String {
        self.process.output()
    }
}

/// Lines of a log that tell of a crash.
pub fn crashes(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| CRASHES.iter().any(|sign| line.contains(sign)))
        .collect()
}
