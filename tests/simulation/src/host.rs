//! The host: drives gates as `src/proxy/` drives them in Envoy.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use keybound::cache::Store;
use keybound::gate::{CallEnd, Gate, LONGEST_BODY, Outgoing, Purpose};
use keybound::time::{Instant, Now};

use crate::agenda::Time;
use crate::oracle::{Invariant, Kind, REPLACED_WITHIN};
use crate::service::{Digest, Poll};
use crate::world::{End, Event, World};

/// Time between two ticks of a VM.
pub const TICK: Time = 100;

/// Requests that go on in one callback.
const RESUMED_AT_ONCE: usize = 32;

/// Calls that a VM sends in one callback at most; more would be a loop.
const SENT_AT_ONCE: usize = 100;

/// The monotonic clock at the beginning.
const MONOTONIC: u64 = 1_000_000;

/// The wall clock at the beginning, in milliseconds.
const WALL: u64 = 1_790_000_000_000;

/// How long a queue may still be rung when its VM has gone. Nobody empties it any more.
const QUEUE_REMEMBERED: Time = 15_000;

/// How long Envoy waits before it starts a VM anew that has crashed (`failure_policy: FAIL_RELOAD`).
const RELOAD: Time = 1_000;

/// A VM.
pub struct Vm {
    /// Its number.
    pub id: usize,
    /// Its thread; 0 is the main one.
    pub thread: usize,
    gate: RefCell<Option<Gate>>,
    queue: u32,
    /// What was to happen to it while it was busy.
    deferred: RefCell<Vec<Event>>,
    busy: Cell<bool>,
    gone_since: Cell<Option<Time>>,
    /// Whether its queue holds an item of its own.
    awake: Cell<bool>,
    wall_minus_monotonic: Cell<u64>,
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

/// A call under way.
#[derive(Debug, Clone)]
pub struct Flight {
    /// Of which VM.
    pub vm: usize,
    /// What for.
    pub kind: Kind,
    /// When it was sent.
    pub sent: Time,
    /// What it asks.
    pub asked: Asked,
}

/// What a call asks.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Digests, with the credentials that they are of, if anybody ever sent those.
    Resolve(Rc<[(Digest, Option<u64>)]>),
    /// What has changed.
    Changes(Poll),
    /// Nothing: it reports.
    Usage,
}

/// What is thrown where a VM dies in the middle of something.
struct Dies;

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

/// Shared data as one VM reaches it.
struct Reached<'a>(&'a World);

impl Store for Reached<'_> {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.0.before_access();
        let (value, change) = self.0.shared.borrow().get(name)?;
        Some((value, Some(change)))
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        self.0.before_access();
        self.0.written(name, value);
        let written = self
            .0
            .shared
            .borrow_mut()
            .set(name, value, last_change.unwrap_or(0));
        self.0.note(|| {
            format!(
                "      {} {name}: {} bytes",
                if written { "wrote" } else { "did not write" },
                value.len()
            )
        });
        written
    }
}

impl World {
    fn before_access(&self) {
        if self.dies() {
            resume_unwind(Box::new(Dies));
        }
        self.interleave();
    }

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

    fn synchronize(&self, vm: &Vm) {
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

    /// Calls a VM.
    pub fn call(&self, vm: usize, callback: impl FnOnce(&Vm, &mut Gate, &dyn Store)) {
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        vm.busy.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut gate = vm.gate.borrow_mut();
            if let Some(gate) = &mut *gate {
                callback(&vm, gate, &Reached(self));
                self.bounded(&vm, gate);
            }
        }));
        vm.busy.set(false);
        if let Err(panic) = result {
            self.kill(vm.id);
            if panic.downcast_ref::<Dies>().is_none() {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.violated(Invariant::NoPanic, || text.unwrap_or_default());
            }
        }
        for event in vm.deferred.take() {
            self.add(0, event);
        }
    }

    fn bounded(&self, vm: &Vm, gate: &Gate) {
        let (waits, counted) = (vm.waits.get(), gate.waiting());
        let (limit, most) = (
            self.scenario.waiting_requests,
            self.scenario.local_entries.max(2),
        );
        let entries = gate.cache_entries();
        let mut oracle = self.oracle.borrow_mut();
        oracle.check(Invariant::OneOutcome, waits == counted, || {
            format!(
                "{waits} requests wait at VM {}, which counts {counted}",
                vm.id
            )
        });
        // Those whose answer is there already wait for nothing but their turn.
        oracle.check(Invariant::Bounded, waits <= limit + RESUMED_AT_ONCE, || {
            format!(
                "{waits} requests wait at VM {}, which may have {limit}",
                vm.id
            )
        });
        oracle.check(Invariant::Bounded, entries <= most, || {
            format!("VM {} has {entries} entries, and may have {most}", vm.id)
        });
    }

    /// The timer of a VM.
    pub fn tick(&self, vm: usize) {
        self.call(vm, |vm, gate, store| {
            self.synchronize(vm);
            let began = self.now();
            self.note(|| format!("VM {} ticks", vm.id));
            gate.tick(self.clock(vm), store);
            gate.telemetry.take().for_each(drop);
            gate.telemetry.take_fetch_durations();
            self.work(vm, gate, store);
            self.nobody_is_late(vm, began);
            let waits = vm.waits.get();
            let bounded = waits <= self.scenario.waiting_requests;
            self.oracle
                .borrow_mut()
                .check(Invariant::Bounded, bounded, || {
                    format!("{waits} requests wait at VM {} after a tick", vm.id)
                });
        });
        self.add(TICK, Event::Tick(vm));
    }

    fn nobody_is_late(&self, vm: &Vm, began: Time) {
        let timeout = self.scenario.timeout;
        let waiting = self.waiting.borrow();
        let late = waiting
            .iter()
            .find(|(_, waiting)| waiting.vm == vm.id && waiting.since + timeout <= began);
        if let Some((request, waiting)) = late {
            self.violated(Invariant::OneOutcome, || {
                format!(
                    "request {request} has waited at VM {} for {} ms",
                    vm.id,
                    began - waiting.since
                )
            });
        }
    }

    /// The queue of a VM has rung.
    pub fn rung(&self, vm: usize) {
        self.call(vm, |vm, gate, store| {
            vm.awake.set(false);
            self.note(|| format!("VM {} is rung", vm.id));
            gate.rung(self.clock(vm), store);
            self.work(vm, gate, store);
        });
    }

    /// Sends what is to be sent, goes on with who waited, rings whoever is to be rung.
    fn work(&self, vm: &Vm, gate: &mut Gate, store: &dyn Store) {
        self.resume(vm, gate, store);
        self.send(vm, gate, store);
        self.ring(vm, gate);
        self.wake_if_needed(vm, gate);
    }

    fn resume(&self, vm: &Vm, gate: &mut Gate, store: &dyn Store) {
        for _ in 0..RESUMED_AT_ONCE {
            let Some((request, resolution)) = gate.next_ready() else {
                break;
            };
            self.go_on(vm, gate, store, request, resolution);
        }
    }

    fn send(&self, vm: &Vm, gate: &mut Gate, store: &dyn Store) {
        for _ in 0..SENT_AT_ONCE {
            let now = self.clock(vm);
            let Some(outgoing) = gate.next_call(now) else {
                return;
            };
            match self.dispatch(vm, &outgoing) {
                Some(call) => gate.sent(call, outgoing.purpose),
                None => gate.not_sent(outgoing.purpose, self.clock(vm), store),
            }
        }
        self.violated(Invariant::CallsBounded, || {
            format!("VM {} sends calls without end", vm.id)
        });
    }

    fn dispatch(&self, vm: &Vm, outgoing: &Outgoing) -> Option<u32> {
        let kind = match outgoing.purpose {
            Purpose::Resolve(_) => Kind::Resolve,
            Purpose::Changes(_) => Kind::Changes,
            Purpose::Usage => Kind::Usage,
        };
        let now = self.now();
        let body = outgoing.body.as_deref();
        self.shown("a call's path", outgoing.path.as_bytes());
        self.shown("a call's body", body.unwrap_or_default());
        let Some(asked) = self.asked(&outgoing.path, body) else {
            self.violated(Invariant::Verdict, || {
                format!("a call that is none: {}", outgoing.path)
            });
            return None;
        };
        let service = self.service.borrow();
        let truth = &service.truth;
        let call = self.number();
        let mut oracle = self.oracle.borrow_mut();
        oracle.calls(truth, vm.id, kind, now);
        if let Asked::Resolve(digests) = &asked {
            oracle.asks(vm.id, digests);
        }
        if !self.is_taken(kind) {
            self.note(|| {
                format!(
                    "VM {}: the host does not take a call for {}",
                    vm.id, outgoing.path
                )
            });
            return None;
        }
        oracle.sent(&self.scenario, vm.id, call, kind, now);
        if let Asked::Resolve(digests) = &asked {
            oracle.looks_up(truth, &self.scenario, vm.id, call, digests, now);
        }
        drop(oracle);
        if kind == Kind::Changes {
            self.polled.set(now);
        }
        self.note(|| {
            format!(
                "VM {} sends call {call}: {} {:?}",
                vm.id,
                outgoing.path,
                asked.credentials()
            )
        });
        let flight = Flight {
            vm: vm.id,
            kind,
            sent: now,
            asked,
        };
        self.flights.borrow_mut().insert(call, flight);
        self.departs(call, kind, outgoing.timeout.as_millis() as Time);
        Some(call)
    }

    /// A call has ended.
    pub fn ends(&self, call: u32, end: End) {
        let Some(flight) = self.flights.borrow().get(&call).cloned() else {
            return;
        };
        let vm = Rc::clone(&self.vms.borrow()[flight.vm]);
        let event = Event::Ends(call, end.clone());
        if vm.is_busy() {
            vm.later(event);
            return;
        }
        let now = self.now();
        if now < self.paused_until.get() {
            self.add(self.paused_until.get() - now, event);
            return;
        }
        self.flights.borrow_mut().remove(&call);
        self.parked.borrow_mut().remove(&call);
        self.note(|| format!("call {call} of VM {} ends: {end}", flight.vm));
        self.call(flight.vm, |vm, gate, store| {
            self.tell(vm, call, &flight, &end, now);
            let given;
            let end = match &end {
                End::Broken => CallEnd::Broken,
                End::Answer {
                    status,
                    marked,
                    body,
                    retry_after,
                    ..
                } => {
                    given = body;
                    CallEnd::Answered {
                        status: *status,
                        marked: *marked,
                        body: (given.len() <= LONGEST_BODY).then_some(given),
                        retry_after: retry_after.map(Duration::from_secs),
                    }
                }
            };
            gate.ended(call, &end, self.clock(vm), store);
            self.work(vm, gate, store);
        });
    }

    /// Tells the oracle what a VM is about to be told.
    fn tell(&self, vm: &Vm, call: u32, flight: &Flight, end: &End, now: Time) {
        let service = self.service.borrow();
        let mut oracle = self.oracle.borrow_mut();
        oracle.ended(vm.id, call);
        if let End::Answer {
            status,
            evidence,
            retry_after,
            ..
        } = end
        {
            if let Some(evidence) = evidence {
                oracle.told(&service.truth, vm.id, evidence, flight.sent, now);
            }
            if let (429 | 503, Some(seconds)) = (status, retry_after) {
                oracle.asked_to_wait(vm.id, flight.kind, *seconds, now);
            }
        }
    }

    /// Rings the queues of other VMs.
    fn ring(&self, vm: &Vm, gate: &mut Gate) {
        for queue in gate.take_rings() {
            let others = self.vms.borrow();
            let Some(other) = others.iter().find(|other| other.queue == queue) else {
                self.violated(Invariant::Bounded, || {
                    format!("VM {} rings a queue of nobody", vm.id)
                });
                continue;
            };
            if let Some(since) = other.gone_since.get() {
                let late = self.now() - since > QUEUE_REMEMBERED;
                if late {
                    self.violated(Invariant::Bounded, || {
                        format!(
                            "VM {} rings VM {}, which is gone since {since} ms",
                            vm.id, other.id
                        )
                    });
                }
                continue;
            }
            self.oracle.borrow_mut().count("rings");
            if !self.chance(self.scenario.rings_lost) {
                let delay = self.between(0, 2);
                self.add(delay, Event::Rung(other.id));
            }
        }
    }

    /// Wakes the root context where there is work for it.
    pub fn wake_if_needed(&self, vm: &Vm, gate: &Gate) {
        if gate.has_work(self.clock(vm)) && !vm.awake.replace(true) {
            self.add(0, Event::Rung(vm.id));
        }
    }

    fn written(&self, name: &str, value: &[u8]) {
        self.shown("the name of a shared value", name.as_bytes());
        self.shown("a shared value", value);
        let buckets = self.scenario.shared_entries.div_ceil(16);
        let names = self.shared.borrow().names();
        let mut oracle = self.oracle.borrow_mut();
        oracle.check(Invariant::Bounded, names <= buckets + 8, || {
            format!("{names} shared values")
        });
        oracle.check(Invariant::Bounded, value.len() <= 64 * 1024, || {
            format!("{} bytes in shared value {name}", value.len())
        });
    }
}

impl Asked {
    fn credentials(&self) -> Vec<Option<u64>> {
        match self {
            Self::Resolve(digests) => digests.iter().map(|(_, credential)| *credential).collect(),
            Self::Changes(_) | Self::Usage => Vec::new(),
        }
    }
}
