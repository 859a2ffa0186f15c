//! The host: drives gates as `src/proxy_wasm/` drives them in Envoy.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use keybound::gate::Gate;
use keybound::knowledge::cache::Store;

use crate::agenda::Time;
use crate::oracle::Invariant;
use crate::vm::Vm;
use crate::world::{Event, World};

/// How deep the things that happen at an access to shared data may be nested.
const DEEPEST: u32 = 3;

/// Time between two ticks of a VM.
pub const TICK: Time = 100;

/// Requests that go on in one callback.
const RESUMED_AT_ONCE: usize = 32;

/// Calls that a VM sends in one callback at most; more would be a loop.
const SENT_AT_ONCE: usize = 100;

/// How long a queue may still be rung when its VM has gone. Nobody empties it any more.
const QUEUE_REMEMBERED: Time = 15_000;

/// What is thrown where a VM dies in the middle of something.
struct Dies;

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
    /// Lets something else happen while a VM is in the middle of something.
    fn interleave(&self) {
        if self.depth.get() >= DEEPEST || !self.chance(self.scenario.interleaved) {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        let others: Vec<usize> = self.free_vms();
        if !others.is_empty() {
            let other = self.pick(&others);
            // Whoever is rung for nothing looks, and finds nothing.
            match self.below(3) {
                0 => self.add(0, Event::Rung(other)),
                1 => {
                    let credential = self.popular();
                    self.add(0, Event::Request(other, credential));
                }
                _ => {}
            }
        }
        let now = self.now();
        let span = match self.scenario.storm(now) {
            // A thread that stands still for long, while the others do not.
            Some(storm) if self.chance(0.01) => {
                let span = self.between(10, 4_000).min(storm.end - now);
                self.note(|| format!("a thread stands still for {span} ms"));
                span
            }
            _ => self.between(0, 2),
        };
        self.run_until(now + span);
        self.depth.set(self.depth.get() - 1);
    }

    /// Whether a VM dies where it is.
    fn dies(&self) -> bool {
        let now = self.now();
        self.scenario.storm(now).is_some() && self.chance(0.0002)
    }

    fn free_vms(&self) -> Vec<usize> {
        let vms = self.vms.borrow();
        let free = vms.iter().filter(|vm| !vm.is_gone() && !vm.is_busy());
        free.filter(|vm| vm.thread > 0).map(|vm| vm.id).collect()
    }

    fn before_access(&self) {
        if self.dies() {
            resume_unwind(Box::new(Dies));
        }
        self.interleave();
    }

    /// Calls a VM.
    pub fn call(&self, vm: usize, callback: impl FnOnce(&Vm, &mut Gate, &dyn Store)) {
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        vm.busy.set(true);
        vm.began.set(self.now());
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
    pub fn work(&self, vm: &Vm, gate: &mut Gate, store: &dyn Store) {
        self.resume(vm, gate, store);
        self.send(vm, gate, store);
        self.ring(vm, gate);
        self.wake_if_needed(vm, gate);
    }

    fn resume(&self, vm: &Vm, gate: &mut Gate, store: &dyn Store) {
        let mut ready = Vec::new();
        while ready.len() < RESUMED_AT_ONCE {
            let Some(next) = gate.next_ready() else { break };
            ready.push(next);
        }
        // Those whose time is up come in the order of a hash map, which no seed determines.
        ready.sort_by_key(|(request, _)| *request);
        for (request, resolution) in ready {
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
