//! The worker of one configuration on one thread of Envoy, and the requests that it serves.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keybound::host::{
    BellId, Call, CallId, Clocks, Header, Host, Meter, MetricId, MetricKind, RequestId, Store,
};
use keybound::worker::{Fate, Observer, Worker};

use crate::abi::{REQUEST_HEADERS, REQUEST_TRAILERS};
use crate::edits::{Copied, Edits};
use crate::envoy::Filter;
use crate::guarded::guarded;
use crate::handed::{Handed, Last, Trailers, finish};
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
}

/// What whoever sits uses.
#[derive(Debug)]
struct Seated {
    worker: Worker,
    /// How often the state of the feed was written when this worker last looked.
    feeds: u64,
    /// Memory for the edits of one request.
    edits: Edits,
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
            seat: Seat::new(Seated {
                worker,
                feeds: 0,
                edits: Edits::default(),
            }),
        });
        plugin.joins(&local);
        Some(local)
    }

    /// Whether Envoy has let go of its configuration.
    pub fn has_ended(&self) -> bool {
        self.plugin.has_ended.load(Relaxed)
    }

    /// What it and the main thread say to each other.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// A request has come. What is to be done last comes back.
    pub fn request(&self, id: RequestId, filter: &mut Filter<'_>, has_body: bool) -> (Fate, Last) {
        let host = At(self);
        let done = self.seat.sit(|seated| {
            seated.read_mail(&host);
            let (fate, last) = seated.request(&host, id, filter, has_body);
            if fate == Fate::Waiting {
                self.mailbox.waits(id, filter.waker());
                seated.work(&host);
            }
            (fate, last)
        });
        done.unwrap_or_else(Last::fault)
    }

    /// The turn of a request that waited has come, unless only mail has.
    pub fn woken(&self, id: RequestId, filter: &mut Filter<'_>, is_turn: bool) -> (Fate, Last) {
        let host = At(self);
        if !is_turn && !self.is_over() {
            self.seat.sit(|seated| seated.read_mail(&host));
            return (Fate::Waiting, Last::Nothing);
        }
        let headers = Copied::of(&filter.headers(REQUEST_HEADERS));
        let mut stream = Handed::at_once(filter.again());
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
            Some(fate) => (fate, stream.done().0),
            None => Last::fault(),
        }
    }

    /// The trailers of a request have come.
    pub fn trailers(&self, filter: &mut Filter<'_>) {
        let headers = Copied::of(&filter.headers(REQUEST_TRAILERS));
        self.seat.sit(|seated| {
            seated
                .worker
                .trailers(&headers.list(), &mut Trailers(filter.again()));
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
    /// A request has come. Where nobody looks at it again once it is edited, its headers are read where Envoy has them.
    fn request(
        &mut self,
        host: &At<'_>,
        id: RequestId,
        filter: &mut Filter<'_>,
        has_body: bool,
    ) -> (Fate, Last) {
        if self.worker.gate().settings().guarded_routes {
            let headers = Copied::of(&filter.headers(REQUEST_HEADERS));
            let mut stream = Handed::at_once(filter.again());
            let worker = &mut self.worker;
            let fate = worker.request(host, &mut stream, id, &headers.list(), has_body);
            return (fate, stream.done().0);
        }
        let (fate, (last, mut edits)) = {
            let headers = filter.headers(REQUEST_HEADERS);
            let mut stream = Handed::later(filter, std::mem::take(&mut self.edits));
            let worker = &mut self.worker;
            let fate = worker.request(host, &mut stream, id, &headers, has_body);
            (fate, stream.done())
        };
        finish(filter, &last, &mut edits);
        self.edits = edits;
        (fate, last)
    }

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
