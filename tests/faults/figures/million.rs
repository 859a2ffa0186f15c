//! What very many keys cost a key service: to import them, to look them up, to hold them, and to tell many followers of
//! a change.

use super::goal::{Goals, quantile};
use super::services::{Services, name};
use super::writers::{Caller, cursor, ended, good};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::time::{Duration, Instant};
use support::client::Request;
use support::failure::{Failure, Result};
use support::fault_trials::Engine;
use support::key_service::KeyService;
use support::records::credential;
use support::wait;
use tokio::task::JoinSet;

/// Connections that ask without pause.
const ASKERS: usize = 8;
const ASKED_FOR: Duration = Duration::from_secs(5);

const FOLLOWERS: usize = 1000;
const CHANGES: usize = 20;

/// Measures it and adds it to the figures.
pub async fn measure(goals: &mut Goals, engine: Engine, keys: usize) -> Result<()> {
    let name = name(engine);
    println!("{name}: {keys} keys");
    let mut services = Services::start(engine).await?;
    let prefix = credential("million");
    let service = services.first();
    let tenant = service.tenant("million").await?;
    let user = service.user(&tenant, "million").await?;
    let key = |number: usize| format!("{prefix}-{number}");
    let began = Instant::now();
    service
        .import((0..keys).map(|number| json!({"key": key(number), "user_id": user})))
        .await?;
    goals.seen(
        format!("{name}: import of {keys} keys"),
        began.elapsed().as_secs_f64(),
        "s",
    );
    for digests in [1, 64] {
        let mut askers = JoinSet::new();
        for asker in 0..ASKERS {
            let caller = Caller::of(services.first());
            askers.spawn(ask(caller, prefix.clone(), keys, digests, asker));
        }
        let mut answers = 0;
        while let Some(count) = askers.join_next().await {
            answers += ended(count)?;
        }
        goals.seen(
            format!("{name}: look-ups of {digests} of {keys} keys, one service"),
            answers as f64 / ASKED_FOR.as_secs_f64(),
            "calls/s",
        );
    }
    let reviewed = Instant::now();
    review(services.first(), keys).await?;
    goals.seen(
        format!("{name}: review of {keys} keys, all of which it names"),
        reviewed.elapsed().as_secs_f64(),
        "s",
    );
    let mut lags = latencies(&services).await?;
    lags.sort_unstable_by(f64::total_cmp);
    for (what, share) in [("median", 0.5), ("p99", 0.99), ("largest", 1.0)] {
        goals.seen(
            format!("{name}: change heard by {FOLLOWERS} followers, {what}"),
            quantile(&lags, share),
            "ms",
        );
    }
    let memory = largest_memory(&mut services.all[0])?;
    goals.seen(format!("{name}: most memory of the service"), memory, "MB");
    Ok(())
}

/// Asks for other keys each time; all of them must be found. Gives how often.
async fn ask(
    caller: Caller,
    prefix: String,
    keys: usize,
    digests: usize,
    asker: usize,
) -> Result<usize> {
    let mut connection = caller.connect().await?;
    let end = Instant::now() + ASKED_FOR;
    let (mut number, mut count) = (asker * keys / ASKERS, 0);
    while Instant::now() < end {
        let asked: Vec<String> = (0..digests)
            .map(|_| {
                // Prime: it comes by all of them, far from each other.
                number = (number + 15_485_863) % keys;
                let digest = Sha256::digest(format!("{prefix}-{number}"));
                URL_SAFE_NO_PAD.encode(digest)
            })
            .collect();
        let request = caller.resolve(&json!({"digests": asked}));
        let answer = good(connection.send(&request).await?, 200)?;
        let found = answer["results"].as_array().map_or(0, |results| {
            let found = |result: &&Value| !result["key"].is_null();
            results.iter().filter(found).count()
        });
        if found != digests {
            return Err(Failure::new(format!("{found} of {digests} keys found")));
        }
        count += 1;
    }
    Ok(count)
}

/// Reads the whole review; each of the keys has no end, which asks for a look.
async fn review(service: &KeyService, keys: usize) -> Result<()> {
    println!("  reading the review");
    let mut connection = Caller::of(service).connect().await?;
    let (mut found, mut token) = (0, String::new());
    loop {
        let path = format!("/admin/v1/review?limit=5000{token}");
        let admin = format!("Bearer {}", service.tokens().admin);
        let request = Request::get(path).header("authorization", admin);
        let page = good(connection.send(&request).await?, 200)?;
        found += page["items"].as_array().map_or(0, Vec::len);
        let Some(next) = page["next_page_token"].as_str() else {
            break;
        };
        token = format!("&page_token={next}");
    }
    if found == keys {
        Ok(())
    } else {
        Err(Failure::new(format!("the review named {found} keys")))
    }
}

/// Milliseconds from the answer to a write of the first service to each follower of the last.
async fn latencies(services: &Services) -> Result<Vec<f64>> {
    println!("  {CHANGES} changes told to {FOLLOWERS} followers");
    let mut after = cursor(services.last()).await?;
    let caller = Caller::of(services.last());
    let mut connections = Vec::new();
    for _ in 0..FOLLOWERS {
        connections.push(caller.connect().await?);
    }
    let mut lags = Vec::new();
    for _ in 0..CHANGES {
        let poll = caller.poll(Some(after));
        let mut followers = JoinSet::new();
        for mut connection in connections.drain(..) {
            let poll = poll.clone();
            followers.spawn(async move {
                let answer = connection.send(&poll).await?;
                let heard = Instant::now();
                Ok((connection, heard, good(answer, 200)?))
            });
        }
        wait::until("all to follow", async || {
            match following(services.last()).await {
                Ok(FOLLOWERS) => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await?;
        let writer = Caller::of(services.first());
        let answer = writer.connect().await?.send(&writer.creation()).await?;
        let written = Instant::now();
        let version = good(answer, 201)?["version"].as_i64();
        while let Some(heard) = followers.join_next().await {
            let (connection, heard, page) = ended(heard)?;
            if page["cursor"].as_i64() != version {
                return Err(Failure::new(format!("a follower heard {page}")));
            }
            let lag = heard.saturating_duration_since(written);
            lags.push(lag.as_secs_f64() * 1000.0);
            connections.push(connection);
        }
        after = version.ok_or_else(|| Failure::new("a tenant without version"))?;
    }
    Ok(lags)
}

async fn following(service: &KeyService) -> Result<usize> {
    let text = Request::get("/metrics").send(service.port()).await?.text();
    text.lines()
        .find_map(|line| line.strip_prefix("keybound_service_followers "))
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| Failure::new("the key service does not tell its followers"))
}

/// The most memory that a service has had, in megabytes.
fn largest_memory(service: &mut KeyService) -> Result<f64> {
    let process = service
        .process()
        .ok_or_else(|| Failure::new("the key service does not run"))?;
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .map(|kilobytes| kilobytes / 1024.0)
        .ok_or_else(|| Failure::new("the system does not tell the memory of a process"))
}
