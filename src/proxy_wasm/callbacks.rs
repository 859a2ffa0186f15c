//! What the host calls (Proxy-Wasm ABI 0.2.1).
//!
//! In place of the SDK's own dispatcher, which keeps a boxed context for each request and takes 3,000 operators of
//! WebAssembly more for a hit (a tenth of all that are left). The SDK exports its callbacks whatever is done; ours
//! have names of their own, and tools/trim-module gives them the SDK's names.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use proxy_wasm::hostcalls as sdk;

use super::envoy::{Answered, Envoy, Stream, Trailers};
use super::hostcalls::{self, Map};
use super::packed::unpack;
use super::plugin::{Plugin, follow_log_level};
use crate::knowledge::Spread;
use crate::worker::{Fate, Worker};

type Table<T> = RefCell<HashMap<u32, T, BuildHasherDefault<Spread>>>;

thread_local! {
    /// One for each configuration that this VM runs.
    static ROOTS: Table<Rc<Plugin>> = RefCell::default();
    /// The one of each request that is under way.
    static REQUESTS: Table<Rc<Plugin>> = RefCell::default();
}

/// Goes on with the request.
const CONTINUE: u32 = 0;
/// Lets the request wait, or be done with.
const PAUSE: u32 = 1;

#[unsafe(export_name = "keybound_on_context_create")]
extern "C" fn on_context_create(context: u32, root: u32) {
    let plugin = ROOTS.with_borrow(|roots| roots.get(&root).cloned());
    if let Some(plugin) = plugin {
        REQUESTS.with_borrow_mut(|requests| requests.insert(context, plugin));
    }
}

#[unsafe(export_name = "keybound_on_configure")]
extern "C" fn on_configure(root: u32, _: usize) -> u32 {
    let plugin = Plugin::configure(root);
    let is_taken = plugin.is_some();
    if let Some(plugin) = plugin {
        ROOTS.with_borrow_mut(|roots| roots.insert(root, Rc::new(plugin)));
    }
    u32::from(is_taken)
}

#[unsafe(export_name = "keybound_on_tick")]
extern "C" fn on_tick(root: u32) {
    follow_log_level();
    drive(root, Worker::tick);
}

#[unsafe(export_name = "keybound_on_queue_ready")]
extern "C" fn on_queue_ready(root: u32, queue: u32) {
    let _ = sdk::dequeue_shared_queue(queue);
    drive(root, Worker::rung);
}

/// Where the call was broken off, there are no headers.
#[unsafe(export_name = "keybound_on_http_call_response")]
extern "C" fn on_http_call_response(
    root: u32,
    call: u32,
    headers: usize,
    body_size: usize,
    _: usize,
) {
    let answer = (headers > 0).then_some(Answered { body_size });
    drive(root, |worker, envoy| {
        worker.answered(envoy, call.into(), answer.as_ref());
    });
}

#[unsafe(export_name = "keybound_on_request_headers")]
extern "C" fn on_request_headers(context: u32, _: usize, end_of_stream: u32) -> u32 {
    let fate = with_request(context, |plugin| {
        let packed = hostcalls::header_map(Map::RequestHeaders);
        let has_body = end_of_stream == 0;
        plugin.worker.borrow_mut().request(
            &plugin.envoy,
            &mut Stream,
            context.into(),
            &unpack(&packed),
            has_body,
        )
    });
    match fate {
        Some(Fate::Onward) => CONTINUE,
        Some(Fate::Waiting | Fate::Answered) => PAUSE,
        // Nobody is there to decide, as without a configuration: then nobody passes.
        None => {
            hostcalls::send_local_response(500, -1, &[0; 4], &[], "keybound_not_configured");
            PAUSE
        }
    }
}

/// The host calls this for requests that have trailers, and for no others.
#[unsafe(export_name = "keybound_on_request_trailers")]
extern "C" fn on_request_trailers(context: u32, _: usize) -> u32 {
    with_request(context, |plugin| {
        let packed = hostcalls::header_map(Map::RequestTrailers);
        let worker = plugin.worker.borrow();
        worker.trailers(&unpack(&packed), &mut Trailers);
    });
    CONTINUE
}

#[unsafe(export_name = "keybound_on_delete")]
extern "C" fn on_delete(context: u32) {
    match REQUESTS.with_borrow_mut(|requests| requests.remove(&context)) {
        Some(plugin) => plugin.worker.borrow_mut().gone(context.into()),
        None => {
            ROOTS.with_borrow_mut(|roots| roots.remove(&context));
        }
    }
}

fn with_request<T>(context: u32, act: impl FnOnce(&Plugin) -> T) -> Option<T> {
    REQUESTS.with_borrow(|requests| requests.get(&context).map(|plugin| act(plugin)))
}

fn drive(root: u32, act: impl FnOnce(&mut Worker, &Envoy)) {
    ROOTS.with_borrow(|roots| {
        if let Some(plugin) = roots.get(&root) {
            plugin.drive(act);
        }
    });
}
