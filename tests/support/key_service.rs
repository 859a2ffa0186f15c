//! The real key service: its release binary on a database of its own.

use crate::client::{Request, Response};
use crate::failure::{Failure, Result};
use crate::paths;
use crate::ports;
use crate::process::Process;
use crate::wait::PATIENCE;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A running key service.
#[derive(Debug)]
pub struct KeyService {
    program: PathBuf,
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
    location: String,
    tokens: Tokens,
    settings: Vec<(&'static str, String)>,
}

/// The tokens that it knows from its start.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the admin API.
    pub admin: String,
    /// For the filter.
    pub gateway: String,
}

/// A key that was created.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// Its id.
    pub id: String,
    /// The key in clear.
    pub key: String,
}

/// Where a service keeps its records unless it is told otherwise.
fn database_in(folder: &Path) -> PathBuf {
    folder.join("keys.db")
}

/// Where the filter's configuration is for the service to explain verdicts by, as JSON or in a configuration of
/// Envoy; without one, policies are not known there.
pub fn filter_configuration(folder: &Path) -> PathBuf {
    folder.join("filter.json")
}

impl KeyService {
    /// Starts it on a database in `folder`, which is made if it is not there.
    pub async fn start(port: u16, folder: &Path, tokens: Tokens) -> Result<Self> {
        Self::start_program(paths::key_service()?, port, folder, tokens).await
    }

    /// Starts another program in its place.
    pub async fn start_program(
        program: PathBuf,
        port: u16,
        folder: &Path,
        tokens: Tokens,
    ) -> Result<Self> {
        let location = database_in(folder).display().to_string();
        Self::start_on(program, port, folder, location, tokens).await
    }

    /// The same on a database that is elsewhere.
    pub async fn start_on(
        program: PathBuf,
        port: u16,
        folder: &Path,
        location: String,
        tokens: Tokens,
    ) -> Result<Self> {
        let mut service = Self {
            program,
            process: None,
            port,
            folder: folder.to_owned(),
            location,
            tokens,
            settings: Vec::new(),
        };
        service.run().await?;
        Ok(service)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What opens it.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Sets an environment variable, as from its next start on.
    pub fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.settings.push((variable, value.into()));
    }

    /// Its folder, for files that its settings name.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its database, where that is a file of its own.
    pub fn database(&self) -> PathBuf {
        database_in(&self.folder)
    }

    /// The process, while there is one.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Starts it again on the same port and database.
    pub async fn run(&mut self) -> Result<()> {
        self.run_until("/readyz").await
    }

    /// The same with a database of which it says that it is not ready.
    pub async fn run_unready(&mut self) -> Result<()> {
        self.run_until("/healthz").await
    }

    async fn run_until(&mut self, path: &str) -> Result<()> {
        self.kill();
        let mut command = Command::new(&self.program);
        command
            .args([
                "serve",
                "--listen",
                &format!("127.0.0.1:{}", self.port),
                "--database",
            ])
            .arg(&self.location)
            .env("KEYBOUND_ADMIN_TOKEN", &self.tokens.admin)
            .env("KEYBOUND_GATEWAY_TOKEN", &self.tokens.gateway)
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        let filter = filter_configuration(&self.folder);
        if filter.exists() {
            command.arg("--filter-config").arg(filter);
        }
        let mut process = Process::spawn("key-service", &mut command, &self.folder)?;
        let port = self.port;
        process
            .ready(async || {
                let answer = Request::get(path).send(port).await?;
                if answer.status == 200 {
                    Ok(())
                } else {
                    Err(Failure::new(format!("{path} answers {}", answer.status)))
                }
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
        // A container ends a moment after the process that stands for it.
        let end = Instant::now() + PATIENCE;
        while !ports::is_free(self.port) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in order; it must end well.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.stop().await?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "the key service stopped badly ({status})\n{}",
                process.tail(20)
            )))
        }
    }

    /// Runs its command line on the same database and gives what it prints as JSON.
    pub fn command(&self, arguments: &[&str]) -> Result<Value> {
        let printed = self.print(&[arguments, &["--json"]].concat())?;
        Ok(serde_json::from_str(&printed)?)
    }

    /// Runs its command line on the same database and gives what it prints.
    pub fn print(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--database")
            .arg(&self.location)
            .output()?;
        if !output.status.success() {
            return Err(Failure::new(format!(
                "key-service {} failed ({}): {}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command that asks the running service, with the admin's token, and gives what it prints: to
    /// stdout, then to stderr.
    pub fn asked(&self, arguments: &[&str]) -> Result<(String, String)> {
        let output = Command::new(paths::key_service()?)
            .args(arguments)
            .env("KEYBOUND_SERVER", format!("http://127.0.0.1:{}", self.port))
            .env("KEYBOUND_TOKEN", &self.tokens.admin)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }

    /// Calls the admin API with the admin's token.
    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let mut request = Request::new(method, format!("/admin/v1{path}"))
            .header("authorization", format!("Bearer {}", self.tokens.admin));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .with_body(body.to_string());
        }
        request.send(self.port).await
    }

    /// Calls the admin API and takes anything but success for a failure.
    pub async fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.admin(method, path, body).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Failure::new(format!(
                "{method} {path} answers {}: {}",
                answer.status,
                answer.text()
            )));
        }
        if answer.body.is_empty() {
            Ok(Value::Null)
        } else {
            Ok(answer.json())
        }
    }

    /// Creates a tenant and gives its id.
    pub async fn tenant(&self, name: &str) -> Result<String> {
        let made = self
            .must("POST", "/tenants", Some(&json!({"name": name})))
            .await?;
        text(&made, "id")
    }

    /// Creates a user and gives its id.
    pub async fn user(&self, tenant: &str, name: &str) -> Result<String> {
        let made = self
            .must(
                "POST",
                "/users",
                Some(&json!({"tenant_id": tenant, "name": name, "status": "active"})),
            )
            .await?;
        text(&made, "id")
    }

    /// Creates a key with these fields beside its user's id.
    pub async fn key(&self, user: &str, fields: &Value) -> Result<CreatedKey> {
        let mut body = json!({"user_id": user, "environment": "live"});
        if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
            body.extend(fields.clone());
        }
        let made = self.must("POST", "/keys", Some(&body)).await?;
        Ok(CreatedKey {
            id: text(&made, "id")?,
            key: text(&made, "secret")?,
        })
    }

    /// Imports keys, each an object as the import takes it. Every one must be taken.
    pub async fn import(&self, keys: impl IntoIterator<Item = Value>) -> Result<()> {
        /// Below the size of the largest body that the service takes.
        const LARGEST: usize = 500_000;
        let mut lines = String::new();
        let mut keys = keys.into_iter().peekable();
        while let Some(key) = keys.next() {
            lines.push_str(&format!("{key}\n"));
            if lines.len() > LARGEST || keys.peek().is_none() {
                let request = Request::post("/admin/v1/keys/import", &lines)
                    .header("authorization", format!("Bearer {}", self.tokens.admin))
                    .header("content-type", "application/x-ndjson");
                let answer = request.send(self.port).await?;
                if answer.status != 200 {
                    return Err(Failure::new(format!(
                        "the import answers {}: {}",
                        answer.status,
                        answer.text()
                    )));
                }
                lines.clear();
            }
        }
        Ok(())
    }

    /// Sets the status of `/users/…`, `/tenants/…` or `/keys/…`, whoever uses what it stops.
    pub async fn set_status(&self, path: &str, status: &str) -> Result<()> {
        let path = format!("{path}?force=true");
        self.must("PATCH", &path, Some(&json!({"status": status})))
            .await
            .map(drop)
    }

    /// The value of a counter of its own, summed over those of its labels that hold a text.
    pub async fn counter(&self, name: &str, labels: &str) -> Result<f64> {
        let text = Request::get("/metrics").send(self.port).await?.text();
        if !text.contains(&format!("# TYPE {name} counter")) {
            return Err(Failure::new(format!(
                "the key service has no counter {name}"
            )));
        }
        let sample = format!("{name}_total");
        Ok(text
            .lines()
            .filter(|line| {
                line.strip_prefix(&sample)
                    .is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(labels))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |sum, value| sum + value))
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("the key service's answer has no {field}: {value}")))
}
