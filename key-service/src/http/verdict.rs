//! What gateways make of a key for what it is, whatever the request: found by the filter's own code.

use keybound::policy::{Chosen, Policy};
use keybound::protocol::MOST_DIGESTS;
use keybound::record::Chain;
use keybound::record::{Resolved, parse_answer};
use keybound::request::Request;
use keybound::request::headers::Headers;
use keybound::verdict::{Facts, Knowledge, Outcome, Reason, explain};

use std::rc::Rc;

use super::problem::Problem;
use super::resolve::answer;
use crate::domain::credential::Digest;
use crate::domain::time::now;
use crate::store::View;

/// The verdict on a key that is gone.
pub const UNKNOWN: &str = Reason::KeyUnknown.code();

/// `allowed`, or the code with which gateways refuse the key, for each of these digests.
pub async fn verdicts(view: &View, digests: &[Digest]) -> Result<Vec<&'static str>, Problem> {
    let mut verdicts = Vec::with_capacity(digests.len());
    let mut left = digests;
    while let Some(asked) = left.chunks(MOST_DIGESTS).next() {
        let found = view.resolve(asked).await?;
        let body = serde_json::to_vec(&answer(asked, &found)?).map_err(|_| Problem::internal())?;
        let read = parse_answer(&body).map_err(|problem| {
            tracing::error!(%problem, "gateways cannot read the records of keys");
            Problem::internal()
        })?;
        // An answer may be too large for all that was asked, and never for the first.
        left = left
            .split_at_checked(read.results.len())
            .map_or(&[], |(_, left)| left);
        let now = u64::try_from(now()).unwrap_or_default();
        verdicts.extend(read.results.into_iter().map(|(_, result)| match result {
            Ok(Resolved::Known { key, user, tenant }) => {
                let chain = Chain {
                    key: Rc::new(*key),
                    user: user.map(Rc::new),
                    tenant: tenant.map(Rc::new),
                };
                verdict(&chain, now)
            }
            Ok(Resolved::Unknown) => UNKNOWN,
            // Gateways do not take such a record for knowledge.
            Err(_) => Reason::KeyServiceUnavailable.code(),
        }));
    }
    Ok(verdicts)
}

/// The first check of the records that fails. Those that come after ask about the request.
fn verdict(chain: &Chain, now: u64) -> &'static str {
    // Nothing is asked of it.
    let request = Request::new(Headers::new(&[]), &());
    let policy = Policy::default();
    let checks = explain(&Facts {
        knowledge: Knowledge::Known(chain),
        policies: Chosen::one(&policy),
        request: &request,
        now,
    });
    let of_records = checks
        .into_iter()
        .take_while(|(reason, _)| *reason != Reason::UserMismatch);
    let mut failed = of_records.filter(|(_, outcome)| *outcome == Outcome::Failed);
    failed.next().map_or("allowed", |(reason, _)| reason.code())
}
