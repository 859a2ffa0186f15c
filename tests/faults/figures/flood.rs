//! A flood of keys that somebody made up.

use super::goal::{Goals, quantile};
use super::spread::{WORKERS, connections};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::client::{Connection, Request};
use support::failure::Result;
use support::gateway::Gateway;
use support::load::{Client, Load, Sample};
use support::records::credential;

const MADE_UP: usize = 1_000_000;
const KNOWN: usize = 100;

/// Pairs of rounds in which the same load is sent, once with made-up keys and once with valid ones only.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);

/// Connections of each worker whose requests are of known keys.
const KNOWN_EACH: usize = 2;
/// Those of the flood, or of valid keys in its place.
const FLOOD_EACH: usize = 8;

/// From one request of a connection to its next, in the rounds.
const EVERY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Known,
    Flood,
}

struct Keys {
    prefix: String,
    next: AtomicUsize,
}

impl Keys {
    fn known(&self, number: usize) -> String {
        format!("{}-known-{}", self.prefix, number % KNOWN)
    }

    fn made_up(&self) -> Option<String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < MADE_UP).then(|| format!("{}-made-up-{number}", self.prefix))
    }
}

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals) -> Result<()> {
    println!("{MADE_UP} made-up keys");
    let mut gateway = Gateway::real()
        .quiet()
        .without_upstream()
        .direct()
        .try_start()
        .await?;
    let keys = Arc::new(Keys {
        prefix: credential("flood"),
        next: AtomicUsize::new(0),
    });
    gateway.secret(&keys.prefix);
    let service = gateway.key_service();
    let tenant = service.tenant("flood").await?;
    let user = service.user(&tenant, "flood").await?;
    service
        .import((0..KNOWN).map(|number| json!({"key": keys.known(number), "user_id": user})))
        .await?;

    // Once before anything counts: caches and Envoy's own buffers take what they take.
    round(&gateway, &keys, false).await?;
    let before = gateway.envoy.resident_memory()?;

    let mut ratios = Vec::new();
    for number in 1..=ROUNDS {
        let valid = round(&gateway, &keys, false).await?;
        let flooded = round(&gateway, &keys, true).await?;
        println!(
            "  round {number} of {ROUNDS}: p99 of known keys {valid:.2} ms, in the flood {flooded:.2} ms"
        );
        ratios.push(flooded / valid);
    }
    ratios.sort_unstable_by(f64::total_cmp);

    println!("  the rest of the flood, as fast as it goes");
    let began = Instant::now();
    let (connections, clients) = load(&gateway, &keys, true, None).await?;
    let load = Load::over(gateway.port(), connections, clients);
    let samples = until_flooded(load).await?;
    let known = samples.iter().filter(|sample| sample.kind == Kind::Known);
    let refused = known.filter(|sample| !sample.outcome.is(None)).count();
    println!(
        "  {:.0} requests a second; p99 of known keys {:.1} ms; {refused} of them refused",
        samples.len() as f64 / began.elapsed().as_secs_f64(),
        p99(&samples)
    );
    let after = gateway.envoy.resident_memory()?;
    let mebibytes = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    println!(
        "  Envoy's resident memory: {:.1} MiB before, {:.1} MiB after",
        mebibytes(before),
        mebibytes(after)
    );
    let service = gateway.key_service();
    let digests = service
        .counter("keybound_service_resolve_digests", "")
        .await?;
    let calls = service
        .counter("keybound_service_http_requests", r#"route="/v1/resolve""#)
        .await?;
    println!("  {digests} keys asked for in {calls} calls");

    let growth = mebibytes(after.saturating_sub(before));
    goals.at_most("growth of memory in a flood", growth, 64.0, "MiB");
    goals.at_most(
        "p99 of known keys in a flood, median ratio",
        quantile(&ratios, 0.5),
        1.5,
        "times",
    );
    goals.at_most(
        "known keys refused in a flood",
        refused as f64,
        0.0,
        "requests",
    );
    Ok(())
}

/// The p99 of known keys, in milliseconds, beside requests of other valid keys or of made-up ones.
async fn round(gateway: &Gateway, keys: &Arc<Keys>, flooded: bool) -> Result<f64> {
    let (connections, clients) = load(gateway, keys, flooded, Some(EVERY)).await?;
    let load = Load::over(gateway.port(), connections, clients);
    tokio::time::sleep(ROUND).await;
    Ok(p99(&load.stop().await?))
}

async fn load(
    gateway: &Gateway,
    keys: &Arc<Keys>,
    flooded: bool,
    every: Option<Duration>,
) -> Result<(Vec<Connection>, Vec<Client<Kind>>)> {
    let mut all = Vec::new();
    let mut clients = Vec::new();
    for (kind, each) in [(Kind::Known, KNOWN_EACH), (Kind::Flood, FLOOD_EACH)] {
        all.extend(connections(gateway, each).await?);
        for client in 0..each * WORKERS {
            let keys = Arc::clone(keys);
            let mut sent = client * 31;
            clients.push(Client {
                source: Box::new(move || {
                    sent += 1;
                    let key = if flooded && kind == Kind::Flood {
                        keys.made_up()?
                    } else {
                        keys.known(sent)
                    };
                    Some((kind, Request::get("/orders").header("x-api-key", key)))
                }),
                every: match kind {
                    Kind::Known => Some(EVERY),
                    Kind::Flood => every,
                },
            });
        }
    }
    Ok((all, clients))
}

/// Lets the load go on until nothing is left of the flood.
async fn until_flooded(load: Load<Kind>) -> Result<Vec<Sample<Kind>>> {
    let known = KNOWN_EACH * WORKERS;
    while load.active() > known {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    load.stop().await
}

fn p99(samples: &[Sample<Kind>]) -> f64 {
    let mut took: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.kind == Kind::Known)
        .map(|sample| sample.took.as_secs_f64() * 1000.0)
        .collect();
    took.sort_unstable_by(f64::total_cmp);
    quantile(&took, 0.99)
}
