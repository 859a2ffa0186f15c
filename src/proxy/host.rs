//! Calls to the host (Proxy-Wasm ABI 0.2.1), each of whose failures is a value.
//!
//! The SDK's own wrappers panic where the host answers with a status that they do not expect, as it does
//! for a stream that has gone in between; and a trap leaves every other waiting request of the VM hanging.
//! So whatever touches a stream or shared data goes through here.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::null_mut;

use crate::cache::Store;
use crate::edit::{EditRequest, RemoveHeader};
use crate::reply::Reply;
use crate::request::Circumstances;
use crate::time::{Instant, Now};

const OK: u32 = 0;
const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_BODY: u32 = 4;
const REQUEST_STREAM: u32 = 0;
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// The note about a request, among the filter state that [`Stream::set_filter_state`] sets.
const NOTE: &str = "keybound.note";

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        results: *mut *mut u8,
        results_size: *mut usize,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_get_shared_data(
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        last_change: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        name: *const u8,
        name_size: usize,
        data: *const u8,
        size: usize,
        last_change: u32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// Takes over what the host has allocated in this VM through the SDK's `proxy_on_memory_allocate`; nothing
/// where the call failed.
fn take(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data = null_mut();
    let mut size = 0;
    if call(&raw mut data, &raw mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: on success the host has filled `size` bytes that it got from `proxy_on_memory_allocate`,
    // which allocates a boxed slice of exactly this size, and has given them away.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// The stream that host calls are about at the moment.
#[derive(Debug)]
pub struct Stream;

impl Stream {
    /// Turns host calls to another context. False where it has gone.
    pub fn enter(context: u32) -> bool {
        // SAFETY: passes a number.
        unsafe { proxy_set_effective_context(context) == OK }
    }

    /// The request's headers, packed.
    pub fn request_headers() -> Vec<u8> {
        pairs(REQUEST_HEADERS)
    }

    /// Lets a request that was stopped go on.
    pub fn resume() {
        // SAFETY: passes a number. A stream that is gone needs no going on.
        unsafe {
            proxy_continue_stream(REQUEST_STREAM);
        }
    }

    /// Answers a request instead of the upstream. `details` is what access logs show as
    /// `%RESPONSE_CODE_DETAILS%`.
    pub fn reply(reply: &Reply, details: &str) {
        let headers = crate::headers::pack(
            reply
                .headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        let grpc_status = reply.grpc_status.map_or(-1, i32::from);
        // SAFETY: the host reads the three byte ranges during the call and keeps none.
        unsafe {
            proxy_send_local_response(
                u32::from(reply.status),
                details.as_ptr(),
                details.len(),
                reply.body.as_ptr(),
                reply.body.len(),
                headers.as_ptr(),
                headers.len(),
                grpc_status,
            );
        }
    }

    /// Sets filter state of the stream; access logs show it as `%FILTER_STATE(wasm.<name>:PLAIN)%`.
    pub fn set_filter_state(name: &str, value: &str) {
        set_property(name, value.as_bytes());
    }

    /// Says of the note about a request that it stays when Envoy begins the request anew, and that nobody
    /// overwrites it. False where the host is none that can do that. To be called within the configuration.
    pub fn declare_note() -> bool {
        // Envoy's message DeclarePropertyArguments: 1 name, 2 read-only, 5 life span (1: the client's request).
        let mut message = vec![0x0a, NOTE.len().try_into().unwrap_or(0)];
        message.extend(NOTE.as_bytes());
        message.extend([0x10, 1, 0x28, 1]);
        let name = "declare_property";
        let (mut answer, mut size) = (null_mut(), 0);
        // SAFETY: the host reads both byte ranges during the call; this function of it gives nothing back.
        let status = unsafe {
            proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                message.as_ptr(),
                message.len(),
                &raw mut answer,
                &raw mut size,
            )
        };
        status == OK
    }
}

fn set_property(name: &str, value: &[u8]) {
    // SAFETY: the host reads both byte ranges during the call and keeps neither.
    unsafe {
        proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len());
    }
}

impl EditRequest for Stream {
    fn set(&mut self, name: &str, value: &[u8]) {
        // SAFETY: the host reads both byte ranges during the call and keeps neither.
        unsafe {
            proxy_replace_header_map_value(
                REQUEST_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            );
        }
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        // SAFETY: the host reads both byte ranges during the call and keeps neither.
        unsafe {
            proxy_add_header_map_value(
                REQUEST_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            );
        }
    }

    fn remove(&mut self, name: &str) {
        remove(REQUEST_HEADERS, name);
    }
}

/// The trailers of the request, within their callback.
#[derive(Debug)]
pub struct Trailers;

impl Trailers {
    /// All of them, packed.
    pub fn all() -> Vec<u8> {
        pairs(REQUEST_TRAILERS)
    }
}

impl RemoveHeader for Trailers {
    fn remove(&mut self, name: &str) {
        remove(REQUEST_TRAILERS, name);
    }
}

fn pairs(map: u32) -> Vec<u8> {
    // SAFETY: the host writes to the two places that it is given.
    take(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) }).unwrap_or_default()
}

fn remove(map: u32, name: &str) {
    // SAFETY: the host reads the byte range during the call and does not keep it.
    unsafe {
        proxy_remove_header_map_value(map, name.as_ptr(), name.len());
    }
}

impl Circumstances for Stream {
    fn source_address(&self) -> Option<Vec<u8>> {
        property(b"source\0address")
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        property(b"xds\0route_metadata\0filter_metadata\0keybound\0policy")
    }

    fn noted(&self) -> Option<Vec<u8>> {
        property(NOTE.as_bytes())
    }

    fn note(&self, note: &[u8]) {
        set_property(NOTE, note);
    }

    fn tell_policies(&self, policies: &str) {
        Self::set_filter_state("keybound.policies", policies);
    }
}

/// A property; the segments of its path are separated by zero bytes.
pub fn property(path: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the host reads the path during the call and writes to the two places that it is given.
    take(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// The answer to a call, within its callback.
#[derive(Debug)]
pub struct CallAnswer;

impl CallAnswer {
    /// The status; nothing where the call was broken off, which the host tells by giving no headers.
    pub fn status(headers: usize) -> Option<u16> {
        if headers == 0 {
            return None;
        }
        std::str::from_utf8(&Self::header(":status")?)
            .ok()?
            .parse()
            .ok()
    }

    /// The first header of a name.
    pub fn header(name: &str) -> Option<Vec<u8>> {
        // SAFETY: the host reads the name during the call and writes to the two places that it is given.
        take(|data, size| unsafe {
            proxy_get_header_map_value(CALL_RESPONSE_HEADERS, name.as_ptr(), name.len(), data, size)
        })
    }

    /// The body, of a size that the callback was told.
    pub fn body(size: usize) -> Vec<u8> {
        // SAFETY: the host writes to the two places that it is given.
        take(|data, length| unsafe {
            proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, size, data, length)
        })
        .unwrap_or_default()
    }
}

/// Envoy's shared data, in the name space of the plugin's `vm_id`.
#[derive(Debug)]
pub struct SharedData;

impl Store for SharedData {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        let mut last_change = 0;
        // SAFETY: the host reads the name during the call and writes to the three places that it is given.
        let value = take(|data, size| unsafe {
            proxy_get_shared_data(name.as_ptr(), name.len(), data, size, &raw mut last_change)
        })?;
        Some((value, Some(last_change).filter(|number| *number != 0)))
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        // SAFETY: the host reads both byte ranges during the call and keeps neither. A last change of zero
        // is unconditional.
        unsafe {
            proxy_set_shared_data(
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
                last_change.unwrap_or(0),
            ) == OK
        }
    }
}

/// The host's clocks. Each reading is a host call, so the wall clock is read on ticks only: in between it
/// is the monotonic one plus their last known difference, which is wrong for at most a tick after a jump.
#[derive(Debug, Default)]
pub struct Clock {
    wall_minus_monotonic: Cell<u64>,
}

impl Clock {
    /// Looks at both clocks.
    pub fn synchronize(&self) {
        self.wall_minus_monotonic
            .set(millis(REALTIME).wrapping_sub(millis(MONOTONIC)));
    }

    /// The time.
    pub fn now(&self) -> Now {
        let instant = millis(MONOTONIC);
        Now {
            unix: instant.wrapping_add(self.wall_minus_monotonic.get()) / 1000,
            instant: Instant::from_millis(instant),
        }
    }
}

fn millis(clock: u32) -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the host writes to the one place that it is given.
    unsafe {
        clock_time_get(clock, 0, &raw mut nanoseconds);
    }
    nanoseconds / 1_000_000
}
