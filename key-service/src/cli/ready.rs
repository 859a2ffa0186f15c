//! `key-service ready`.

use std::time::Duration;

use super::{Failure, Outcome};

/// Shorter than what those who ask for this wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub struct Arguments {
    /// URL of the service
    #[arg(
        long,
        env = "KEYBOUND_SERVER",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    server: String,
}

/// For the health check of a container in which there is no other program that could ask.
pub fn run(arguments: &Arguments) -> Outcome {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(LONGEST_WAIT))
        .build()
        .into();
    let server = arguments.server.trim_end_matches('/');
    let answer = agent
        .get(format!("{server}/readyz"))
        .call()
        .map_err(|error| {
            Failure::Unreachable(format!("cannot reach the service at {server}: {error}"))
        })?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "the service at {server} is not ready: /readyz answers {}; its log says why",
        answer.status().as_u16()
    )))
}
