//! VMs: how they come and go, and the clocks that they read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use keybound::gate::Gate;
use keybound::time::{Instant, Now};

use crate::agenda::Time;
use crate::host::TICK;
use crate::oracle::REPLACED_WITHIN;
use crate::world::{Event, World};

/// The monotonic clock at the beginning.
const MONOTONIC: u64 = 1_000_000;

/// The wall clock at the beginning, in milliseconds.
const WALL: u64 = 1_790_000_000_000;

/// How long Envoy waits before it starts a VM anew that has crashed (`failure_policy: FAIL_RELOAD`).
const RELOAD: Time = 1_000;

/// A VM.
pub struct Vm {
    /// Its number.
    pub id: usize,
    /// Its thread; 0 is the main one.
    pub thread: usize,
    pub(crate) gate: RefCell<Option<Gate>>,
    pub(crate) queue: u32,
    /// What was to happen to it while it was busy.
    pub(crate) deferred: RefCell<Vec<Event>>,
    pub(crate) busy: Cell<bool>,
    /// When it was last called.
    pub(crate) began: Cell<Time>,
    pub(crate) gone_since: Cell<Option<Time>>,
    /// Whether its queue holds an item of its own.
    pub(crate) awake: Cell<bool>,
    pub(crate) wall_minus_monotonic: Cell<u64>,
    /// How many of its requests wait.
    pub waits: Cell<usize>,
}

/// A request that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// At which VM.
    pub vm: usize,
    /// With which credential.
    pub credential: u64,
    /// Since when.
    pub since: Time,
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
    /// The clocks as a VM reads them.
    pub fn clock(&self, vm: &Vm) -> Now {
        let monotonic = MONOTONIC + self.now();
        Now {
            unix: monotonic.wrapping_add(vm.wall_minus_monotonic.get()) / 1000,
            instant: Instant::from_millis(monotonic),
        }
    }

    /// Unix seconds as the wall clock shows them.
    pub fn unix(&self) -> u64 {
        (WALL + self.now()).saturating_add_signed(self.wall_jumped.get()) / 1000
    }

    /// The VM looks at both clocks.
    pub fn synchronize(&self, vm: &Vm) {
        let wall = (WALL + self.now()).saturating_add_signed(self.wall_jumped.get());
        vm.wall_minus_monotonic
            .set(wall.wrapping_sub(MONOTONIC + self.now()));
    }

    /// Starts a VM for the new requests of a thread.
    pub fn start_vm(&self, thread: usize) {
        let id = self.vms.borrow().len();
        let queue = self.number();
        let mut gate = Gate::new(self.scenario.settings(), format!("vm-{id}"));
        gate.reachable_by(queue);
        let vm = Rc::new(Vm {
            id,
            thread,
            gate: RefCell::new(Some(gate)),
            queue,
            deferred: RefCell::default(),
            busy: Cell::new(false),
            began: Cell::new(0),
            gone_since: Cell::new(None),
            awake: Cell::new(false),
            wall_minus_monotonic: Cell::new(0),
            waits: Cell::new(0),
        });
        self.synchronize(&vm);
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
        vm.gate.borrow_mut().take();
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
