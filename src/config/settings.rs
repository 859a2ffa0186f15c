//! What a valid configuration says: the field's meanings are those of `docs/configuration.md`.
//!
//! Everything here is checked: code that holds [`Settings`] need not ask again whether a name exists, a
//! list is empty or a number is in range.

use std::time::Duration;

use crate::credential::{KeyFormat, Location};
use crate::digest::Digester;
use crate::policy::{Policies, Policy};

/// The whole configuration of the filter.
#[derive(Debug)]
pub struct Settings {
    /// How the key service is reached.
    pub key_service: KeyService,
    /// Where a credential may be, in order of precedence; never empty.
    pub credentials: Vec<Location>,
    /// What a credential must look like to be looked up at all.
    pub key_format: KeyFormat,
    /// From a credential to its digest.
    pub digester: Digester,
    /// Whether the credential is removed before the request goes upstream.
    pub strip_credential: bool,
    /// Whether a request that the host runs through the filter once more stays its key's.
    pub internal_redirects: bool,
    /// Whether a filter behind this one is told which policies a request satisfies.
    pub guarded_routes: bool,
    /// Names of the headers that tell the upstream who is calling.
    pub identity_headers: IdentityHeaders,
    /// All policies and how one is chosen.
    pub policies: Policies,
    /// Whether refusals are carried out or only counted.
    pub enforcement: Enforcement,
    /// What happens to a CORS preflight.
    pub preflight: Preflight,
    /// What happens where the key service cannot say.
    pub unavailable: Unavailable,
    /// How a refusal is told to the client.
    pub rejection: Rejection,
    /// How long records are believed.
    pub freshness: Freshness,
    /// Seconds before its expiry at which a key is answered with a warning.
    pub warn_before: Duration,
    /// Bounds on memory and on work under way.
    pub limits: Limits,
    /// Reports of usage per key.
    pub usage: Usage,
}

/// How the key service is reached.
#[derive(Debug)]
pub struct KeyService {
    /// Envoy cluster.
    pub cluster: String,
    /// `:authority` of the calls.
    pub authority: String,
    /// Prefix of the protocol's paths, with a leading and without a trailing slash (may be empty).
    pub path: String,
    /// Bearer token of the calls.
    pub token: Option<Secret>,
    /// For one resolve, whole call.
    pub timeout: Duration,
    /// The change feed.
    pub changes: Changes,
}

/// Whether and how the change feed is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Whether it is followed at all.
    pub enabled: bool,
    /// Length of a long poll.
    pub wait: Duration,
}

/// Names of the identity headers, lower case; `None` leaves one out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Id of the key.
    pub key_id: Option<String>,
    /// Id of the key's user.
    pub user_id: Option<String>,
    /// Id of the key's tenant.
    pub tenant_id: Option<String>,
    /// Effective scopes, joined by spaces.
    pub scopes: Option<String>,
    /// Environment of the key.
    pub environment: Option<String>,
}

/// Whether refusals are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// A refused request is answered by the filter.
    Enforce,
    /// Every request goes on; refusals are counted and written to filter state.
    Shadow,
}

/// What happens to a CORS preflight request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preflight {
    /// It passes without a key.
    Pass,
    /// It is a request like any other.
    Check,
}

/// What happens where the verdict would be `key_service_unavailable` or `overloaded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The request is refused with 503.
    Deny,
    /// The request goes on without identity.
    Allow,
}

/// How a refusal is told to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// How much of the reason the client learns.
    pub detail: Detail,
    /// Realm of the challenges: free of control characters; quoted where it is written.
    pub realm: String,
    /// What the problem's `type` starts with, in place of `urn:keybound:problem:`.
    pub type_base: Option<String>,
    /// Value of `retry-after` on 503; at least one second.
    pub retry_after: Duration,
}

/// How much of the reason the client learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The exact reason.
    Precise,
    /// Its class alone.
    Class,
    /// Only whether to authenticate, to give up or to come again.
    Opaque,
}

/// How long records are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// A record is used for this long without asking again.
    pub fresh_for: Duration,
    /// No request is allowed on a record that has not been confirmed for this long.
    pub max_staleness: Duration,
    /// How long "unknown" is remembered.
    pub negative_for: Duration,
}

/// Bounds on memory and on work under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of a worker's own cache.
    pub local_entries: usize,
    /// Bytes that the records of a worker's own cache take at most.
    pub local_bytes: usize,
    /// Entries of the cache that the workers share.
    pub shared_entries: usize,
    /// Requests of a worker that may wait for the key service.
    pub waiting_requests: usize,
    /// Calls of a worker under way.
    pub lookups_in_flight: usize,
}

/// Reports of usage per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whether usage is counted and reported.
    pub enabled: bool,
    /// Time between two reports.
    pub every: Duration,
}

/// Text that must not be shown: its `Debug` holds nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Settings {
    /// The policy of a name, if there is one.
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies.named(name)
    }
}
