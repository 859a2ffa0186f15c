//! Words about each check of a key that is known.

use super::{Known, Question, words};
use keybound::host::Circumstances;
use keybound::policy::Chosen;
use keybound::record::{DAYS, UserStatus};
use keybound::verdict::{Outcome, Reason};

impl<C: Circumstances> Question<'_, C> {
    /// What to say of a check of a key that is known.
    pub(super) fn known(
        &self,
        reason: Reason,
        outcome: Outcome,
        known: Known<'_>,
        policies: Chosen<'_>,
    ) -> String {
        match reason {
            Reason::KeyMissing | Reason::KeyDuplicated | Reason::KeyMalformed => self.sent(reason),
            Reason::KeyUnknown => format!("It is the {}.", words::identity(known.chain)),
            Reason::KeyRevoked
            | Reason::KeyDisabled
            | Reason::KeyNotYetValid
            | Reason::KeyReplaced
            | Reason::KeyExpired => self.life(reason, outcome, known),
            Reason::UserMissing
            | Reason::UserDeleted
            | Reason::UserDeactivated
            | Reason::UserSuspended
            | Reason::UserLocked
            | Reason::UserPending => user(reason, outcome, known),
            Reason::TenantMissing | Reason::TenantSuspended => tenant(reason, outcome, known),
            Reason::UserMismatch
            | Reason::TenantMismatch
            | Reason::EnvironmentMismatch
            | Reason::ApiNotApproved
            | Reason::ScopeMissing => self.expectation(reason, known.chain, policies),
            Reason::AddressNotAllowed => self.address(outcome, known),
            Reason::OutsideHours => self.hours(outcome, known),
            Reason::KeyServiceUnavailable => {
                "The key service answers now; whether the gateway reached it, only the gateway can say."
                    .to_owned()
            }
            Reason::Overloaded => {
                "Whether too many requests were waiting, only the gateway can say.".to_owned()
            }
            Reason::PolicyUnknown => String::new(),
        }
    }

    fn life(&self, reason: Reason, outcome: Outcome, known: Known<'_>) -> String {
        let key = &known.chain.key;
        let id = &key.id;
        let status = words::key_status(key.status);
        let failed = outcome == Outcome::Failed;
        let by = known
            .replaced_by
            .map_or_else(|| "a newer key".to_owned(), |by| format!("the key {by}"));
        let end = key.expires_at.map(self.utc);
        match reason {
            Reason::KeyRevoked if failed => {
                let at = known.revoked_at.map(|at| format!(" at {}", (self.utc)(at)));
                let why = known
                    .revoked_reason
                    .map(|why| format!(" (reason: {})", words::shown(why.as_bytes())));
                format!(
                    "The key {id} was revoked{}{}.",
                    at.unwrap_or_default(),
                    why.unwrap_or_default()
                )
            }
            Reason::KeyRevoked | Reason::KeyDisabled => {
                format!("The key {id} is {status}.")
            }
            Reason::KeyNotYetValid => match key.not_before.map(self.utc) {
                None => format!("The life of the key {id} has no beginning."),
                Some(begin) if failed => format!(
                    "The life of the key {id} begins at {begin}, and it was {}.",
                    (self.utc)(self.now)
                ),
                Some(begin) => format!("The life of the key {id} began at {begin}."),
            },
            Reason::KeyReplaced => match (key.replaced, end) {
                (false, _) => format!("No newer key replaces the key {id}."),
                (true, None) => format!("The key {id} is replaced by {by}, and works on."),
                (true, Some(end)) if failed => {
                    format!(
                        "The key {id} was replaced by {by}, and its grace period ended at {end}."
                    )
                }
                (true, Some(end)) => {
                    format!("The key {id} is replaced by {by}, and works on until {end}.")
                }
            },
            _ => match end {
                None => format!("The life of the key {id} has no end."),
                Some(end) if failed => format!("The key {id} expired at {end}."),
                Some(end) if key.expires_at.is_some_and(|end| end <= self.now) => {
                    format!("The key {id} ended at {end}, which is told as a replacement.")
                }
                Some(end) => format!("The key {id} expires at {end}."),
            },
        }
    }

    fn address(&self, outcome: Outcome, known: Known<'_>) -> String {
        let id = &known.chain.key.id;
        let Some(networks) = &known.chain.key.networks else {
            return format!("The key {id} may be used from any address.");
        };
        let networks = words::networks(networks);
        match (self.request.source_address(), outcome) {
            (None, _) => format!(
                "The request has no source address, and the key {id} is for these networks only: {networks}."
            ),
            (Some(address), Outcome::Failed) => format!(
                "The source address {address} is in none of the networks of the key {id}: {networks}."
            ),
            (Some(address), _) => format!(
                "The source address {address} is in one of the networks of the key {id}: {networks}."
            ),
        }
    }

    fn hours(&self, outcome: Outcome, known: Known<'_>) -> String {
        let id = &known.chain.key.id;
        let Some(hours) = &known.chain.key.hours else {
            return format!("The key {id} may be used at any hour.");
        };
        // 1970-01-01 was a Thursday.
        let weekday = usize::try_from((self.now / 86_400 + 3) % 7)
            .ok()
            .and_then(|day| DAYS.get(day))
            .unwrap_or(&"");
        let side = if outcome == Outcome::Failed {
            "outside"
        } else {
            "within"
        };
        format!(
            "The time {} ({weekday}) is {side} the hours of the key {id}: {}.",
            (self.utc)(self.now),
            words::hours(hours)
        )
    }
}

fn user(reason: Reason, outcome: Outcome, known: Known<'_>) -> String {
    let key = &known.chain.key;
    let Some(user) = &known.chain.user else {
        let cause = match &key.user_id {
            None => format!("The key {} names no user: it is an orphan.", key.id),
            Some(user) => format!("The user {user} of the key {} does not exist.", key.id),
        };
        return match reason {
            Reason::UserMissing => cause,
            _ => "Not looked at: there is no user whose status could be.".to_owned(),
        };
    };
    let status = match (user.status, outcome) {
        (_, Outcome::Passed) if reason == Reason::UserMissing => {
            return format!("The key's user {} exists.", user.id);
        }
        (UserStatus::Pending, Outcome::Failed) => "pending: not verified yet",
        (UserStatus::Locked, Outcome::Failed) => "locked: too many log-ins failed",
        (status, _) => words::user_status(status),
    };
    format!("The key's user {} is {status}.", user.id)
}

fn tenant(reason: Reason, outcome: Outcome, known: Known<'_>) -> String {
    let key = &known.chain.key;
    let Some(id) = &key.tenant_id else {
        return format!("Not looked at: the key {} names no tenant.", key.id);
    };
    let Some(tenant) = &known.chain.tenant else {
        return match reason {
            Reason::TenantMissing => format!("The key's tenant {id} does not exist."),
            _ => "Not looked at: there is no tenant whose status could be.".to_owned(),
        };
    };
    let of_user = known
        .chain
        .user
        .as_ref()
        .map(|user| (user, user.tenant_id.as_deref()));
    match (reason, of_user, outcome) {
        (Reason::TenantSuspended, ..) => {
            format!("The key's tenant {id} is {}.", words::tenant_status(tenant))
        }
        (_, Some((user, Some(other))), Outcome::Failed) => format!(
            "The key {} names the tenant {id}, and its user {} belongs to {other}.",
            key.id, user.id
        ),
        (_, Some((user, Some(_))), _) => {
            format!(
                "The key's tenant {id} exists, and its user {} belongs to it.",
                user.id
            )
        }
        _ => format!("The key's tenant {id} exists."),
    }
}
