//! The main thread's part of a configuration: it follows the change feed, sends every call, and hands on what all
//! workers have counted. Whatever needs it takes a [`Configuration`], which no other thread can have.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keybound::host::{
    BellId, Call, CallId, Clocks, Header, Host, Meter, MetricId, MetricKind, RequestId, Store,
};
use keybound::worker::{self, Metrics, Observer, Told, Worker};

use crate::envoy::Configuration;
use crate::guarded::guarded;
use crate::handed::Handed;
use crate::local::{Local, OfProcess, unique_name};
use crate::mailbox::{Ended, Mail, Mailbox, OwnedAnswer};
use crate::plugin::{Defined, ORDERS, Plugin, TICK};
use crate::shared_memory::SharedMemory;

/// The counter of requests that were ended by a fault.
const FAULTS: &str = "keybound.faults";

/// The main thread's part of a configuration.
#[derive(Debug)]
pub struct MainThread {
    /// The configuration as all threads see it.
    pub plugin: Arc<Plugin>,
    worker: RefCell<Worker>,
    metrics: Metrics,
    /// The workers, as they were when they were last looked at.
    watched: RefCell<Vec<Watched>>,
    /// Faults that were handed on.
    faults: Cell<u64>,
    /// The calls under way, by Envoy's number.
    calls: RefCell<HashMap<u64, Whose>>,
    /// Answers that came within another event.
    early: RefCell<Vec<(u64, Ended)>>,
    ticker: Option<Ticker>,
}

/// Whose a call is.
#[derive(Debug)]
enum Whose {
    /// The main thread's own.
    Own,
    /// A worker's, with its number for it.
    Of(Arc<Mailbox>, CallId),
    /// Of a worker of the main thread that is no more.
    Nobodys,
}

/// A worker, as the main thread watches it.
#[derive(Debug)]
struct Watched {
    local: Arc<Local>,
    /// How often somebody had sat down or stood up there.
    moves: u64,
    /// What was handed on of its counts.
    told: Told,
}

/// Lets the time pass on the main thread, which has no timer for a filter.
#[derive(Debug)]
struct Ticker {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl MainThread {
    /// Begins with a configuration. Envoy takes new metrics now alone.
    ///
    /// # Errors
    /// What is wrong, for the log.
    pub fn new(configuration: Configuration<'_>, text: &[u8]) -> Result<Self, String> {
        let settings = Plugin::read(text).map_err(|wrong| wrong.to_string())?;
        if settings.internal_redirects {
            return Err("internal_redirects: this host cannot keep what it needs".to_owned());
        }
        let memory = SharedMemory::new(&settings);
        let defining = Defining {
            configuration,
            defined: RefCell::default(),
        };
        let metrics = Metrics::define(&defining);
        defining.define(MetricKind::Counter, FAULTS);
        let defined = defining.defined.into_inner();
        let mut worker = Worker::new(settings, unique_name(), None, &OfProcess);
        memory.serves(&mut worker);
        let plugin = Plugin::new(text.to_vec(), memory, configuration.bell(), defined);
        let ticker = Ticker::begin(&plugin);
        Ok(Self {
            plugin,
            worker: RefCell::new(worker),
            metrics,
            watched: RefCell::default(),
            faults: Cell::new(0),
            calls: RefCell::default(),
            early: RefCell::default(),
            ticker,
        })
    }

    /// Acts so that a fault costs no more than what this thread knows: its worker, which may be half changed, begins
    /// anew.
    pub fn guards(&self, configuration: Configuration<'_>, act: impl FnOnce()) {
        if guarded(act).is_some() {
            return;
        }
        self.plugin.meets_fault();
        guarded(|| {
            let Ok(settings) = self.plugin.settings() else {
                return;
            };
            let mut next = Worker::new(settings, unique_name(), None, &OfProcess);
            self.plugin.memory.serves(&mut next);
            let mut broken = self.worker.replace(next);
            for whose in self.calls.borrow_mut().values_mut() {
                if matches!(whose, Whose::Own) {
                    *whose = Whose::Nobodys;
                }
            }
            broken.end(&OnMain {
                main: self,
                configuration,
            });
        });
    }

    /// An event of the main thread.
    pub fn event(&self, configuration: Configuration<'_>, event: u64) {
        match event {
            TICK => self.tick(configuration),
            ORDERS => self.send(configuration),
            _ => {}
        }
        self.read_early(configuration);
    }

    /// A call has ended. Where that is told within another event, it is looked at behind that.
    pub fn ended(&self, configuration: Configuration<'_>, call: u64, ended: Ended) {
        self.early.borrow_mut().push((call, ended));
        self.read_early(configuration);
    }

    fn read_early(&self, configuration: Configuration<'_>) {
        loop {
            let Ok(mut worker) = self.worker.try_borrow_mut() else {
                return;
            };
            let next = self.early.borrow_mut().pop();
            let Some((call, ended)) = next else { return };
            let whose = self.calls.borrow_mut().remove(&call);
            match whose {
                Some(Whose::Of(mailbox, number)) => mailbox.put(Mail::Ended(number, ended)),
                Some(Whose::Own) => {
                    let host = OnMain {
                        main: self,
                        configuration,
                    };
                    match ended {
                        Ended::Answered(answer) => worker.answered(&host, call, Some(&answer)),
                        Ended::Broken => worker.answered(&host, call, None::<&OwnedAnswer>),
                        Ended::NotSent => worker.not_sent(&host, call),
                    }
                }
                Some(Whose::Nobodys) => {}
                // It ended before its number was known: it is looked for again.
                None => {
                    self.early.borrow_mut().push((call, ended));
                    return;
                }
            }
        }
    }

    fn tick(&self, configuration: Configuration<'_>) {
        if let Ok(mut worker) = self.worker.try_borrow_mut() {
            worker.tick(&OnMain {
                main: self,
                configuration,
            });
        }
        self.send(configuration);
        for local in self.plugin.take_part() {
            let mut watched = self.watched.borrow_mut();
            if !watched
                .iter()
                .any(|known| Arc::ptr_eq(&known.local, &local))
            {
                watched.push(Watched {
                    local,
                    moves: 0,
                    told: Told::default(),
                });
            }
        }
        for watched in self.watched.borrow_mut().iter_mut() {
            watched.local.tick(&mut watched.moves);
        }
        self.send(configuration);
        self.hand_on(configuration);
    }

    fn send(&self, configuration: Configuration<'_>) {
        for order in self.plugin.take_orders() {
            match order.send(|call| configuration.call(call)) {
                Some(number) => {
                    let whose = Whose::Of(Arc::clone(&order.from), order.call);
                    self.calls.borrow_mut().insert(number, whose);
                }
                None => order.from.put(Mail::Ended(order.call, Ended::NotSent)),
            }
        }
    }

    /// Hands on what workers have counted, those too that have ended.
    fn hand_on(&self, configuration: Configuration<'_>) {
        let host = OnMain {
            main: self,
            configuration,
        };
        self.watched.borrow_mut().retain_mut(|watched| {
            let counts = &watched.local.mailbox().counts;
            self.metrics.flush(counts, &mut watched.told, &host);
            if watched.local.is_over() {
                self.metrics.take_back(&mut watched.told, &host);
            }
            !watched.local.is_over()
        });
        for (metric, value) in self.plugin.take_samples() {
            host.record(metric, value);
        }
        let faults = self.plugin.faults.load(Relaxed);
        let more = faults.saturating_sub(self.faults.replace(faults));
        if let (Some(metric), Ok(more @ 1..)) = (self.plugin.metric(FAULTS), i64::try_from(more)) {
            host.add(metric, more);
        }
    }

    /// The configuration goes: no thread of it is left. (Envoy drops its metrics with it.)
    pub fn end(self) {
        self.plugin.ends();
        if let Some(ticker) = self.ticker {
            ticker.end();
        }
    }
}

impl Ticker {
    fn begin(plugin: &Arc<Plugin>) -> Option<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, plugin) = (Arc::clone(&is_over), Arc::clone(plugin));
        let thread = thread::Builder::new().name("keybound-tick".to_owned());
        let thread = thread.spawn(move || {
            while !over.load(Acquire) {
                thread::park_timeout(Duration::from_millis(worker::TICK));
                plugin.bell.ring(TICK);
            }
        });
        let thread = thread.ok()?;
        Some(Self { is_over, thread })
    }

    fn end(self) {
        self.is_over.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// The host of the main thread's worker.
struct OnMain<'a> {
    main: &'a MainThread,
    configuration: Configuration<'a>,
}

impl Store for OnMain<'_> {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.main.plugin.memory.get(name)
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        self.main.plugin.memory.set(name, value, last_change)
    }
}

impl Observer for OnMain<'_> {}

impl Clocks for OnMain<'_> {
    fn monotonic_millis(&self) -> u64 {
        OfProcess.monotonic_millis()
    }

    fn wall_millis(&self) -> u64 {
        OfProcess.wall_millis()
    }
}

impl Meter for OnMain<'_> {
    fn define(&self, _: MetricKind, name: &str) -> Option<MetricId> {
        self.main.plugin.metric(name)
    }

    fn add(&self, metric: MetricId, more: i64) {
        if let Some(defined) = defined(&self.main.plugin.metrics, metric) {
            self.configuration.add(defined.kind, defined.number, more);
        }
    }

    fn record(&self, metric: MetricId, value: u64) {
        if let Some(defined) = defined(&self.main.plugin.metrics, metric) {
            self.configuration
                .record(defined.kind, defined.number, value);
        }
    }
}

impl<'a> Host for OnMain<'a> {
    type Stream = Handed<'a>;

    /// It serves no requests.
    fn turn_to(&self, _: RequestId, _: impl FnOnce(&mut Self::Stream, &[Header<'_>])) {}

    fn call(&self, call: &Call<'_>) -> Option<CallId> {
        let number = self.configuration.call(call)?;
        self.main.calls.borrow_mut().insert(number, Whose::Own);
        Some(number)
    }

    fn bell(&self) -> Option<BellId> {
        None
    }

    fn ring(&self, _: BellId) -> bool {
        false
    }
}

fn defined(metrics: &[Defined], metric: MetricId) -> Option<&Defined> {
    metrics.get(usize::try_from(metric).ok()?)
}

/// The host in which metrics are made known.
struct Defining<'a> {
    configuration: Configuration<'a>,
    defined: RefCell<Vec<Defined>>,
}

impl Meter for Defining<'_> {
    fn define(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        let number = self.configuration.define(kind, name)?;
        let mut all = self.defined.borrow_mut();
        all.push(Defined {
            kind,
            name: name.to_owned(),
            number,
        });
        MetricId::try_from(all.len().checked_sub(1)?).ok()
    }

    fn add(&self, metric: MetricId, more: i64) {
        if let Some(defined) = defined(&self.defined.borrow(), metric) {
            self.configuration.add(defined.kind, defined.number, more);
        }
    }

    fn record(&self, metric: MetricId, value: u64) {
        if let Some(defined) = defined(&self.defined.borrow(), metric) {
            self.configuration
                .record(defined.kind, defined.number, value);
        }
    }
}
