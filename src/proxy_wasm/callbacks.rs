//! What the host calls (Proxy-Wasm ABI 0.2.1).
//!
//! In place of the SDK's own dispatcher, which keeps a boxed context for each request and takes 3,000 operators of
//! WebAssembly more for a hit (a tenth of all that are left). The SDK exports its callbacks whatever is done; ours
//! have names of their own, and tools/trim-module gives them the SDK's names.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::host::Stream;
use super::http::Filter;
use super::root::Root;
use crate::knowledge::cache::Spread;
use crate::reply::Reply;

type Table<T> = RefCell<HashMap<u32, T, BuildHasherDefault<Spread>>>;

thread_local! {
    /// One for each configuration that this VM runs.
    static ROOTS: Table<Root> = RefCell::default();
    /// One for each request that is under way.
    static REQUESTS: Table<Filter> = RefCell::default();
}

/// Goes on with the request.
const CONTINUE: u32 = 0;
/// Lets the request wait, or be done with.
const PAUSE: u32 = 1;

#[unsafe(export_name = "keybound_on_context_create")]
extern "C" fn on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        ROOTS.with_borrow_mut(|roots| roots.insert(context, Root::new(context)));
    } else if let Some(filter) = with_root(parent, |root| root.filter()).flatten() {
        REQUESTS.with_borrow_mut(|requests| requests.insert(context, filter));
    }
}

#[unsafe(export_name = "keybound_on_configure")]
extern "C" fn on_configure(root: u32, _: usize) -> u32 {
    u32::from(with_root(root, Root::configure).unwrap_or(false))
}

#[unsafe(export_name = "keybound_on_tick")]
extern "C" fn on_tick(root: u32) {
    with_root(root, Root::tick);
}

#[unsafe(export_name = "keybound_on_queue_ready")]
extern "C" fn on_queue_ready(root: u32, queue: u32) {
    with_root(root, |root| root.rung(queue));
}

#[unsafe(export_name = "keybound_on_http_call_response")]
extern "C" fn on_http_call_response(
    root: u32,
    call: u32,
    headers: usize,
    body_size: usize,
    _: usize,
) {
    with_root(root, |root| root.answered(call, headers, body_size));
}

#[unsafe(export_name = "keybound_on_request_headers")]
extern "C" fn on_request_headers(context: u32, _: usize, end_of_stream: u32) -> u32 {
    let onward = REQUESTS.with_borrow_mut(|requests| {
        requests
            .get_mut(&context)
            .map(|filter| filter.decide(context, end_of_stream == 0))
    });
    match onward {
        Some(true) => CONTINUE,
        Some(false) => PAUSE,
        // Nobody is there to decide, as without a configuration: then nobody passes.
        None => {
            Stream::reply(&Reply::internal_error(), "keybound_not_configured");
            PAUSE
        }
    }
}

/// The host calls this for requests that have trailers, and for no others.
#[unsafe(export_name = "keybound_on_request_trailers")]
extern "C" fn on_request_trailers(context: u32, _: usize) -> u32 {
    REQUESTS.with_borrow(|requests| requests.get(&context).map(Filter::clean_trailers));
    CONTINUE
}

#[unsafe(export_name = "keybound_on_delete")]
extern "C" fn on_delete(context: u32) {
    match REQUESTS.with_borrow_mut(|requests| requests.remove(&context)) {
        Some(filter) => filter.end(context),
        None => {
            ROOTS.with_borrow_mut(|roots| roots.remove(&context));
        }
    }
}

fn with_root<T>(root: u32, act: impl FnOnce(&mut Root) -> T) -> Option<T> {
    ROOTS.with_borrow_mut(|roots| roots.get_mut(&root).map(act))
}
