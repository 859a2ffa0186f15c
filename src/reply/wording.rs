//! What each reason is called, and what the client is told to do about it.

use super::Told;
use crate::verdict::{Class, Reason};

const INVALID_KEY: &str = "Invalid API key";
const INVALID_USER: &str = "Invalid user associated with this key";
const NOT_PERMITTED: &str = "Not permitted for this key";
const UNAVAILABLE: &str = "Key verification unavailable";

pub(super) const fn title(reason: Reason) -> &'static str {
    match (reason, reason.class()) {
        (Reason::KeyMissing, _) => "API key missing",
        (_, Class::Credential) => INVALID_KEY,
        (_, Class::User) => INVALID_USER,
        (_, Class::Permission) => NOT_PERMITTED,
        (_, Class::Unavailable) => UNAVAILABLE,
        (_, Class::Configuration) => "Gateway misconfigured",
    }
}

pub(super) const fn of_class(class: Class) -> Option<Told> {
    let (status, code, title, detail) = match class {
        Class::Credential => (
            401,
            "invalid_credential",
            INVALID_KEY,
            "The request carries no valid API key. Check the key and where it is sent, or ask for a new one.",
        ),
        Class::User => (
            403,
            "invalid_user",
            INVALID_USER,
            "The API key is known, but its user or tenant may not use it here. Ask your administrator.",
        ),
        Class::Permission => (
            403,
            "not_permitted",
            NOT_PERMITTED,
            "The API key is valid, but not for this request. Ask your administrator what it may be used for.",
        ),
        Class::Unavailable => (503, "unavailable", UNAVAILABLE, TRY_AGAIN),
        Class::Configuration => return None,
    };
    Some(Told {
        status,
        code,
        title,
        detail,
    })
}

pub(super) const fn opaque(class: Class) -> Option<Told> {
    let (status, code, title, detail) = match class {
        Class::Credential | Class::User => (
            401,
            "unauthorized",
            "Unauthorized",
            "The request is not authorized. Check the API key, or ask your administrator.",
        ),
        Class::Permission => (
            403,
            "forbidden",
            "Forbidden",
            "The request is not permitted. Ask your administrator what the API key may be used for.",
        ),
        Class::Unavailable => (503, "unavailable", UNAVAILABLE, TRY_AGAIN),
        Class::Configuration => return None,
    };
    Some(Told {
        status,
        code,
        title,
        detail,
    })
}

const TRY_AGAIN: &str = "The API key could not be verified at the moment; this says nothing about the key. Try again later.";

pub(super) const fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::KeyMissing => {
            "The request carries no API key. Send the key in the way that the API's documentation describes."
        }
        Reason::KeyDuplicated => {
            "The request carries more than one API key in one place. Send exactly one."
        }
        Reason::KeyMalformed => {
            "The API key does not have the form of a key. Check that it was copied whole, without spaces or quotes."
        }
        Reason::KeyUnknown => {
            "Nobody knows this API key. Check for a key of another environment or a mistyped one, or ask for a new one."
        }
        Reason::KeyRevoked => "This API key was revoked. Ask your administrator for a new one.",
        Reason::KeyDisabled => {
            "This API key is disabled. Ask your administrator to enable it again."
        }
        Reason::KeyNotYetValid => {
            "This API key is not valid yet. Use it from its start date on, or ask your administrator for an earlier one."
        }
        Reason::KeyReplaced => {
            "This API key was replaced by a newer one and its grace period is over. Use the newer key."
        }
        Reason::KeyExpired => "This API key has expired. Ask your administrator for a new one.",
        Reason::UserMissing => {
            "This API key belongs to no user. Ask your administrator for a key of an existing user."
        }
        Reason::UserDeleted => {
            "The user that owns this API key was deleted. Ask your administrator for a key of another user."
        }
        Reason::UserDeactivated => {
            "The user that owns this API key is deactivated. Ask your administrator to reactivate the user, or for a key of another one."
        }
        Reason::UserSuspended => {
            "The user that owns this API key is suspended. Ask your administrator to reactivate the user."
        }
        Reason::UserLocked => {
            "The user that owns this API key is locked. Ask your administrator to unlock the user."
        }
        Reason::UserPending => {
            "The user that owns this API key is not verified yet. Complete the user's verification."
        }
        Reason::TenantMissing => {
            "This API key belongs to no existing tenant, or to another one than its user. Ask your administrator for a new key."
        }
        Reason::TenantSuspended => {
            "The tenant of this API key is suspended. Ask your administrator to reactivate the tenant."
        }
        Reason::UserMismatch => {
            "The request is for another user than the one that owns this API key, or does not say for which. Use a key of that user."
        }
        Reason::TenantMismatch => {
            "The request is for another tenant than the one of this API key, or does not say for which. Use a key of that tenant."
        }
        Reason::EnvironmentMismatch => {
            "This API key is for another environment. Use a key of the environment that you call."
        }
        Reason::ApiNotApproved => {
            "The user that owns this API key is not approved for this API. Ask your administrator for the approval."
        }
        Reason::ScopeMissing => {
            "This API key lacks a scope that the request needs. Ask your administrator for a key with that scope."
        }
        Reason::AddressNotAllowed => {
            "This API key may not be used from this network address. Call from an allowed network, or ask your administrator to allow this one."
        }
        Reason::OutsideHours => {
            "This API key may not be used at this time. Call within its hours, or ask your administrator to change them."
        }
        Reason::KeyServiceUnavailable => TRY_AGAIN,
        Reason::Overloaded => {
            "Too many API keys are being verified at the moment; this says nothing about the key. Try again later."
        }
        Reason::PolicyUnknown => {
            "The gateway has no rule for this route. Tell the operator of the gateway."
        }
    }
}
