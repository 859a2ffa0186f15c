//! The functions that Envoy calls. A panic in one of them ends one request, and is never let out into Envoy.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null;

use keybound::host::RequestId;
use keybound::worker::Fate;

use crate::abi::{self, Buffer, HttpHeader};
use crate::envoy::{self, Configuration, Filter};
use crate::guarded::guarded;
use crate::handed::Last;
use crate::local::Local;
use crate::logger;
use crate::mailbox::{Ended, OwnedAnswer, TURN};
use crate::main_thread::MainThread;
use crate::requests::Request;

/// The version of the interface that the functions here belong to.
const VERSION: &[u8] = b"v0.2.0\0";

/// Goes on.
const CONTINUE: c_int = 0;
/// Goes no further: an answer is under way.
const STOP: c_int = 1;
/// Waits, and the body with it.
const STOP_ALL_AND_WATERMARK: c_int = 4;

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// Null refuses the configuration.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    configuration: abi::Configuration,
    name: Buffer,
    text: Buffer,
) -> *const c_void {
    let main = guarded(|| {
        logger::begin();
        // SAFETY: both are Envoy's, valid during this event.
        let (name, text) = unsafe { (name.copied(), text.copied()) };
        if name != b"keybound" {
            log::error!(
                "keybound configuration: filter_name must be \"keybound\", not {:?}",
                String::from_utf8_lossy(&name)
            );
            return null();
        }
        // SAFETY: Envoy calls this on the main thread, and the value does not leave this event.
        let configuration = unsafe { Configuration::new(configuration) };
        match MainThread::new(configuration, &text) {
            Ok(main) => Box::into_raw(Box::new(main)).cast_const().cast(),
            Err(wrong) => {
                log::error!("keybound configuration: {wrong}");
                null()
            }
        }
    });
    main.unwrap_or(null())
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(main: *const c_void) {
    // SAFETY: it was made by `config_new`, and Envoy gives it back once.
    let main = unsafe { Box::from_raw(main.cast_mut().cast::<MainThread>()) };
    guarded(|| {
        main.end();
    });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    configuration: abi::Configuration,
    main: *const c_void,
    event: u64,
) {
    // SAFETY: it was made by `config_new`, and lives until `config_destroy`.
    let main = unsafe { &*main.cast::<MainThread>() };
    // SAFETY: Envoy calls this on the main thread, and the value does not leave this event.
    let configuration = unsafe { Configuration::new(configuration) };
    main.guards(configuration, || main.event(configuration, event));
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    configuration: abi::Configuration,
    main: *const c_void,
    call: u64,
    result: c_int,
    headers: *const HttpHeader,
    count: usize,
    chunks: *const Buffer,
    chunk_count: usize,
) {
    // SAFETY: it was made by `config_new`, and lives until `config_destroy`.
    let main = unsafe { &*main.cast::<MainThread>() };
    // SAFETY: Envoy calls this on the main thread, and the value does not leave this event.
    let configuration = unsafe { Configuration::new(configuration) };
    main.guards(configuration, || {
        let ended = if result == abi::SUCCESS {
            // SAFETY: Envoy's, valid during this event, and so many.
            let headers = unsafe { envoy::copied(headers, count) };
            let mut body = Vec::new();
            if !chunks.is_null() {
                // SAFETY: Envoy's, valid during this event, and so many.
                for chunk in unsafe { std::slice::from_raw_parts(chunks, chunk_count) } {
                    // SAFETY: likewise.
                    body.extend(unsafe { chunk.copied() });
                }
            }
            Ended::Answered(OwnedAnswer { headers, body })
        } else {
            Ended::Broken
        };
        main.ended(configuration, call, ended);
    });
}

/// Never null: an Envoy of 1.39 would die of it. Without a worker its request gets 500.
#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(
    main: *const c_void,
    _: abi::Filter,
) -> *const c_void {
    // SAFETY: it was made by `config_new`, and lives until `config_destroy`. Its plugin alone is read, which is
    // made for all threads and never replaced.
    let plugin = unsafe { &(*main.cast::<MainThread>()).plugin };
    let request = guarded(|| Request::begin(plugin)).unwrap_or_else(Request::without_worker);
    Box::into_raw(request).cast_const().cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_destroy(request: *const c_void) {
    // SAFETY: it was made by `filter_new`, and Envoy gives it back once.
    let request = unsafe { Box::from_raw(request.cast_mut().cast::<Request>()) };
    guarded(|| request.end());
}

/// What an event of a request comes to. The request may be gone when this returns.
fn in_event(
    pointer: abi::Filter,
    request: *const c_void,
    act: impl FnOnce(&Local, RequestId, &mut Filter<'_>) -> (Fate, Last),
) -> Fate {
    // SAFETY: the pointer is that of this event.
    let mut filter = unsafe { Filter::new(pointer) };
    let (fate, last) = {
        // SAFETY: it was made by `filter_new`, and lives until `filter_destroy`. It is not used behind this block, since
        // the last act may end it, and nothing before that does.
        let request = unsafe { &*request.cast::<Request>() };
        let result = request
            .local
            .as_ref()
            .and_then(|local| guarded(|| act(local, request.number, &mut filter)));
        let (fate, last) = result.unwrap_or_else(|| {
            if let Some(local) = &request.local {
                guarded(|| local.breaks());
            }
            Last::fault()
        });
        request.waits.set(fate == Fate::Waiting);
        (fate, last)
    };
    guarded(|| last.act(filter));
    fate
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter: abi::Filter,
    request: *const c_void,
    end_of_stream: bool,
) -> c_int {
    let fate = in_event(filter, request, |local, number, filter| {
        local.request(number, filter, !end_of_stream)
    });
    match fate {
        Fate::Onward => CONTINUE,
        Fate::Answered => STOP,
        Fate::Waiting => STOP_ALL_AND_WATERMARK,
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    filter: abi::Filter,
    request: *const c_void,
    event: u64,
) {
    // SAFETY: it was made by `filter_new`, and lives until `filter_destroy`.
    let waits = unsafe { (*request.cast::<Request>()).waits.get() };
    if waits {
        in_event(filter, request, |local, number, filter| {
            local.woken(number, filter, event == TURN)
        });
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    filter: abi::Filter,
    request: *const c_void,
) -> c_int {
    let fate = in_event(filter, request, |local, _, filter| {
        local.trailers(filter);
        (Fate::Onward, Last::Nothing)
    });
    match fate {
        Fate::Onward | Fate::Waiting => CONTINUE,
        Fate::Answered => STOP,
    }
}

/// Events that are none of ours, and that Envoy wants a function for. Each goes on.
macro_rules! passed_by {
    ($($name:ident($($argument:ty),*);)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) -> c_int {
                CONTINUE
            }
        )+
    };
}

/// Those that Envoy only tells of.
macro_rules! unheard {
    ($($name:ident($($argument:ty),*);)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) {}
        )+
    };
}

passed_by! {
    envoy_dynamic_module_on_http_filter_request_body(abi::Filter, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_response_headers(abi::Filter, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_response_body(abi::Filter, *const c_void, bool);
    envoy_dynamic_module_on_http_filter_response_trailers(abi::Filter, *const c_void);
}

unheard! {
    envoy_dynamic_module_on_http_filter_stream_complete(abi::Filter, *const c_void);
    envoy_dynamic_module_on_http_filter_http_callout_done(
        abi::Filter, *const c_void, u64, c_int, *const HttpHeader, usize, *const Buffer, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        abi::Filter, *const c_void, u64, *const HttpHeader, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(
        abi::Filter, *const c_void, u64, *const Buffer, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_trailers(
        abi::Filter, *const c_void, u64, *const HttpHeader, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_complete(abi::Filter, *const c_void, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(abi::Filter, *const c_void, u64, c_int);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
        abi::Filter, *const c_void
    );
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
        abi::Filter, *const c_void
    );
}
