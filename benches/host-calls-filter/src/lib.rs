//! A Proxy-Wasm filter that makes the host calls of a local hit and does nothing else: no SDK, no look-up, no
//! check. What a filter that keeps the same promises costs at least.
#![cfg(target_os = "wasi")]
#![no_std]
#![allow(missing_docs, unsafe_code)]

use core::panic::PanicInfo;
use core::ptr::{addr_of_mut, null_mut};

const REQUEST_HEADERS: u32 = 0;
const MONOTONIC: u32 = 1;
const POLICY: &str = "xds\0route_metadata\0filter_metadata\0keybound\0policy";
const CREDENTIAL: &str = "x-api-key";
const IDENTITY: [(&str, &str); 4] = [
    ("x-key-id", "key_p4711"),
    ("x-user-id", "usr_p1177"),
    ("x-tenant-id", "ten_p11"),
    ("x-key-scopes", "orders:read orders:write"),
];

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        length: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, length: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        value_length: usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// What the host hands over is never read.
static mut HANDED_OVER: [u8; 65536] = [0; 65536];

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(_: usize) -> *mut u8 {
    addr_of_mut!(HANDED_OVER).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_: u32, _: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(_: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_: u32, _: usize, _: u32) -> u32 {
    let (mut data, mut size, mut time) = (null_mut(), 0, 0);
    // SAFETY: the host reads constants, and writes to the places that it is given.
    unsafe {
        proxy_get_header_map_pairs(REQUEST_HEADERS, &mut data, &mut size);
        clock_time_get(MONOTONIC, 0, &mut time);
        proxy_get_property(POLICY.as_ptr(), POLICY.len(), &mut data, &mut size);
        proxy_remove_header_map_value(REQUEST_HEADERS, CREDENTIAL.as_ptr(), CREDENTIAL.len());
        for (name, value) in IDENTITY {
            proxy_add_header_map_value(
                REQUEST_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            );
        }
    }
    0
}
