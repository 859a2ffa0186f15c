//! Commands that work on the database file itself.

use std::path::PathBuf;

use super::outcome::Failure;
use crate::domain::credential::Digester;
use crate::store::{Missing, Store, StoreError};

/// Which database.
#[derive(clap::Args)]
pub struct Database {
    /// SQLite file
    #[arg(
        long,
        env = "KEYBOUND_DATABASE",
        default_value = "keybound.db",
        value_name = "FILE"
    )]
    pub database: PathBuf,
}

impl Database {
    pub async fn open(&self, missing: Missing) -> Result<Store, Failure> {
        Store::open(&self.database, missing)
            .await
            .map_err(Failure::Refused)
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
