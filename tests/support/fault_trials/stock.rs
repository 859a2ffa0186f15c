//! A database full of keys, made once and copied for each trial.

use super::cluster::Cluster;
use super::trial::Engine;
use crate::client::Request;
use crate::failure::{Failure, Result};
use crate::gateway::{Builder, Gateway};
use crate::key_service::{KeyService, Tokens};
use crate::records::credential;
use crate::{paths, ports, wait};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// Keys that the caches are made to hold.
const KNOWN: usize = 40;

/// A function that gives the next key.
pub type Keys = Box<dyn FnMut() -> Option<String> + Send>;

/// The database, and what is in it.
#[derive(Debug)]
pub struct Stock {
    folder: TempDir,
    prefix: String,
    cold: usize,
    cluster: Option<Cluster>,
    next_cold: Arc<AtomicUsize>,
    next_stranger: Arc<AtomicUsize>,
}

impl Stock {
    /// Makes a database of SQLite with this many keys that a trial uses once each.
    pub async fn make(cold: usize) -> Result<Self> {
        Self::make_on(Engine::Sqlite, cold).await
    }

    /// The same on an engine.
    pub async fn make_on(engine: Engine, cold: usize) -> Result<Self> {
        let parent = paths::target().join("tests");
        std::fs::create_dir_all(&parent)?;
        let stock = Self {
            folder: TempDir::with_prefix_in("stock-", parent)?,
            prefix: credential("stock"),
            cold,
            cluster: match engine {
                Engine::Sqlite => None,
                Engine::Postgresql => Some(Cluster::start().await?),
            },
            next_cold: Arc::default(),
            next_stranger: Arc::default(),
        };
        let port = ports::reserve();
        let tokens = Tokens {
            admin: credential("admin-token"),
            gateway: credential("gateway-token"),
        };
        let location = match &stock.cluster {
            Some(cluster) => cluster.stock_url(),
            None => stock.database().display().to_string(),
        };
        let folder = stock.folder.path();
        let program = paths::key_service()?;
        let mut service =
            KeyService::start_on(program, port.number(), folder, location, tokens).await?;
        let tenant = service.tenant("stock").await?;
        let user = service.user(&tenant, "stock").await?;
        let keys = (0..KNOWN)
            .map(|number| stock.key("known", number))
            .chain((0..cold).map(|number| stock.key("cold", number)))
            .map(|key| json!({"key": key, "user_id": user}))
            .chain([json!({"key": stock.victim(), "id": VICTIM, "user_id": user})]);
        service.import(keys).await?;
        service.stop().await?;
        Ok(stock)
    }

    /// The database, where it is a file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("keys.db")
    }

    /// Where it is kept.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What all keys begin with, the made-up ones too.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key that is revoked.
    pub fn victim(&self) -> String {
        format!("{}-victim", self.prefix)
    }

    /// Keys that the caches hold, one after the other, for ever.
    pub fn known(&self) -> Keys {
        let all: Vec<String> = (0..KNOWN).map(|number| self.key("known", number)).collect();
        let mut number = 0;
        Box::new(move || {
            number += 1;
            all.get(number % KNOWN).cloned()
        })
    }

    /// A trial has a copy of the database and caches of its own, to which all keys are new.
    pub(super) fn renew(&mut self) -> Result<()> {
        self.next_cold.store(0, Ordering::Relaxed);
        match &mut self.cluster {
            Some(cluster) => cluster.renew(),
            None => Ok(()),
        }
    }

    /// A gateway whose key services keep their records in that copy.
    pub(super) fn kept_by(&self, gateway: Builder) -> Builder {
        match &self.cluster {
            Some(cluster) => gateway.postgresql(&cluster.url()),
            None => gateway.database(&self.database()),
        }
    }

    /// PostgreSQL, where that is what the keys are kept in.
    pub(super) fn cluster(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut()
    }

    /// The same in a trial that is for PostgreSQL alone.
    pub(super) fn server(&mut self) -> Result<&mut Cluster> {
        self.cluster()
            .ok_or_else(|| Failure::new("this trial is for PostgreSQL"))
    }

    /// Keys that were never used.
    pub fn cold(&self) -> Keys {
        let (prefix, end) = (self.prefix.clone(), self.cold);
        let next = Arc::clone(&self.next_cold);
        Box::new(move || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            (number < end).then(|| format!("{prefix}-cold-{number}"))
        })
    }

    /// Keys that nobody knows, each another.
    pub fn strangers(&self) -> Keys {
        let prefix = self.prefix.clone();
        let next = Arc::clone(&self.next_stranger);
        Box::new(move || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            Some(format!("{prefix}-stranger-{number}"))
        })
    }

    /// Has each known key allowed once, and the victim.
    pub(super) async fn warm(&self, gateway: &Gateway) -> Result<()> {
        let known = (0..KNOWN).map(|number| self.key("known", number));
        for key in known.chain([self.victim()]) {
            let answer = Request::get("/warm")
                .header("x-api-key", key)
                .send(gateway.port())
                .await?;
            if answer.status != 200 {
                return Err(Failure::new(format!(
                    "a good key is answered {} before anything is wrong",
                    answer.status
                )));
            }
        }
        Ok(())
    }

    /// Revokes the victim and gives when that was answered.
    pub(super) async fn revoke(&self, gateway: &mut Gateway) -> Result<Instant> {
        let path = format!("/keys/{VICTIM}/revoke");
        let body = json!({"reason": "a trial"});
        let service = gateway.key_service();
        if self.cluster.is_none() {
            service.must("POST", &path, Some(&body)).await?;
            return Ok(Instant::now());
        }
        // It finds the server again by itself, a moment after that is back.
        wait::until("the key to be revoked", async || {
            match service.admin("POST", &path, Some(&body)).await {
                Ok(answer) if answer.status == 503 => Err(answer.text()),
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                Ok(answer) => Ok(Err(Failure::new(answer.text()))),
                Err(error) => Ok(Err(error)),
            }
        })
        .await??;
        Ok(Instant::now())
    }

    fn key(&self, kind: &str, number: usize) -> String {
        format!("{}-{kind}-{number}", self.prefix)
    }
}

/// The id of the key that is revoked.
const VICTIM: &str = "key_victim";
