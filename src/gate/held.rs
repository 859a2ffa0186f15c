//! What is kept of a request while it waits: its headers are cleaned before, and what was in them may count
//! once the key service has answered. The credential is not kept, its digest is enough.

use std::borrow::Cow;
use std::rc::Rc;

use super::judge::Case;
use super::waiting::Resolved;
use super::{Decision, Gate};
use crate::credential::Location;
use crate::credential::digest::Digest;
use crate::host::{Circumstances, Header, RequestId, Store};
use crate::policy::Statement;
use crate::request::headers::Headers;
use crate::request::{Earlier, Request};
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
    /// What has become known for it, once it may go on.
    pub(super) resolved: Option<Resolved>,
}

impl Held {
    /// The headers with what was stated in them and has been removed since; nothing where that is nothing.
    fn with_stated<'a>(&'a self, headers: Headers<'a>) -> Option<Vec<Header<'a>>> {
        let gone = || {
            let stated = self
                .stated
                .iter()
                .filter(|(name, _)| headers.count(name) == 0);
            stated.map(|(name, value)| (name.as_bytes(), value.as_slice()))
        };
        gone().next()?;
        Some(headers.iter().chain(gone()).collect())
    }
}

impl Gate {
    /// Keeps what is needed of a request that is to wait.
    pub(super) fn hold(&mut self, id: RequestId, case: &Case<'_, impl Circumstances, impl Store>) {
        let mut stated = Vec::new();
        let settings = Rc::clone(&self.settings);
        let asked = match settings.guarded_routes {
            true => settings.policies.all(),
            false => case.policies,
        };
        for policy in asked.iter() {
            for statement in [&policy.user, &policy.tenant].into_iter().flatten() {
                if let Statement::Header(name) = statement {
                    self.keep(name, case.request.headers, &mut stated);
                }
            }
        }
        let held = Held {
            digest: case.digest,
            route_policy: case.request.route_policy().map(Cow::into_owned),
            every: case.policies.is_all(),
            stated,
            resolved: None,
        };
        self.waiting.hold(id, held);
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

    /// Decides on a request that has waited, and whose turn has come.
    pub fn resume(
        &mut self,
        id: RequestId,
        request: &Request<'_, impl Circumstances>,
        now: Now,
        store: &impl Store,
    ) -> Decision {
        let Some((held, resolution)) = self.waiting.take(id) else {
            // Whoever waits is held; nobody passes whom nothing is known of.
            return self.refuse(Reason::KeyServiceUnavailable, None);
        };
        let with_stated = held.with_stated(request.headers);
        let before = self.before(request.host);
        let request = Request {
            headers: with_stated.as_deref().map_or(request.headers, Headers::new),
            earlier: Earlier {
                source_address: before
                    .as_ref()
                    .and_then(|before| before.earlier().source_address),
                route_policy: Some(held.route_policy.as_deref()),
            },
            ..*request
        };
        let settings = Rc::clone(&self.settings);
        let policies = if held.every {
            Ok(settings.policies.all())
        } else {
            settings.policies.choose(&request)
        };
        match policies {
            Ok(policies) => {
                let case = Case {
                    digest: held.digest,
                    request: &request,
                    policies,
                    now,
                    store,
                };
                self.judge_waited(&case, resolution)
            }
            Err(unknown) => self.refuse_unknown_policy(&unknown, now),
        }
    }
}
