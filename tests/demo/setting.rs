//! Where the demonstration keeps its data, and on which ports it listens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use support::config::Ports;
use support::failure::{Failure, Result};
use support::{paths, ports};

/// What a person can choose.
pub struct Setting {
    /// The ports.
    pub ports: Ports,
    /// Data and logs.
    pub folder: PathBuf,
    /// Held while this demonstration runs: two of them on the same data would be one too many.
    _lock: File,
}

impl Setting {
    /// Reads the environment, and sees that all that will be needed is free before anything is started.
    pub fn from_environment() -> Result<Self> {
        let shipped = Ports::SHIPPED;
        let wanted = [
            ("KEYBOUND_PORT", "the gateway", shipped.gateway),
            (
                "KEYBOUND_ADMIN_PORT",
                "Envoy's admin interface",
                shipped.admin,
            ),
            ("KEYBOUND_UPSTREAM_PORT", "the upstream", shipped.upstream),
            (
                "KEYBOUND_KEY_SERVICE_PORT",
                "the key service",
                shipped.key_service,
            ),
        ];
        let mut chosen = Vec::new();
        let mut problems = Vec::new();
        for (variable, what, usual) in wanted {
            let port = port_from(variable, usual)?;
            if let Some((_, other)) = chosen.iter().find(|(taken, _)| *taken == port) {
                problems.push(format!(
                    "port {port} is wanted twice, for {other} and for {what}: set {variable}"
                ));
            } else if !ports::is_free(port) {
                problems.push(format!(
                    "port {port}, wanted for {what}, is taken: stop what listens there, or choose another, as in \
                     `{variable}={} make run`",
                    port.checked_add(10_000).unwrap_or(20_000)
                ));
            }
            chosen.push((port, what));
        }
        if !problems.is_empty() {
            return Err(Failure::new(problems.join("\n")));
        }
        let [gateway, admin, upstream, key_service] =
            [0, 1, 2, 3].map(|index: usize| chosen[index].0);
        let folder = env::var_os("KEYBOUND_DEMO_DATA")
            .map_or_else(|| paths::target().join("demo"), PathBuf::from);
        fs::create_dir_all(&folder)?;
        let lock = lock(&folder)?;
        for log in [
            "envoy.out",
            "envoy.log",
            "key-service.out",
            "key-service.log",
        ] {
            remove(&folder.join(log))?;
        }
        Ok(Self {
            ports: Ports {
                gateway,
                admin,
                upstream,
                key_service,
            },
            folder,
            _lock: lock,
        })
    }
}

/// A token that is made at the first start and read at the later ones. Only its owner can read it.
pub fn kept_token(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(token) => return Ok(token.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::from(error).during(&path.display().to_string())),
    }
    let mut random = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token = URL_SAFE_NO_PAD.encode(random);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{token}")?;
    Ok(token)
}

fn port_from(variable: &str, usual: u16) -> Result<u16> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(Failure::new(format!(
                "{variable} is {text:?}, which is not a port (1 to 65535)"
            ))),
        },
        _ => Ok(usual),
    }
}

fn lock(folder: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join("lock"))?;
    file.try_lock().map_err(|_| {
        Failure::new(format!(
            "another demonstration runs on the data in {}",
            folder.display()
        ))
    })?;
    Ok(file)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::from(error).during(&path.display().to_string()))
        }
        _ => Ok(()),
    }
}
