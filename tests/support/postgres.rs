//! PostgreSQL servers for tests: made and started in a moment, of the version that is asked for, and gone with
//! whoever started them. `make postgresql` fetches the programs.

use crate::failure::{Failure, Result};
use crate::paths;
use crate::ports::{self, Port};
use crate::process::{Process, cleaner};
use crate::wait::PATIENCE;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Major versions that the package holds, oldest first.
pub const VERSIONS: [&str; 2] = ["16", "18"];
/// The role that owns everything. It is let in without a password.
pub const ROLE: &str = "keybound";
/// A role that is let in with its password alone; made by [`Server::guard`].
pub const GUARDED: &str = "guarded";

/// Nobody: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
const PAUSE: Duration = Duration::from_millis(20);

/// A server with a cluster of its own. Dropping it ends the one and removes the other.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: Port,
    process: Option<Process>,
    cleaner: Child,
}

impl Server {
    /// Makes a cluster and starts it.
    ///
    /// Nothing is forced to the disk: what a killed process wrote is there all the same, and only a machine that
    /// loses its power would lose it.
    pub fn start(version: &str) -> Result<Self> {
        let mut server = Self::prepare(version)?;
        let data = server.data();
        let mut init = server.program("initdb");
        init.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust"])
            .arg(format!("--username={ROLE}"))
            .arg("--pgdata")
            .arg(&data);
        done(&mut init)?;
        let rules = data.join("pg_hba.conf");
        let others = fs::read_to_string(&rules)?;
        fs::write(
            &rules,
            format!("host all {GUARDED} 127.0.0.1/32 scram-sha-256\n{others}"),
        )?;
        server.set(
            "fsync = off\nfull_page_writes = off\nshared_buffers = 32MB\nmax_connections = 600\n\
             unix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\nmax_wal_senders = 4\n\
             autovacuum_naptime = 5\n",
        )?;
        server.resume()?;
        Ok(server)
    }

    /// A standby of this server, which follows it until it is promoted.
    pub fn standby(&self, version: &str) -> Result<Self> {
        let mut standby = Self::prepare(version)?;
        let mut copy = self.program("pg_basebackup");
        copy.args(["--checkpoint=fast", "--write-recovery-conf", "--no-sync"])
            .args(["--host=127.0.0.1", "--port", &self.port().to_string()])
            .arg(format!("--username={ROLE}"))
            .arg("--pgdata")
            .arg(standby.data());
        done(&mut copy)?;
        standby.resume()?;
        Ok(standby)
    }

    fn prepare(version: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let programs = paths::target().join("postgresql").join(version).join("bin");
        if !programs.join("postgres").exists() {
            return Err(Failure::new(format!(
                "there is no PostgreSQL {version} in {}: run `make postgresql`",
                programs.display()
            )));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keybound-postgresql-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(Self {
            programs,
            port: ports::reserve(),
            process: None,
            cleaner: cleaner(&folder)?,
            folder,
        })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where a service finds a database of it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port())
    }

    /// The same for the role that needs a password.
    pub fn guarded_url(&self, database: &str, password: &str) -> String {
        let port = self.port();
        match password {
            "" => format!("postgres://{GUARDED}@127.0.0.1:{port}/{database}"),
            password => format!("postgres://{GUARDED}:{password}@127.0.0.1:{port}/{database}"),
        }
    }

    /// Makes the role that needs a password, and lets it do everything.
    pub fn guard(&self, password: &str) -> Result<()> {
        let sql = format!("CREATE ROLE {GUARDED} LOGIN SUPERUSER PASSWORD '{password}'");
        self.ask("postgres", &sql).map(drop)
    }

    /// Makes a database.
    pub fn create(&self, database: &str) -> Result<()> {
        let sql = format!("CREATE DATABASE {database}");
        self.ask("postgres", &sql).map(drop)
    }

    /// Makes a database that is a copy of another, to which nobody is connected.
    pub fn copy(&self, template: &str, database: &str) -> Result<()> {
        let sql = format!("CREATE DATABASE {database} TEMPLATE {template}");
        self.ask("postgres", &sql).map(drop)
    }

    /// Drops a database, whoever is connected to it.
    pub fn remove(&self, database: &str) -> Result<()> {
        let sql = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        self.ask("postgres", &sql).map(drop)
    }

    /// Runs a statement, and gives its rows, columns separated by `|`.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.client("psql", database);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", sql]);
        Ok(done(&mut psql)?.trim_end().to_owned())
    }

    /// A program of PostgreSQL that connects to a database of this server.
    pub fn client(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .env_clear()
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", ROLE)
            .env("PGDATABASE", database)
            .stdin(Stdio::null());
        command
    }

    /// Adds settings, which count from the next start or [`Server::reload`] on.
    pub fn set(&self, settings: &str) -> Result<()> {
        let path = self.data().join("postgresql.conf");
        let before = fs::read_to_string(&path)?;
        fs::write(&path, format!("{before}\n{settings}"))?;
        Ok(())
    }

    /// Reads the settings again.
    pub fn reload(&self) -> Result<()> {
        self.ask("postgres", "SELECT pg_reload_conf()").map(drop)
    }

    /// Starts it again, and waits until it takes connections.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port().to_string()]);
        // Nobody may write where the log of the process is; this process opens it.
        let logs = paths::target().join("tests/postgresql");
        fs::create_dir_all(&logs)?;
        let name = format!("{}-{}", std::process::id(), self.port());
        self.process = Some(Process::spawn(&name, &mut command, &logs)?);
        let end = Instant::now() + PATIENCE;
        loop {
            let mut ready = self.client("pg_isready", "postgres");
            if ready.stdout(Stdio::null()).status()?.success() {
                return Ok(());
            }
            let process = self.process.as_mut();
            let ended = process.and_then(Process::ended);
            if ended.is_some() || Instant::now() > end {
                let tail = self.process.as_ref().map(|process| process.tail(20));
                return Err(Failure::new(format!(
                    "PostgreSQL did not start\n{}",
                    tail.unwrap_or_default()
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it as an operator would who does not wait for clients.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGINT);
            process.stop_now()?;
        }
        Ok(())
    }

    /// Ends it as a crash would, with all its processes.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // Standing still, it starts no others meanwhile.
        process.signal(Signal::SIGSTOP);
        let id = process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        drop(process);
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().filter_map(|id| id.parse().ok());
        let children: Vec<Pid> = children.map(Pid::from_raw).collect();
        for child in &children {
            let _ = signal::kill(*child, Signal::SIGKILL);
        }
        // Before it is started again, nobody may hold its memory any more.
        let end = Instant::now() + PATIENCE;
        while children.iter().any(is_running) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes a standby the primary, and waits until it is.
    pub fn promote(&self) -> Result<()> {
        self.ask("postgres", "SELECT pg_promote(true, 30)")
            .map(drop)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program that runs as the owner of the cluster.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args([
                    "--reuid",
                    &NOBODY.to_string(),
                    "--regid",
                    &NOBODY.to_string(),
                ])
                .args(["--clear-groups", "--"])
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process first, and then what it wrote.
        self.process = None;
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

/// Whether a process has not ended, be it that nobody has asked yet how it did.
fn is_running(process: &Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs a program to its end, and gives what it printed.
pub fn done(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| {
        Failure::new(format!(
            "cannot start {}: {error}",
            command.get_program().to_string_lossy()
        ))
    })?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "{} failed: {}",
            command.get_program().to_string_lossy(),
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
