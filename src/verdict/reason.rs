//! Every reason for which a request can be refused.

use crate::closed::closed_set;

closed_set! {
    /// Why a request is refused, in the order in which the checks run. The codes are the same in answers, logs,
    /// metrics and explanations.
    #[derive(Hash)]
    pub enum Reason {
        /// No configured location holds a non-empty credential.
        KeyMissing = "key_missing",
        /// The first location that is present holds more than one.
        KeyDuplicated = "key_duplicated",
        /// The credential does not look like a key.
        KeyMalformed = "key_malformed",
        /// The key service does not know it.
        KeyUnknown = "key_unknown",
        /// The key was withdrawn for good.
        KeyRevoked = "key_revoked",
        /// The key is switched off.
        KeyDisabled = "key_disabled",
        /// The key's life has not begun.
        KeyNotYetValid = "key_not_yet_valid",
        /// The key's life is over and a newer key replaces it.
        KeyReplaced = "key_replaced",
        /// The key's life is over.
        KeyExpired = "key_expired",
        /// The key names no user, or the user does not exist.
        UserMissing = "user_missing",
        /// The user is gone.
        UserDeleted = "user_deleted",
        /// The user has left.
        UserDeactivated = "user_deactivated",
        /// The user was stopped by an administrator.
        UserSuspended = "user_suspended",
        /// The user is locked after failed log-ins.
        UserLocked = "user_locked",
        /// The user is not verified yet.
        UserPending = "user_pending",
        /// The key's tenant does not exist, or key and user name different tenants.
        TenantMissing = "tenant_missing",
        /// The tenant is suspended.
        TenantSuspended = "tenant_suspended",
        /// The request states another user than the key's, or none where it must.
        UserMismatch = "user_mismatch",
        /// The request states another tenant than the key's, or none where it must.
        TenantMismatch = "tenant_mismatch",
        /// The key is for another environment.
        EnvironmentMismatch = "environment_mismatch",
        /// The user is not approved for the API.
        ApiNotApproved = "api_not_approved",
        /// The effective scopes lack what the policy asks.
        ScopeMissing = "scope_missing",
        /// The source address is in none of the key's ranges.
        AddressNotAllowed = "address_not_allowed",
        /// The time is outside the key's hours.
        OutsideHours = "outside_hours",
        /// The key service did not answer usably in time.
        KeyServiceUnavailable = "key_service_unavailable",
        /// Too many requests are waiting for the key service already.
        Overloaded = "overloaded",
        /// The route's metadata names a policy that does not exist. No check: there is nothing to check by.
        PolicyUnknown = "policy_unknown",
    }
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// This credential authenticates nobody.
    Credential,
    /// It is known, and its owner may not use it.
    User,
    /// Its owner may not do this.
    Permission,
    /// Nobody knows yet.
    Unavailable,
    /// The gateway is configured wrongly.
    Configuration,
}

impl Reason {
    /// Every check, in the order in which they run: all reasons but the last.
    pub const CHECKS: [Self; Self::ALL.len() - 1] = {
        let mut checks = [Self::PolicyUnknown; Self::ALL.len() - 1];
        let (all, _) = Self::ALL.split_at(checks.len());
        checks.copy_from_slice(all);
        checks
    };

    /// The code that stands for it everywhere.
    pub const fn code(self) -> &'static str {
        self.word()
    }

    /// What kind of thing is wrong.
    pub const fn class(self) -> Class {
        match self {
            Self::KeyMissing
            | Self::KeyDuplicated
            | Self::KeyMalformed
            | Self::KeyUnknown
            | Self::KeyRevoked
            | Self::KeyDisabled
            | Self::KeyNotYetValid
            | Self::KeyReplaced
            | Self::KeyExpired => Class::Credential,
            Self::UserMissing
            | Self::UserDeleted
            | Self::UserDeactivated
            | Self::UserSuspended
            | Self::UserLocked
            | Self::UserPending
            | Self::TenantMissing
            | Self::TenantSuspended
            | Self::UserMismatch
            | Self::TenantMismatch => Class::User,
            Self::EnvironmentMismatch
            | Self::ApiNotApproved
            | Self::ScopeMissing
            | Self::AddressNotAllowed
            | Self::OutsideHours => Class::Permission,
            Self::KeyServiceUnavailable | Self::Overloaded => Class::Unavailable,
            Self::PolicyUnknown => Class::Configuration,
        }
    }

    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self.class() {
            Class::Credential => 401,
            Class::User | Class::Permission => 403,
            Class::Unavailable => 503,
            Class::Configuration => 500,
        }
    }
}
