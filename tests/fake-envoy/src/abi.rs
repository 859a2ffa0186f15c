//! The types of the interface, and the functions of the module that Envoy calls.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};

/// Bytes of either side.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    pub pointer: *const u8,
    pub length: usize,
}

/// A header of either side.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HttpHeader {
    pub name: *const u8,
    pub name_length: usize,
    pub value: *const u8,
    pub value_length: usize,
}

/// What the module is given for a stream, a configuration or a scheduler. For the former two it is a number: nobody
/// but Envoy may look behind it.
pub type Handle = *mut c_void;

/// The module's own part of a stream or of a configuration.
pub type Own = *const c_void;

macro_rules! hooks {
    ($($name:ident as $short:ident($($type:ty),*) $(-> $result:ty)?;)+) => {
        unsafe extern "C" {
            $(
                #[link_name = concat!("envoy_dynamic_module_on_", stringify!($name))]
                pub fn $short($(_: $type),*) $(-> $result)?;
            )+
        }
    };
}

hooks! {
    program_init as program_init() -> *const c_char;
    http_filter_config_new as config_new(Handle, Buffer, Buffer) -> Own;
    http_filter_config_destroy as config_destroy(Own);
    http_filter_config_scheduled as config_scheduled(Handle, Own, u64);
    http_filter_config_http_callout_done as config_callout_done(
        Handle, Own, u64, c_int, *const HttpHeader, usize, *const Buffer, usize
    );
    http_filter_new as filter_new(Own, Handle) -> Own;
    http_filter_destroy as filter_destroy(Own);
    http_filter_request_headers as request_headers(Handle, Own, bool) -> c_int;
    http_filter_request_body as request_body(Handle, Own, bool) -> c_int;
    http_filter_request_trailers as request_trailers(Handle, Own) -> c_int;
    http_filter_response_headers as response_headers(Handle, Own, bool) -> c_int;
    http_filter_response_body as response_body(Handle, Own, bool) -> c_int;
    http_filter_scheduled as scheduled(Handle, Own, u64);
    http_filter_stream_complete as stream_complete(Handle, Own);
}
