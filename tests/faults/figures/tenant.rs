//! A tenant with very many keys: its suspension is one change, and stops them all.

use super::goal::Goals;
use super::propagation::{Busy, Keys};
use super::spread::connections;
use serde_json::json;
use std::sync::Arc;
use support::client::Request;
use support::failure::Result;
use support::gateway::Gateway;
use support::load::{Client, Load};
use support::records::credential;

const KEYS: usize = 100_000;

/// Connections of the sweeps over all keys.
const SWEEPERS: usize = 64;

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals) -> Result<()> {
    println!("tenant with {KEYS} keys");
    let mut gateway = Gateway::real()
        .quiet()
        .without_upstream()
        .direct()
        .try_start()
        .await?;
    let prefix = credential("tenant");
    gateway.secret(&prefix);
    let service = gateway.key_service();
    let tenant = service.tenant("large").await?;
    let user = service.user(&tenant, "large").await?;
    let all: Keys = Arc::new(
        (0..KEYS)
            .map(|number| format!("{prefix}-{number}"))
            .collect(),
    );
    service
        .import(all.iter().map(|key| json!({"key": key, "user_id": user})))
        .await?;

    println!("  sending each key once");
    let allowed = sweep(&gateway, &all, None).await?;
    println!("  {allowed} allowed; suspending");
    let applied = gateway.counters().await.get("changes.applied").copied();
    let busy = Busy::start(&gateway, connections(&gateway, 4).await?, Arc::clone(&all));
    let number = busy.send(Arc::clone(&all));
    let path = format!("/tenants/{tenant}?force=true");
    let body = json!({"status": "suspended"});
    let call = gateway.key_service().must("PATCH", &path, Some(&body));
    let lag = busy
        .lag(number, None, Some("tenant_suspended"), call)
        .await?;
    busy.stop().await?;
    println!("  sending each key once more");
    let refused = sweep(&gateway, &all, Some("tenant_suspended")).await?;
    let now = gateway.counters().await.get("changes.applied").copied();
    println!("  {refused} refused; changes.applied was {applied:?} before and is {now:?}");

    let lag = lag.as_secs_f64() * 1000.0;
    goals.at_most("tenant's suspension obeyed", lag, 50.0, "ms");
    let missed = (KEYS - refused) as f64;
    goals.at_most("its keys that were not refused", missed, 0.0, "keys");
    Ok(())
}

/// Sends each key once, and gives how many were answered so.
async fn sweep(gateway: &Gateway, keys: &Keys, code: Option<&'static str>) -> Result<usize> {
    let clients = (0..SWEEPERS)
        .map(|first| {
            let keys = Arc::clone(keys);
            let mut next = first;
            Client {
                source: Box::new(move || {
                    let key = keys.get(next)?;
                    next += SWEEPERS;
                    Some(((), Request::get("/orders").header("x-api-key", key)))
                }),
                every: None,
            }
        })
        .collect();
    let load = Load::start(gateway.port(), clients).await?;
    let samples = load.run_out().await?;
    Ok(samples
        .iter()
        .filter(|sample| sample.outcome.is(code))
        .count())
}
