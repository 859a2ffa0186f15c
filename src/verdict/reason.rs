//! Every reason for which a request can be refused.

/// Why a request is refused. The codes are the same in answers, logs, metrics and explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No configured location holds a non-empty credential.
    KeyMissing,
    /// The first location that is present holds more than one.
    KeyDuplicated,
    /// The credential does not look like a key.
    KeyMalformed,
    /// The key service does not know it.
    KeyUnknown,
    /// The key was withdrawn for good.
    KeyRevoked,
    /// The key is switched off.
    KeyDisabled,
    /// The key's life has not begun.
    KeyNotYetValid,
    /// The key's life is over and a newer key replaces it.
    KeyReplaced,
    /// The key's life is over.
    KeyExpired,
    /// The key names no user, or the user does not exist.
    UserMissing,
    /// The user is gone.
    UserDeleted,
    /// The user has left.
    UserDeactivated,
    /// The user was stopped by an administrator.
    UserSuspended,
    /// The user is locked after failed log-ins.
    UserLocked,
    /// The user is not verified yet.
    UserPending,
    /// The key's tenant does not exist, or key and user name different tenants.
    TenantMissing,
    /// The tenant is suspended.
    TenantSuspended,
    /// The request states another user than the key's, or none where it must.
    UserMismatch,
    /// The request states another tenant than the key's, or none where it must.
    TenantMismatch,
    /// The key is for another environment.
    EnvironmentMismatch,
    /// The user is not approved for the API.
    ApiNotApproved,
    /// The effective scopes lack what the policy asks.
    ScopeMissing,
    /// The source address is in none of the key's ranges.
    AddressNotAllowed,
    /// The time is outside the key's hours.
    OutsideHours,
    /// The key service did not answer usably in time.
    KeyServiceUnavailable,
    /// Too many requests are waiting for the key service already.
    Overloaded,
    /// The route's metadata names a policy that does not exist. No check: there is nothing to check by.
    PolicyUnknown,
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
    /// Every check, in the order in which they run.
    pub const CHECKS: [Self; 26] = [
        Self::KeyMissing,
        Self::KeyDuplicated,
        Self::KeyMalformed,
        Self::KeyUnknown,
        Self::KeyRevoked,
        Self::KeyDisabled,
        Self::KeyNotYetValid,
        Self::KeyReplaced,
        Self::KeyExpired,
        Self::UserMissing,
        Self::UserDeleted,
        Self::UserDeactivated,
        Self::UserSuspended,
        Self::UserLocked,
        Self::UserPending,
        Self::TenantMissing,
        Self::TenantSuspended,
        Self::UserMismatch,
        Self::TenantMismatch,
        Self::EnvironmentMismatch,
        Self::ApiNotApproved,
        Self::ScopeMissing,
        Self::AddressNotAllowed,
        Self::OutsideHours,
        Self::KeyServiceUnavailable,
        Self::Overloaded,
    ];

    /// The code that stands for it everywhere.
    pub const fn code(self) -> &'static str {
        match self {
            Self::KeyMissing => "key_missing",
            Self::KeyDuplicated => "key_duplicated",
            Self::KeyMalformed => "key_malformed",
            Self::KeyUnknown => "key_unknown",
            Self::KeyRevoked => "key_revoked",
            Self::KeyDisabled => "key_disabled",
            Self::KeyNotYetValid => "key_not_yet_valid",
            Self::KeyReplaced => "key_replaced",
            Self::KeyExpired => "key_expired",
            Self::UserMissing => "user_missing",
            Self::UserDeleted => "user_deleted",
            Self::UserDeactivated => "user_deactivated",
            Self::UserSuspended => "user_suspended",
            Self::UserLocked => "user_locked",
            Self::UserPending => "user_pending",
            Self::TenantMissing => "tenant_missing",
            Self::TenantSuspended => "tenant_suspended",
            Self::UserMismatch => "user_mismatch",
            Self::TenantMismatch => "tenant_mismatch",
            Self::EnvironmentMismatch => "environment_mismatch",
            Self::ApiNotApproved => "api_not_approved",
            Self::ScopeMissing => "scope_missing",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::OutsideHours => "outside_hours",
            Self::KeyServiceUnavailable => "key_service_unavailable",
            Self::Overloaded => "overloaded",
            Self::PolicyUnknown => "policy_unknown",
        }
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
