//! VMs: how they come and go, and the clocks that they read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use keybound::worker::{TICK, Worker};

use crate::agenda::Time;
use crate::host::Reached;
use crate::oracle::REPLACED_WITHIN;
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
    /// What each of its metrics adds up to, with its name.
    pub(crate) metrics: RefCell<Vec<(String, i64)>>,
    /// How many of its requests wait.
    pub waits: Cell<usize>,
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
    /// Its headers, as the worker left them.
    pub headers: Vec<(String, Vec<u8>)>,
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
    /// Whether it has waited.
    pub waited: bool,
    /// What the host is to see done, once it is decided.
    pub expected: Option<Expected>,
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
            began: Cell::new(0),
            gone_since: Cell::new(None),
            rung: Cell::new(false),
            deciding: RefCell::default(),
            in_request: Cell::new(false),
            sent: Cell::new(0),
            metrics: RefCell::default(),
            waits: Cell::new(0),
        });
        let settings = self.scenario.settings();
        let worker = Worker::new(settings, format!("vm-{id}"), None, &Reached::new(self, &vm));
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
            self.kill(vm);
        }
    }
}
