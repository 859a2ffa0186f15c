//! The edge to Proxy-Wasm: the only folder that knows it, and it knows nothing else.

mod callbacks;
mod host;
mod http;
mod metrics;
mod root;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};

use proxy_wasm::hostcalls;
use proxy_wasm::types::LogLevel;

use crate::gate::{Decision, Gate, Notice, Passage, Refusal};
use crate::request::Request;
use crate::request::headers::Headers;
use crate::time::{Now, http_date};
use host::{Clock, Stream};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
}}

/// What the root context of a VM and its streams share.
struct Vm {
    gate: RefCell<Gate>,
    clock: Clock,
    waker: Waker,
}

impl Vm {
    fn new(gate: Gate) -> Self {
        let clock = Clock::default();
        clock.synchronize();
        Self {
            gate: RefCell::new(gate),
            clock,
            waker: Waker::default(),
        }
    }

    /// Wakes the root context where there is work for it that a stream must not do.
    fn wake_if_needed(&self, gate: &Gate, now: Now) {
        if gate.has_work(now) {
            self.waker.wake();
        }
    }

    /// Carries out a decision on the stream that host calls are about. True where the request waits.
    fn carry_out(decision: &Decision, gate: &Gate, request: &Request<'_>) -> Carried {
        match decision {
            Decision::Proceed(passage) => {
                proceed(passage, gate, request.headers);
                Carried::Onward
            }
            Decision::Refuse(refusal) => {
                write_filter_state(refusal);
                gate.edit_refused(request.headers, &mut Stream);
                let details = format!("keybound_{}", refusal.reason.code());
                Stream::reply(&gate.reply(refusal, request), &details);
                Carried::Answered
            }
            Decision::Wait => {
                gate.edit_waiting(request.headers, &mut Stream);
                Carried::Waiting
            }
        }
    }
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    Onward,
    Answered,
    Waiting,
}

fn proceed(passage: &Passage, gate: &Gate, headers: Headers<'_>) {
    if let Some(refusal) = &passage.shadowed {
        write_filter_state(refusal);
    }
    if let Some(notice) = passage.notice {
        write_notice(notice);
    }
    gate.edit(passage, headers, &mut Stream);
}

fn write_filter_state(refusal: &Refusal) {
    Stream::set_filter_state("keybound.code", refusal.reason.code());
    let Some(chain) = &refusal.chain else { return };
    Stream::set_filter_state("keybound.key_id", &chain.key.id);
    if let Some(user) = &chain.key.user_id {
        Stream::set_filter_state("keybound.user_id", user);
    }
    if let Some(tenant) = &chain.key.tenant_id {
        Stream::set_filter_state("keybound.tenant_id", tenant);
    }
}

/// Envoy makes response headers of these (`response_headers_to_add`), which costs other requests nothing.
fn write_notice(notice: Notice) {
    if let Some(date) = notice.sunset.and_then(http_date) {
        Stream::set_filter_state("keybound.sunset", &date);
    }
    if let Some(replaced_at) = notice.deprecation {
        Stream::set_filter_state("keybound.deprecation", &format!("@{replaced_at}"));
    }
}

/// Wakes the root context of this VM within the same turn of the worker's loop, by a shared queue of its
/// own. Calls must be sent from there: an answer to a call that a stream sent is dropped with the stream.
/// Other VMs ring the same queue when something has changed.
#[derive(Default)]
struct Waker {
    queue: Cell<Option<u32>>,
    awake: Cell<bool>,
}

impl Waker {
    /// The queue. It is made when it is first needed, not earlier: a VM that is tried out and dropped would
    /// leave its queue behind for ever.
    fn queue(&self) -> Option<u32> {
        if self.queue.get().is_none() {
            let name = format!("keybound.wake.{}", unique_name());
            self.queue.set(hostcalls::register_shared_queue(&name).ok());
        }
        self.queue.get()
    }

    fn wake(&self) {
        if !self.awake.get() {
            // Without a queue the next tick does the work.
            self.awake.set(self.queue().is_some_and(Self::ring));
        }
    }

    /// Rings a queue, of this VM or another. False where it does not exist.
    fn ring(queue: u32) -> bool {
        hostcalls::enqueue_shared_queue(queue, Some(b"\0")).is_ok()
    }

    /// The root context has been woken by this queue.
    fn answer(&self, queue: u32) {
        self.awake.set(false);
        let _ = hostcalls::dequeue_shared_queue(queue);
    }
}

/// A name that no other VM has: the seeds of a hash map come from the host's random numbers.
fn unique_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
