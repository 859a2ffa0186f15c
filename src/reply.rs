//! From a refusal to the answer that the client gets: the only place that knows how a reason is told.
//!
//! The body is a problem (RFC 9457). It never holds a credential, a digest, an id or a name.

use serde::Serialize;

use crate::config::{Detail, Rejection};
use crate::credential::Location;
use crate::request::Request;
use crate::verdict::{Class, Reason};

/// What the client gets instead of an answer of the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, where the client speaks gRPC: the host then makes a gRPC answer of it.
    pub grpc_status: Option<u8>,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The problem, or for gRPC the message. The host leaves it out where the method is HEAD.
    pub body: Vec<u8>,
}

/// How refusals are told: fixed by the configuration.
#[derive(Debug)]
pub struct Replies {
    detail: Detail,
    type_base: String,
    retry_after: String,
    challenges: Vec<Challenge>,
}

#[derive(Debug)]
struct Challenge {
    text: String,
    bearer: bool,
}

/// How much of a reason is told: what is the same here is the same to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    status: u16,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Replies {
    /// Prepares what all answers share.
    pub fn new(rejection: &Rejection, credentials: &[Location]) -> Self {
        let realm = rejection.realm.replace('\\', r"\\").replace('"', r#"\""#);
        let challenge = |scheme: &str, bearer| Challenge {
            text: format!(r#"{scheme} realm="{realm}""#),
            bearer,
        };
        let mut challenges = Vec::new();
        if credentials.iter().any(|location| !location.is_bearer()) {
            challenges.push(challenge("ApiKey", false));
        }
        if credentials.iter().any(Location::is_bearer) {
            challenges.push(challenge("Bearer", true));
        }
        Self {
            detail: rejection.detail,
            type_base: rejection
                .type_base
                .clone()
                .unwrap_or_else(|| "urn:keybound:problem:".to_owned()),
            retry_after: rejection.retry_after.as_secs().max(1).to_string(),
            challenges,
        }
    }

    /// The answer to a refused request.
    pub fn reply(&self, reason: Reason, request: &Request<'_>) -> Reply {
        let told = self.told(reason);
        let mut headers = vec![
            ("cache-control", "no-store".to_owned()),
            ("x-keybound-code", told.code.to_owned()),
        ];
        if told.status == 401 {
            // RFC 6750 section 3.1: no error code where no credential was sent. Under `opaque` whether one
            // was sent makes no difference to the answer.
            let invalid = self.detail != Detail::Opaque && reason != Reason::KeyMissing;
            for challenge in &self.challenges {
                let error = if challenge.bearer && invalid {
                    r#", error="invalid_token""#
                } else {
                    ""
                };
                headers.push(("www-authenticate", format!("{}{error}", challenge.text)));
            }
        }
        if told.status == 503 {
            headers.push(("retry-after", self.retry_after.clone()));
        }
        if request.is_grpc() {
            return Reply {
                status: told.status,
                grpc_status: Some(grpc_status(told.status)),
                headers,
                body: told.title.as_bytes().to_vec(),
            };
        }
        headers.push(("content-type", "application/problem+json".to_owned()));
        let problem = Problem {
            r#type: format!("{}{}", self.type_base, told.code),
            title: told.title,
            status: told.status,
            detail: told.detail,
            code: told.code,
            request_id: request_id(request),
        };
        Reply {
            status: told.status,
            grpc_status: None,
            headers,
            body: serde_json::to_vec(&problem).unwrap_or_default(),
        }
    }

    fn told(&self, reason: Reason) -> Told {
        let precise = Told {
            status: reason.status(),
            code: reason.code(),
            title: title(reason),
            detail: detail(reason),
        };
        match self.detail {
            Detail::Precise => precise,
            Detail::Class => of_class(reason.class()).unwrap_or(precise),
            Detail::Opaque => opaque(reason.class()).unwrap_or(precise),
        }
    }
}

impl Location {
    fn is_bearer(&self) -> bool {
        matches!(self, Self::Scheme { scheme, .. } if scheme.eq_ignore_ascii_case("bearer"))
    }
}

/// Envoy's request id, if it is one: whatever else the client sent under this name is not repeated.
fn request_id<'a>(request: &Request<'a>) -> Option<&'a str> {
    let id = request.headers.only("x-request-id")?;
    let id = std::str::from_utf8(id).ok()?;
    crate::record::is_name(id).then_some(id)
}

/// gRPC status codes (google.rpc.Code): UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, INTERNAL.
const fn grpc_status(status: u16) -> u8 {
    match status {
        401 => 16,
        403 => 7,
        503 => 14,
        _ => 13,
    }
}

const INVALID_KEY: &str = "Invalid API key";
const INVALID_USER: &str = "Invalid user associated with this key";
const NOT_PERMITTED: &str = "Not permitted for this key";
const UNAVAILABLE: &str = "Key verification unavailable";

const fn title(reason: Reason) -> &'static str {
    match (reason, reason.class()) {
        (Reason::KeyMissing, _) => "API key missing",
        (_, Class::Credential) => INVALID_KEY,
        (_, Class::User) => INVALID_USER,
        (_, Class::Permission) => NOT_PERMITTED,
        (_, Class::Unavailable) => UNAVAILABLE,
        (_, Class::Configuration) => "Gateway misconfigured",
    }
}

const fn of_class(class: Class) -> Option<Told> {
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

const fn opaque(class: Class) -> Option<Told> {
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

const fn detail(reason: Reason) -> &'static str {
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
