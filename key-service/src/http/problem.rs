//! Errors as the caller sees them: `application/problem+json` (RFC 9457). The domain's refusals
//! and the store's failures become answers here and nowhere else.

use std::num::NonZeroI64;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::refusal::{FieldError, Refusal};
use crate::domain::usage::UsedKey;
use crate::store::{Failure, StoreError};

/// A new database and one whose volume is not mounted look alike.
pub const NEVER_WRITTEN: &str = "Nothing was ever written to this database. If there ought to be keys in it, its \
     volume is not mounted. Until a tenant, user or key is written, no key is said to be unknown.";

/// Why a write that stops keys is not made.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InUseReason {
    /// They were used in the last 30 days.
    UsedRecently,
    /// No gateway has reported use yet, so that nobody knows.
    UsageNotReported,
}

/// Keys that are in use. On the heap: a problem is small, as whatever may fail carries one.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
struct Keys(Vec<UsedKey>);

/// An answer that is an error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of the kind of problem, as a URN.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:keybound:problem:invalid_request")]
    kind: Box<str>,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The last part of `type`.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// What is wrong this time, and what to do.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// Every wrong field, where fields are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<FieldError>>)]
    errors: Box<[FieldError]>,
    /// Which keys are in use, where that is the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<UsedKey>>)]
    keys: Option<Box<Keys>>,
    /// Why they count as in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<InUseReason>,
    /// The version that the record has, where the request is for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    version: Option<NonZeroI64>,
    /// Seconds after which to try again.
    #[serde(skip)]
    retry_after: Option<u16>,
    /// What SCIM calls it.
    #[serde(skip)]
    scim_type: Option<&'static str>,
    /// How the database failed, where that is the problem: for the metrics, not for the caller.
    #[serde(skip)]
    database: Option<Failure>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("urn:keybound:problem:{code}").into(),
            title,
            status: status.as_u16(),
            code,
            detail: detail.into().into(),
            errors: Box::default(),
            keys: None,
            reason: None,
            version: None,
            retry_after: None,
            scim_type: None,
            database: None,
        }
    }

    /// 400: a request of a directory that SCIM has a word for.
    pub fn scim(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self {
            scim_type: Some(scim_type),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
                detail,
            )
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong this time, and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What SCIM calls it, where it has a word for it.
    pub fn scim_type(&self) -> Option<&'static str> {
        let of_code = match self.code {
            "invalid_request" => Some("invalidSyntax"),
            "conflict" => Some("uniqueness"),
            _ => None,
        };
        self.scim_type.or(of_code)
    }

    /// 400: the body or the query is wrong in itself. 422: it is not, and the rules of a tenant forbid it.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|error| {
                let rule = error
                    .rule
                    .map_or(String::new(), |rule| format!(" (rule {})", rule));
                match error.field.as_str() {
                    "" => error.message.clone(),
                    field => format!("{field}: {}{rule}", error.message),
                }
            })
            .collect::<Vec<_>>()
            .join("; ");
        let (status, code, title) = match errors.iter().all(|error| error.rule.is_some()) {
            true => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "breaks_rules",
                "Breaks the tenant's key rules",
            ),
            false => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
            ),
        };
        Self {
            errors: errors.into(),
            ..Self::new(status, code, title, detail)
        }
    }

    /// 401: no token that we know.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not authenticated",
            detail,
        )
    }

    /// 403: a token that may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not permitted", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    /// 404: there is no route, or none here.
    pub fn nothing_here() -> Self {
        Self::not_found("There is nothing at this path; see /openapi.json.")
    }

    /// 401: a body that nobody has signed whom we know.
    pub fn unsigned(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "signature_invalid",
            "Signature not valid",
            detail,
        )
    }

    /// 405: the thing is there, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            "This path does not take this method; see the allow header.",
        )
    }

    /// 408: the body did not come.
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "Request too slow",
            "The body did not arrive in time. Send it at once, and as a whole.",
        )
    }

    /// 409: what is there forbids it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 409: keys are in use, or may be, that this would stop. With `more` they are not all.
    pub fn in_use(reason: InUseReason, more: bool, keys: Vec<UsedKey>) -> Self {
        let keys_of = match keys.len() {
            1 => "1 key".to_owned(),
            count if more => format!("more than {count} keys"),
            count => format!("{count} keys"),
        };
        let why = match reason {
            InUseReason::UsedRecently => "used in the last 30 days",
            InUseReason::UsageNotReported => {
                "which may be in use: no gateway has reported use yet, so nobody knows"
            }
        };
        let detail = format!(
            "This would stop {keys_of} {why} (see keys). Find out who uses them, or send ?force=true."
        );
        Self {
            keys: Some(Box::new(Keys(keys))),
            reason: Some(reason),
            ..Self::new(StatusCode::CONFLICT, "in_use", "Keys are in use", detail)
        }
    }

    /// 412: the request is for another version of the record than the one that is there.
    pub fn other_version(version: i64) -> Self {
        let remedy = format!(
            "The record was changed meanwhile: it is at version {version} (see version), and nothing was written. Read \
             it again, and send what you still want to change with if-match: \"{version}\"."
        );
        Self {
            version: NonZeroI64::new(version),
            ..Self::other_state(&remedy)
        }
    }

    /// 412: the request is for another state than the one that is there.
    pub fn other_state(remedy: &str) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "changed_meanwhile",
            "Changed meanwhile",
            remedy,
        )
    }

    /// 413: the body is too large.
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "Body too large",
            "The body may have at most 1 MiB; that of apply and diff 16 MiB.",
        )
    }

    /// 415: the body is not JSON.
    pub fn unsupported_media_type(wanted: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Unsupported media type",
            format!("Send the body as {wanted}, and say so in content-type."),
        )
    }

    /// 422: an `Idempotency-Key` that another request came with.
    pub fn key_of_another_request() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "Idempotency-Key of another request",
            "An earlier request came with this Idempotency-Key, and asked for something else. Send a new one with each \
             request that is not a repetition.",
        )
    }

    /// 429: too many requests came with wrong tokens.
    pub fn too_many_attempts(wait: Duration) -> Self {
        Self {
            retry_after: Some(whole_seconds(wait)),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many attempts",
                "The bearer token is unknown, revoked or expired, and so were those of many requests before. Check the token \
                 and try again later.",
            )
        }
    }

    /// 429: too many bodies came without a valid signature.
    pub fn too_many_signatures(wait: Duration) -> Self {
        Self {
            retry_after: Some(whole_seconds(wait)),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many attempts",
                "This report and many before had no valid signature. Check the key and the signature, and try again later.",
            )
        }
    }

    /// 503: what is missing was lost with the database, for all that we know.
    pub fn never_written() -> Self {
        Self::unavailable(NEVER_WRITTEN)
    }

    /// 503: not now.
    pub fn unavailable(detail: &str) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Service unavailable",
                detail,
            )
        }
    }

    /// 500: our fault. The cause is for the log, not for the caller.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "The service failed. Its log says why.",
        )
    }
}

/// Seconds after which a wait is over.
fn whole_seconds(wait: Duration) -> u16 {
    u16::try_from(wait.as_secs()).map_or(u16::MAX, |seconds| seconds.saturating_add(1))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(errors) => Self::invalid(errors),
            Refusal::Conflict(detail) => Self::conflict(detail),
        }
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer cannot be written");
        Self::internal()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::OutOfReach) {
            return Self::forbidden(
                "The token is for one tenant or user alone, and this is not theirs. Use a token that reaches it.",
            );
        }
        tracing::error!(%error, "the database failed");
        let failure = error.failure();
        Self {
            database: Some(failure),
            ..Self::of_database(failure)
        }
    }
}

impl Problem {
    /// What the caller is told of a failure of the database.
    pub fn of_database(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::unavailable(
                "The database is locked by another write or another process, or slow. Try again.",
            ),
            Failure::Away => Self::unavailable(
                "The database cannot be reached. Try again; the service's log says why.",
            ),
            Failure::ReadOnly => Self::unavailable(
                "The database takes no writes at the moment, as a standby, or a primary that was set to read-only. Try \
                 again.",
            ),
            Failure::Failed => Self::unavailable(
                "The database does not do what was asked, as where its disk is full. Try again; the service's \
                 log says why.",
            ),
            Failure::Gone => Self::unavailable(
                "The database file was deleted, moved or replaced under the running service, so nothing that is \
                 written would last. Put it back, or restart the service on the right file.",
            ),
            Failure::Corrupt => Self::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        if let Some(failure) = self.database {
            response.extensions_mut().insert(failure);
        }
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code == "unauthorized" {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"keybound\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        // Whoever answers directories says the same in other words.
        response.extensions_mut().insert(self);
        response
    }
}
