//! Requests that wait, and what has become known for those that may go on.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use super::held::Held;
use crate::credential::digest::Digest;
use crate::host::RequestId;
use crate::knowledge::Spread;
use crate::knowledge::cache::EntityId;
use crate::knowledge::feed::Outdated;
use crate::record::Chain;
use crate::time::Instant;

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What is kept of each, until it goes on.
    held: HashMap<RequestId, Held, BuildHasherDefault<Spread>>,
    /// How many of them may go on.
    resolved: usize,
    /// Those whose turn has not been called yet, in order.
    uncalled: VecDeque<RequestId>,
}

/// A request that waited and may go on.
#[derive(Debug)]
pub(super) struct Resolved {
    digest: Digest,
    /// Until when it would have waited.
    deadline: Instant,
    resolution: Resolution,
}

/// What has become known for a request that waited.
#[derive(Debug, Clone)]
pub enum Resolution {
    /// A key, all of which was confirmed at a time or later.
    Known(Chain, Instant),
    /// Nobody knows it.
    Unknown,
    /// The key service did not answer usably in time.
    Unavailable,
    /// It has changed since the answer: it has to be looked up again, for a request that may wait until a
    /// deadline.
    Outdated(RequestId, Instant),
    /// This was known when it could have gone on, and was not its turn: more may be known since.
    Passed(Box<Resolution>),
}

impl Waiting {
    /// Keeps what is needed of a request that is to wait.
    pub(super) fn hold(&mut self, request: RequestId, held: Held) {
        self.held.insert(request, held);
    }

    /// What was kept of a request whose turn has come, and what has become known for it.
    pub(super) fn take(&mut self, request: RequestId) -> Option<(Held, Resolution)> {
        let resolved = self.held.get_mut(&request)?.resolved.take()?;
        self.resolved = self.resolved.saturating_sub(1);
        Some((self.held.remove(&request)?, resolved.resolution))
    }

    /// A request is gone. False where it does not wait, as most do not.
    pub(super) fn forget(&mut self, request: RequestId) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let Some(held) = self.held.remove(&request) else {
            return false;
        };
        if held.resolved.is_some() {
            self.resolved = self.resolved.saturating_sub(1);
            self.uncalled.retain(|uncalled| *uncalled != request);
        }
        true
    }

    /// Lets requests go on that waited for a digest, each until a deadline.
    pub(super) fn release(
        &mut self,
        digest: &Digest,
        waited: impl IntoIterator<Item = (RequestId, Instant)>,
        resolution: &Resolution,
    ) {
        for (request, deadline) in waited {
            let resolved = Resolved {
                digest: *digest,
                deadline,
                resolution: resolution.clone(),
            };
            let Some(held) = self.held.get_mut(&request) else {
                continue;
            };
            if held.resolved.replace(resolved).is_none() {
                self.resolved = self.resolved.saturating_add(1);
                self.uncalled.push_back(request);
            }
        }
    }

    /// Lets requests that waited for a digest go on with what the caches know.
    pub(super) fn look_again(
        &mut self,
        digest: &Digest,
        waited: impl IntoIterator<Item = (RequestId, Instant)>,
    ) {
        for (request, deadline) in waited {
            let again = Resolution::Outdated(request, deadline);
            self.release(digest, [(request, deadline)], &again);
        }
    }

    /// Requests that have their answer, but have not gone on yet, must not go on with what has changed.
    pub(super) fn outdate(&mut self, outdated: &Outdated) {
        for (request, held) in &mut self.held {
            let Some(resolved) = &mut held.resolved else {
                continue;
            };
            if resolved.is_touched_by(outdated) {
                resolved.resolution = Resolution::Outdated(*request, resolved.deadline);
            }
        }
    }

    /// Those that could have gone on in an earlier event have been passed by requests that came since.
    pub(super) fn pass(&mut self) {
        if self.resolved == 0 {
            return;
        }
        for resolved in self
            .held
            .values_mut()
            .filter_map(|held| held.resolved.as_mut())
        {
            if !matches!(
                resolved.resolution,
                Resolution::Outdated(..) | Resolution::Passed(_)
            ) {
                let known = std::mem::replace(&mut resolved.resolution, Resolution::Unavailable);
                resolved.resolution = Resolution::Passed(Box::new(known));
            }
        }
    }

    /// The next request whose turn is to be called.
    pub(super) fn next(&mut self) -> Option<RequestId> {
        self.uncalled.pop_front()
    }

    /// Whether the turn of any is to be called.
    pub(super) fn is_any_uncalled(&self) -> bool {
        !self.uncalled.is_empty()
    }

    /// How many may go on.
    pub(super) fn resolved(&self) -> usize {
        self.resolved
    }
}

impl Resolved {
    fn is_touched_by(&self, outdated: &Outdated) -> bool {
        let known = match &self.resolution {
            Resolution::Passed(known) => known,
            known => known,
        };
        let (user, tenant) = match known {
            Resolution::Known(chain, _) => (
                chain.key.user_id.as_deref().map(EntityId::user),
                chain.key.tenant_id.as_deref().map(EntityId::tenant),
            ),
            Resolution::Unknown => (None, None),
            Resolution::Unavailable | Resolution::Outdated(..) | Resolution::Passed(_) => {
                return false;
            }
        };
        match outdated {
            Outdated::All => true,
            Outdated::Changed(changed, _) => [Some(EntityId::key(&self.digest)), user, tenant]
                .iter()
                .flatten()
                .any(|id| changed.contains(id)),
        }
    }
}
