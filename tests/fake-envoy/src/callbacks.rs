//! The functions of Envoy that the module calls.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};

use crate::abi::{Buffer, Handle, HttpHeader};
use crate::bytes::{Bytes, List};
use crate::calls::Call;
use crate::configuration::{self, Kind, Live, copied};
use crate::inside::{called, is_lying};
use crate::stream::{self, Response, Stream};
use crate::threads::{Queue, Shared, context, lock};

const SUCCESS: c_int = 0;
const REQUEST_TRAILERS: c_int = 1;
const ROUTE: c_int = 1;
const SOURCE_ADDRESS: c_int = 24;

/// The level from which on lines are logged.
static LEVEL: AtomicI32 = AtomicI32::new(2);

/// What was logged, and by which level.
static LOG: Mutex<Vec<(i32, String)>> = Mutex::new(Vec::new());

/// Takes what the module has logged since this was asked last, in all Envoys of the process.
pub fn take_log() -> Vec<(i32, String)> {
    std::mem::take(&mut lock(&LOG))
}

/// Logs all that the module says, as `--log-level trace`.
pub fn most_verbose() {
    LEVEL.store(0, Relaxed);
}

/// Bytes of the module, copied.
///
/// # Safety
/// They must be there.
pub unsafe fn read(buffer: Buffer) -> Vec<u8> {
    if buffer.pointer.is_null() || buffer.length == 0 {
        return Vec::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(buffer.pointer, buffer.length) }.to_vec()
}

/// A text of the module.
///
/// # Safety
/// It must be there.
unsafe fn text(buffer: Buffer) -> String {
    // SAFETY: as promised by the caller.
    String::from_utf8(unsafe { read(buffer) }).expect("it is text")
}

/// Defines functions of Envoy, each of which is counted. What they are given is the module's, and there until they
/// return.
macro_rules! callbacks {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)+) => {
        $(
            #[unsafe(export_name = concat!("envoy_dynamic_module_callback_", stringify!($name)))]
            #[allow(unused_unsafe, reason = "some only ask for what Envoy has itself")]
            unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the module promises that what it hands over is there, and no longer than the call.
                called(stringify!($name), || unsafe { $body })
            }
        )+
    };
}

fn edited<T>(handle: Handle, list: c_int, act: impl FnOnce(&mut List) -> T) -> T {
    stream::touched(handle, |stream| {
        stream.lent = None;
        let is_trailers = list == REQUEST_TRAILERS;
        assert!(
            stream.may_be_edited(is_trailers),
            "the list {list} is gone already"
        );
        act(if is_trailers {
            &mut stream.trailers
        } else {
            &mut stream.request
        })
    })
}

fn listed(stream: &Stream, list: c_int) -> &List {
    if list == REQUEST_TRAILERS {
        &stream.trailers
    } else {
        &stream.request
    }
}

/// Lends what a getter gives, until the next one is called.
///
/// # Safety
/// `to` must be there.
unsafe fn lend(
    handle: Handle,
    to: *mut Buffer,
    what: impl FnOnce(&Stream) -> Option<Bytes>,
) -> bool {
    stream::touched(handle, |stream| {
        stream.lent = what(stream);
        let Some(lent) = &stream.lent else {
            return false;
        };
        // SAFETY: as promised by the caller.
        unsafe { to.write(lent.lent()) };
        true
    })
}

/// What a scheduler of a stream or of a configuration is.
struct Scheduler {
    of: Scheduled,
    queue: Arc<Queue>,
    envoy: Arc<Shared>,
}

enum Scheduled {
    Stream(usize),
    Configuration(Weak<Live>),
}

impl Scheduler {
    fn give(of: Scheduled, queue: Arc<Queue>) -> Handle {
        let envoy = context().expect("a thread of Envoy").envoy;
        envoy.schedulers.fetch_add(1, Relaxed);
        Box::into_raw(Box::new(Self { of, queue, envoy })).cast()
    }

    fn commit(&self, event: u64) {
        match &self.of {
            Scheduled::Stream(number) => {
                let number = *number;
                self.queue
                    .post(Box::new(move || stream::scheduled(number, event)));
            }
            Scheduled::Configuration(live) => {
                // A thread of the module lets time pass; where a test does, that thread is not listened to.
                if self.envoy.is_held && context().is_none() {
                    return;
                }
                let live = Weak::clone(live);
                self.queue.post(Box::new(move || {
                    if let Some(live) = live.upgrade() {
                        live.scheduled(event);
                    }
                }));
            }
        }
    }
}

/// Commits an event, from any thread.
///
/// # Safety
/// The scheduler must be one that was not deleted.
unsafe fn commit(scheduler: Handle, event: u64) {
    // SAFETY: as promised by the caller.
    unsafe { &*scheduler.cast::<Scheduler>() }.commit(event);
}

/// Takes a scheduler back.
///
/// # Safety
/// As above.
unsafe fn delete(scheduler: Handle) {
    // SAFETY: as promised by the caller.
    let scheduler = unsafe { Box::from_raw(scheduler.cast::<Scheduler>()) };
    scheduler.envoy.schedulers.fetch_sub(1, Relaxed);
}

/// # Safety
/// `metric` must be there, and the name.
unsafe fn define(handle: Handle, kind: Kind, name: Buffer, metric: *mut usize) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { metric.write(configuration::touched(handle).define(kind, text(name))) };
    SUCCESS
}

fn change(
    handle: Handle,
    kind: Kind,
    metric: usize,
    change: impl FnOnce(u64) -> Option<u64>,
) -> c_int {
    configuration::touched(handle).change(kind, metric, change);
    SUCCESS
}

callbacks! {
    log_enabled(level: c_int) -> bool {
        assert!(context().is_some(), "another thread than Envoy's logs");
        level >= LEVEL.load(Relaxed)
    }
    log(level: c_int, message: Buffer) {
        lock(&LOG).push((level, text(message)));
    }
    http_get_headers_size(filter: Handle, list: c_int) -> usize {
        if is_lying() {
            return usize::MAX;
        }
        stream::touched(filter, |stream| listed(stream, list).len())
    }
    http_get_headers(filter: Handle, list: c_int, to: *mut HttpHeader) -> bool {
        stream::touched(filter, |stream| {
            for (place, header) in listed(stream, list).lent().into_iter().enumerate() {
                to.add(place).write(header);
            }
        });
        true
    }
    http_set_header(filter: Handle, list: c_int, name: Buffer, value: Buffer) -> bool {
        let (name, is_removed) = (read(name), value.pointer.is_null());
        let value = read(value);
        edited(filter, list, |list| {
            list.remove(&name);
            if !is_removed {
                list.add(&name, &value);
            }
        });
        true
    }
    http_add_header(filter: Handle, list: c_int, name: Buffer, value: Buffer) -> bool {
        let (name, value) = (read(name), read(value));
        edited(filter, list, |list| list.add(&name, &value));
        true
    }
    http_send_response(
        filter: Handle, status: u32, headers: *const HttpHeader, count: usize, body: Buffer, details: Buffer
    ) {
        let headers = copied(headers, count);
        let (body, details) = (read(body), text(details));
        stream::answer(filter, Response { status, headers, body, details });
    }
    http_clear_route_cache(filter: Handle) {
        stream::touched(filter, |stream| stream.clear_route());
    }
    get_most_specific_route_config(filter: Handle) -> *const c_void {
        stream::touched(filter, |_| ());
        std::ptr::null()
    }
    http_filter_continue_decoding(filter: Handle) {
        stream::go_on(filter);
    }
    http_set_filter_state_bytes(filter: Handle, name: Buffer, value: Buffer) -> bool {
        let (name, value) = (text(name), read(value));
        stream::touched(filter, |stream| stream.set_filter_state(name, value));
        true
    }
    http_get_metadata_string(
        filter: Handle, source: c_int, namespace: Buffer, name: Buffer, to: *mut Buffer
    ) -> bool {
        let is_policy = (read(namespace), read(name)) == (b"keybound".to_vec(), b"policy".to_vec());
        assert!(is_policy && source == ROUTE, "nothing else is asked for");
        lend(filter, to, |stream| stream.policy.clone())
    }
    http_filter_get_attribute_string(filter: Handle, attribute: c_int, to: *mut Buffer) -> bool {
        assert_eq!(attribute, SOURCE_ADDRESS, "nothing else is asked for");
        lend(filter, to, |stream| stream.source.clone())
    }
    http_filter_scheduler_new(filter: Handle) -> Handle {
        stream::touched(filter, |_| ());
        let queue = context().expect("a worker").queue;
        Scheduler::give(Scheduled::Stream(filter.addr()), queue)
    }
    http_filter_scheduler_commit(scheduler: Handle, event: u64) {
        commit(scheduler, event);
    }
    http_filter_scheduler_delete(scheduler: Handle) {
        delete(scheduler);
    }
    http_filter_config_scheduler_new(configuration: Handle) -> Handle {
        let (live, queue) = configuration::touched(configuration).weak();
        Scheduler::give(Scheduled::Configuration(live), queue)
    }
    http_filter_config_scheduler_commit(scheduler: Handle, event: u64) {
        commit(scheduler, event);
    }
    http_filter_config_scheduler_delete(scheduler: Handle) {
        delete(scheduler);
    }
    http_filter_config_http_callout(
        configuration: Handle, number: *mut u64, cluster: Buffer, headers: *const HttpHeader, count: usize,
        body: Buffer, timeout_millis: u64
    ) -> c_int {
        let (cluster, headers, body) = (text(cluster), copied(headers, count), read(body));
        let call = Call { number: 0, cluster, headers, body, timeout_millis };
        match configuration::touched(configuration).call(call) {
            Ok(given) => {
                number.write(given);
                SUCCESS
            }
            Err(reason) => reason,
        }
    }
    http_filter_config_define_counter(
        configuration: Handle, name: Buffer, _labels: *const Buffer, _count: usize, metric: *mut usize
    ) -> c_int {
        define(configuration, Kind::Counter, name, metric)
    }
    http_filter_config_define_gauge(
        configuration: Handle, name: Buffer, _labels: *const Buffer, _count: usize, metric: *mut usize
    ) -> c_int {
        define(configuration, Kind::Gauge, name, metric)
    }
    http_filter_config_define_histogram(
        configuration: Handle, name: Buffer, _labels: *const Buffer, _count: usize, metric: *mut usize
    ) -> c_int {
        define(configuration, Kind::Histogram, name, metric)
    }
    http_filter_config_increment_counter(
        configuration: Handle, metric: usize, _labels: *const Buffer, _count: usize, more: u64
    ) -> c_int {
        change(configuration, Kind::Counter, metric, |value| value.checked_add(more))
    }
    http_filter_config_increment_gauge(
        configuration: Handle, metric: usize, _labels: *const Buffer, _count: usize, more: u64
    ) -> c_int {
        change(configuration, Kind::Gauge, metric, |value| value.checked_add(more))
    }
    http_filter_config_decrement_gauge(
        configuration: Handle, metric: usize, _labels: *const Buffer, _count: usize, less: u64
    ) -> c_int {
        change(configuration, Kind::Gauge, metric, |value| value.checked_sub(less))
    }
    http_filter_config_set_gauge(
        configuration: Handle, metric: usize, _labels: *const Buffer, _count: usize, new: u64
    ) -> c_int {
        change(configuration, Kind::Gauge, metric, |_| Some(new))
    }
    http_filter_config_record_histogram_value(
        configuration: Handle, metric: usize, _labels: *const Buffer, _count: usize, _value: u64
    ) -> c_int {
        change(configuration, Kind::Histogram, metric, |count| count.checked_add(1))
    }
}
