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
    /// The numbers of its configuration and of its next request: here, so that nothing else has to be read for them.
    plugin: u64,
    next: RequestId,
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
            let mut workers = workers.iter_mut();
            let of = workers.find(|of| of.plugin == plugin.number && !of.local.is_over())?;
            Some(of.request())
        });
        let first = || Local::begin(plugin).map(|local| keep(local, plugin.number));
        known.or_else(first).unwrap_or_else(Self::without_worker)
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

impl Of {
    /// The next request.
    fn request(&mut self) -> Box<Request> {
        let kept = self.kept.pop();
        let mut request = kept.unwrap_or_else(|| Request::of(Some(Arc::clone(&self.local))));
        request.number = self.next;
        self.next = self.next.wrapping_add(1);
        request
    }
}

/// Keeps a worker for the requests to come, of which this is the first, and lets go of those that are broken or whose
/// configuration has gone.
fn keep(local: Arc<Local>, plugin: u64) -> Box<Request> {
    let mut of = Of {
        local,
        plugin,
        next: 0,
        kept: Vec::new(),
    };
    let request = of.request();
    let _dropped: Vec<Of> = WORKERS.with_borrow_mut(|workers| {
        workers.push(of);
        workers
            .extract_if(.., |of| of.local.has_ended() || of.local.is_over())
            .collect()
    });
    request
}
