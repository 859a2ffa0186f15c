//! What a hit costs, counted exactly: the functions of Envoy that the module calls for it, and what it allocates.
#![allow(unsafe_code)]

mod common;

use common::{Gateway, request};
use fake_envoy::{Calls, Request, counted, is_inside};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The stream's own part, and a copy of the headers that grows. A number that grows is a decision, one that shrinks is
/// written down.
const ALLOCATIONS: usize = 6;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    if is_inside() {
        COUNT.set(COUNT.get() + 1);
    }
}

// SAFETY: all is done by the system's allocator, with what it is asked for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What so many requests cost, from `filter_new` to `filter_destroy`.
fn cost(gateway: &Gateway, request: Request, times: usize) -> (Calls, usize) {
    let worker = gateway.envoy.worker(0);
    let (_, cost) = worker.send_often(&gateway.configuration, request, times, |send| {
        let before = COUNT.get();
        let ((), calls) = counted(send);
        (calls, COUNT.get() - before)
    });
    cost
}

#[test]
fn a_hit() {
    let gateway = Gateway::held(1);
    gateway.envoy.ends_streams_within(true);
    gateway.service.has("secret-one", "one", true);
    gateway.send(0, request("secret-one"));
    gateway.envoy.settle();
    gateway.send(0, request("secret-one"));

    let (calls, allocations) = cost(&gateway, request("secret-one"), 10);

    println!("{calls:?}, {allocations} allocations");
    let expected = Calls::from([
        ("http_clear_route_cache", 10),
        ("http_get_headers", 10),
        ("http_get_headers_size", 10),
        ("http_get_metadata_string", 10),
        ("http_set_header", 50),
    ]);
    assert_eq!(calls, expected);
    assert_eq!(allocations, 10 * ALLOCATIONS);
    gateway.end();
}
