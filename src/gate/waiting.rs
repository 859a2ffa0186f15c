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
    /// Those that may go on, in order.
    ready: VecDeque<Ready>,
}

/// A request that waited and may go on.
#[derive(Debug)]
struct Ready {
    request: RequestId,
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

    /// What was kept of a request that goes on.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Held> {
        self.held.remove(&request)
    }

    /// A request is gone. False where it does not wait, as most do not.
    pub(super) fn forget(&mut self, request: RequestId) -> bool {
        if self.held.is_empty() || self.held.remove(&request).is_none() {
            return false;
        }
        self.ready.retain(|ready| ready.request != request);
        true
    }

    /// Lets requests go on that waited for a digest, each until a deadline.
    pub(super) fn release(
        &mut self,
        digest: &Digest,
        waited: impl IntoIterator<Item = (RequestId, Instant)>,
        resolution: &Resolution,
    ) {
        let ready = waited.into_iter().map(|(request, deadline)| Ready {
            request,
            digest: *digest,
            deadline,
            resolution: resolution.clone(),
        });
        self.ready.extend(ready);
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
        for ready in &mut self.ready {
            if ready.is_touched_by(outdated) {
                ready.resolution = Resolution::Outdated(ready.request, ready.deadline);
            }
        }
    }

    /// Those that could have gone on in an earlier event have been passed by requests that came since.
    pub(super) fn pass(&mut self) {
        for ready in &mut self.ready {
            if !matches!(
                ready.resolution,
                Resolution::Outdated(..) | Resolution::Passed(_)
            ) {
                let known = std::mem::replace(&mut ready.resolution, Resolution::Unavailable);
                ready.resolution = Resolution::Passed(Box::new(known));
            }
        }
    }

    /// The next request that may go on, and what has become known for it.
    pub(super) fn next(&mut self) -> Option<(RequestId, Resolution)> {
        let ready = self.ready.pop_front()?;
        Some((ready.request, ready.resolution))
    }

    /// Whether any may go on.
    pub(super) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many may go on.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }
}

impl Ready {
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
