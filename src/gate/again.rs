//! What is noted of a request that the host may begin anew, as Envoy does where it follows an upstream's redirect
//! itself: it then runs all filters again over headers from which the credential is gone, and takes the address
//! of the connection for the client's.
//!
//! The note is kept by the host, beside the request, where no client can write. The digest is judged like one
//! that has just been made: by the policies of the new target, and by what the key is now.

use super::Gate;
use crate::digest::Digest;
use crate::request::Circumstances;

/// What was noted of a request when it came.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) digest: Digest,
    source_address: Option<Vec<u8>>,
}

impl Before {
    fn read(note: &[u8]) -> Option<Self> {
        let (digest, address) = note.split_first_chunk::<{ Digest::LENGTH }>()?;
        Some(Self {
            digest: Digest::new(*digest),
            source_address: (!address.is_empty()).then(|| address.to_vec()),
        })
    }

    fn write(&self) -> Vec<u8> {
        let mut note = self.digest.bytes().to_vec();
        note.extend(self.source_address.iter().flatten());
        note
    }

    /// What the host says of the request, with what it said when it came.
    pub(super) fn on<'a>(&'a self, host: &'a dyn Circumstances) -> Again<'a> {
        Again { before: self, host }
    }
}

/// What the host says of a request that it has begun anew.
pub(super) struct Again<'a> {
    before: &'a Before,
    host: &'a dyn Circumstances,
}

impl Circumstances for Again<'_> {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.before.source_address.clone()
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.host.route_policy()
    }

    fn tell_policies(&self, policies: &str) {
        self.host.tell_policies(policies);
    }
}

impl Gate {
    /// What was noted of a request; nothing where it is seen for the first time.
    pub(super) fn before(&self, host: &dyn Circumstances) -> Option<Before> {
        if !self.settings.internal_redirects {
            return None;
        }
        Before::read(&host.noted()?)
    }

    /// Notes whose request it is.
    pub(super) fn note(&self, digest: Digest, host: &dyn Circumstances) {
        if self.settings.internal_redirects {
            let source_address = host.source_address();
            let before = Before {
                digest,
                source_address,
            };
            host.note(&before.write());
        }
    }
}
