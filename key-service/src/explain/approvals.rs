//! Words about requests for the APIs that policies ask for.

use super::{ApiRequest, ApiStanding, Known, Question};
use keybound::host::Circumstances;
use keybound::policy::Chosen;

/// The APIs that these policies ask for and the key's user lacks, each once.
fn lacking<'p>(known: Known<'_>, policies: Chosen<'p>) -> Vec<&'p str> {
    let had = known
        .chain
        .user
        .as_ref()
        .and_then(|user| user.apis.as_ref());
    let mut lacking: Vec<&str> = Vec::new();
    for policy in policies.iter() {
        if let (Some(api), Some(had)) = (policy.api.as_deref(), had)
            && !had.iter().any(|had| **had == *api)
            && !lacking.contains(&api)
        {
            lacking.push(api);
        }
    }
    lacking
}

/// The last request for each API that these policies ask for and the key's user lacks.
pub(super) fn last<'k>(
    known: Known<'k>,
    policies: Chosen<'_>,
) -> impl Iterator<Item = &'k ApiRequest<'k>> {
    let of = |api: &str| known.approvals.iter().find(|request| request.api == api);
    let last: Vec<_> = lacking(known, policies)
        .into_iter()
        .filter_map(of)
        .collect();
    last.into_iter()
}

impl<C: Circumstances> Question<'_, C> {
    /// What became of the requests for what is lacking; begins with a space where there are any.
    pub(super) fn requested(&self, known: Known<'_>, policies: Chosen<'_>) -> String {
        let sentence = |ApiRequest {
                            id,
                            api,
                            standing,
                            by,
                            at,
                        }: &ApiRequest<'_>| {
            let at = (self.utc)(*at);
            match standing {
                ApiStanding::Pending => format!(
                    " The API {api} was asked for by {by} at {at}, and nobody has decided yet (request {id})."
                ),
                ApiStanding::Approved => format!(
                    " The request {id} for the API {api} was approved by {by} at {at}, and the API taken away later."
                ),
                ApiStanding::Denied => {
                    format!(" The request {id} for the API {api} was denied by {by} at {at}.")
                }
            }
        };
        last(known, policies).map(sentence).collect()
    }

    /// What to do where the user lacks an API.
    pub(super) fn advice_on_api(&self, known: Known<'_>, policies: Chosen<'_>) -> String {
        let user = known.chain.key.user_id.as_deref().unwrap_or("none");
        let pending: Vec<&ApiRequest<'_>> = last(known, policies)
            .filter(|request| request.standing == ApiStanding::Pending)
            .collect();
        let mut steps: Vec<String> = pending
            .iter()
            .map(|request| {
                let ApiRequest { id, api, .. } = request;
                format!(
                    "Decide the request {id} for the API {api}: key-service approval approve {id}, or deny."
                )
            })
            .collect();
        let unasked: Vec<&str> = lacking(known, policies)
            .into_iter()
            .filter(|api| pending.iter().all(|request| request.api != *api))
            .collect();
        if !unasked.is_empty() {
            steps.push(format!(
                "Approve the API {} for the user {user}, if it should have it, or let it be asked for with \
                 key-service approval request.",
                unasked.join(" and ")
            ));
        }
        steps.join(" ")
    }
}
