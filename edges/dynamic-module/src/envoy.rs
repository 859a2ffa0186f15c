//! What is safe to do with Envoy's functions. A pointer of Envoy is valid within the event that brought it, so the
//! types here live no longer than their event, and only what may be used by any thread at any time can leave it.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::null;

use keybound::host::{Call, Header, MetricKind};
use smallvec::SmallVec;

use crate::abi::{self, Buffer, HttpHeader};

impl Buffer {
    /// Bytes of ours, to be read during a call.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            pointer: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    /// Nothing at all: sets a header to nothing.
    pub const NONE: Self = Self {
        pointer: null(),
        length: 0,
    };

    /// A copy of Envoy's bytes.
    ///
    /// # Safety
    /// They must be valid now, as they are from the call that gave them until the next one.
    pub unsafe fn copied(self) -> Vec<u8> {
        // SAFETY: as promised by the caller.
        unsafe { bytes(self.pointer, self.length) }.to_vec()
    }
}

/// Bytes of Envoy. A null pointer is none.
///
/// # Safety
/// They must be valid for as long as the result is used.
unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// A list of headers as Envoy takes it, to be read during a call.
pub fn list<'a>(headers: impl Iterator<Item = Header<'a>>) -> SmallVec<[HttpHeader; 16]> {
    headers
        .map(|(name, value)| HttpHeader {
            name: name.as_ptr(),
            name_length: name.len(),
            value: value.as_ptr(),
            value_length: value.len(),
        })
        .collect()
}

/// A copy of a list of headers that Envoy has given.
///
/// # Safety
/// There must be so many headers, valid now.
pub unsafe fn copied(headers: *const HttpHeader, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    if headers.is_null() {
        return Vec::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(headers, count) }
        .iter()
        .map(|header| {
            // SAFETY: as promised by the caller.
            unsafe {
                (
                    bytes(header.name, header.name_length).to_vec(),
                    bytes(header.value, header.value_length).to_vec(),
                )
            }
        })
        .collect()
}

/// A request within one of its events, on the thread that serves it.
#[derive(Debug)]
pub struct Filter<'event> {
    pointer: abi::Filter,
    event: PhantomData<&'event mut ()>,
}

impl Filter<'_> {
    /// The request of an event.
    ///
    /// # Safety
    /// The pointer must be that of the event that is under way, and the value must not outlive it.
    pub unsafe fn new(pointer: abi::Filter) -> Self {
        Self {
            pointer,
            event: PhantomData,
        }
    }

    /// The same, for a shorter time.
    pub fn again(&mut self) -> Filter<'_> {
        Filter {
            pointer: self.pointer,
            event: PhantomData,
        }
    }

    /// A list of headers, lent by Envoy: whoever edits one has to give them back first.
    pub fn headers(&self, list: c_int) -> Lent<'_> {
        let mut few = [NO_HEADER; USUAL_HEADERS];
        let mut many = Vec::new();
        // SAFETY: the pointer is that of the event; Envoy fills as many places as it has said, and there are as many.
        // Its bytes are valid until headers are set, which wants the request for itself alone.
        unsafe {
            let count = abi::get_headers_size(self.pointer, list);
            let headers = match few.get_mut(..count) {
                Some(few) => few,
                None => {
                    many.resize(count, NO_HEADER);
                    many.as_mut_slice()
                }
            };
            if count == 0 || !abi::get_headers(self.pointer, list, headers.as_mut_ptr()) {
                return Lent::new();
            }
            let lent = headers.iter().map(|header| {
                (
                    bytes(header.name, header.name_length),
                    bytes(header.value, header.value_length),
                )
            });
            lent.collect()
        }
    }

    /// Gives a header this one value; nothing removes it.
    pub fn set(&mut self, list: c_int, name: &[u8], value: Option<&[u8]>) {
        let value = value.map_or(Buffer::NONE, Buffer::of);
        // SAFETY: the pointer is that of the event; Envoy copies both.
        unsafe { abi::set_header(self.pointer, list, Buffer::of(name), value) };
    }

    /// Adds a header.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (Buffer::of(name), Buffer::of(value));
        // SAFETY: the pointer is that of the event; Envoy copies both.
        unsafe { abi::add_header(self.pointer, abi::REQUEST_HEADERS, name, value) };
    }

    /// Lets Envoy choose the route again.
    pub fn clear_route_cache(&self) {
        // SAFETY: the pointer is that of the event.
        unsafe { abi::clear_route_cache(self.pointer) };
    }

    /// Lets Envoy choose the route now, if it has none.
    pub fn choose_route(&self) {
        // SAFETY: the pointer is that of the event. What is asked for is a configuration of ours for the route, of
        // which there is none: to look for it is what makes Envoy choose. Metadata is read of a chosen route alone.
        unsafe { abi::route_configuration(self.pointer) };
    }

    /// Sets filter state.
    pub fn set_filter_state(&self, name: &str, value: &[u8]) {
        let name = Buffer::of(name.as_bytes());
        // SAFETY: the pointer is that of the event; Envoy copies both.
        unsafe { abi::set_filter_state(self.pointer, name, Buffer::of(value)) };
    }

    /// A text of the route's metadata.
    pub fn route_metadata(&self, namespace: &str, name: &str) -> Option<Vec<u8>> {
        let (namespace, name) = (
            Buffer::of(namespace.as_bytes()),
            Buffer::of(name.as_bytes()),
        );
        let mut value = Buffer::NONE;
        // SAFETY: the pointer is that of the event; what Envoy gives is copied before anything else is called.
        unsafe {
            abi::get_metadata(self.pointer, abi::ROUTE, namespace, name, &raw mut value)
                .then(|| value.copied())
        }
    }

    /// The address of the client.
    pub fn source_address(&self) -> Option<Vec<u8>> {
        let mut value = Buffer::NONE;
        // SAFETY: the pointer is that of the event; what Envoy gives is copied before anything else is called.
        unsafe {
            abi::get_attribute(self.pointer, abi::SOURCE_ADDRESS, &raw mut value)
                .then(|| value.copied())
        }
    }

    /// What wakes this request from any thread.
    pub fn waker(&self) -> Waker {
        // SAFETY: the pointer is that of the event.
        Waker(unsafe { abi::scheduler_new(self.pointer) })
    }

    /// Lets the request go on. Envoy may end it within.
    pub fn go_on(self) {
        // SAFETY: the pointer is that of the event, and nothing of it is touched after.
        unsafe { abi::continue_decoding(self.pointer) };
    }

    /// Answers the request. Envoy may end it within.
    pub fn answer(self, status: u16, headers: &[(&str, &str)], body: &[u8], details: &str) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers = list(headers);
        // SAFETY: the pointer is that of the event, and nothing of it is touched after; Envoy copies all.
        unsafe {
            abi::send_response(
                self.pointer,
                u32::from(status),
                headers.as_ptr(),
                headers.len(),
                Buffer::of(body),
                Buffer::of(details.as_bytes()),
            );
        }
    }
}

/// Headers for which a list needs no memory of its own.
const USUAL_HEADERS: usize = 20;

/// Headers that Envoy has lent.
pub type Lent<'a> = SmallVec<[Header<'a>; USUAL_HEADERS]>;

const NO_HEADER: HttpHeader = HttpHeader {
    name: null(),
    name_length: 0,
    value: null(),
    value_length: 0,
};

/// Wakes a request, from any thread, for as long as it is kept.
#[derive(Debug)]
pub struct Waker(abi::Scheduler);

// SAFETY: Envoy says of a scheduler that it can be committed by any thread, and deleted by one.
unsafe impl Send for Waker {}

impl Waker {
    /// Lets an event come, on the request's own thread.
    pub fn wake(&self, event: u64) {
        // SAFETY: the scheduler is deleted on drop alone. Where its request has ended, Envoy drops the event.
        unsafe { abi::scheduler_commit(self.0, event) };
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { abi::scheduler_delete(self.0) };
    }
}

/// Calls the main thread, from any thread, for as long as it is kept.
#[derive(Debug)]
pub struct MainBell(abi::Scheduler);

// SAFETY: Envoy says of a scheduler that it can be committed by any thread, and deleted by one.
unsafe impl Send for MainBell {}
// SAFETY: to commit is all that can be done with a shared one.
unsafe impl Sync for MainBell {}

impl MainBell {
    /// Lets an event come on the main thread.
    pub fn ring(&self, event: u64) {
        // SAFETY: the scheduler is deleted on drop alone.
        unsafe { abi::config_scheduler_commit(self.0, event) };
    }
}

impl Drop for MainBell {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { abi::config_scheduler_delete(self.0) };
    }
}

/// A configuration within one of its events, on the main thread: it cannot be sent to another.
#[derive(Debug, Clone, Copy)]
pub struct Configuration<'event> {
    pointer: abi::Configuration,
    event: PhantomData<&'event mut ()>,
}

impl Configuration<'_> {
    /// The configuration of an event.
    ///
    /// # Safety
    /// The pointer must be that of the event that is under way, on the main thread, and the value must not outlive it.
    pub unsafe fn new(pointer: abi::Configuration) -> Self {
        Self {
            pointer,
            event: PhantomData,
        }
    }

    /// What calls the main thread.
    pub fn bell(self) -> MainBell {
        // SAFETY: the pointer is that of the event.
        MainBell(unsafe { abi::config_scheduler_new(self.pointer) })
    }

    /// Sends a call; nothing where Envoy does not take it.
    pub fn call(self, call: &Call<'_>) -> Option<u64> {
        let headers = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers = list(headers);
        let mut number = 0;
        // SAFETY: the pointer is that of the event, on the main thread; Envoy copies all.
        let result = unsafe {
            abi::config_callout(
                self.pointer,
                &raw mut number,
                Buffer::of(call.cluster.as_bytes()),
                headers.as_ptr(),
                headers.len(),
                Buffer::of(call.body.unwrap_or_default()),
                call.timeout_millis,
            )
        };
        (result == abi::SUCCESS).then_some(number)
    }

    /// Makes a metric known. Envoy takes new ones within the event that brings the configuration alone.
    pub fn define(self, kind: MetricKind, name: &str) -> Option<usize> {
        let name = Buffer::of(name.as_bytes());
        let mut metric = 0;
        // SAFETY: the pointer is that of the event, on the main thread; there are no labels.
        let result = unsafe {
            let define = match kind {
                MetricKind::Counter => abi::define_counter,
                MetricKind::Gauge => abi::define_gauge,
                MetricKind::Histogram => abi::define_histogram,
            };
            define(self.pointer, name, null(), 0, &raw mut metric)
        };
        (result == abi::SUCCESS).then_some(metric)
    }

    /// Adds to a counter or a gauge, or takes away from a gauge.
    pub fn add(self, kind: MetricKind, metric: usize, more: i64) {
        let amount = more.unsigned_abs();
        // SAFETY: the pointer is that of the event, on the main thread; there are no labels.
        unsafe {
            let change = match kind {
                MetricKind::Counter => abi::increment_counter,
                _ if more < 0 => abi::decrement_gauge,
                _ => abi::increment_gauge,
            };
            change(self.pointer, metric, null(), 0, amount);
        }
    }

    /// Sets a gauge, or gives a histogram a value.
    pub fn record(self, kind: MetricKind, metric: usize, value: u64) {
        // SAFETY: the pointer is that of the event, on the main thread; there are no labels.
        unsafe {
            let change = match kind {
                MetricKind::Histogram => abi::record_histogram,
                MetricKind::Counter | MetricKind::Gauge => abi::set_gauge,
            };
            change(self.pointer, metric, null(), 0, value);
        }
    }
}

/// A line for Envoy's log, at one of its levels (0 trace to 5 critical).
pub fn log(level: c_int, line: &str) {
    // SAFETY: Envoy reads the line during the call.
    unsafe {
        if abi::log_enabled(level) {
            abi::log(level, Buffer::of(line.as_bytes()));
        }
    }
}
