//! What is kept of a request while it waits: its headers are cleaned before, and what was in them may count
//! once the key service has answered. The credential is not kept, its digest is enough.

use std::rc::Rc;

use super::{Decision, Gate, Resolution, Stage};
use crate::cache::Store;
use crate::credential::Location;
use crate::digest::Digest;
use crate::fetch::Waiter;
use crate::headers::{Headers, pack};
use crate::policy::{Chosen, Statement};
use crate::request::{Circumstances, Request};
use crate::time::Now;
use crate::verdict::Reason;

/// What is kept of a request that waits.
#[derive(Debug)]
pub(super) struct Held {
    digest: Digest,
    /// The policy that its route named when it came.
    route_policy: Option<Vec<u8>>,
    /// Whether it must satisfy every policy.
    every: bool,
    /// Headers in which its policies let it state its user and tenant.
    stated: Vec<(String, Vec<u8>)>,
}

impl Held {
    /// The headers with what was stated in them and has been removed since; nothing where that is nothing.
    fn with_stated(&self, headers: Headers<'_>) -> Option<Vec<u8>> {
        let gone = || {
            let stated = self
                .stated
                .iter()
                .filter(|(name, _)| headers.count(name) == 0);
            stated.map(|(name, value)| (name.as_bytes(), value.as_slice()))
        };
        gone().next()?;
        Some(pack(headers.iter().chain(gone())))
    }
}

impl Gate {
    /// Keeps what is needed of a request that is to wait.
    pub(super) fn hold(
        &mut self,
        waiter: Waiter,
        digest: Digest,
        request: &Request<'_>,
        policies: Chosen<'_>,
    ) {
        let mut stated = Vec::new();
        let settings = Rc::clone(&self.settings);
        let asked = match settings.guarded_routes {
            true => settings.policies.all(),
            false => policies,
        };
        for policy in asked.iter() {
            for statement in [&policy.user, &policy.tenant].into_iter().flatten() {
                if let Statement::Header(name) = statement {
                    self.keep(name, request.headers, &mut stated);
                }
            }
        }
        let held = Held {
            digest,
            route_policy: request.host.route_policy(),
            every: policies.is_all(),
            stated,
        };
        self.held.insert(waiter, held);
    }

    fn keep(&self, name: &str, headers: Headers<'_>, stated: &mut Vec<(String, Vec<u8>)>) {
        let locations = &self.settings.credentials;
        let secret = locations.iter().filter_map(Location::header);
        if secret.into_iter().any(|header| header == name)
            || stated.iter().any(|(known, _)| known == name)
        {
            return;
        }
        stated.extend(
            headers
                .all(name)
                .map(|value| (name.to_owned(), value.to_vec())),
        );
    }

    /// Decides on a request that has waited.
    pub fn resume(
        &mut self,
        waiter: Waiter,
        request: &Request<'_>,
        resolution: Resolution,
        now: Now,
        store: &dyn Store,
    ) -> Decision {
        let Some(held) = self.held.remove(&waiter) else {
            // Whoever waits is held; nobody passes whom nothing is known of.
            return self.refuse(Reason::KeyServiceUnavailable, None);
        };
        let with_stated = held.with_stated(request.headers);
        let before = self.before(request.host);
        let before = before.as_ref().map(|before| before.on(request.host));
        let host = Remembered {
            host: before
                .as_ref()
                .map_or(request.host, |before| before as &dyn Circumstances),
            route_policy: &held.route_policy,
        };
        let request = Request {
            headers: with_stated.as_deref().map_or(request.headers, Headers::new),
            host: &host,
            has_body: request.has_body,
        };
        let settings = Rc::clone(&self.settings);
        let policies = if held.every {
            Ok(settings.policies.all())
        } else {
            settings.policies.choose(&request)
        };
        match policies {
            Ok(policies) => {
                let stage = Stage::Waited(resolution);
                self.judge_digest(held.digest, &request, policies, stage, now, store)
            }
            Err(unknown) => self.refuse_unknown_policy(&unknown, now),
        }
    }
}

/// What the host said of a request when it came.
struct Remembered<'a> {
    host: &'a dyn Circumstances,
    route_policy: &'a Option<Vec<u8>>,
}

impl Circumstances for Remembered<'_> {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.host.source_address()
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.route_policy.clone()
    }

    fn tell_policies(&self, policies: &str) {
        self.host.tell_policies(policies);
    }
}
