//! Whether followers of the feed find every write while many programs write.

use super::goal::Goals;
use super::services::{Services, name};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Instant;
use support::client::{Connection, Request, Response};
use support::failure::{Failure, Result};
use support::fault_trials::Engine;
use support::key_service::KeyService;
use tokio::task::JoinSet;

const WRITERS: usize = 8;

/// With one service both are its followers.
const FOLLOWERS: usize = 2;

/// Measures it and adds it to the goals.
pub async fn measure(goals: &mut Goals, engine: Engine, writes: usize) -> Result<()> {
    let name = name(engine);
    println!("{name}: {WRITERS} programs make {writes} writes");
    let services = Services::start(engine).await?;
    let begin = cursor(services.first()).await?;
    let each = writes / WRITERS;
    let mut followers = JoinSet::new();
    for number in 0..FOLLOWERS {
        let service = &services.all[number % services.all.len()];
        followers.spawn(follow(Caller::of(service), begin, each * WRITERS));
    }
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let service = &services.all[number % services.all.len()];
        writers.spawn(write(Caller::of(service), each));
    }
    let mut given = BTreeSet::new();
    while let Some(versions) = writers.join_next().await {
        given.extend(ended(versions)?);
    }
    let took = began.elapsed();
    println!(
        "  {:.0} writes a second",
        given.len() as f64 / took.as_secs_f64()
    );
    let (mut lost, mut twice, mut behind) = (0, 0, 0);
    while let Some(seen) = followers.join_next().await {
        let seen = ended(seen)?;
        let once: BTreeSet<i64> = seen.iter().copied().collect();
        lost += given.difference(&once).count();
        twice += seen.len() - once.len();
        behind += seen.windows(2).filter(|two| two[0] > two[1]).count();
    }
    let span = given
        .last()
        .zip(given.first())
        .map_or(0, |(last, first)| last - first + 1);
    let gaps = span as f64 - given.len() as f64;
    let missing = (each * WRITERS - given.len()) as f64;
    println!("  followers saw {twice} changes twice, {behind} out of order");
    goals.seen(
        format!("{name}: {WRITERS} programs that write"),
        given.len() as f64 / took.as_secs_f64(),
        "writes/s",
    );
    let goal = |what: &str| format!("{name}: {what}, of {writes} writes");
    goals.at_most(goal("lost to a follower"), lost as f64, 0.0, "changes");
    goals.at_most(goal("numbers left out"), gaps, 0.0, "numbers");
    goals.at_most(goal("not acknowledged"), missing, 0.0, "writes");
    goals.at_most(
        goal("twice or out of order"),
        (twice + behind) as f64,
        0.0,
        "changes",
    );
    Ok(())
}

/// Who calls a service.
#[derive(Clone)]
pub struct Caller {
    port: u16,
    admin: String,
    gateway: String,
}

impl Caller {
    /// Of this service.
    pub fn of(service: &KeyService) -> Self {
        let tokens = service.tokens().clone();
        Self {
            port: service.port(),
            admin: tokens.admin,
            gateway: tokens.gateway,
        }
    }

    /// A connection that is kept.
    pub async fn connect(&self) -> Result<Connection> {
        Connection::open(self.port).await
    }

    /// Creates a tenant, which is one change.
    pub fn creation(&self) -> Request {
        Request::post("/admin/v1/tenants", "{}")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.admin))
    }

    /// Asks for changes.
    pub fn poll(&self, after: Option<i64>) -> Request {
        let target = match after {
            None => "/v1/changes".to_owned(),
            // Below the time after which the client gives up.
            Some(after) => format!("/v1/changes?after={after}&wait=20"),
        };
        Request::get(target).header("authorization", format!("Bearer {}", self.gateway))
    }

    /// Asks for keys.
    pub fn resolve(&self, body: &Value) -> Request {
        Request::post("/v1/resolve", body.to_string())
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.gateway))
    }
}

/// The number of the last write.
pub async fn cursor(service: &KeyService) -> Result<i64> {
    let caller = Caller::of(service);
    let answer = caller.connect().await?.send(&caller.poll(None)).await?;
    number(&good(answer, 200)?["cursor"])
}

async fn write(caller: Caller, count: usize) -> Result<Vec<i64>> {
    let mut connection = caller.connect().await?;
    let mut versions = Vec::new();
    for _ in 0..count {
        let answer = connection.send(&caller.creation()).await?;
        versions.push(number(&good(answer, 201)?["version"])?);
    }
    Ok(versions)
}

/// Follows until it has seen so many changes, or nothing comes any more.
async fn follow(caller: Caller, begin: i64, count: usize) -> Result<Vec<i64>> {
    let mut connection = caller.connect().await?;
    let (mut seen, mut after) = (Vec::new(), begin);
    while seen.len() < count {
        let answer = connection.send(&caller.poll(Some(after))).await?;
        let page = good(answer, 200)?;
        if page["reset"] == true {
            return Err(Failure::new("the feed was reset"));
        }
        let changes = page["changes"].as_array().map_or(&[][..], Vec::as_slice);
        if changes.is_empty() {
            break;
        }
        for change in changes {
            seen.push(number(&change["seq"])?);
        }
        after = number(&page["cursor"])?;
    }
    Ok(seen)
}

/// The body of an answer with this status.
pub fn good(answer: Response, status: u16) -> Result<Value> {
    if answer.status == status {
        return Ok(answer.json());
    }
    let (status, text) = (answer.status, answer.text());
    Err(Failure::new(format!(
        "the service answers {status}: {text}"
    )))
}

fn number(value: &Value) -> Result<i64> {
    let number = value.as_i64();
    number.ok_or_else(|| Failure::new(format!("{value} is no number")))
}

/// What a task gave.
pub fn ended<T>(outcome: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    outcome.map_err(|error| Failure::new(error.to_string()))?
}
