//! Who stops keys is told first that they are in use, or that nobody knows.

use utoipa::IntoParams;

use super::fields::{Fields, switch};
use super::problem::{InUseReason, Problem};
use crate::domain::refusal::Refusal;
use crate::store::Write;
use crate::store::usage::Stopped;

/// How to stop keys.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "describes the query; reading it has its own rules"
)]
pub struct StopQuery {
    /// Do it even though keys that it stops were used in the last 30 days, or nobody reports use.
    force: Option<bool>,
}

impl StopQuery {
    /// Whether the query says that it is to be done all the same.
    pub fn read(query: Option<&str>) -> Result<bool, Refusal> {
        let mut fields = Fields::of_query(query)?;
        let force = fields.optional("force", switch);
        fields.finish(|| Some(force.unwrap_or_default()))
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
