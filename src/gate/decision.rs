//! What becomes of a request.

use super::Told;
use crate::record::Chain;
use crate::verdict::Reason;

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It goes upstream.
    Proceed(Passage),
    /// It is answered by the filter.
    Refuse(Refusal),
    /// It waits for the key service.
    Wait,
}

/// How a request goes upstream.
#[derive(Debug)]
pub struct Passage {
    /// Who is calling, where that was verified.
    pub identity: Option<Chain>,
    /// Whether the credential is removed, if the configuration says so.
    pub strip: bool,
    /// The refusal that was not carried out.
    pub shadowed: Option<Refusal>,
    /// What to tell the client about its key.
    pub notice: Option<Notice>,
    /// Which policies hold, where somebody looks again by the route that serves. It is counted then.
    pub policies: Option<Told>,
}

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The key, user and tenant, as far as they are known.
    pub chain: Option<Chain>,
}

/// A key that works and will soon not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Unix seconds at which it stops working.
    pub sunset: Option<u64>,
    /// Unix seconds at which it was replaced.
    pub deprecation: Option<u64>,
}

impl Passage {
    pub(super) fn anonymous() -> Self {
        Self {
            identity: None,
            strip: true,
            shadowed: None,
            notice: None,
            policies: None,
        }
    }
}
