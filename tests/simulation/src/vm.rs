//! VMs: how they come and go, and the clocks that they read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use keybound::host::MetricKind;
use keybound::worker::{TICK, Worker};

use crate::agenda::Time;
use crate::host::Reached;
use crate::oracle::{Invariant, REPLACED_WITHIN};
use crate::world::{Event, World};

/// How long Envoy waits before it starts a VM anew that has crashed (`failure_policy: FAIL_RELOAD`).
const RELOAD: Time = 1_000;

/// A VM.
pub struct Vm {
    /// Its number.
    pub id: usize,
    /// Its thread; 0 is the main one.
    pub thread: usize,
    pub(crate) worker: RefCell<Option<Worker>>,
    /// Its bell.
    pub(crate) bell: u64,
    /// What was to happen to it while it was busy.
    pub(crate) deferred: RefCell<Vec<Event>>,
    pub(crate) busy: Cell<bool>,
    /// When it last ticked.
    pub(crate) ticked: Cell<Time>,
    /// When it was last called.
    pub(crate) began: Cell<Time>,
    pub(crate) gone_since: Cell<Option<Time>>,
    /// Whether it has rung its own bell, and was not woken since.
    pub(crate) rung: Cell<bool>,
    /// The request that it decides on.
    pub(crate) deciding: RefCell<Option<Deciding>>,
    /// Whether it is in the event of a request, in which no call may be sent.
    pub(crate) in_request: Cell<bool>,
    /// Calls that it has sent in this event.
    pub(crate) sent: Cell<usize>,
    /// Requests that it has turned to in this event, besides one that has just come.
    pub(crate) turned: Cell<usize>,
    /// How far the wall clock was from where it should be when the VM last had to look at it.
    pub(crate) wall_jumped: Cell<i64>,
    /// Its metrics.
    pub(crate) metrics: RefCell<Vec<Metric>>,
    /// How many of its requests wait.
    pub waits: Cell<usize>,
}

/// A metric of a VM.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) kind: MetricKind,
    pub(crate) name: String,
    /// What was added to it.
    pub(crate) sum: i64,
}

/// A request that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// At which VM.
    pub vm: usize,
    /// With which credential.
    pub credential: u64,
    /// Since when.
    pub since: Time,
    /// Since when it waits for this answer: later, where one was outdated before it had its turn.
    pub asked: Time,
    /// Its headers, as the worker left them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Whether its turn has been called, and is about to come.
    pub called: bool,
}

/// A request on which a worker decides.
#[derive(Debug)]
pub struct Deciding {
    /// Its number.
    pub request: u64,
    /// With which credential.
    pub credential: u64,
    /// Since when it is here.
    pub since: Time,
    /// When the worker has turned to it, now.
    pub turned_to: Time,
    /// Whether it has waited.
    pub waited: bool,
    /// What the host is to see done, once it is decided.
    pub expected: Option<Expected>,
    /// Names and, where they are known, values of the filter state that the host is to see written.
    pub stated: Vec<(&'static str, Option<String>)>,
}

/// What follows from a decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// It goes on, with these identity headers.
    Onward([Option<String>; 4]),
    /// It is answered with this code.
    Answered(&'static str),
    /// It waits.
    Waits,
}

impl Vm {
    /// Whether it is no more.
    pub fn is_gone(&self) -> bool {
        self.gone_since.get().is_some()
    }

    /// Whether it is in the middle of something.
    pub fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Puts off what is to happen to it until it has done what it is doing.
    pub fn later(&self, event: Event) {
        self.deferred.borrow_mut().push(event);
    }
}

impl World {
    /// Starts a VM for the new requests of a thread.
    pub fn start_vm(&self, thread: usize) {
        let id = self.vms.borrow().len();
        let vm = Rc::new(Vm {
            id,
            thread,
            worker: RefCell::default(),
            bell: self.number(),
            deferred: RefCell::default(),
            busy: Cell::new(false),
            ticked: Cell::new(0),
            began: Cell::new(0),
            gone_since: Cell::new(None),
            rung: Cell::new(false),
            deciding: RefCell::default(),
            in_request: Cell::new(false),
            sent: Cell::new(0),
            turned: Cell::new(0),
            wall_jumped: Cell::new(self.wall_jumped.get()),
            metrics: RefCell::default(),
            waits: Cell::new(0),
        });
        let settings = self.scenario.settings();
        let mut worker = Worker::new(settings, format!("vm-{id}"), None, &Reached::new(self, &vm));
        if let Some(table) = &self.table {
            worker.shares(Arc::clone(table));
        }
        *vm.worker.borrow_mut() = Some(worker);
        self.vms.borrow_mut().push(vm);
        self.threads.borrow_mut()[thread] = Ok(id);
        self.note(|| format!("VM {id} starts on thread {thread}"));
        let first = self.between(1, TICK);
        self.add(first, Event::Tick(id));
    }

    /// The VM of a thread that takes new requests. One that has crashed is started anew.
    pub fn serving(&self, thread: usize) -> Option<usize> {
        let state = self.threads.borrow()[thread];
        match state {
            Ok(vm) => Some(vm),
            Err(since) if self.now() >= since + RELOAD => {
                self.start_vm(thread);
                self.threads.borrow()[thread].ok()
            }
            Err(_) => None,
        }
    }

    /// A VM is gone from one moment to the next: nobody tells it, nobody cleans up.
    pub fn kill(&self, vm: usize) {
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        let now = self.now();
        self.note(|| format!("VM {} is gone, {} requests with it", vm.id, vm.waits.get()));
        vm.gone_since.set(Some(now));
        vm.worker.borrow_mut().take();
        self.flights
            .borrow_mut()
            .retain(|_, flight| flight.vm != vm.id);
        self.waiting
            .borrow_mut()
            .retain(|_, waiting| waiting.vm != vm.id);
        let serving = &mut self.threads.borrow_mut()[vm.thread];
        if *serving == Ok(vm.id) {
            // Envoy starts it anew at the next request, and a crashed one of the main thread never.
            *serving = Err(if vm.thread == 0 { Time::MAX / 2 } else { now });
        }
        let mut oracle = self.oracle.borrow_mut();
        oracle.count("VMs gone");
        oracle.gone(vm.id);
        oracle.disturbed(now, REPLACED_WITHIN);
    }

    /// A VM that takes no new requests is dropped when none of its requests waits any more.
    pub fn remove(&self, vm: usize) {
        let waits = self.vms.borrow()[vm].waits.get();
        if waits > 0 {
            self.add(200, Event::Remove(vm));
        } else {
            self.drive(vm, |worker, host| worker.end(host));
            self.all_taken_back(vm);
            self.kill(vm);
        }
    }

    /// Gauges are sums over all VMs: whoever goes takes its own parts away.
    fn all_taken_back(&self, vm: usize) {
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        for metric in &*vm.metrics.borrow() {
            let left = metric.kind == MetricKind::Gauge && metric.sum != 0;
            self.oracle
                .borrow_mut()
                .check(Invariant::Driven, !left, || {
                    format!("VM {} leaves {} in {}", vm.id, metric.sum, metric.name)
                });
        }
    }
}
