//! What is changed in a request.

use super::settings::Enforcement;
use super::{Gate, Passage};
use crate::credential;
use crate::host::{EditRequest, RemoveHeader};
use crate::record::Chain;
use crate::request::headers::Headers;

impl Gate {
    /// Edits a request that goes upstream.
    pub fn edit(&self, passage: &Passage, headers: Headers<'_>, request: &mut impl EditRequest) {
        let strip = passage.strip && self.settings.strip_credential;
        self.clean(passage.identity.as_ref(), strip, headers, request);
    }

    /// Edits a request that waits for the key service: should its client hang up meanwhile, logs and traces
    /// show what is in the request then.
    pub fn edit_waiting(&self, headers: Headers<'_>, request: &mut impl EditRequest) {
        self.clean(None, self.settings.strip_credential, headers, request);
    }

    /// Edits a request that is refused: no log and no trace may show its credential, nor an identity that the
    /// client made up.
    pub fn edit_refused(&self, headers: Headers<'_>, request: &mut impl EditRequest) {
        self.clean(None, true, headers, request);
    }

    /// Edits the trailers of a request. Nothing is read in them, so nothing that is ours belongs there.
    pub fn edit_trailers(&self, trailers: Headers<'_>, list: &mut impl RemoveHeader) {
        if self.edits() {
            self.reserved.remove_all(trailers, list);
        }
    }

    fn clean(
        &self,
        identity: Option<&Chain>,
        strip: bool,
        headers: Headers<'_>,
        request: &mut impl EditRequest,
    ) {
        if !self.edits() {
            return;
        }
        let found = self.reserved.find(headers);
        for alias in found.aliases {
            request.remove(alias);
        }
        if strip {
            let settings = &self.settings;
            credential::remove(
                &settings.credentials,
                &settings.key_format,
                headers,
                request,
            );
        }
        self.settings
            .identity_headers
            .apply(identity, found.identity, request);
    }

    /// In shadow nothing is changed in any request.
    pub(super) fn edits(&self) -> bool {
        self.settings.enforcement == Enforcement::Enforce
    }
}
