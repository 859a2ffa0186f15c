//! A gateway under load while something goes wrong: what became of every request, and how soon all was
//! well again.
//!
//! `make faults` runs every trial and judges times too; the tests run some of them, shorter, and judge
//! everything but times.

mod cluster;
mod disturbance;
mod file;
mod report;
mod stock;
mod trial;
mod writers;

pub use report::{Report, Times};
pub use stock::Stock;
pub use trial::{Engine, RECOVERED, Trial, trials};

use crate::client::Request;
use crate::failure::Result;
use crate::gateway::Gateway;
use crate::load::{Client, Load, Outcome, Sample};
use crate::wait;
use disturbance::Disturbance;
use std::time::{Duration, Instant};
use trial::Change;

/// What a request of the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Of a key that the caches hold: allowed throughout.
    Known,
    /// Of a good key that was never seen before: allowed, or 503 while the key service cannot say.
    Cold,
    /// Of a key that somebody made up: unknown, or 503 likewise.
    Stranger,
    /// Of a key that is revoked in the course of the trial.
    Revoked,
    /// Of a key that a restored backup does not hold.
    Late,
}

/// How long the parts of a trial take. Its end comes when all is well again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Before the fault.
    pub before: Duration,
    /// The fault.
    pub fault: Duration,
    /// From one request of a client to its next.
    pub every: Duration,
    /// How often something is killed where a trial does so again and again.
    pub moments: usize,
}

impl Trial {
    /// Runs it.
    pub async fn run(&self, stock: &mut Stock, pace: &Pace) -> Result<Report> {
        stock.renew()?;
        let clock = self.clock(stock)?;
        let mut gateway = self.gateway(stock, clock.as_ref()).try_start().await?;
        gateway.secret(stock.prefix());
        // What is learned before is not trusted beyond that moment.
        gateway.log_says("change feed: connected").await;
        stock.warm(&gateway).await?;
        let mut disturbance = Disturbance::new(self, pace, stock, &mut gateway, clock).await?;

        let clients = clients(stock, self.every(pace), disturbance.late_key());
        let load = Load::start(gateway.port(), clients).await?;
        tokio::time::sleep(pace.before).await;
        let began = Instant::now();
        disturbance.begin(&mut gateway, stock).await?;
        tokio::time::sleep(pace.fault / 2).await;
        let mut revoked = None;
        if self.change() == Change::During {
            revoked = Some(stock.revoke(&mut gateway).await?);
        }
        tokio::time::sleep(pace.fault / 2).await;
        disturbance.end(&mut gateway, stock).await?;
        let ended = Instant::now();
        let count = load.count();
        let revoked = match revoked {
            Some(at) => at,
            None => stock.revoke(&mut gateway).await?,
        };

        // Not an error: what is not well by then is a promise that the report shows as broken.
        let well = wait::until("all to be well again", async || {
            unwell(&load.since(count), disturbance.late_key().is_some()).map_or(Ok(()), Err)
        })
        .await;
        tokio::time::sleep(pace.before / 2).await;
        let samples = load.stop().await?;

        let times = Times {
            began,
            ended,
            revoked,
            reset: disturbance.late_key().is_some(),
        };
        let mut report = Report::new(self.name, &samples, &times);
        report.left = disturbance.left();
        if let Err(error) = well {
            report.broken.push(error.to_string());
        }
        report.broken.extend(afterwards(&gateway, stock).await?);
        let acknowledged = disturbance.acknowledged();
        report.acknowledged = acknowledged.len();
        if let Some(cluster) = stock.cluster()
            && !acknowledged.is_empty()
        {
            let lost = cluster.without(&acknowledged)?.len();
            if lost > 0 {
                let of = acknowledged.len();
                report
                    .broken
                    .push(format!("{lost} of {of} acknowledged writes are lost"));
            }
        }
        Ok(report)
    }
}

/// Twelve connections, each of which sends requests of one kind.
fn clients(stock: &Stock, every: Duration, late: Option<String>) -> Vec<Client<Kind>> {
    let mut clients = Vec::new();
    let mut add = |kind, count, next: &dyn Fn() -> Box<dyn FnMut() -> Option<String> + Send>| {
        for _ in 0..count {
            let mut next = next();
            clients.push(Client {
                source: Box::new(move || {
                    let request = Request::get("/orders").header("x-api-key", next()?);
                    Some((kind, request))
                }),
                every: Some(every),
            });
        }
    };
    add(Kind::Known, 4, &|| stock.known());
    add(Kind::Cold, 3, &|| stock.cold());
    add(Kind::Stranger, 3, &|| stock.strangers());
    add(Kind::Revoked, 2, &|| {
        let key = stock.victim().to_owned();
        Box::new(move || Some(key.clone()))
    });
    if let Some(late) = late {
        add(Kind::Late, 2, &|| {
            let key = late.clone();
            Box::new(move || Some(key.clone()))
        });
    }
    clients
}

/// What is not well in the newest requests.
fn unwell(samples: &[Sample<Kind>], late: bool) -> Option<String> {
    const ENOUGH: usize = 20;
    let newest = |kind: Kind, good: &dyn Fn(&Outcome) -> bool| {
        let good = samples
            .iter()
            .rev()
            .filter(|sample| sample.kind == kind)
            .take_while(|sample| good(&sample.outcome))
            .count();
        (good < ENOUGH)
            .then(|| format!("only the last {good} requests of {kind:?} are as they should"))
    };
    let refused = |code: &'static str| move |outcome: &Outcome| outcome.code() == Some(code);
    newest(Kind::Cold, &|outcome| *outcome == Outcome::Allowed)
        .or_else(|| newest(Kind::Stranger, &refused("key_unknown")))
        .or_else(|| newest(Kind::Revoked, &refused("key_revoked")))
        .or_else(|| late.then(|| newest(Kind::Late, &refused("key_unknown")))?)
}

/// What is wrong once everybody has gone.
async fn afterwards(gateway: &Gateway, stock: &Stock) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    // The kernel deals connections out by chance: of 20, both workers get some.
    for _ in 0..20 {
        let answer = Request::get("/orders")
            .header("x-api-key", stock.victim())
            .send(gateway.port())
            .await?;
        if answer.header("x-keybound-code") != Some("key_revoked") {
            wrong.push(format!("the revoked key is answered {}", answer.status));
            break;
        }
    }
    const ACTIVE: &str = "http.gateway.downstream_rq_active";
    let idle = wait::until("no request to be under way", async || {
        let stats = gateway.envoy.stats(ACTIVE).await;
        match stats.as_ref().map(|stats| stats.get(ACTIVE)) {
            Ok(Some(0)) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    if let Err(error) = idle.await {
        wrong.push(error.to_string());
    }
    Ok(wrong)
}
