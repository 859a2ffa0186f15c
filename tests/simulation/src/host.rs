//! The host: the door as the world of a seed opens it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use keybound::gate::Decision;
use keybound::host::{
    BellId, Call, CallId, Clocks, Header, Host, Meter, MetricId, MetricKind, RequestId, Store,
};
use keybound::test_util::Handed;
use keybound::time::{Instant, Now};
use keybound::worker::{Observer, RESUMED_AT_ONCE, TICK, Worker};

use crate::agenda::Time;
use crate::oracle::Invariant;
use crate::vm::{Deciding, Metric, Vm, Waiting};
use crate::world::{Event, World};

/// The monotonic clock at the beginning.
const MONOTONIC: u64 = 1_000_000;

/// The wall clock at the beginning, in milliseconds.
const WALL: u64 = 1_790_000_000_000;

/// How deep the things that happen at an access to shared data may be nested.
const DEEPEST: u32 = 3;

/// Calls that a VM sends in one event at most; more would be a loop.
const SENT_AT_ONCE: usize = 100;

/// How long a bell may still be rung when its VM has gone. Nobody answers it any more.
const BELL_REMEMBERED: Time = 15_000;

/// What is thrown where a VM dies in the middle of something.
struct Dies;

/// The world as one VM reaches it.
pub struct Reached<'w> {
    world: &'w World,
    vm: &'w Vm,
}

impl<'w> Reached<'w> {
    /// The world as a VM reaches it.
    pub fn new(world: &'w World, vm: &'w Vm) -> Self {
        Self { world, vm }
    }
}

impl Store for Reached<'_> {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.world.before_access();
        self.world.shared.get(name)
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        self.world.before_access();
        self.world.written(name, value);
        let written = self.world.shared.set(name, value, last_change);
        self.world.note(|| {
            format!(
                "      {} {name}: {} bytes",
                if written { "wrote" } else { "did not write" },
                value.len()
            )
        });
        written
    }
}

impl Observer for Reached<'_> {
    fn decided(&self, _: RequestId, decision: &Decision, now: Now) {
        self.world.decided(self.vm, decision, now);
    }
}

impl Clocks for Reached<'_> {
    fn monotonic_millis(&self) -> u64 {
        MONOTONIC + self.world.now()
    }

    fn wall_millis(&self) -> u64 {
        self.world.wall()
    }
}

impl Meter for Reached<'_> {
    fn define(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        let mut metrics = self.vm.metrics.borrow_mut();
        metrics.push(Metric {
            kind,
            name: name.to_owned(),
            sum: 0,
        });
        u64::try_from(metrics.len() - 1).ok()
    }

    fn add(&self, metric: MetricId, more: i64) {
        if let Some(Metric { name, sum, .. }) =
            self.vm.metrics.borrow_mut().get_mut(metric as usize)
        {
            *sum += more;
            if *sum < 0 {
                self.world.violated(Invariant::Driven, || {
                    format!("VM {} takes away from {name} what is not there", self.vm.id)
                });
            }
        }
    }

    fn record(&self, _: MetricId, _: u64) {}
}

impl Host for Reached<'_> {
    type Stream = Handed;

    /// At once as Proxy-Wasm does, or in an event of the request as a dynamic module must.
    fn turn_to(&self, request: RequestId, act: impl FnOnce(&mut Handed, &[Header<'_>])) {
        let (world, vm) = (self.world, self.vm);
        vm.turned.set(vm.turned.get() + 1);
        if vm.turned.get() > RESUMED_AT_ONCE {
            world.violated(Invariant::Driven, || {
                format!(
                    "VM {} goes on with {} requests in an event",
                    vm.id,
                    vm.turned.get()
                )
            });
        }
        if world.scenario.turns_later
            && let Some(waiting) = world.waiting.borrow_mut().get_mut(&request)
        {
            waiting.called = true;
            let delay = world.between(0, 2);
            return world.add(delay, Event::Turn(vm.id, request));
        }
        let Some(waiting) = world.waiting.borrow_mut().remove(&request) else {
            return world.violated(Invariant::OneOutcome, || {
                format!(
                    "VM {} goes on with request {request}, which does not wait",
                    vm.id
                )
            });
        };
        world.turned(vm, request, waiting, act);
    }

    fn call(&self, call: &Call<'_>) -> Option<CallId> {
        let (world, vm) = (self.world, self.vm);
        vm.sent.set(vm.sent.get() + 1);
        if vm.sent.get() > SENT_AT_ONCE {
            world.violated(Invariant::CallsBounded, || {
                format!("VM {} sends calls without end", vm.id)
            });
            resume_unwind(Box::new(Dies));
        }
        if vm.in_request.get() {
            world.violated(Invariant::Driven, || {
                format!("VM {} sends a call within a request's event", vm.id)
            });
        }
        world.dispatch(vm, call)
    }

    fn bell(&self) -> Option<BellId> {
        Some(self.vm.bell)
    }

    fn ring(&self, bell: BellId) -> bool {
        if bell == self.vm.bell {
            self.vm.rung.set(true);
            self.world.add(0, Event::Rung(self.vm.id));
            return true;
        }
        self.world.ring(self.vm, bell)
    }
}

impl World {
    /// Milliseconds as the wall clock shows them.
    fn wall(&self) -> u64 {
        (WALL + self.now()).saturating_add_signed(self.wall_jumped.get())
    }

    /// Unix seconds as the wall clock shows them.
    pub fn unix(&self) -> u64 {
        self.wall() / 1000
    }

    /// Whether a VM has the right time: it has read the monotonic clock since a time, and has looked at the wall
    /// clock when it last ticked.
    pub fn is_time(&self, vm: &Vm, told: Now, since: Time) -> bool {
        let instant = told.instant.millis();
        let wall = (WALL + instant - MONOTONIC).saturating_add_signed(vm.wall_jumped.get());
        (since..=self.now()).contains(&(instant - MONOTONIC)) && told.unix == wall / 1000
    }

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

    /// Drives the worker of a VM in an event of it.
    pub fn drive(&self, vm: usize, act: impl FnOnce(&mut Worker, &Reached<'_>)) {
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        vm.busy.set(true);
        vm.began.set(self.now());
        vm.sent.set(0);
        vm.turned.set(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if let Some(worker) = &mut *vm.worker.borrow_mut() {
                act(worker, &Reached::new(self, &vm));
                self.bounded(&vm, worker);
                self.driven(&vm, worker);
            }
        }));
        vm.busy.set(false);
        vm.in_request.set(false);
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

    fn bounded(&self, vm: &Vm, worker: &Worker) {
        let (waits, counted) = (vm.waits.get(), worker.gate().waiting());
        let (limit, most) = (
            self.scenario.waiting_requests,
            self.scenario.local_entries.max(2),
        );
        // One of them tells of the table, too.
        let in_table = self.table.as_ref().map_or(0, |table| table.count());
        let entries = worker.gate().cache_entries();
        let mut oracle = self.oracle.borrow_mut();
        oracle.check(Invariant::OneOutcome, waits == counted, || {
            format!(
                "{waits} requests wait at VM {}, which counts {counted}",
                vm.id
            )
        });
        // Those whose answer is there already wait for nothing but their turn.
        let most_waits = limit + limit.max(RESUMED_AT_ONCE);
        let uncalled = waits - self.called(vm);
        oracle.check(Invariant::Bounded, uncalled <= most_waits, || {
            format!(
                "{waits} requests wait at VM {}, which may have {limit}",
                vm.id
            )
        });
        oracle.check(Invariant::Bounded, entries <= most + in_table, || {
            format!("VM {} has {entries} entries, and may have {most}", vm.id)
        });
        let buckets = self.scenario.shared_entries.div_ceil(16);
        oracle.check(Invariant::Bounded, in_table <= buckets * 17, || {
            format!("{in_table} entries in a table of {buckets} buckets")
        });
    }

    /// How many of a VM's requests are about to go on, each in an event of its own.
    fn called(&self, vm: &Vm) -> usize {
        if !self.scenario.turns_later {
            return 0;
        }
        let waiting = self.waiting.borrow();
        let called = waiting
            .values()
            .filter(|waiting| waiting.vm == vm.id && waiting.called);
        called.count()
    }

    /// Whoever has left work for later will be woken.
    fn driven(&self, vm: &Vm, worker: &Worker) {
        let began = Now {
            unix: self.unix(),
            instant: Instant::from_millis(MONOTONIC + vm.began.get()),
        };
        let woken = !worker.gate().has_work(began) || vm.rung.get();
        self.oracle
            .borrow_mut()
            .check(Invariant::Driven, woken, || {
                format!("VM {} has work, and nobody wakes it", vm.id)
            });
    }

    /// Lets a request that waited be decided on, and looks at what became of it.
    fn turned(
        &self,
        vm: &Vm,
        request: RequestId,
        waiting: Waiting,
        act: impl FnOnce(&mut Handed, &[Header<'_>]),
    ) {
        vm.waits.set(vm.waits.get() - 1);
        let mut handed = self.handed(waiting.headers.clone());
        let list = Handed {
            headers: waiting.headers,
            ..Handed::default()
        };
        let deciding = Deciding {
            request,
            credential: waiting.credential,
            since: waiting.since,
            turned_to: self.now(),
            waited: true,
            expected: None,
            stated: Vec::new(),
        };
        *vm.deciding.borrow_mut() = Some(deciding);
        act(&mut handed, &list.list());
        self.carried_out(vm, handed);
    }

    /// The turn of a request has come, in an event of its own. It may have gone meanwhile.
    pub fn turn(&self, vm: usize, request: RequestId) {
        let Some(waiting) = self.waiting.borrow_mut().remove(&request) else {
            return;
        };
        let reached = Rc::clone(&self.vms.borrow()[vm]);
        self.drive(vm, |worker, host| {
            self.turned(&reached, request, waiting, |handed, headers| {
                worker.go_on(host, handed, request, headers);
            });
        });
    }

    /// The timer of a VM.
    pub fn tick(&self, vm: usize) {
        let began = self.now();
        self.note(|| format!("VM {vm} ticks"));
        let ticking = Rc::clone(&self.vms.borrow()[vm]);
        ticking.ticked.set(began);
        ticking.wall_jumped.set(self.wall_jumped.get());
        self.drive(vm, |worker, host| worker.tick(host));
        let vm = Rc::clone(&self.vms.borrow()[vm]);
        if !vm.is_gone() {
            self.nobody_is_late(&vm, began);
        }
        self.add(TICK, Event::Tick(vm.id));
    }

    fn nobody_is_late(&self, vm: &Vm, began: Time) {
        if vm.turned.get() == RESUMED_AT_ONCE {
            // The others have their turn when it is woken, which it has to be.
            return;
        }
        let timeout = self.scenario.timeout;
        let waiting = self.waiting.borrow();
        let late = waiting.iter().find(|(_, waiting)| {
            waiting.vm == vm.id
                && !waiting.called
                && waiting.since + timeout <= began
                && waiting.asked < began
        });
        if let Some((request, waiting)) = late {
            self.violated(Invariant::OneOutcome, || {
                format!(
                    "request {request} has waited at VM {} for {} ms",
                    vm.id,
                    began - waiting.since
                )
            });
        }
        let waits = waiting
            .values()
            .filter(|waiting| waiting.vm == vm.id && !waiting.called);
        let waits = waits.count();
        let bounded = waits <= self.scenario.waiting_requests;
        self.oracle
            .borrow_mut()
            .check(Invariant::Bounded, bounded, || {
                format!("{waits} requests wait at VM {} after a tick", vm.id)
            });
    }

    /// The bell of a VM has rung.
    pub fn rung(&self, vm: usize) {
        self.note(|| format!("VM {vm} is woken"));
        self.vms.borrow()[vm].rung.set(false);
        self.drive(vm, |worker, host| worker.rung(host));
    }

    /// A VM rings the bell of another.
    fn ring(&self, vm: &Vm, bell: BellId) -> bool {
        let others = self.vms.borrow();
        let Some(other) = others.iter().find(|other| other.bell == bell) else {
            self.violated(Invariant::Bounded, || {
                format!("VM {} rings a bell of nobody", vm.id)
            });
            return false;
        };
        if let Some(since) = other.gone_since.get() {
            let late = self.now() - since > BELL_REMEMBERED;
            if late {
                self.violated(Invariant::Bounded, || {
                    format!(
                        "VM {} rings VM {}, which is gone since {since} ms",
                        vm.id, other.id
                    )
                });
            }
            return true;
        }
        self.oracle.borrow_mut().count("rings");
        if !self.chance(self.scenario.rings_lost) {
            let delay = self.between(0, 2);
            self.add(delay, Event::Rung(other.id));
        }
        true
    }

    fn written(&self, name: &str, value: &[u8]) {
        self.shown("the name of a shared value", name.as_bytes());
        self.shown("a shared value", value);
        let buckets = self.scenario.shared_entries.div_ceil(16);
        let names = self.shared.names();
        let mut oracle = self.oracle.borrow_mut();
        oracle.check(Invariant::Bounded, names <= buckets + 8, || {
            format!("{names} shared values")
        });
        oracle.check(Invariant::Bounded, value.len() <= 64 * 1024, || {
            format!("{} bytes in shared value {name}", value.len())
        });
    }
}
