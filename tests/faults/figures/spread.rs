//! Connections to both workers.

use std::collections::BTreeMap;
use support::client::Connection;
use support::failure::{Failure, Result};
use support::gateway::Gateway;
use support::wait;

/// Workers of the gateways that are measured.
pub const WORKERS: usize = 2;

/// Opens connections until each worker has exactly this many.
pub async fn connections(gateway: &Gateway, each: usize) -> Result<Vec<Connection>> {
    let of_workers = connections_of(gateway, [each; WORKERS]).await?;
    Ok(of_workers.into_iter().flatten().collect())
}

/// Opens connections until each worker has as many as are wanted of it. The kernel deals them out by chance.
pub async fn connections_of(
    gateway: &Gateway,
    wanted: [usize; WORKERS],
) -> Result<[Vec<Connection>; WORKERS]> {
    let mut kept = [const { Vec::new() }; WORKERS];
    let mut before = totals(gateway).await?;
    while kept.iter().map(Vec::len).ne(wanted) {
        let connection = Connection::open(gateway.port()).await?;
        let now = wait::until("a worker to take a connection", async || {
            let now = totals(gateway).await.map_err(|error| error.to_string())?;
            if now == before {
                Err("none did".to_owned())
            } else {
                Ok(now)
            }
        })
        .await?;
        let worker = (0..WORKERS)
            .find(|worker| now.get(worker) != before.get(worker))
            .ok_or_else(|| Failure::new("a worker of an unknown number"))?;
        before = now;
        if kept[worker].len() < wanted[worker] {
            kept[worker].push(connection);
        }
    }
    Ok(kept)
}

/// Connections that each worker ever took.
async fn totals(gateway: &Gateway) -> Result<BTreeMap<usize, u64>> {
    let prefix = format!("listener.127.0.0.1_{}.worker_", gateway.port());
    let stats = gateway.envoy.stats(&prefix).await?;
    Ok(stats
        .into_iter()
        .filter_map(|(name, value)| {
            let worker = name
                .strip_prefix(&prefix)?
                .strip_suffix(".downstream_cx_total")?;
            Some((worker.parse().ok()?, value))
        })
        .collect())
}
