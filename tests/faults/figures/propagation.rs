//! How soon a change is obeyed: from the admin API's answer to the last answer of any worker that decides
//! the old way.

use super::goal::{Goals, quantile};
use super::services;
use super::spread::{WORKERS, connections, connections_of};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::client::{Connection, Request};
use support::failure::{Failure, Result};
use support::gateway::{Builder, Gateway};
use support::home::Home;
use support::load::{Client, Load, Outcome};
use support::records::credential;
use support::wait;
use tokio::sync::oneshot;

/// Busy connections of each worker.
const EACH: usize = 4;

/// Each of them a revocation, a suspension and a reactivation.
const ROUNDS: usize = 67;

/// Revocations for each worker that is idle.
const IDLE_ROUNDS: usize = 34;

/// The number of the key that is never revoked.
const LASTING: usize = ROUNDS + WORKERS * IDLE_ROUNDS;

/// How long a worker has nothing to do before a change: some ticks.
const IDLE: Duration = Duration::from_millis(350);

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
    /// Starts a client on each connection, as busy as answers let it be.
    pub fn start(gateway: &Gateway, connections: Vec<Connection>, keys: Keys) -> Self {
        let current = Arc::new(Mutex::new((0, keys)));
        let count = connections.len();
        let clients = (0..count)
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
        Self {
            load: Load::over(gateway.port(), connections, clients),
            current,
            clients: count,
        }
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
    let mut measured = Measured::start(Gateway::real().direct()).await?;
    let all = measured.on_busy_workers().await?;
    add(goals, "change obeyed", all);
    println!(
        "  the filter's own: {}",
        histogram(&measured.gateway).await?
    );

    println!(
        "propagation with an idle worker: {} revocations",
        2 * IDLE_ROUNDS
    );
    let mut all = Vec::new();
    for idle in 0..WORKERS {
        all.extend(measured.with_idle_worker(idle).await?);
    }
    add(goals, "with an idle worker", all);
    Ok(())
}

/// The same where changes are made by one service on PostgreSQL, and the gateway asks another.
pub async fn measure_replicas(goals: &mut Goals) -> Result<()> {
    println!(
        "propagation from service to service: {} changes",
        3 * ROUNDS
    );
    let server = services::server()?;
    let gateway = Gateway::real().postgresql(&services::url(&server));
    let mut measured = Measured::start(gateway.follows_second()).await?;
    let all = measured.on_busy_workers().await?;
    add(goals, "change of another service obeyed", all);
    Ok(())
}

fn add(goals: &mut Goals, what: &str, mut lags: Vec<f64>) {
    let (median, p99) = match Home::chosen() {
        Home::Wasm => (10.0, 50.0),
        Home::Native => (5.0, 20.0),
    };
    lags.sort_unstable_by(f64::total_cmp);
    goals.at_most(
        format!("{what}, median"),
        quantile(&lags, 0.5),
        median,
        "ms",
    );
    goals.at_most(format!("{what}, p99"), quantile(&lags, 0.99), p99, "ms");
}

/// A gateway with a key for each round, and one that is never revoked.
struct Measured {
    gateway: Gateway,
    prefix: String,
    user: String,
}

impl Measured {
    async fn start(gateway: Builder) -> Result<Self> {
        let mut gateway = gateway.quiet().without_upstream().try_start().await?;
        let prefix = credential("propagation");
        gateway.secret(&prefix);
        let service = gateway.key_service();
        let tenant = service.tenant("propagation").await?;
        let user = service.user(&tenant, "propagation").await?;
        let measured = |number: usize| json!({"key": format!("{prefix}-{number}"), "id": id(number), "user_id": user});
        service.import((0..=LASTING).map(measured)).await?;
        Ok(Self {
            gateway,
            prefix,
            user,
        })
    }

    fn keys(&self, number: usize) -> Keys {
        Arc::new(vec![format!("{}-{number}", self.prefix)])
    }

    /// Revocations, suspensions and reactivations, each of them seen by all connections of both workers.
    async fn on_busy_workers(&mut self) -> Result<Vec<f64>> {
        let connections = connections(&self.gateway, EACH).await?;
        let busy = Busy::start(&self.gateway, connections, self.keys(LASTING));
        let path = format!("/users/{}?force=true", self.user);
        let mut lags: Vec<(&str, Vec<f64>)> = ["revoke", "suspend", "reactivate"]
            .map(|what| (what, Vec::new()))
            .into();
        for round in 0..ROUNDS {
            let (key, lasting) = (self.keys(round), self.keys(LASTING));
            let service = self.gateway.key_service();
            let revoke = format!("/keys/{}/revoke", id(round));
            let status = |status: &str| json!({"status": status});
            let (suspended, active) = (status("suspended"), status("active"));

            let number = busy.send(key);
            let call = service.must("POST", &revoke, None);
            let revoked = busy.lag(number, None, Some("key_revoked"), call).await?;

            let number = busy.send(lasting);
            let call = service.must("PATCH", &path, Some(&suspended));
            let code = Some("user_suspended");
            let stopped = busy.lag(number, None, code, call).await?;
            let call = service.must("PATCH", &path, Some(&active));
            let again = busy.lag(number, code, None, call).await?;

            for ((_, lags), lag) in lags.iter_mut().zip([revoked, stopped, again]) {
                lags.push(millis(lag));
            }
        }
        let requests = busy.stop().await?;
        println!("  {requests} requests on {} connections", EACH * WORKERS);
        let mut all = Vec::new();
        for (what, lags) in lags {
            print(what, lags.clone());
            all.extend(lags);
        }
        Ok(all)
    }

    /// Revocations while one worker has nothing to do: it has served the key before, and is asked again as soon as
    /// the admin API has answered. The other one is busy.
    async fn with_idle_worker(&mut self, idle: usize) -> Result<Vec<f64>> {
        let mut wanted = [EACH; WORKERS];
        wanted[idle] = 1;
        let mut of_workers = connections_of(&self.gateway, wanted).await?;
        let mut quiet = std::mem::take(&mut of_workers[idle])
            .pop()
            .ok_or_else(|| Failure::new("no connection to the idle worker"))?;
        let connections = of_workers.into_iter().flatten().collect();
        let busy = Busy::start(&self.gateway, connections, self.keys(LASTING));
        let (mut of_busy, mut of_idle) = (Vec::new(), Vec::new());
        let first = ROUNDS + idle * IDLE_ROUNDS;
        for round in first..first + IDLE_ROUNDS {
            let keys = self.keys(round);
            let request = Request::get("/orders").header("x-api-key", &keys[0]);
            let number = busy.send(keys);
            busy.every_client_sees(number, None, 0, 1).await?;
            quiet.send(&request).await?;
            tokio::time::sleep(IDLE).await;

            let (tell, told) = oneshot::channel();
            let revoke = format!("/keys/{}/revoke", id(round));
            let call = self.gateway.key_service().must("POST", &revoke, None);
            let call = async {
                let answer = call.await?;
                let _ = tell.send(Instant::now());
                Ok(answer)
            };
            let awakes = async {
                let answered = told.await.map_err(|_| Failure::new("it was not revoked"))?;
                last_old_answer(&mut quiet, &request, answered).await
            };
            let lag = busy.lag(number, None, Some("key_revoked"), call);
            let (lag, woken) = tokio::try_join!(lag, awakes)?;
            of_busy.push(millis(lag));
            of_idle.push(millis(woken));
        }
        busy.stop().await?;
        print(&format!("worker {idle} idle"), of_idle.clone());
        print("the other, busy", of_busy.clone());
        of_idle.extend(of_busy);
        Ok(of_idle)
    }
}

/// Asks until it is refused, and gives how long after the change the last old answer came.
async fn last_old_answer(
    connection: &mut Connection,
    request: &Request,
    changed: Instant,
) -> Result<Duration> {
    let mut last = Duration::ZERO;
    while changed.elapsed() < wait::PATIENCE {
        let answer = connection.send(request).await?;
        match (answer.status, answer.header("x-keybound-code")) {
            (200, None) => last = changed.elapsed(),
            (_, Some("key_revoked")) => return Ok(last),
            (status, code) => {
                return Err(Failure::new(format!("answered {status}, {code:?}")));
            }
        }
    }
    Err(Failure::new("a revoked key is never refused"))
}

fn id(number: usize) -> String {
    format!("key_{number}")
}

/// A span in milliseconds.
pub fn millis(lag: Duration) -> f64 {
    lag.as_secs_f64() * 1000.0
}

/// Prints the median and the largest of some milliseconds.
pub fn print(what: &str, mut lags: Vec<f64>) {
    lags.sort_unstable_by(f64::total_cmp);
    println!(
        "  {what}: median {:.1} ms, largest {:.1} ms of {}",
        quantile(&lags, 0.5),
        quantile(&lags, 1.0),
        lags.len()
    );
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
