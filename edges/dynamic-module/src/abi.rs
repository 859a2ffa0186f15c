//! The functions of Envoy that are used, and their types: `source/extensions/dynamic_modules/abi/abi.h`, as of Envoy
//! 1.39 and later. Nothing else of it may be referred to: a name that an Envoy does not have makes it refuse the
//! module as a whole.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

/// Bytes of either side; a null pointer is common where there are none.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// The first.
    pub pointer: *const u8,
    /// How many.
    pub length: usize,
}

/// A header of either side.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HttpHeader {
    /// The first byte of the name.
    pub name: *const u8,
    /// Bytes of the name.
    pub name_length: usize,
    /// The first byte of the value.
    pub value: *const u8,
    /// Bytes of the value.
    pub value_length: usize,
}

/// The request's headers.
pub const REQUEST_HEADERS: c_int = 0;
/// The request's trailers.
pub const REQUEST_TRAILERS: c_int = 1;
/// Metadata of the route.
pub const ROUTE: c_int = 1;
/// The attribute `source.address`.
pub const SOURCE_ADDRESS: c_int = 24;
/// It worked.
pub const SUCCESS: c_int = 0;

/// Of a request in Envoy.
pub type Filter = *mut c_void;
/// Of a configuration in Envoy.
pub type Configuration = *mut c_void;
/// What commits events.
pub type Scheduler = *mut c_void;

macro_rules! callbacks {
    ($($name:ident as $short:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        unsafe extern "C" {
            $(
                #[link_name = concat!("envoy_dynamic_module_callback_", stringify!($name))]
                pub fn $short($($argument: $type),*) $(-> $result)?;
            )+
        }
    };
}

callbacks! {
    log as log(level: c_int, message: Buffer);
    log_enabled as log_enabled(level: c_int) -> bool;
    http_get_headers_size as get_headers_size(filter: Filter, list: c_int) -> usize;
    http_get_headers as get_headers(filter: Filter, list: c_int, headers: *mut HttpHeader) -> bool;
    http_set_header as set_header(filter: Filter, list: c_int, name: Buffer, value: Buffer) -> bool;
    http_add_header as add_header(filter: Filter, list: c_int, name: Buffer, value: Buffer) -> bool;
    http_send_response as send_response(
        filter: Filter, status: u32, headers: *const HttpHeader, count: usize, body: Buffer, details: Buffer
    );
    http_clear_route_cache as clear_route_cache(filter: Filter);
    get_most_specific_route_config as route_configuration(filter: Filter) -> *const c_void;
    http_filter_continue_decoding as continue_decoding(filter: Filter);
    http_set_filter_state_bytes as set_filter_state(filter: Filter, name: Buffer, value: Buffer) -> bool;
    http_get_metadata_string as get_metadata(
        filter: Filter, source: c_int, namespace: Buffer, name: Buffer, value: *mut Buffer
    ) -> bool;
    http_filter_get_attribute_string as get_attribute(filter: Filter, attribute: c_int, value: *mut Buffer) -> bool;
    http_filter_scheduler_new as scheduler_new(filter: Filter) -> Scheduler;
    http_filter_scheduler_commit as scheduler_commit(scheduler: Scheduler, event: u64);
    http_filter_scheduler_delete as scheduler_delete(scheduler: Scheduler);
    http_filter_config_scheduler_new as config_scheduler_new(configuration: Configuration) -> Scheduler;
    http_filter_config_scheduler_commit as config_scheduler_commit(scheduler: Scheduler, event: u64);
    http_filter_config_scheduler_delete as config_scheduler_delete(scheduler: Scheduler);
    http_filter_config_http_callout as config_callout(
        configuration: Configuration, call: *mut u64, cluster: Buffer, headers: *const HttpHeader, count: usize,
        body: Buffer, timeout_millis: u64
    ) -> c_int;
    http_filter_config_define_counter as define_counter(
        configuration: Configuration, name: Buffer, labels: *const Buffer, count: usize, metric: *mut usize
    ) -> c_int;
    http_filter_config_define_gauge as define_gauge(
        configuration: Configuration, name: Buffer, labels: *const Buffer, count: usize, metric: *mut usize
    ) -> c_int;
    http_filter_config_define_histogram as define_histogram(
        configuration: Configuration, name: Buffer, labels: *const Buffer, count: usize, metric: *mut usize
    ) -> c_int;
    http_filter_config_increment_counter as increment_counter(
        configuration: Configuration, metric: usize, labels: *const Buffer, count: usize, more: u64
    ) -> c_int;
    http_filter_config_increment_gauge as increment_gauge(
        configuration: Configuration, metric: usize, labels: *const Buffer, count: usize, more: u64
    ) -> c_int;
    http_filter_config_decrement_gauge as decrement_gauge(
        configuration: Configuration, metric: usize, labels: *const Buffer, count: usize, less: u64
    ) -> c_int;
    http_filter_config_set_gauge as set_gauge(
        configuration: Configuration, metric: usize, labels: *const Buffer, count: usize, value: u64
    ) -> c_int;
    http_filter_config_record_histogram_value as record_histogram(
        configuration: Configuration, metric: usize, labels: *const Buffer, count: usize, value: u64
    ) -> c_int;
}
