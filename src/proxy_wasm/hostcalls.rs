//! Calls to the host (Proxy-Wasm ABI 0.2.1), each of whose failures is a value.
//!
//! The SDK's own wrappers panic where the host answers with a status that they do not expect, as it does
//! for a stream that has gone in between; and a trap leaves every other waiting request of the VM hanging.
//! So whatever touches a stream or shared data goes through here. What can only fail while a configuration is
//! taken over goes through the SDK.
#![allow(unsafe_code)]

use std::ptr::null_mut;

const OK: u32 = 0;
const CALL_RESPONSE_BODY: u32 = 4;
const REQUEST_STREAM: u32 = 0;
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// A list of headers.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Map {
    /// The headers of the request.
    RequestHeaders = 0,
    /// Its trailers, within their callback.
    RequestTrailers = 1,
    /// The headers of an answer to a call, within its callback.
    CallResponseHeaders = 6,
}

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

/// Turns calls to another context. False where it has gone.
pub fn set_effective_context(context: u32) -> bool {
    // SAFETY: passes a number.
    unsafe { proxy_set_effective_context(context) == OK }
}

/// A list of headers, packed (see [`super::packed`]).
pub fn header_map(map: Map) -> Vec<u8> {
    // SAFETY: the host writes to the two places that it is given.
    take(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
        .unwrap_or_default()
}

/// The first header of a name.
pub fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: the host reads the name during the call and writes to the two places that it is given.
    take(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
}

/// Gives a header of the request this one value.
pub fn replace_header(name: &str, value: &[u8]) {
    // SAFETY: the host reads both byte ranges during the call and keeps neither.
    unsafe {
        proxy_replace_header_map_value(
            Map::RequestHeaders as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        );
    }
}

/// Adds a header to the request.
pub fn add_header(name: &str, value: &[u8]) {
    // SAFETY: the host reads both byte ranges during the call and keeps neither.
    unsafe {
        proxy_add_header_map_value(
            Map::RequestHeaders as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        );
    }
}

/// Removes every header of a name.
pub fn remove_header(map: Map, name: &str) {
    // SAFETY: the host reads the byte range during the call and does not keep it.
    unsafe {
        proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len());
    }
}

/// Lets a request that was stopped go on.
pub fn continue_request() {
    // SAFETY: passes a number. A stream that is gone needs no going on.
    unsafe {
        proxy_continue_stream(REQUEST_STREAM);
    }
}

/// Answers a request. The headers are packed; without a gRPC status it is -1.
pub fn send_local_response(
    status: u16,
    grpc_status: i32,
    headers: &[u8],
    body: &[u8],
    details: &str,
) {
    // SAFETY: the host reads the three byte ranges during the call and keeps none.
    unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        );
    }
}

/// A property; the segments of its path are separated by zero bytes.
pub fn property(path: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the host reads the path during the call and writes to the two places that it is given.
    take(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a property: filter state of the stream.
pub fn set_property(name: &str, value: &[u8]) {
    // SAFETY: the host reads both byte ranges during the call and keeps neither.
    unsafe {
        proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len());
    }
}

/// Calls one of Envoy's functions that gives nothing back. False where the host has none of this name.
pub fn call_foreign_function(name: &str, arguments: &[u8]) -> bool {
    let (mut answer, mut size) = (null_mut(), 0);
    // SAFETY: the host reads both byte ranges during the call, and gives nothing back.
    let status = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &raw mut answer,
            &raw mut size,
        )
    };
    status == OK
}

/// The body of an answer to a call, of a size that its callback was told.
pub fn call_response_body(size: usize) -> Vec<u8> {
    // SAFETY: the host writes to the two places that it is given.
    take(|data, length| unsafe {
        proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, size, data, length)
    })
    .unwrap_or_default()
}

/// A value of the shared data, in the name space of the plugin's `vm_id`, and the number of its last change.
pub fn shared_data(name: &str) -> Option<(Vec<u8>, u32)> {
    let mut last_change = 0;
    // SAFETY: the host reads the name during the call and writes to the three places that it is given.
    let value = take(|data, size| unsafe {
        proxy_get_shared_data(name.as_ptr(), name.len(), data, size, &raw mut last_change)
    })?;
    Some((value, last_change))
}

/// Changes a value of the shared data if its last change has this number; under number zero, always.
pub fn set_shared_data(name: &str, value: &[u8], last_change: u32) -> bool {
    // SAFETY: the host reads both byte ranges during the call and keeps neither.
    unsafe {
        proxy_set_shared_data(
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
            last_change,
        ) == OK
    }
}

/// Milliseconds of the monotonic clock.
pub fn monotonic_millis() -> u64 {
    millis(MONOTONIC)
}

/// Milliseconds of the wall clock.
pub fn wall_millis() -> u64 {
    millis(REALTIME)
}

fn millis(clock: u32) -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the host writes to the one place that it is given.
    unsafe {
        clock_time_get(clock, 0, &raw mut nanoseconds);
    }
    nanoseconds / 1_000_000
}
