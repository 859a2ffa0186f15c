//! Commands that work on the database itself.

use std::path::Path;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::outcome::Failure;
use crate::domain::credential::Digester;
use crate::store::{Location, Missing, OpenError, Store, StoreError};

/// How often a server is tried that cannot be reached.
const TRIES: Duration = Duration::from_secs(1);

/// Which database.
#[derive(clap::Args)]
pub struct Database {
    /// SQLite file, or postgres://USER@HOST/DATABASE. A password is better in PGPASSWORD, or in the file that
    /// PGPASSFILE names, than in the URL, where others see it in the list of processes
    #[arg(
        long,
        env = "KEYBOUND_DATABASE",
        default_value = "keybound.db",
        value_name = "FILE|URL",
        value_parser = OsStringValueParser::new().map(Location::from)
    )]
    pub database: Location,
}

impl Database {
    pub async fn open(&self, missing: Missing) -> Result<Store, Failure> {
        open(self.database.clone(), missing).await
    }

    /// The SQLite file, for a command that works on nothing else.
    pub fn file(&self, instead: &str) -> Result<&Path, Failure> {
        match &self.database {
            Location::File(path) => Ok(path),
            Location::Postgres { .. } => Err(Failure::Usage(format!(
                "this command is for SQLite files; with PostgreSQL, {instead}"
            ))),
        }
    }
}

/// Opens the database; the error says which.
pub async fn open(location: Location, missing: Missing) -> Result<Store, Failure> {
    let opened = Store::open(location.clone(), missing).await;
    opened.map_err(|error| not_opened(&location, error))
}

/// What to say of a database that was not opened.
fn not_opened(location: &Location, error: OpenError) -> Failure {
    let line = String::from(error);
    Failure::Refused(match location {
        // Its errors name the file.
        Location::File(_) => line,
        Location::Postgres { .. } => format!("{location}: {line}"),
    })
}

/// Opens the database, and waits for one whose server cannot be reached.
pub async fn open_when_there(location: Location) -> Result<Store, Failure> {
    let mut said = String::new();
    loop {
        match Store::open(location.clone(), Missing::Create).await {
            Ok(store) => return Ok(store),
            Err(OpenError::Away(line)) => {
                if line != said {
                    tracing::error!(database = %location, "{line}; waiting for it");
                    said = line;
                }
            }
            Err(error) => return Err(not_opened(&location, error)),
        }
        tokio::time::sleep(TRIES).await;
    }
}

/// How credentials become digests.
#[derive(clap::Args)]
pub struct Pepper {
    /// Name of the environment variable that holds the pepper: digests are then HMAC-SHA-256, as
    /// with the filter's digest.pepper_env. Keys made with another pepper stop working
    #[arg(long, env = "KEYBOUND_PEPPER_ENV", value_name = "VARIABLE")]
    pepper_env: Option<String>,
}

impl Pepper {
    pub fn digester(&self) -> Result<Digester, Failure> {
        let Some(name) = &self.pepper_env else {
            return Ok(Digester::default());
        };
        match std::env::var(name) {
            Ok(pepper) if !pepper.is_empty() => Ok(Digester::peppered(pepper.as_bytes())),
            _ => Err(Failure::Usage(format!(
                "the environment variable {name}, named by --pepper-env, is not set"
            ))),
        }
    }
}

/// Runs a command that needs no more than one thread.
pub fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Refused(format!("cannot start: {error}")))?
        .block_on(command)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.to_string())
    }
}
