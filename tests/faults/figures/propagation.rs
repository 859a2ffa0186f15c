//! How soon a change is obeyed: from the admin API's answer to the last answer of any worker that decides
//! the old way.

use super::goal::{Goals, quantile};
use super::spread::{WORKERS, connections};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::client::Request;
use support::failure::Result;
use support::gateway::Gateway;
use support::load::{Client, Load, Outcome};
use support::records::credential;
use support::wait;

/// Busy connections of each worker.
const EACH: usize = 4;

/// Each of them a revocation, a suspension and a reactivation.
const ROUNDS: usize = 67;

/// What a client sends: its number, the number of the try, and the key of that.
pub type Tag = (usize, usize);

/// Clients that send the same key until they are told another.
pub struct Busy {
    load: Load<Tag>,
    current: Arc<Mutex<(usize, Keys)>>,
    clients: usize,
}

/// The keys that the clients take turns with.
pub type Keys = Arc<Vec<String>>;

impl Busy {
    /// Starts clients on connections to all workers, as busy as answers let them be.
    pub async fn start(gateway: &Gateway, each: usize, keys: Keys) -> Result<Self> {
        let current = Arc::new(Mutex::new((0, keys)));
        let clients = (0..each * WORKERS)
            .map(|client| {
                let current = Arc::clone(&current);
                let mut sent = client;
                Client {
                    source: Box::new(move || {
                        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
                        let (number, keys) = &*current;
                        sent += 7919;
                        let key = keys.get(sent % keys.len())?;
                        let request = Request::get("/orders").header("x-api-key", key);
                        Some(((client, *number), request))
                    }),
                    every: None,
                }
            })
            .collect();
        let connections = connections(gateway, each).await?;
        Ok(Self {
            load: Load::over(gateway.port(), connections, clients),
            current,
            clients: each * WORKERS,
        })
    }

    /// From now on they send these. Gives the number by which the answers are told from those before.
    pub fn send(&self, keys: Keys) -> usize {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.0 += 1;
        current.1 = keys;
        current.0
    }

    /// Waits until every client has had so many answers of this kind since there were `count`.
    pub async fn every_client_sees(
        &self,
        number: usize,
        code: Option<&str>,
        count: usize,
        times: usize,
    ) -> Result<()> {
        let what = format!("every client to be answered {}", code.unwrap_or("200"));
        self.load
            .until(&what, count, |samples| {
                let mut seen = vec![0; self.clients];
                for sample in samples {
                    let (client, of) = sample.kind;
                    if of == number && sample.outcome.is(code) {
                        seen[client] += 1;
                    }
                }
                seen.iter().all(|seen| *seen >= times)
            })
            .await
    }

    /// Makes a change, and gives how long after its answer the last old answer came.
    pub async fn lag(
        &self,
        number: usize,
        from: Option<&str>,
        to: Option<&str>,
        change: impl Future<Output = Result<Value>>,
    ) -> Result<Duration> {
        self.every_client_sees(number, from, self.load.count(), 3)
            .await?;
        let count = self.load.count();
        change.await?;
        let answered = Instant::now();
        self.every_client_sees(number, to, self.load.count(), 5)
            .await?;
        let last_old = self
            .load
            .since(count)
            .iter()
            .filter(|sample| sample.kind.1 == number && sample.outcome.is(from))
            .map(|sample| sample.ended().saturating_duration_since(answered))
            .max();
        Ok(last_old.unwrap_or_default())
    }

    /// Ends them; nothing may have been lost. Gives the number of requests.
    pub async fn stop(self) -> Result<usize> {
        let samples = self.load.stop().await?;
        let lost = samples
            .iter()
            .filter(|sample| matches!(sample.outcome, Outcome::Lost(_) | Outcome::Strange(_)))
            .map(|sample| format!("{:?}", sample.outcome));
        for lost in lost.take(3) {
            println!("  {lost}");
        }
        Ok(samples.len())
    }
}

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals) -> Result<()> {
    println!("propagation: {} changes", 3 * ROUNDS);
    let mut gateway = Gateway::real()
        .quiet()
        .without_upstream()
        .direct()
        .try_start()
        .await?;
    let prefix = credential("propagation");
    gateway.secret(&prefix);
    let service = gateway.key_service();
    let tenant = service.tenant("propagation").await?;
    let user = service.user(&tenant, "propagation").await?;
    let key = |number: usize| format!("{prefix}-{number}");
    let keys = (0..=ROUNDS)
        .map(|number| json!({"key": key(number), "id": format!("key_{number}"), "user_id": user}));
    service.import(keys).await?;

    let busy = Busy::start(&gateway, EACH, Arc::new(vec![key(ROUNDS)])).await?;
    let path = format!("/users/{user}?force=true");
    let mut lags: Vec<(&str, Vec<f64>)> = ["revoke", "suspend", "reactivate"]
        .map(|what| (what, Vec::new()))
        .into();
    for round in 0..ROUNDS {
        let service = gateway.key_service();
        let revoke = format!("/keys/key_{round}/revoke");
        let status = |status: &str| json!({"status": status});
        let (suspended, active) = (status("suspended"), status("active"));

        let number = busy.send(Arc::new(vec![key(round)]));
        let call = service.must("POST", &revoke, None);
        let revoked = busy.lag(number, None, Some("key_revoked"), call).await?;

        let number = busy.send(Arc::new(vec![key(ROUNDS)]));
        let call = service.must("PATCH", &path, Some(&suspended));
        let code = Some("user_suspended");
        let stopped = busy.lag(number, None, code, call).await?;
        let call = service.must("PATCH", &path, Some(&active));
        let again = busy.lag(number, code, None, call).await?;

        for ((_, lags), lag) in lags.iter_mut().zip([revoked, stopped, again]) {
            lags.push(lag.as_secs_f64() * 1000.0);
        }
    }
    let requests = busy.stop().await?;
    println!("  {requests} requests on {} connections", EACH * WORKERS);

    let mut all: Vec<f64> = Vec::new();
    for (what, mut lags) in lags {
        lags.sort_unstable_by(f64::total_cmp);
        println!(
            "  {what}: median {:.1} ms, largest {:.1} ms of {}",
            quantile(&lags, 0.5),
            quantile(&lags, 1.0),
            lags.len()
        );
        all.extend(lags);
    }
    all.sort_unstable_by(f64::total_cmp);
    goals.at_most("change obeyed, median", quantile(&all, 0.5), 10.0, "ms");
    goals.at_most("change obeyed, p99", quantile(&all, 0.99), 50.0, "ms");
    println!("  the filter's own: {}", histogram(&gateway).await?);
    Ok(())
}

/// Envoy writes histograms out every five seconds.
async fn histogram(gateway: &Gateway) -> Result<String> {
    const NAME: &str = "wasmcustom.keybound.changes.propagation_ms: ";
    wait::until(NAME, async || {
        let answer = gateway.envoy.admin("/stats?filter=propagation").await;
        let text = answer.map_err(|error| error.to_string())?.text();
        text.lines()
            .find_map(|line| Some(line.strip_prefix(NAME)?.to_owned()))
            .filter(|line| line.contains("P50"))
            .ok_or(text)
    })
    .await
}
