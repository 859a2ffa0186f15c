//! `key-service ready`.

use std::time::Duration;

use serde_json::json;

use super::client::Remote;
use super::outcome::{Failure, Outcome};
use super::output;

/// Shorter than what those who ask for this wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// For the health check of a container in which there is no other program that could ask.
pub fn run(remote: &Remote) -> Outcome {
    let (server, agent) = remote.reach(LONGEST_WAIT)?;
    let mut answer = agent
        .get(format!("{server}/readyz"))
        .call()
        .map_err(|error| remote.unreachable(&error))?;
    let (ready, status) = (answer.status().is_success(), answer.status().as_u16());
    if remote.json {
        output::json(&json!({"ready": ready, "status": status}));
    }
    if ready {
        return Ok(());
    }
    let problem: Option<serde_json::Value> = answer.body_mut().read_json().ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem.get("detail")?.as_str())
        .unwrap_or("its log says why");
    Err(Failure::Refused(format!(
        "the service at {} is not ready: /readyz answers {status}: {detail}",
        remote.shown()
    )))
}
