//! Words about each check of a key that is known, and what it looks at.

use super::expectations::Asked;
use super::{Known, Owner, Question, words};
use keybound::host::Circumstances;
use keybound::policy::Chosen;
use keybound::record::{DAYS, Key, UserStatus};
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
            Reason::KeyRevoked if outcome == Outcome::Failed => self.revoked(known),
            Reason::KeyRevoked | Reason::KeyDisabled => {
                let key = &known.chain.key;
                format!("The key {} is {}.", key.id, key.status.word())
            }
            Reason::KeyNotYetValid => self.beginning(outcome, known),
            Reason::KeyReplaced => self.replacement(outcome, known),
            Reason::KeyExpired => self.end(outcome, known),
            Reason::UserMissing => user_missing(known),
            Reason::UserDeleted
            | Reason::UserDeactivated
            | Reason::UserSuspended
            | Reason::UserLocked
            | Reason::UserPending => self.user_status(outcome, known),
            Reason::TenantMissing => tenant_missing(outcome, known),
            Reason::TenantSuspended => tenant_status(known),
            Reason::UserMismatch => self.expectation(Asked::User, known.chain, policies),
            Reason::TenantMismatch => self.expectation(Asked::Tenant, known.chain, policies),
            Reason::EnvironmentMismatch => {
                self.expectation(Asked::Environment, known.chain, policies)
            }
            Reason::ApiNotApproved => {
                let mut detail = self.expectation(Asked::Api, known.chain, policies);
                if outcome == Outcome::Failed {
                    detail.push_str(&self.requested(known, policies));
                }
                detail
            }
            Reason::ScopeMissing => self.expectation(Asked::Scopes, known.chain, policies),
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

    fn user_status(&self, outcome: Outcome, known: Known<'_>) -> String {
        let Some(user) = &known.chain.user else {
            return "Not looked at: there is no user whose status could be.".to_owned();
        };
        let gone = matches!(user.status, UserStatus::Deactivated | UserStatus::Deleted);
        if let (Some(Owner { kind, since, by }), Outcome::Failed, true) =
            (known.owner, outcome, gone)
        {
            let left = match kind {
                "person" => "left",
                _ => "was taken out of service",
            };
            return format!(
                "The {kind} {} {left} on {}, {} by {}.",
                user.id,
                (self.utc)(since),
                user.status.word(),
                by,
            );
        }
        let status = match (user.status, outcome) {
            (UserStatus::Pending, Outcome::Failed) => "pending: not verified yet",
            (UserStatus::Locked, Outcome::Failed) => "locked: too many log-ins failed",
            (status, _) => status.word(),
        };
        format!("The key's user {} is {status}.", user.id)
    }

    fn revoked(&self, known: Known<'_>) -> String {
        let at = known.revoked_at.map(|at| format!(" at {}", (self.utc)(at)));
        let why = known
            .revoked_reason
            .map(|why| format!(" (reason: {})", words::shown(why.as_bytes())));
        format!(
            "The key {} was revoked{}{}.",
            known.chain.key.id,
            at.unwrap_or_default(),
            why.unwrap_or_default()
        )
    }

    fn beginning(&self, outcome: Outcome, known: Known<'_>) -> String {
        let key = &known.chain.key;
        let id = &key.id;
        match key.not_before.map(self.utc) {
            None => format!("The life of the key {id} has no beginning."),
            Some(begin) if outcome == Outcome::Failed => format!(
                "The life of the key {id} begins at {begin}, and it was {}.",
                (self.utc)(self.now)
            ),
            Some(begin) => format!("The life of the key {id} began at {begin}."),
        }
    }

    fn replacement(&self, outcome: Outcome, known: Known<'_>) -> String {
        let key = &known.chain.key;
        let id = &key.id;
        let by = known
            .replaced_by
            .map_or_else(|| "a newer key".to_owned(), |by| format!("the key {by}"));
        match (key.replaced, key.expires_at.map(self.utc)) {
            (false, _) => format!("No newer key replaces the key {id}."),
            (true, None) => format!("The key {id} is replaced by {by}, and works on."),
            (true, Some(end)) if outcome == Outcome::Failed => {
                format!("The key {id} was replaced by {by}, and its grace period ended at {end}.")
            }
            (true, Some(end)) => {
                format!("The key {id} is replaced by {by}, and works on until {end}.")
            }
        }
    }

    fn end(&self, outcome: Outcome, known: Known<'_>) -> String {
        let key = &known.chain.key;
        let id = &key.id;
        match key.expires_at.map(self.utc) {
            None => format!("The life of the key {id} has no end."),
            Some(end) if outcome == Outcome::Failed => format!("The key {id} expired at {end}."),
            Some(end) if key.expires_at.is_some_and(|end| end <= self.now) => {
                format!("The key {id} ended at {end}, which is told as a replacement.")
            }
            Some(end) => format!("The key {id} expires at {end}."),
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

/// The fields that a check looks at, with the kind of their record.
pub fn concerned(reason: Reason) -> &'static [(&'static str, &'static str)] {
    match reason {
        Reason::KeyRevoked | Reason::KeyDisabled => &[("key", "status"), ("key", "revoked_reason")],
        Reason::KeyNotYetValid => &[("key", "not_before")],
        Reason::KeyReplaced => &[("key", "replaced_by"), ("key", "expires_at")],
        Reason::KeyExpired => &[("key", "expires_at")],
        Reason::UserMissing => &[("key", "user_id"), ("user", "status")],
        Reason::UserDeleted
        | Reason::UserDeactivated
        | Reason::UserSuspended
        | Reason::UserLocked
        | Reason::UserPending => &[("user", "status")],
        Reason::TenantMissing => &[
            ("key", "tenant_id"),
            ("user", "tenant_id"),
            ("tenant", "status"),
        ],
        Reason::TenantSuspended => &[("tenant", "status")],
        Reason::UserMismatch => &[("key", "user_id")],
        Reason::TenantMismatch => &[("key", "tenant_id")],
        Reason::EnvironmentMismatch => &[("key", "environment")],
        Reason::ApiNotApproved => &[
            ("user", "apis"),
            ("approval", "status"),
            ("approval", "decision_reason"),
        ],
        Reason::ScopeMissing => &[("key", "scopes"), ("user", "scopes")],
        Reason::AddressNotAllowed => &[("key", "networks")],
        Reason::OutsideHours => &[("key", "hours")],
        Reason::KeyUnknown => &[("key", "status")],
        Reason::KeyMissing
        | Reason::KeyDuplicated
        | Reason::KeyMalformed
        | Reason::KeyServiceUnavailable
        | Reason::Overloaded
        | Reason::PolicyUnknown => &[],
    }
}

fn user_missing(known: Known<'_>) -> String {
    let key = &known.chain.key;
    match (&known.chain.user, &key.user_id) {
        (Some(user), _) => format!("The key's user {} exists.", user.id),
        (None, None) => format!("The key {} names no user: it is an orphan.", key.id),
        (None, Some(user)) => {
            format!("The user {user} of the key {} does not exist.", key.id)
        }
    }
}

fn tenant_missing(outcome: Outcome, known: Known<'_>) -> String {
    let key = &known.chain.key;
    let Some(id) = &key.tenant_id else {
        return names_no_tenant(key);
    };
    if known.chain.tenant.is_none() {
        return format!("The key's tenant {id} does not exist.");
    }
    let of_user = known
        .chain
        .user
        .as_ref()
        .and_then(|user| Some((&user.id, user.tenant_id.as_deref()?)));
    match of_user {
        Some((user, other)) if outcome == Outcome::Failed => format!(
            "The key {} names the tenant {id}, and its user {user} belongs to {other}.",
            key.id
        ),
        Some((user, _)) => {
            format!("The key's tenant {id} exists, and its user {user} belongs to it.")
        }
        None => format!("The key's tenant {id} exists."),
    }
}

fn tenant_status(known: Known<'_>) -> String {
    let key = &known.chain.key;
    match (&known.chain.tenant, &key.tenant_id) {
        (_, None) => names_no_tenant(key),
        (None, Some(_)) => "Not looked at: there is no tenant whose status could be.".to_owned(),
        (Some(tenant), Some(id)) => {
            format!("The key's tenant {id} is {}.", tenant.status.word())
        }
    }
}

fn names_no_tenant(key: &Key) -> String {
    format!("Not looked at: the key {} names no tenant.", key.id)
}
