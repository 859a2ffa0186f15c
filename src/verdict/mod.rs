//! The ordered checks that make a verdict.
//!
//! There is one list, [`Reason::CHECKS`]. [`decide`] goes through it to the first check that fails;
//! [`explain`] runs all of them. A check is known by the reason that its failure is.

mod reason;

#[cfg(test)]
mod tests;

pub use reason::{Class, Reason};
use std::ops::ControlFlow;

use crate::credential::Fault;
use crate::host::Circumstances;
use crate::policy::{Chosen, Policy, RequiredScopes};
use crate::record::{Chain, KeyStatus, TenantStatus, User, UserStatus};
use crate::request::Request;

/// What is known of a credential.
#[derive(Debug, Clone, Copy)]
pub enum Knowledge<'a> {
    /// There is none to look up.
    Fault(Fault),
    /// Nobody knows it.
    Unknown,
    /// It is a key.
    Known(&'a Chain),
    /// The key service did not say.
    Unavailable,
    /// The key service was not asked, since too many wait for it.
    Overloaded,
}

/// All that a verdict depends on.
pub struct Facts<'a, C> {
    /// What is known of the credential.
    pub knowledge: Knowledge<'a>,
    /// What the route asks.
    pub policies: Chosen<'a>,
    /// The request itself.
    pub request: &'a Request<'a, C>,
    /// Unix seconds.
    pub now: u64,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong here.
    Passed,
    /// This is wrong.
    Failed,
    /// It cannot be said, or nothing asks for it.
    Skipped,
}

/// The verdict: nothing where the request is allowed, or the first check that fails.
pub fn decide(facts: &Facts<'_, impl Circumstances>) -> Option<Reason> {
    go_through(facts, |reason, outcome| match outcome {
        Outcome::Failed => ControlFlow::Break(reason),
        Outcome::Passed | Outcome::Skipped => ControlFlow::Continue(()),
    })
    .break_value()
}

/// Every check with its outcome, in order. The verdict is the first that failed.
pub fn explain(facts: &Facts<'_, impl Circumstances>) -> Vec<(Reason, Outcome)> {
    let mut checks = Vec::new();
    let _ = go_through(facts, |reason, outcome| {
        checks.push((reason, outcome));
        ControlFlow::Continue(())
    });
    checks
}

/// Tells of each check how it went, in the order of [`Reason::CHECKS`], until told to stop.
#[inline]
fn go_through(
    facts: &Facts<'_, impl Circumstances>,
    mut tell: impl FnMut(Reason, Outcome) -> ControlFlow<Reason>,
) -> ControlFlow<Reason> {
    match facts.knowledge {
        Knowledge::Known(chain) => go_through_chain(chain, facts, tell),
        unknown => Reason::CHECKS
            .into_iter()
            .try_for_each(|reason| tell(reason, reason.check_without_chain(unknown))),
    }
}

/// Statement by statement, not in a loop: [`decide`] is then a row of comparisons.
#[inline]
fn go_through_chain(
    chain: &Chain,
    facts: &Facts<'_, impl Circumstances>,
    mut tell: impl FnMut(Reason, Outcome) -> ControlFlow<Reason>,
) -> ControlFlow<Reason> {
    let Facts {
        policies,
        request,
        now,
        ..
    } = *facts;
    let key = &*chain.key;
    let passed = [
        Reason::KeyMissing,
        Reason::KeyDuplicated,
        Reason::KeyMalformed,
        Reason::KeyUnknown,
    ];
    for reason in passed {
        tell(reason, Outcome::Passed)?;
    }

    let mut fails = |reason, wrong| tell(reason, fails_if(wrong));
    fails(Reason::KeyRevoked, key.status == KeyStatus::Revoked)?;
    fails(Reason::KeyDisabled, key.status == KeyStatus::Disabled)?;
    fails(
        Reason::KeyNotYetValid,
        key.not_before.is_some_and(|start| now < start),
    )?;
    let expired = key.expires_at.is_some_and(|end| now >= end);
    fails(Reason::KeyReplaced, expired && key.replaced)?;
    fails(Reason::KeyExpired, expired && !key.replaced)?;

    let user_status = chain.user.as_ref().map(|user| user.status);
    fails(Reason::UserMissing, user_status.is_none())?;
    let mut user = |reason, wrong| tell(reason, status(user_status, wrong));
    user(Reason::UserDeleted, UserStatus::Deleted)?;
    user(Reason::UserDeactivated, UserStatus::Deactivated)?;
    user(Reason::UserSuspended, UserStatus::Suspended)?;
    user(Reason::UserLocked, UserStatus::Locked)?;
    user(Reason::UserPending, UserStatus::Pending)?;

    tell(
        Reason::TenantMissing,
        match &key.tenant_id {
            None => Outcome::Skipped,
            Some(tenant) => {
                let of_user = chain.user.as_ref().and_then(|user| user.tenant_id.as_ref());
                fails_if(chain.tenant.is_none() || of_user.is_some_and(|other| other != tenant))
            }
        },
    )?;
    tell(
        Reason::TenantSuspended,
        match &chain.tenant {
            None => Outcome::Skipped,
            Some(tenant) => fails_if(tenant.status == TenantStatus::Suspended),
        },
    )?;

    let mut asked =
        |reason, holds: &dyn Fn(&Policy) -> Option<bool>| tell(reason, asked(&policies, holds));
    asked(Reason::UserMismatch, &|policy| {
        let statement = policy.user.as_ref()?;
        Some(statement.is_of(request, key.user_id.as_deref()))
    })?;
    asked(Reason::TenantMismatch, &|policy| {
        let statement = policy.tenant.as_ref()?;
        Some(statement.is_of(request, key.tenant_id.as_deref()))
    })?;
    asked(Reason::EnvironmentMismatch, &|policy| {
        let wanted = policy.environment.as_ref()?;
        Some(key.environment.as_deref() == Some(wanted))
    })?;
    asked(Reason::ApiNotApproved, &|policy| {
        let api = policy.api.as_ref()?;
        Some(chain.user.as_ref().is_some_and(|user| approves(user, api)))
    })?;
    asked(Reason::ScopeMissing, &|policy| {
        Some(match policy.scopes.as_ref()? {
            RequiredScopes::All(scopes) => scopes.iter().all(|scope| chain.covers(scope)),
            RequiredScopes::Any(scopes) => scopes.iter().any(|scope| chain.covers(scope)),
        })
    })?;

    tell(
        Reason::AddressNotAllowed,
        match &key.networks {
            None => Outcome::Skipped,
            Some(networks) => {
                let address = request.source_address();
                fails_if(!address.is_some_and(|address| networks.contain(address)))
            }
        },
    )?;
    tell(
        Reason::OutsideHours,
        match &key.hours {
            None => Outcome::Skipped,
            Some(hours) => fails_if(!hours.contain(now)),
        },
    )?;
    tell(Reason::KeyServiceUnavailable, Outcome::Passed)?;
    tell(Reason::Overloaded, Outcome::Passed)
}

impl Reason {
    /// How a check went where no chain is known, and why none is.
    fn check_without_chain(self, knowledge: Knowledge<'_>) -> Outcome {
        match knowledge {
            Knowledge::Fault(fault) => self.check_fault(fault),
            Knowledge::Unknown => self.check_unless_known(Self::KeyUnknown),
            Knowledge::Unavailable => self.check_unless_known(Self::KeyServiceUnavailable),
            Knowledge::Overloaded => self.check_unless_known(Self::Overloaded),
            Knowledge::Known(_) => Outcome::Skipped,
        }
    }

    fn check_fault(self, fault: Fault) -> Outcome {
        let failed = match fault {
            Fault::Missing => Self::KeyMissing,
            Fault::Duplicated => Self::KeyDuplicated,
            Fault::Malformed => Self::KeyMalformed,
        };
        match self {
            _ if self == failed => Outcome::Failed,
            Self::KeyMissing => Outcome::Passed,
            Self::KeyDuplicated if fault == Fault::Malformed => Outcome::Passed,
            _ => Outcome::Skipped,
        }
    }

    fn check_unless_known(self, failed: Self) -> Outcome {
        match self {
            _ if self == failed => Outcome::Failed,
            Self::KeyMissing | Self::KeyDuplicated | Self::KeyMalformed => Outcome::Passed,
            _ => Outcome::Skipped,
        }
    }
}

fn fails_if(wrong: bool) -> Outcome {
    if wrong {
        Outcome::Failed
    } else {
        Outcome::Passed
    }
}

/// What every policy asks for must be there; where none asks, nothing can be missing.
fn asked(policies: &Chosen<'_>, holds: impl Fn(&Policy) -> Option<bool>) -> Outcome {
    policies
        .all_hold(holds)
        .map_or(Outcome::Skipped, |hold| fails_if(!hold))
}

fn status(known: Option<UserStatus>, wrong: UserStatus) -> Outcome {
    known.map_or(Outcome::Skipped, |known| fails_if(known == wrong))
}

fn approves(user: &User, api: &str) -> bool {
    user.apis
        .as_ref()
        .is_none_or(|apis| apis.iter().any(|approved| **approved == *api))
}
