//! The worker of one configuration on one thread of Envoy, and the requests that it serves.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keybound::host::{
    BellId, Call, CallId, Circumstances, Clocks, EditRequest, Header, Host, LocalAnswer, Meter,
    MetricId, MetricKind, RemoveHeader, RequestId, Store, Stream,
};
use keybound::worker::{Fate, Observer, Worker};

use crate::abi::{REQUEST_HEADERS, REQUEST_TRAILERS};
use crate::envoy::{Copied, Filter};
use crate::guarded::guarded;
use crate::mailbox::{Ended, Mail, Mailbox, Order, OwnedAnswer};
use crate::plugin::Plugin;
use crate::seat::Seat;
use crate::shared_memory::SharedMemory;

/// Rounds of work in one event at most; more would be a loop.
const ROUNDS: usize = 1000;

/// A worker of one thread. While that has nothing to do, the main thread does what is due.
#[derive(Debug)]
pub struct Local {
    plugin: Arc<Plugin>,
    mailbox: Arc<Mailbox>,
    seat: Seat<Seated>,
    last_request: AtomicU64,
}

/// What whoever sits uses.
#[derive(Debug)]
struct Seated {
    worker: Worker,
    /// How often the state of the feed was written when this worker last looked.
    feeds: u64,
}

/// What becomes of a request once all else is done with it.
#[derive(Debug)]
pub enum Last {
    /// Nothing: it goes on by itself, or waits.
    Nothing,
    /// It goes on.
    GoesOn,
    /// It is answered.
    Answered(Box<Reply>),
}

/// An answer in place of the upstream's.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    details: String,
}

impl Last {
    /// Where a fault has ended a request.
    pub fn fault() -> (Fate, Self) {
        let reply = Reply {
            status: 500,
            headers: Vec::new(),
            body: Vec::new(),
            details: "keybound_fault".to_owned(),
        };
        (Fate::Answered, Self::Answered(Box::new(reply)))
    }

    /// Does it. Envoy may end the request within.
    pub fn act(self, filter: Filter<'_>) {
        match self {
            Self::Nothing => {}
            Self::GoesOn => filter.go_on(),
            Self::Answered(reply) => {
                let headers: Vec<(&str, &str)> = reply
                    .headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                filter.answer(reply.status, &headers, &reply.body, &reply.details);
            }
        }
    }
}

impl Local {
    /// Begins a worker of a configuration; nothing where it cannot be.
    pub fn begin(plugin: &Arc<Plugin>) -> Option<Arc<Self>> {
        let settings = plugin.settings().ok()?;
        let mut worker = Worker::new(settings, unique_name(), None, &OfProcess);
        // The main thread does.
        worker.never_leads();
        plugin.memory.serves(&mut worker);
        let local = Arc::new(Self {
            plugin: Arc::clone(plugin),
            mailbox: Arc::new(Mailbox::new(worker.counts())),
            seat: Seat::new(Seated { worker, feeds: 0 }),
            last_request: AtomicU64::new(0),
        });
        plugin.joins(&local);
        Some(local)
    }

    /// The number of its configuration.
    pub fn plugin_number(&self) -> u64 {
        self.plugin.number
    }

    /// Whether Envoy has let go of its configuration.
    pub fn has_ended(&self) -> bool {
        self.plugin.has_ended.load(Relaxed)
    }

    /// A number for one more request.
    pub fn number(&self) -> RequestId {
        self.last_request.fetch_add(1, Relaxed)
    }

    /// What it and the main thread say to each other.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// A request has come. What is to be done last comes back.
    pub fn request(&self, id: RequestId, filter: &Filter<'_>, has_body: bool) -> (Fate, Last) {
        let host = At(self);
        let mut headers = Copied::default();
        filter.headers(REQUEST_HEADERS, &mut headers);
        let mut stream = Handed::new(filter);
        let fate = self.seat.sit(|seated| {
            seated.read_mail(&host);
            let fate = seated
                .worker
                .request(&host, &mut stream, id, &headers.list(), has_body);
            if fate == Fate::Waiting {
                self.mailbox.waits(id, filter.waker());
                seated.work(&host);
            }
            fate
        });
        match fate {
            Some(fate) => (fate, stream.done()),
            None => Last::fault(),
        }
    }

    /// The turn of a request that waited has come, unless only mail has.
    pub fn woken(&self, id: RequestId, filter: &Filter<'_>, is_turn: bool) -> (Fate, Last) {
        let host = At(self);
        if !is_turn && !self.is_over() {
            self.seat.sit(|seated| seated.read_mail(&host));
            return (Fate::Waiting, Last::Nothing);
        }
        let mut headers = Copied::default();
        filter.headers(REQUEST_HEADERS, &mut headers);
        let mut stream = Handed::new(filter);
        let fate = self.seat.sit(|seated| {
            seated.read_mail(&host);
            let fate = seated.worker.go_on(&host, &mut stream, id, &headers.list());
            if fate == Fate::Waiting {
                seated.work(&host);
            }
            fate
        });
        if fate != Some(Fate::Waiting) {
            self.mailbox.waits_no_more(id);
        }
        match fate {
            Some(fate) => (fate, stream.done()),
            None => Last::fault(),
        }
    }

    /// The trailers of a request have come.
    pub fn trailers(&self, filter: &Filter<'_>) {
        let mut headers = Copied::default();
        filter.headers(REQUEST_TRAILERS, &mut headers);
        self.seat.sit(|seated| {
            seated
                .worker
                .trailers(&headers.list(), &mut Trailers(filter));
        });
    }

    /// A request that waited is gone. It may have been the one that was to be woken for all.
    pub fn gone(&self, id: RequestId) {
        self.mailbox.waits_no_more(id);
        self.seat.sit(|seated| {
            seated.worker.gone(id);
            seated.read_mail(&At(self));
        });
    }

    /// Time has passed. Where this worker has had nothing to do since, the main thread does what is due in its place.
    pub fn tick(&self, seen: &mut u64) {
        if self.is_over() {
            return;
        }
        self.mailbox.put(Mail::Tick);
        let host = At(self);
        let done = guarded(|| {
            self.seat
                .sit_if_idle(seen, |seated| seated.read_mail(&host))
        });
        if done.is_none() {
            self.breaks();
        }
    }

    /// A fault was met where this worker was at work: it may be half changed, so the next request begins another, and
    /// those that wait here are answered.
    pub fn breaks(&self) {
        self.seat.breaks();
        self.plugin.meets_fault();
        self.mailbox.turn_all();
    }

    /// Whether nobody will ever come to it again.
    pub fn is_over(&self) -> bool {
        self.seat.is_broken()
    }
}

impl Seated {
    fn read_mail(&mut self, host: &At<'_>) {
        let feeds = SharedMemory::feeds();
        if std::mem::replace(&mut self.feeds, feeds) != feeds {
            self.worker.rung(host);
            self.work(host);
        }
        for mail in host.0.mailbox.take() {
            let worker = &mut self.worker;
            match mail {
                Mail::Tick => worker.tick(host),
                Mail::Ended(call, Ended::Answered(answer)) => {
                    worker.answered(host, call, Some(&answer));
                }
                Mail::Ended(call, Ended::Broken) => {
                    worker.answered(host, call, None::<&OwnedAnswer>);
                }
                Mail::Ended(call, Ended::NotSent) => worker.not_sent(host, call),
            }
            self.work(host);
        }
    }

    /// What the bell of the other home is rung for.
    fn work(&mut self, host: &At<'_>) {
        for _ in 0..ROUNDS {
            if !self.worker.has_work(host) {
                break;
            }
            self.worker.rung(host);
        }
    }
}

/// The host of a worker on its thread.
struct At<'a>(&'a Local);

impl Store for At<'_> {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.0.plugin.memory.get(name)
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        self.0.plugin.memory.set(name, value, last_change)
    }
}

impl Observer for At<'_> {}

impl Clocks for At<'_> {
    fn monotonic_millis(&self) -> u64 {
        monotonic_millis()
    }

    fn wall_millis(&self) -> u64 {
        wall_millis()
    }
}

impl Meter for At<'_> {
    fn define(&self, _: MetricKind, name: &str) -> Option<MetricId> {
        self.0.plugin.metric(name)
    }

    /// The main thread reads what a worker has counted.
    fn add(&self, _: MetricId, _: i64) {}

    fn record(&self, metric: MetricId, value: u64) {
        self.0.plugin.sample(metric, value);
    }
}

impl<'a> Host for At<'a> {
    type Stream = Handed<'a>;

    /// Later, in an event of its own.
    fn turn_to(&self, request: RequestId, _: impl FnOnce(&mut Self::Stream, &[Header<'_>])) {
        self.0.mailbox.turn(request);
    }

    /// By the main thread.
    fn call(&self, call: &Call<'_>) -> Option<CallId> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Relaxed);
        let order = Order::new(Arc::clone(&self.0.mailbox), number, call);
        self.0.plugin.order(order);
        Some(number)
    }

    /// None is needed: whoever has work does it at the end of its event, and changes are seen at the beginning.
    fn bell(&self) -> Option<BellId> {
        None
    }

    fn ring(&self, _: BellId) -> bool {
        false
    }
}

/// The clocks of the process.
pub struct OfProcess;

impl Clocks for OfProcess {
    fn monotonic_millis(&self) -> u64 {
        monotonic_millis()
    }

    fn wall_millis(&self) -> u64 {
        wall_millis()
    }
}

/// A request within its event. What ends the event is kept for last.
#[derive(Debug)]
pub struct Handed<'event> {
    filter: &'event Filter<'event>,
    last: Last,
    is_edited: bool,
}

impl<'event> Handed<'event> {
    fn new(filter: &'event Filter<'event>) -> Self {
        Self {
            filter,
            last: Last::Nothing,
            is_edited: false,
        }
    }

    /// All else is done with it.
    fn done(mut self) -> Last {
        if !matches!(self.last, Last::Answered(_)) {
            self.clear_route();
        }
        self.last
    }

    /// The route is chosen once more by what the upstream gets, as in the other home.
    fn clear_route(&mut self) {
        if std::mem::take(&mut self.is_edited) {
            self.filter.clear_route_cache();
        }
    }
}

impl Circumstances for Handed<'_> {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.filter.source_address()
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.filter.route_metadata("keybound", "policy")
    }
}

impl RemoveHeader for Handed<'_> {
    fn remove(&mut self, name: &str) {
        self.is_edited = true;
        self.filter.set(REQUEST_HEADERS, name, None);
    }
}

impl EditRequest for Handed<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.is_edited = true;
        self.filter.set(REQUEST_HEADERS, name, Some(value));
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.is_edited = true;
        self.filter.add(name, value);
    }
}

impl Stream for Handed<'_> {
    fn serving_policy(&mut self) -> Option<Option<Vec<u8>>> {
        self.clear_route();
        self.filter.choose_route();
        Some(self.route_policy())
    }

    fn set_filter_state(&mut self, name: &str, value: &str) {
        self.filter
            .set_filter_state(&format!("wasm.{name}"), value.as_bytes());
    }

    fn resume(&mut self) {
        self.last = Last::GoesOn;
    }

    fn answer(&mut self, answer: &LocalAnswer<'_>) {
        let mut headers = answer.headers.to_vec();
        // Envoy's own call would say 0, which means that all is well.
        if let Some(status) = answer.grpc_status {
            headers.push(("grpc-status", status.to_string()));
        }
        self.last = Last::Answered(Box::new(Reply {
            status: answer.status,
            headers,
            body: answer.body.to_vec(),
            details: answer.details.to_owned(),
        }));
    }
}

/// The trailers of a request, within their event.
struct Trailers<'event>(&'event Filter<'event>);

impl RemoveHeader for Trailers<'_> {
    fn remove(&mut self, name: &str) {
        self.0.set(REQUEST_TRAILERS, name, None);
    }
}

/// Milliseconds since the module was first used.
fn monotonic_millis() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let passed = BEGAN.get_or_init(Instant::now).elapsed();
    // Nothing is older than the beginning, and ages are told from it: so it is no zero.
    u64::try_from(passed.as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1_000_000_000)
}

fn wall_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// A name that no other worker has.
pub fn unique_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
