//! Programs that write to the key service as much as they may.

use crate::client::{Request, Response};
use crate::failure::{Failure, Result};
use crate::key_service::KeyService;
use crate::wait;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// As large as the key service takes an import.
const LARGEST: usize = 1_000_000;

/// Keys of one report, as many as there may be.
const REPORTED: usize = 1000;

/// How long a program waits that was refused.
const PAUSE: Duration = Duration::from_millis(5);

/// The tenants whose creation was answered with success.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged(Arc<Mutex<Vec<String>>>);

impl Acknowledged {
    pub(super) fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, id: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
    }

    /// Waits until there is one more.
    pub(super) async fn grows(&self) -> Result<()> {
        let before = self.all().len();
        wait::until("a write to be acknowledged", async || {
            let now = self.all().len();
            if now > before {
                Ok(())
            } else {
                Err(format!("{now} until now"))
            }
        })
        .await
    }
}

/// Where the key service is, and what opens it.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    port: u16,
    admin: String,
    gateway: String,
}

impl Writer {
    pub(super) fn of(service: &KeyService) -> Self {
        Self {
            port: service.port(),
            admin: service.tokens().admin.clone(),
            gateway: service.tokens().gateway.clone(),
        }
    }

    /// Imports once as many keys as fit, with scopes of this length each.
    pub(super) async fn import(&self, name: &str, scopes: usize) -> Result<()> {
        let scope = "s".repeat(120);
        let scopes: Vec<String> = (0..scopes).map(|n| format!("{n}:{scope}")).collect();
        let mut lines = String::new();
        for number in 0.. {
            let key = format!("{name}-imported-{number}");
            let line = json!({"key": key, "scopes": scopes}).to_string();
            if lines.len() + line.len() > LARGEST {
                break;
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        let request = Request::post("/admin/v1/keys/import", &lines)
            .header("content-type", "application/x-ndjson");
        let answer = self.send(request, &self.admin).await?;
        expect(&answer, &[200], "an import")
    }

    /// Imports and imports.
    pub(super) async fn keep_importing(self, name: String) -> Result<()> {
        for number in 0.. {
            self.import(&format!("{name}-{number}"), 0).await?;
        }
        Ok(())
    }

    /// Reports use and reports use, as a gateway in a bad mood.
    pub(super) async fn keep_reporting(self, reporter: usize) -> Result<()> {
        let keys: Vec<Value> = (0..REPORTED)
            .map(|number| json!({"id": format!("key_{number}"), "allowed": 1, "rejected": 0, "last_at": 1}))
            .collect();
        for batch in 1.. {
            let body = json!({"reporter": format!("vm-{reporter}"), "batch": batch, "from": 0, "to": 1, "keys": keys});
            let request = Request::post("/v1/usage", body.to_string())
                .header("content-type", "application/json");
            let answer = self.send(request, &self.gateway).await?;
            // 503: others went first, and it comes again.
            expect(&answer, &[204, 503], "a report of use")?;
        }
        Ok(())
    }

    /// Creates tenants, whoever is killed meanwhile, and notes those that it was told are there.
    pub(super) async fn keep_creating(self, acknowledged: Acknowledged) -> Result<()> {
        loop {
            let request =
                Request::post("/admin/v1/tenants", "{}").header("content-type", "application/json");
            match self.send(request, &self.admin).await {
                Ok(answer) if answer.status == 201 => {
                    let id = answer.json()["id"].as_str().map(str::to_owned);
                    acknowledged.add(id.ok_or_else(|| Failure::new("a tenant without id"))?);
                }
                Ok(answer) => {
                    expect(&answer, &[503], "a write while something is killed")?;
                    tokio::time::sleep(PAUSE).await;
                }
                // Its end was met in the middle.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Tries to write, which must not succeed.
    pub(super) async fn is_refused(&self) -> Result<()> {
        for _ in 0..3 {
            let request =
                Request::post("/admin/v1/tenants", "{}").header("content-type", "application/json");
            let answer = self.send(request, &self.admin).await?;
            expect(&answer, &[503], "a write that cannot be kept")?;
        }
        Ok(())
    }

    async fn send(&self, request: Request, token: &str) -> Result<Response> {
        request
            .header("authorization", format!("Bearer {token}"))
            .send(self.port)
            .await
    }
}

fn expect(answer: &Response, good: &[u16], what: &str) -> Result<()> {
    if good.contains(&answer.status) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what} is answered {}: {}",
        answer.status,
        answer.text()
    )))
}
