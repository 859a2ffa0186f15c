//! Who stops keys is told first that they are in use, or that nobody knows.

use super::problem::{InUseReason, Problem};
use crate::domain::input::input;
use crate::domain::input::rules::Switch;
use crate::store::Write;
use crate::store::usage::Stopped;

input! {
    /// How to stop keys.
    StopQuery {
        /// Do it even though keys that it stops were used in the last 30 days, or nobody reports use.
        force: bool = or_default(Switch),
    }
}

/// Whoever stops what looks dormant learns first that its keys were used a minute ago.
pub async fn refuse_if_in_use(write: &mut Write, stopped: Stopped<'_>) -> Result<(), Problem> {
    let found = write.in_use(stopped).await?;
    if found.keys.is_empty() {
        return Ok(());
    }
    let reason = if found.reported {
        InUseReason::UsedRecently
    } else {
        InUseReason::UsageNotReported
    };
    Err(Problem::in_use(reason, found.more, found.keys))
}
