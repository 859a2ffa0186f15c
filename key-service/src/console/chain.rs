//! The chain of an explanation: which of its five links hold, which one breaks and since when, and what mends it.

use keybound::verdict::Reason;

use super::links;
use super::mend::mend;
use super::parts::{Cell, Chain, Link, State, Time};
use super::records::{Change, Check, Explanation, Key};
use super::visit::Visit;
use crate::domain::token::Role;

/// A link, in the order in which they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Place {
    /// What the client sent.
    Credential,
    /// The record that it stands for.
    Key,
    /// Whose that is.
    User,
    /// Whose the user is.
    Tenant,
    /// What the policy, the address and the hours allow.
    Permission,
}

const PLACES: [Place; 5] = [
    Place::Credential,
    Place::Key,
    Place::User,
    Place::Tenant,
    Place::Permission,
];

impl Place {
    /// The link that breaks for this reason.
    pub fn of(reason: Reason) -> Self {
        match reason {
            Reason::KeyMissing
            | Reason::KeyDuplicated
            | Reason::KeyMalformed
            | Reason::KeyUnknown
            // Gateways that do not learn what a credential stands for.
            | Reason::KeyServiceUnavailable
            | Reason::Overloaded => Self::Credential,
            Reason::KeyRevoked
            | Reason::KeyDisabled
            | Reason::KeyNotYetValid
            | Reason::KeyReplaced
            | Reason::KeyExpired => Self::Key,
            Reason::UserMissing
            | Reason::UserDeleted
            | Reason::UserDeactivated
            | Reason::UserSuspended
            | Reason::UserLocked
            | Reason::UserPending
            | Reason::UserMismatch => Self::User,
            Reason::TenantMissing | Reason::TenantSuspended | Reason::TenantMismatch => Self::Tenant,
            Reason::EnvironmentMismatch
            | Reason::ApiNotApproved
            | Reason::ScopeMissing
            | Reason::AddressNotAllowed
            | Reason::OutsideHours
            | Reason::PolicyUnknown => Self::Permission,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Credential => "Credential",
            Self::Key => "Key",
            Self::User => "User",
            Self::Tenant => "Tenant",
            Self::Permission => "Permission",
        }
    }

    /// The check whose words say most where the link holds.
    fn telling(self) -> Option<Reason> {
        match self {
            Self::Credential => Some(Reason::KeyUnknown),
            Self::Key => Some(Reason::KeyDisabled),
            Self::User => Some(Reason::UserDeactivated),
            Self::Tenant => Some(Reason::TenantSuspended),
            Self::Permission => None,
        }
    }

    /// Whether a change is one of the records that the link is about, or of one that names which record that is.
    fn is_of(self, change: &Change, explanation: &Explanation) -> bool {
        let is =
            |kind: &str, id: Option<&str>| change.kind == kind && Some(change.id.as_str()) == id;
        let key = is("key", explanation.key_id.as_deref());
        let user = is("user", explanation.user_id.as_deref());
        match self {
            Self::Credential | Self::Key => key,
            Self::User => user || key && change.field == "user_id",
            Self::Tenant => {
                is("tenant", explanation.tenant_id.as_deref())
                    || (key || user) && change.field == "tenant_id"
            }
            // The newest of what it depends on: fences of the key, scopes of the user, a request for the API.
            Self::Permission => key || user || change.kind == "approval",
        }
    }
}

/// What is said of a check that nobody has asked a request for.
const OF_REQUESTS: &str =
    "Each request is asked for it: what it states, and whether it comes from a network of the key.";

/// The chain. `key` is the one that the explanation is about, where it is known.
pub fn chain(explanation: &Explanation, key: Option<&Key>, visit: &Visit) -> Chain {
    let verdict = Reason::named(&explanation.verdict);
    Chain {
        links: PLACES
            .into_iter()
            .map(|place| {
                let (state, detail) = state(place, explanation, verdict);
                let breaks = verdict.filter(|_| state == State::Breaks);
                Link {
                    name: place.name(),
                    record: record(place, explanation, key, visit),
                    state,
                    detail,
                    since: breaks.and_then(|reason| since(place, reason, explanation, key)),
                    mend: breaks.and_then(|reason| mend(reason, explanation, key, visit)),
                }
            })
            .collect(),
    }
}

/// Whether a link holds, and why.
fn state(place: Place, explanation: &Explanation, verdict: Option<Reason>) -> (State, String) {
    let of_link = |check: &&Check| Reason::named(&check.code).map(Place::of) == Some(place);
    let checks: Vec<&Check> = explanation.checks.iter().filter(of_link).collect();
    let with = |result: &str| checks.iter().find(|check| check.result == result);
    let broken = verdict.map(Place::of);
    if broken == Some(place) {
        let verdict = checks
            .iter()
            .find(|check| check.code == explanation.verdict);
        // A policy that is not known is no check.
        let detail = verdict.map_or(&explanation.policy, |check| &check.detail);
        return (State::Breaks, detail.clone());
    }
    if let Some(failed) = with("failed") {
        return (State::BreaksToo, failed.detail.clone());
    }
    let is_behind = broken.is_some_and(|broken| broken < place);
    if is_behind {
        return (
            State::NotLookedAt,
            "Behind the link that breaks.".to_owned(),
        );
    }
    if place == Place::Permission && checks.iter().any(|check| check.detail == OF_REQUESTS) {
        return (State::NotLookedAt, OF_REQUESTS.to_owned());
    }
    if place == Place::Permission && !explanation.conclusive {
        let detail = "Depends on the filter's configuration, which is not known here.";
        return (State::NotLookedAt, detail.to_owned());
    }
    let telling = place.telling().map(Reason::code);
    let told = checks
        .iter()
        .find(|check| Some(check.code.as_str()) == telling);
    match with("passed") {
        Some(passed) => (
            State::Holds,
            holds(place, told.unwrap_or(passed), explanation),
        ),
        None => {
            let skipped = told.or(checks.first());
            let detail = skipped.map_or_else(String::new, |check| check.detail.clone());
            (State::NotLookedAt, detail)
        }
    }
}

fn holds(place: Place, check: &Check, explanation: &Explanation) -> String {
    match place {
        Place::Permission => format!("All that is asked is given. {}", explanation.policy),
        _ => check.detail.clone(),
    }
}

/// The record of a link, with the way to its page for those who have one.
fn record(
    place: Place,
    explanation: &Explanation,
    key: Option<&Key>,
    visit: &Visit,
) -> Option<Cell> {
    let named = |id: &Option<String>, href: fn(&str) -> String| {
        let id = id.as_deref()?;
        Some(match visit.role() {
            Role::Developer => Cell::Code(id.to_owned()),
            _ => Cell::record(Some(id), href),
        })
    };
    match place {
        Place::Credential => key?.hint.clone().map(Cell::Code),
        Place::Key => named(&explanation.key_id, links::key),
        Place::User => named(&explanation.user_id, links::user),
        Place::Tenant => named(&explanation.tenant_id, links::tenant),
        Place::Permission => None,
    }
}

/// Since when a link breaks, and who made it so.
fn since(
    place: Place,
    reason: Reason,
    explanation: &Explanation,
    key: Option<&Key>,
) -> Option<(Time, String)> {
    let mut causes = explanation.history.iter().filter(|change| change.cause);
    let cause = causes.find(|change| place.is_of(change, explanation))?;
    let at = match reason {
        // Somebody said before when its life was to end.
        Reason::KeyReplaced | Reason::KeyExpired => key?.expires_at?,
        _ => cause.at,
    };
    Some((Time(at), cause.actor.clone()))
}

/// The explanation without what is asked of a request alone: for those who ask about a key, and about no request with
/// it.
pub fn without_request(mut explanation: Explanation) -> Explanation {
    for check in &mut explanation.checks {
        let of_request = matches!(
            Reason::named(&check.code),
            Some(Reason::UserMismatch | Reason::TenantMismatch | Reason::AddressNotAllowed)
        );
        if of_request && check.result == "failed" {
            "skipped".clone_into(&mut check.result);
            OF_REQUESTS.clone_into(&mut check.detail);
        }
    }
    let failed = explanation
        .checks
        .iter()
        .find(|check| check.result == "failed");
    let verdict = failed.map_or("allowed", |check| check.code.as_str());
    if Reason::named(&explanation.verdict) != Some(Reason::PolicyUnknown) {
        explanation.verdict = verdict.to_owned();
    }
    explanation
}
