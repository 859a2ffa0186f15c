//! The workers of a thread, and what is kept of each request under way. What a request leaves behind serves the next
//! one, so that a hit allocates nothing.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use keybound::host::RequestId;

use crate::local::Local;
use crate::plugin::Plugin;

thread_local! {
    static WORKERS: RefCell<Vec<Of>> = const { RefCell::new(Vec::new()) };
}

/// Requests whose memory is kept for others, of each worker.
const KEPT: usize = 64;

/// The worker of a configuration on this thread.
struct Of {
    local: Arc<Local>,
    /// In the boxes in which Envoy holds them.
    #[expect(clippy::vec_box)]
    kept: Vec<Box<Request>>,
}

/// What is kept of a request under way.
#[derive(Debug)]
pub struct Request {
    /// The worker that serves it; nothing where there could be none.
    pub local: Option<Arc<Local>>,
    /// Tells it from all others of its worker.
    pub number: RequestId,
    /// Whether it waits.
    pub waits: Cell<bool>,
}

impl Request {
    /// A request of a configuration begins. Where there is no worker for it yet, that begins, too.
    pub fn begin(plugin: &Arc<Plugin>) -> Box<Self> {
        let known = WORKERS.with_borrow_mut(|workers| {
            let of = workers
                .iter_mut()
                .find(|of| of.local.plugin_number() == plugin.number)?;
            let kept = of.kept.pop();
            Some(kept.unwrap_or_else(|| Self::of(Some(Arc::clone(&of.local)))))
        });
        let mut request = known.unwrap_or_else(|| Self::of(Local::begin(plugin).inspect(keep)));
        if let Some(local) = &request.local {
            request.number = local.number();
        }
        request
    }

    /// A request that nobody can serve.
    pub fn without_worker() -> Box<Self> {
        Self::of(None)
    }

    fn of(local: Option<Arc<Local>>) -> Box<Self> {
        Box::new(Self {
            local,
            number: 0,
            waits: Cell::new(false),
        })
    }

    /// A request has ended.
    pub fn end(self: Box<Self>) {
        let Some(local) = &self.local else { return };
        if self.waits.replace(false) {
            local.gone(self.number);
        }
        let serving = Arc::as_ptr(local);
        // Dropped outside: it may be the last that holds its worker.
        let _dropped = WORKERS.with_borrow_mut(|workers| {
            match workers
                .iter_mut()
                .find(|of| Arc::as_ptr(&of.local) == serving)
            {
                Some(of) if of.kept.len() < KEPT => {
                    of.kept.push(self);
                    None
                }
                _ => Some(self),
            }
        });
    }
}

/// Keeps a worker for the requests to come, and lets go of those of configurations that have gone.
fn keep(local: &Arc<Local>) {
    let of = Of {
        local: Arc::clone(local),
        kept: Vec::new(),
    };
    let _dropped: Vec<Of> = WORKERS.with_borrow_mut(|workers| {
        workers.push(of);
        workers.extract_if(.., |of| of.local.has_ended()).collect()
    });
}

/// The next request of a configuration begins another worker.
pub fn abandon(local: &Local) {
    let _dropped: Vec<Of> = WORKERS.with_borrow_mut(|workers| {
        workers
            .extract_if(.., |of| std::ptr::eq(&*of.local, local))
            .collect()
    });
}
