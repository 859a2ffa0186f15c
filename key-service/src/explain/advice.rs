//! What to do about a verdict.

use super::{Known, Question};
use keybound::host::Circumstances;
use keybound::policy::{Chosen, RequiredScopes, Statement};
use keybound::record::Chain;
use keybound::verdict::Reason;

impl<C: Circumstances> Question<'_, C> {
    /// What to do about a verdict, in one sentence.
    pub(super) fn advice(
        &self,
        verdict: Option<Reason>,
        known: Option<Known<'_>>,
        policies: Chosen<'_>,
    ) -> String {
        match (verdict, known) {
            (None, known) => self.advice_on_allowed(known),
            (Some(reason), Some(known)) => self.advice_on_key(reason, known, policies),
            (Some(Reason::KeyMissing), None) => {
                format!("Let the client send its key in {}.", self.places())
            }
            (Some(Reason::KeyDuplicated), None) => {
                "Let the client send its key once; a proxy in between may have added the second.".to_owned()
            }
            (Some(Reason::KeyMalformed), None) => {
                "Let the client send the key exactly as it was issued: whole, without spaces or quotes, and \
                 not encoded."
                    .to_owned()
            }
            (Some(_), None) => {
                "Compare the last characters with the hints in the list of keys: the key may be mistyped or \
                 of another environment; if nobody has it any more, issue a new one."
                    .to_owned()
            }
        }
    }

    fn advice_on_allowed(&self, known: Option<Known<'_>>) -> String {
        let replacement = known.filter(|known| known.chain.key.replaced).map(|known| {
            let until = known
                .chain
                .key
                .expires_at
                .map(|end| format!(" before {}", (self.utc)(end)));
            format!(
                "Let the client change over to {}{}.",
                successor(known),
                until.unwrap_or_default()
            )
        });
        replacement.unwrap_or_else(|| {
            "Nothing is to be done; if the gateway refused this request, compare its time, address, headers \
             and configuration with what was asked here."
                .to_owned()
        })
    }

    fn advice_on_key(&self, reason: Reason, known: Known<'_>, policies: Chosen<'_>) -> String {
        let chain = known.chain;
        let key = &chain.key.id;
        let user = chain.key.user_id.as_deref().unwrap_or("none");
        let tenant = chain.key.tenant_id.as_deref().unwrap_or("none");
        match reason {
            Reason::KeyRevoked => format!(
                "A revoked key never works again: issue a new key to the user {user}, if the client is still \
                 entitled to one."
            ),
            Reason::KeyDisabled => format!("Enable the key {key} again, if it was not disabled for a reason."),
            Reason::KeyNotYetValid => format!(
                "Wait until {}, or let the key {key} begin earlier.",
                chain.key.not_before.map_or_else(|| "then".to_owned(), self.utc)
            ),
            Reason::KeyReplaced => {
                format!("Let the client use {} instead of {key}.", successor(known))
            }
            Reason::KeyExpired => {
                format!("Issue a new key to the user {user}, or move the end of the key {key}.")
            }
            Reason::UserMissing => format!(
                "Issue a new key to a user that exists, and revoke the key {key}."
            ),
            Reason::UserDeleted => format!(
                "A deleted user never comes back: issue a key to another user, and revoke the key {key}."
            ),
            Reason::UserDeactivated => format!(
                "Reactivate the user {user} if it is still needed; else create a user for this client, with a \
                 key of its own and no more scopes than it needs."
            ),
            Reason::UserSuspended => {
                format!("Find out why the user {user} was suspended, and activate it again.")
            }
            Reason::UserLocked => format!("Unlock the user {user}, by activating it again."),
            Reason::UserPending => format!("Let the user {user} be verified, and activate it."),
            Reason::TenantMissing => tenant_missing(chain),
            Reason::TenantSuspended => {
                format!("Find out why the tenant {tenant} was suspended, and activate it again.")
            }
            Reason::UserMismatch => format!(
                "Let the request state the user {user}, or use a key of the user that it is for."
            ),
            Reason::TenantMismatch => {
                let fixed = policies.iter().find_map(|policy| match &policy.tenant {
                    Some(Statement::Value(value)) => Some(value.as_str()),
                    _ => None,
                });
                match fixed {
                    Some(right) => format!(
                        "Revoke the key {key} and issue a new one to a user of the tenant {right}."
                    ),
                    None => format!(
                        "If the request is for another tenant than {tenant}, issue a key to a user of that \
                         tenant and revoke the key {key}; else let the request state {tenant}."
                    ),
                }
            }
            Reason::EnvironmentMismatch => {
                "Use a key of the environment that the policy asks for.".to_owned()
            }
            Reason::ApiNotApproved => self.advice_on_api(known, policies),
            Reason::ScopeMissing => scope_missing(chain, policies),
            Reason::AddressNotAllowed => match self.request.source_address() {
                None => "Ask again with the source address of the request, as it stands in the gateway's \
                         access log."
                    .to_owned(),
                Some(address) => format!(
                    "Add a network with {address} to the key {key}, if the client is right to call from \
                     there; behind a load balancer, check which address Envoy trusts."
                ),
            },
            Reason::OutsideHours => {
                format!("Call within the hours of the key {key}, or widen them.")
            }
            Reason::KeyMissing
            | Reason::KeyDuplicated
            | Reason::KeyMalformed
            | Reason::KeyUnknown
            | Reason::KeyServiceUnavailable
            | Reason::Overloaded
            | Reason::PolicyUnknown => "Look at the gateway's log and metrics.".to_owned(),
        }
    }
}

fn successor(known: Known<'_>) -> String {
    known.replaced_by.map_or_else(
        || "the key that replaces it".to_owned(),
        |by| format!("the key {by}"),
    )
}

fn tenant_missing(chain: &Chain) -> String {
    let key = &chain.key.id;
    let tenant = chain.key.tenant_id.as_deref().unwrap_or("none");
    match chain.tenant {
        None => format!(
            "Create the tenant {tenant}, or issue a new key under a tenant that exists and revoke the key \
             {key}."
        ),
        Some(_) => format!(
            "Issue a new key to a user of the tenant where the client belongs, and revoke the key {key}."
        ),
    }
}

fn scope_missing(chain: &Chain, policies: Chosen<'_>) -> String {
    let key = &chain.key.id;
    let user = chain.key.user_id.as_deref().unwrap_or("none");
    let asked = policies.iter().filter_map(|policy| policy.scopes.as_ref());
    let scopes: Vec<&str> = asked
        .flat_map(|scopes| match scopes {
            RequiredScopes::All(scopes) | RequiredScopes::Any(scopes) => scopes,
        })
        .map(String::as_str)
        .collect();
    let missing = |covers: &dyn Fn(&str) -> bool| {
        let missing: Vec<&str> = scopes
            .iter()
            .copied()
            .filter(|scope| !covers(scope))
            .collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    };
    let of_key = missing(&|scope| chain.key.scopes.cover(scope));
    let of_user = missing(&|scope| chain.user_covers(scope));
    match (of_key, of_user) {
        (Some(of_key), Some(of_user)) => format!(
            "Grant {of_key} to the key {key} and {of_user} to its user {user}, as far as they should have it."
        ),
        (None, Some(of_user)) => {
            format!("Grant {of_user} to the user {user}, as far as it should have it.")
        }
        (Some(of_key), None) => {
            format!("Grant {of_key} to the key {key}, as far as it should have it.")
        }
        (None, None) => format!("Grant the key {key} what the policies ask for."),
    }
}
