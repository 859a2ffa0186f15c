//! What a valid configuration says: the field's meanings are those of `docs/configuration.md`.
//!
//! Everything here is checked: code that holds [`Settings`] need not ask again whether a name exists, a
//! list is empty or a number is in range.

use std::time::Duration;

use crate::credential::digest::Digester;
use crate::credential::{KeyFormat, Location};
use crate::edit::IdentityHeaders;
use crate::knowledge::{cache, feed, fetch};
use crate::policy::{Policies, Policy};
use crate::reply::Rejection;
use crate::telemetry::usage;

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
    pub freshness: cache::Freshness,
    /// Seconds before its expiry at which a key is answered with a warning.
    pub warn_before: Duration,
    /// Bounds on memory.
    pub cache: cache::Limits,
    /// Bounds on work under way.
    pub fetch: fetch::Limits,
    /// Reports of usage per key.
    pub usage: usage::Settings,
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
    pub changes: feed::Changes,
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
