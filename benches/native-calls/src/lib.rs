//! A dynamic module of Envoy that makes the calls of a local hit and does nothing else: no look-up, no check, no memory
//! of its own. What a module that keeps the same promises costs at least.
#![allow(missing_docs, unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null;

const REQUEST_HEADERS: c_int = 0;
const ROUTE: c_int = 1;
const CONTINUE: c_int = 0;
const IDENTITY: [(&str, &str); 4] = [
    ("x-key-id", "key_p4711"),
    ("x-user-id", "usr_p1177"),
    ("x-tenant-id", "ten_p11"),
    ("x-key-scopes", "orders:read orders:write"),
];

#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    pointer: *const u8,
    length: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct HttpHeader {
    name: Buffer,
    value: Buffer,
}

const NOTHING: Buffer = Buffer {
    pointer: null(),
    length: 0,
};

const fn text(text: &str) -> Buffer {
    Buffer {
        pointer: text.as_ptr(),
        length: text.len(),
    }
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_http_get_headers_size(
        filter: *mut c_void,
        list: c_int,
    ) -> usize;
    fn envoy_dynamic_module_callback_http_get_headers(
        filter: *mut c_void,
        list: c_int,
        headers: *mut HttpHeader,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_get_metadata_string(
        filter: *mut c_void,
        source: c_int,
        namespace: Buffer,
        name: Buffer,
        value: *mut Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        filter: *mut c_void,
        list: c_int,
        name: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_clear_route_cache(filter: *mut c_void);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    c"v0.2.0".as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _: *mut c_void,
    _: Buffer,
    _: Buffer,
) -> *const c_void {
    IDENTITY.as_ptr().cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(
    configuration: *const c_void,
    _: *mut c_void,
) -> *const c_void {
    configuration
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter: *mut c_void,
    _: *const c_void,
    _: bool,
) -> c_int {
    let mut headers = [HttpHeader {
        name: NOTHING,
        value: NOTHING,
    }; 64];
    let mut policy = NOTHING;
    // SAFETY: the pointer is that of this event; Envoy reads constants and writes to the places that it is given, of
    // which there are enough.
    unsafe {
        if envoy_dynamic_module_callback_http_get_headers_size(filter, REQUEST_HEADERS)
            <= headers.len()
        {
            envoy_dynamic_module_callback_http_get_headers(
                filter,
                REQUEST_HEADERS,
                headers.as_mut_ptr(),
            );
        }
        envoy_dynamic_module_callback_http_get_metadata_string(
            filter,
            ROUTE,
            text("keybound"),
            text("policy"),
            &raw mut policy,
        );
        envoy_dynamic_module_callback_http_set_header(
            filter,
            REQUEST_HEADERS,
            text("x-api-key"),
            NOTHING,
        );
        for (name, value) in IDENTITY {
            envoy_dynamic_module_callback_http_set_header(
                filter,
                REQUEST_HEADERS,
                text(name),
                text(value),
            );
        }
        envoy_dynamic_module_callback_http_clear_route_cache(filter);
    }
    CONTINUE
}

/// Events that Envoy wants a function for.
macro_rules! nothing_to_do {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                $(<$result>::default())?
            }
        )+
    };
}

type Pointer = *const c_void;

nothing_to_do! {
    envoy_dynamic_module_on_http_filter_config_destroy(Pointer);
    envoy_dynamic_module_on_http_filter_config_scheduled(Pointer, Pointer, u64);
    envoy_dynamic_module_on_http_filter_config_http_callout_done(
        Pointer, Pointer, u64, c_int, Pointer, usize, Pointer, usize
    );
    envoy_dynamic_module_on_http_filter_destroy(Pointer);
    envoy_dynamic_module_on_http_filter_request_body(Pointer, Pointer, bool) -> c_int;
    envoy_dynamic_module_on_http_filter_request_trailers(Pointer, Pointer) -> c_int;
    envoy_dynamic_module_on_http_filter_response_headers(Pointer, Pointer, bool) -> c_int;
    envoy_dynamic_module_on_http_filter_response_body(Pointer, Pointer, bool) -> c_int;
    envoy_dynamic_module_on_http_filter_response_trailers(Pointer, Pointer) -> c_int;
    envoy_dynamic_module_on_http_filter_stream_complete(Pointer, Pointer);
    envoy_dynamic_module_on_http_filter_scheduled(Pointer, Pointer, u64);
    envoy_dynamic_module_on_http_filter_http_callout_done(
        Pointer, Pointer, u64, c_int, Pointer, usize, Pointer, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        Pointer, Pointer, u64, Pointer, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(Pointer, Pointer, u64, Pointer, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(Pointer, Pointer, u64, Pointer, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(Pointer, Pointer, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(Pointer, Pointer, u64, c_int);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(Pointer, Pointer);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(Pointer, Pointer);
}
