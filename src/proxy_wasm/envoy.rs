//! Envoy as the door describes it.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use proxy_wasm::hostcalls as sdk;
use proxy_wasm::types::MetricType;

use super::hostcalls::{self, Map};
use super::packed::{pack, unpack};
use crate::host::{
    Answer, BellId, Call, CallId, Circumstances, Clocks, EditRequest, Header, Host, LocalAnswer,
    Meter, MetricId, MetricKind, RemoveHeader, RequestId, Store,
};
use crate::worker::Observer;

/// The note about a request, among its properties.
const NOTE: &str = "keybound.note";

/// Envoy, as the root context of a plugin in one VM knows it.
#[derive(Debug)]
pub(super) struct Envoy {
    root: u32,
    /// The shared queue that serves as this VM's bell. It is made when it is first needed, not earlier: a VM that is
    /// tried out and dropped would leave its queue behind for ever.
    queue: Cell<Option<u32>>,
    /// The context that calls are about, where it is another than that of the callback.
    turned_to: Cell<Option<u32>>,
}

impl Envoy {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            queue: Cell::new(None),
            turned_to: Cell::new(None),
        }
    }

    /// A callback of the root context begins, to which Envoy turns by itself.
    pub(super) fn is_called_back(&self) {
        self.turned_to.set(None);
    }

    /// Says of the note about a request that it stays when Envoy begins the request anew, and that nobody
    /// overwrites it. False where the host is none that can do that. To be called within the configuration.
    pub(super) fn declare_note() -> bool {
        // Envoy's message DeclarePropertyArguments: 1 name, 2 read-only, 5 life span (1: the client's request).
        let mut message = vec![0x0a, NOTE.len().try_into().unwrap_or(0)];
        message.extend(NOTE.as_bytes());
        message.extend([0x10, 1, 0x28, 1]);
        hostcalls::call_foreign_function("declare_property", &message)
    }
}

impl Store for Envoy {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        let (value, last_change) = hostcalls::shared_data(name)?;
        Some((value, Some(last_change).filter(|number| *number != 0)))
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        hostcalls::set_shared_data(name, value, last_change.unwrap_or(0))
    }
}

impl Observer for Envoy {}

impl Clocks for Envoy {
    fn monotonic_millis(&self) -> u64 {
        hostcalls::monotonic_millis()
    }

    fn wall_millis(&self) -> u64 {
        hostcalls::wall_millis()
    }
}

impl Meter for Envoy {
    fn define(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        sdk::define_metric(kind, name).ok().map(MetricId::from)
    }

    fn add(&self, metric: MetricId, more: i64) {
        if let Ok(metric) = u32::try_from(metric) {
            let _ = sdk::increment_metric(metric, more);
        }
    }

    fn record(&self, metric: MetricId, value: u64) {
        if let Ok(metric) = u32::try_from(metric) {
            let _ = sdk::record_metric(metric, value);
        }
    }
}

impl Host for Envoy {
    type Stream = Stream;

    fn turn_to(&self, request: RequestId, act: impl FnOnce(&mut Self::Stream, &[Header<'_>])) {
        let Ok(context) = u32::try_from(request) else {
            return;
        };
        if hostcalls::set_effective_context(context) {
            self.turned_to.set(Some(context));
            let packed = hostcalls::header_map(Map::RequestHeaders);
            act(&mut Stream, &unpack(&packed));
        }
    }

    /// Sent from the root context: the answer to a call of a stream is dropped with the stream.
    fn call(&self, call: &Call<'_>) -> Option<CallId> {
        if self.turned_to.take().is_some() {
            hostcalls::set_effective_context(self.root);
        }
        let timeout = Duration::from_millis(call.timeout_millis);
        let headers = call.headers.to_vec();
        let number =
            sdk::dispatch_http_call(call.cluster, headers, call.body, Vec::new(), timeout).ok()?;
        Some(number.into())
    }

    fn bell(&self) -> Option<BellId> {
        if self.queue.get().is_none() {
            let name = format!("keybound.wake.{}", unique_name());
            self.queue.set(sdk::register_shared_queue(&name).ok());
        }
        self.queue.get().map(BellId::from)
    }

    /// Within the same turn of the worker's loop where it is its own.
    fn ring(&self, bell: BellId) -> bool {
        let queue = u32::try_from(bell);
        queue.is_ok_and(|queue| sdk::enqueue_shared_queue(queue, Some(b"\0")).is_ok())
    }
}

/// The request that calls are about.
#[derive(Debug)]
pub(super) struct Stream;

impl Circumstances for Stream {
    fn source_address(&self) -> Option<Vec<u8>> {
        hostcalls::property(b"source\0address")
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        hostcalls::property(b"xds\0route_metadata\0filter_metadata\0keybound\0policy")
    }

    fn noted(&self) -> Option<Vec<u8>> {
        hostcalls::property(NOTE.as_bytes())
    }

    fn note(&self, note: &[u8]) {
        hostcalls::set_property(NOTE, note);
    }
}

impl RemoveHeader for Stream {
    fn remove(&mut self, name: &str) {
        hostcalls::remove_header(Map::RequestHeaders, name);
    }
}

impl EditRequest for Stream {
    fn set(&mut self, name: &str, value: &[u8]) {
        hostcalls::replace_header(name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        hostcalls::add_header(name, value);
    }
}

impl crate::host::Stream for Stream {
    fn set_filter_state(&mut self, name: &str, value: &str) {
        hostcalls::set_property(name, value.as_bytes());
    }

    fn resume(&mut self) {
        hostcalls::continue_request();
    }

    fn answer(&mut self, answer: &LocalAnswer<'_>) {
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        hostcalls::send_local_response(
            answer.status,
            answer.grpc_status.map_or(-1, i32::from),
            &pack(headers),
            answer.body,
            answer.details,
        );
    }
}

/// The trailers of a request, within their callback.
#[derive(Debug)]
pub(super) struct Trailers;

impl RemoveHeader for Trailers {
    fn remove(&mut self, name: &str) {
        hostcalls::remove_header(Map::RequestTrailers, name);
    }
}

/// An answer to a call, within its callback, which was told how long its body is.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) body_size: usize,
}

impl Answer for Answered {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::header(Map::CallResponseHeaders, name)
    }

    fn body(&self, most: usize) -> Option<Vec<u8>> {
        (self.body_size <= most).then(|| hostcalls::call_response_body(self.body_size))
    }
}

/// A name that no other VM has: the seeds of a hash map come from the host's random numbers.
pub(super) fn unique_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
