//! What a trial showed.

use super::Kind;
use crate::load::{Outcome, Sample};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Moments of a trial.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The fault began.
    pub began: Instant,
    /// The fault had ended.
    pub ended: Instant,
    /// The revocation was answered.
    pub revoked: Instant,
    /// Whether the fault makes the key service take back all that it said.
    pub reset: bool,
}

/// What became of the requests of a trial.
#[derive(Clone, Debug)]
pub struct Report {
    /// The trial's name.
    pub name: &'static str,
    /// Requests that were sent, without those whose clients hung up.
    pub sent: usize,
    /// Those that were allowed.
    pub allowed: usize,
    /// Those that were refused, by code.
    pub refused: BTreeMap<String, usize>,
    /// Those without a whole answer.
    pub lost: usize,
    /// Those whose clients did not wait for the answer.
    pub left: u64,
    /// The longest that any request took.
    pub slowest: Duration,
    /// How long the median refusal for want of the key service took.
    pub unavailable: Option<Duration>,
    /// From the end of the fault until the last request was sent that got such a refusal.
    pub recovered: Duration,
    /// From the end of the fault, or from the revocation where that came later, until the last answer that
    /// let the revoked key through.
    pub obeyed: Duration,
    /// Writes that were acknowledged while something was killed, and looked for at the end.
    pub acknowledged: usize,
    /// Promises that were broken, apart from times.
    pub broken: Vec<String>,
}

impl Report {
    pub(super) fn new(name: &'static str, samples: &[Sample<Kind>], times: &Times) -> Self {
        let mut report = Self {
            name,
            sent: samples.len(),
            allowed: 0,
            refused: BTreeMap::new(),
            lost: 0,
            left: 0,
            slowest: samples
                .iter()
                .map(|sample| sample.took)
                .max()
                .unwrap_or_default(),
            unavailable: None,
            recovered: Duration::ZERO,
            obeyed: Duration::ZERO,
            acknowledged: 0,
            broken: Vec::new(),
        };
        let mut refusals = Vec::new();
        let obeyed_from = times.ended.max(times.revoked);
        let mut broken: BTreeMap<String, usize> = BTreeMap::new();
        for sample in samples {
            match &sample.outcome {
                Outcome::Allowed => report.allowed += 1,
                Outcome::Refused { code, .. } => {
                    *report.refused.entry(code.clone()).or_default() += 1;
                }
                Outcome::Lost(_) => report.lost += 1,
                Outcome::Strange(_) => {}
            }
            if is_unavailable(&sample.outcome) {
                refusals.push(sample.took);
                let after = sample.sent.saturating_duration_since(times.ended);
                report.recovered = report.recovered.max(after);
            }
            if sample.kind == Kind::Revoked && sample.outcome == Outcome::Allowed {
                let after = sample.ended().saturating_duration_since(obeyed_from);
                report.obeyed = report.obeyed.max(after);
            }
            if let Some(what) = wrong_with(sample, times) {
                *broken.entry(what).or_default() += 1;
            }
        }
        refusals.sort_unstable();
        report.unavailable = refusals.get(refusals.len() / 2).copied();
        report.broken = broken
            .into_iter()
            .map(|(what, count)| format!("{count} times: {what}"))
            .collect();
        report
    }

    /// How often a code was given.
    pub fn refused(&self, code: &str) -> usize {
        self.refused.get(code).copied().unwrap_or(0)
    }
}

fn is_unavailable(outcome: &Outcome) -> bool {
    matches!(
        outcome.code(),
        Some("key_service_unavailable" | "overloaded")
    )
}

/// The promise that the outcome of a request breaks.
fn wrong_with(sample: &Sample<Kind>, times: &Times) -> Option<String> {
    let kind = sample.kind;
    match &sample.outcome {
        Outcome::Lost(why) => return Some(format!("a request was lost: {why}")),
        Outcome::Strange(what) => return Some(format!("{kind:?} was answered {what}")),
        Outcome::Refused {
            status: 503,
            retry_after: false,
            ..
        } => return Some("a 503 without retry-after".to_owned()),
        _ => {}
    }
    let unavailable = is_unavailable(&sample.outcome);
    let code = sample.outcome.code();
    let right = match kind {
        // After a reset nothing is believed that was known before, and a worker may not have noticed yet
        // that it can ask again.
        Kind::Known => code.is_none() || (unavailable && times.reset),
        Kind::Cold => code.is_none() || unavailable,
        Kind::Stranger => code == Some("key_unknown") || unavailable,
        // It was warm, so that nobody has to be asked for it, whatever the state of the key service.
        Kind::Revoked => {
            code.is_none()
                || (unavailable && times.reset)
                || (code == Some("key_revoked") && sample.ended() > times.began)
        }
        Kind::Late => {
            code.is_none()
                || (code == Some("key_unknown") && sample.ended() > times.began)
                || unavailable
        }
    };
    (!right).then(|| format!("{kind:?} was answered {}", code.unwrap_or("200")))
}
