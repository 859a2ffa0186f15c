//! What is noted of a request that the host may begin anew, as Envoy does where it follows an upstream's redirect
//! itself: it then runs all filters again over headers from which the credential is gone, and takes the address
//! of the connection for the client's.
//!
//! The note is kept by the host, beside the request, where no client can write. The digest is judged like one
//! that has just been made: by the policies of the new target, and by what the key is now.

use super::Gate;
use crate::credential::digest::Digest;
use crate::host::Circumstances;
use crate::request::Earlier;

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

    /// What the host said of the request when it came.
    pub(super) fn earlier(&self) -> Earlier<'_> {
        Earlier {
            source_address: Some(self.source_address.as_deref()),
            route_policy: None,
        }
    }
}

impl Gate {
    /// What was noted of a request; nothing where it is seen for the first time.
    pub(super) fn before(&self, host: &impl Circumstances) -> Option<Before> {
        if !self.settings.internal_redirects {
            return None;
        }
        Before::read(&host.noted()?)
    }

    /// Notes whose request it is.
    pub(super) fn note(&self, digest: Digest, host: &impl Circumstances) {
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
