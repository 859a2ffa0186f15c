//! The credential of a request, and what is known of it ahead of time.

use std::borrow::Cow;

use super::Gate;
use super::again::Before;
use super::settings::Settings;
#[cfg(target_pointer_width = "64")]
use crate::credential::digest::Digest;
use crate::credential::{self, Fault};
use crate::host::Circumstances;
#[cfg(target_pointer_width = "64")]
use crate::knowledge::cache::EntityId;
use crate::request::Request;

/// The credential of a request: as it was sent, or as it was noted when the request came first.
pub(super) enum Found<'a> {
    Sent(Cow<'a, [u8]>),
    Noted(Before),
    #[cfg(target_pointer_width = "64")]
    Expected(Digest),
}

impl Gate {
    /// Finds the credential before it is known what the route asks, where the cache is read in place: what is known of
    /// it is on its way from memory meanwhile.
    #[cfg(target_pointer_width = "64")]
    pub(super) fn find_ahead<'a>(
        &self,
        settings: &Settings,
        request: &Request<'a, impl Circumstances>,
    ) -> Option<Result<Found<'a>, Fault>> {
        if !self.cache.is_read_in_place() || settings.internal_redirects {
            return None;
        }
        let found = credential::find(&settings.credentials, &settings.key_format, request.headers);
        Some(found.map(|credential| {
            let digest = settings.digester.digest(&credential);
            self.expect(&digest);
            Found::Expected(digest)
        }))
    }

    /// A cache that is not read in place has nothing to wait for.
    #[cfg(not(target_pointer_width = "64"))]
    pub(super) fn find_ahead<'a>(
        &self,
        _: &Settings,
        _: &Request<'a, impl Circumstances>,
    ) -> Option<Result<Found<'a>, Fault>> {
        None
    }

    /// What is known of a key and what was counted of it will be read soon.
    #[cfg(target_pointer_width = "64")]
    fn expect(&self, digest: &Digest) {
        let id = EntityId::key(digest);
        self.cache.expect(&id);
        if let Some(counted) = self.usage.expected(&id) {
            self.cache.expect_value(counted);
        }
    }

    /// Finds the credential, or what was noted of it.
    pub(super) fn find<'a>(
        &self,
        settings: &'a Settings,
        request: &Request<'a, impl Circumstances>,
    ) -> Result<Found<'a>, Fault> {
        match self.before(request.host) {
            Some(before) => Ok(Found::Noted(before)),
            None => credential::find(&settings.credentials, &settings.key_format, request.headers)
                .map(Found::Sent),
        }
    }
}
