//! How often the key service is asked while its feed works.

use super::goal::Goals;
use super::spread::{WORKERS, connections};
use std::time::Instant;
use support::client::Request;
use support::failure::Result;
use support::fault_trials::Stock;
use support::gateway::Gateway;
use support::load::{Client, Load};

const REQUESTS: usize = 1_000_000;
const KEYS: usize = 1000;

/// Connections of each worker.
const EACH: usize = 8;

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals) -> Result<()> {
    println!("{REQUESTS} requests of {KEYS} keys");
    // The keys are there before Envoy is: of those that are made while it follows the feed, it learns by that.
    let stock = Stock::make(KEYS).await?;
    let mut gateway = Gateway::real()
        .quiet()
        .without_upstream()
        .direct()
        .database(&stock.database())
        .try_start()
        .await?;
    gateway.secret(stock.prefix());

    let connections = connections(&gateway, EACH).await?;
    let clients = (0..EACH * WORKERS)
        .map(|client| {
            let prefix = stock.prefix().to_owned();
            let mut left = REQUESTS / (EACH * WORKERS);
            Client {
                source: Box::new(move || {
                    left = left.checked_sub(1)?;
                    let number = left.wrapping_mul(7919).wrapping_add(client * 61) % KEYS;
                    let key = format!("{prefix}-cold-{number}");
                    Some(((), Request::get("/orders").header("x-api-key", key)))
                }),
                every: None,
            }
        })
        .collect();
    let began = Instant::now();
    let load = Load::over(gateway.port(), connections, clients);
    let samples = load.run_out().await?;
    let took = began.elapsed();
    let allowed = samples
        .iter()
        .filter(|sample| sample.outcome.is(None))
        .count();
    println!(
        "  {} requests, {allowed} allowed, {:.0} a second",
        samples.len(),
        samples.len() as f64 / took.as_secs_f64()
    );
    let service = gateway.key_service();
    let digests = service
        .counter("keybound_service_resolve_digests", "")
        .await?;
    let calls = "keybound_service_http_requests";
    let resolves = service.counter(calls, r#"route="/v1/resolve""#).await?;
    let polls = service.counter(calls, r#"route="/v1/changes""#).await?;
    println!("  {digests} keys asked for in {resolves} calls, {polls} polls of the feed");
    let most = (KEYS * WORKERS) as f64;
    goals.at_most(
        "keys asked for, of 1000 on 2 workers",
        digests,
        most,
        "keys",
    );
    goals.at_most(
        "requests not allowed",
        (samples.len() - allowed) as f64,
        0.0,
        "requests",
    );
    Ok(())
}
