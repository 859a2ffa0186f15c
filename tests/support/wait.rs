//! Waiting by looking again. Time-outs here only end a run that would never end by itself: no test says
//! anything about speed.

use crate::failure::{Failure, Result};
use std::time::{Duration, Instant};

/// How long anything may take before the run counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value; the failure names what was waited for and what was seen last.
pub async fn until<T, F>(what: &str, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> std::result::Result<T, String>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() >= end => {
                return Err(Failure::new(format!(
                    "waited {} s for {what}; last seen: {seen}",
                    PATIENCE.as_secs()
                )));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
