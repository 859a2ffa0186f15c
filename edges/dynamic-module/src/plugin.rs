//! A configuration, as all threads of the process see it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use keybound::config::{self, ConfigError};
use keybound::gate::Settings;
use keybound::host::{MetricId, MetricKind};

use crate::envoy::MainBell;
use crate::local::Local;
use crate::mailbox::{Order, lock};
use crate::shared_memory::SharedMemory;

/// The event in which the main thread looks at the time.
pub const TICK: u64 = 1;

/// The event in which the main thread sends what workers want sent.
pub const ORDERS: u64 = 2;

/// A metric that Envoy knows.
#[derive(Debug)]
pub struct Defined {
    /// What it is.
    pub kind: MetricKind,
    /// What it is called.
    pub name: String,
    /// Envoy's number for it.
    pub number: usize,
}

/// A configuration.
#[derive(Debug)]
pub struct Plugin {
    /// Tells it from all others of the process.
    pub number: u64,
    text: Vec<u8>,
    /// What its workers share.
    pub memory: SharedMemory,
    /// Calls the main thread.
    pub bell: MainBell,
    /// Its metrics; their places are their ids.
    pub metrics: Vec<Defined>,
    orders: Mutex<Vec<Order>>,
    locals: Mutex<Vec<Arc<Local>>>,
    samples: Mutex<Vec<(MetricId, u64)>>,
    /// Faults that were met.
    pub faults: AtomicU64,
    /// Whether Envoy has let go of it: no new request comes.
    pub has_ended: AtomicBool,
}

impl Plugin {
    /// A configuration with nobody to run it yet.
    pub fn new(
        text: Vec<u8>,
        memory: SharedMemory,
        bell: MainBell,
        metrics: Vec<Defined>,
    ) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            number: LAST.fetch_add(1, Relaxed),
            text,
            memory,
            bell,
            metrics,
            orders: Mutex::default(),
            locals: Mutex::default(),
            samples: Mutex::default(),
            faults: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        })
    }

    /// Reads a configuration; variables are those of the Envoy process.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Settings, ConfigError> {
        config::parse(text, &|name| std::env::var(name).ok())
    }

    /// The settings, for one more worker.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Self::read(&self.text)
    }

    /// The id of a metric.
    pub fn metric(&self, name: &str) -> Option<MetricId> {
        let place = self.metrics.iter().position(|known| known.name == name)?;
        MetricId::try_from(place).ok()
    }

    /// Wants a call sent by the main thread.
    pub fn order(&self, order: Order) {
        lock(&self.orders).push(order);
        self.bell.ring(ORDERS);
    }

    /// Takes what is wanted sent.
    pub fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut lock(&self.orders))
    }

    /// One more worker runs it.
    pub fn joins(&self, local: &Arc<Local>) {
        lock(&self.locals).push(Arc::clone(local));
    }

    /// Who runs it, those once more that have ended since.
    pub fn take_part(&self) -> Vec<Arc<Local>> {
        let mut locals = lock(&self.locals);
        let all = locals.clone();
        locals.retain(|local| !local.is_over());
        all
    }

    /// A fault was met.
    pub fn meets_fault(&self) {
        let faults = self.faults.fetch_add(1, Relaxed).saturating_add(1);
        log::error!(
            "a fault in the filter, the {faults}. since the configuration began: whom it met gets 500. This is a bug, \
             please report it"
        );
    }

    /// Lets go of all that run it.
    pub fn ends(&self) {
        self.has_ended.store(true, Relaxed);
        lock(&self.locals).clear();
    }

    /// A value for a histogram, which the main thread hands on.
    pub fn sample(&self, metric: MetricId, value: u64) {
        let kind = usize::try_from(metric).ok();
        let kind = kind.and_then(|place| Some(self.metrics.get(place)?.kind));
        // What gauges say, the main thread says itself.
        if kind == Some(MetricKind::Histogram) {
            lock(&self.samples).push((metric, value));
        }
    }

    /// Takes the values for histograms.
    pub fn take_samples(&self) -> Vec<(MetricId, u64)> {
        std::mem::take(&mut lock(&self.samples))
    }
}
