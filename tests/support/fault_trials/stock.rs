//! A database full of keys, made once and copied for each trial.

use crate::client::Request;
use crate::failure::{Failure, Result};
use crate::gateway::Gateway;
use crate::key_service::{KeyService, Tokens};
use crate::records::credential;
use crate::{paths, ports};
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
    next_cold: Arc<AtomicUsize>,
    next_stranger: Arc<AtomicUsize>,
}

impl Stock {
    /// Makes a database with this many keys that a trial uses once each.
    pub async fn make(cold: usize) -> Result<Self> {
        let parent = paths::target().join("tests");
        std::fs::create_dir_all(&parent)?;
        let stock = Self {
            folder: TempDir::with_prefix_in("stock-", parent)?,
            prefix: credential("stock"),
            cold,
            next_cold: Arc::default(),
            next_stranger: Arc::default(),
        };
        let port = ports::reserve();
        let tokens = Tokens {
            admin: credential("admin-token"),
            gateway: credential("gateway-token"),
        };
        let mut service = KeyService::start(port.number(), stock.folder.path(), tokens).await?;
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

    /// The database.
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
    pub(super) fn renew(&self) {
        self.next_cold.store(0, Ordering::Relaxed);
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
        gateway
            .key_service()
            .must("POST", &path, Some(&body))
            .await?;
        Ok(Instant::now())
    }

    fn key(&self, kind: &str, number: usize) -> String {
        format!("{}-{kind}-{number}", self.prefix)
    }
}

/// The id of the key that is revoked.
const VICTIM: &str = "key_victim";
