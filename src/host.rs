//! The door: everything that a host must offer, in primitive types alone.
//!
//! It imports nothing, so that whoever carries the core reads one page. The edge to Proxy-Wasm and the simulation
//! implement it; [`crate::worker`] drives a gate through it. Names of headers are lower case everywhere.

/// Stands for a request; its meaning is the host's.
pub type RequestId = u64;

/// Stands for a call under way; its meaning is the host's.
pub type CallId = u64;

/// Stands for a bell by which a worker is woken; its meaning is the host's.
pub type BellId = u64;

/// Stands for a metric; its meaning is the host's.
pub type MetricId = u64;

/// Name and value of a header, in the order in which they came.
pub type Header<'a> = (&'a [u8], &'a [u8]);

/// A store of values by name, shared by all workers of a process. What is written stays as long as the process.
pub trait Store {
    /// A value and the number of its last change.
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)>;
    /// Changes a value if its last change is still this one; without a number, always. A host writes an
    /// absent value whatever the number. False where somebody else was first, or the host refuses.
    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool;
}

/// Memory that all workers of a process read and write in place, where a host has such.
pub trait Memory: Send + Sync {
    /// All of it, as many words as were asked for; zero in the beginning.
    fn words(&self) -> &[std::sync::atomic::AtomicU64];
    /// This word will be read soon.
    fn expect(&self, _: usize) {}
    /// So many bytes at an address will be read soon, which are no part of this memory.
    fn expect_at(&self, _: usize, _: usize) {}
}

/// What only the host can say about a request.
pub trait Circumstances {
    /// Address of the client as the host trusts it: `address:port` or `[address]:port`.
    fn source_address(&self) -> Option<Vec<u8>>;
    /// `metadata.filter_metadata.keybound.policy` of the route that the host chose.
    fn route_policy(&self) -> Option<Vec<u8>>;
    /// What was noted of the request before the host began it anew.
    fn noted(&self) -> Option<Vec<u8>> {
        None
    }
    /// Notes something of the request that stays when the host begins it anew.
    fn note(&self, _: &[u8]) {}
}

/// Nothing is said.
impl Circumstances for () {
    fn source_address(&self) -> Option<Vec<u8>> {
        None
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        None
    }
}

/// A list of headers or trailers from which some can be removed.
pub trait RemoveHeader {
    /// Removes every header of a name.
    fn remove(&mut self, name: &str);
}

/// A request whose headers can be edited.
pub trait EditRequest: RemoveHeader {
    /// Gives a header this one value, whatever it had before.
    fn set(&mut self, name: &str, value: &[u8]);
    /// Adds a header, beside others of its name.
    fn add(&mut self, name: &str, value: &[u8]);
}

/// A request in the hands of the host. To let it go on or to answer it is the last that is done with it.
pub trait Stream: Circumstances + EditRequest {
    /// `metadata.filter_metadata.keybound.policy` of the route that serves the request as it is edited now. Nothing
    /// where the host cannot see that route.
    fn serving_policy(&mut self) -> Option<Option<Vec<u8>>> {
        None
    }
    /// Sets filter state, which access logs show as `%FILTER_STATE(wasm.<name>:PLAIN)%`.
    fn set_filter_state(&mut self, name: &str, value: &str);
    /// Lets a request that was stopped go on.
    fn resume(&mut self);
    /// Answers the request instead of the upstream.
    fn answer(&mut self, answer: &LocalAnswer<'_>);
}

/// An answer in place of the upstream's.
#[derive(Debug)]
pub struct LocalAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, where the client speaks gRPC: the host makes a gRPC answer of it.
    pub grpc_status: Option<u8>,
    /// Names and values.
    pub headers: &'a [(&'static str, String)],
    /// The body, or for gRPC the message. The host leaves it out where the method is HEAD.
    pub body: &'a [u8],
    /// What access logs show as `%RESPONSE_CODE_DETAILS%`.
    pub details: &'a str,
}

/// A call to be sent.
#[derive(Debug)]
pub struct Call<'a> {
    /// The cluster that is called.
    pub cluster: &'a str,
    /// Names and values, pseudo-headers first.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, if it has one.
    pub body: Option<&'a [u8]>,
    /// How long all of it may take, in milliseconds.
    pub timeout_millis: u64,
}

/// An answer to a call, within its event.
pub trait Answer {
    /// The first header of a name; `:status` is one.
    fn header(&self, name: &str) -> Option<Vec<u8>>;
    /// The body; nothing where it has more bytes than this.
    fn body(&self, most: usize) -> Option<Vec<u8>>;
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It is added to.
    Counter,
    /// It is added to or set.
    Gauge,
    /// It takes single values.
    Histogram,
}

/// The clocks of a host.
pub trait Clocks {
    /// Milliseconds of a clock that never jumps, the same for all workers of the process.
    fn monotonic_millis(&self) -> u64;
    /// Milliseconds since 1970 (UTC).
    fn wall_millis(&self) -> u64;
}

/// Where what was counted goes.
pub trait Meter {
    /// Makes a metric known.
    fn define(&self, kind: MetricKind, name: &str) -> Option<MetricId>;
    /// Adds to a counter or a gauge.
    fn add(&self, metric: MetricId, more: i64);
    /// Sets a gauge, or gives a histogram a value.
    fn record(&self, metric: MetricId, value: u64);
}

/// The host of one worker.
pub trait Host: Store + Clocks + Meter {
    /// A request in its hands.
    type Stream: Stream;
    /// Turns to a request that waits, with its headers as they are now; they stay readable while it is edited. A
    /// host that must not touch one request in the event of another calls [`crate::worker::Worker::go_on`] later, in
    /// an event of this one. Nothing is done where it has gone.
    fn turn_to(&self, request: RequestId, act: impl FnOnce(&mut Self::Stream, &[Header<'_>]));
    /// Sends a call. Nothing where the host does not take it.
    fn call(&self, call: &Call<'_>) -> Option<CallId>;
    /// The bell of this worker, made when it is first needed; nothing where there is none.
    fn bell(&self) -> Option<BellId>;
    /// Rings a bell, of this worker or another: its worker is woken within a turn of its loop. False where there
    /// is no such bell.
    fn ring(&self, bell: BellId) -> bool;
}
