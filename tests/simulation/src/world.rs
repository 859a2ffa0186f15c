//! The world of a seed: virtual time, and everything that happens in it.
//!
//! One thing happens after the other, but for shared data: at each access of a VM, other things may happen
//! before it, to other VMs too, as they do where each has a thread of its own. So a compare-and-swap can
//! fail, a leader can be overtaken in the middle of what it does, and a VM can die there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use keybound::knowledge::cache::Table;
use keybound::test_util::{SharedData, table};
use rand::distr::weighted::WeightedIndex;

use crate::agenda::{Agenda, Time};
use crate::clients::MADE_UP;
use crate::oracle::{Invariant, Oracle};
use crate::outgoing::{End, Flight};
use crate::random::{Random, zipf};
use crate::scenario::Scenario;
use crate::service::{Digest, Poll, Service};
use crate::trace::Trace;
use crate::vm::{Vm, Waiting};
use crate::weather::Weather;

/// Events in a millisecond at most; more would be a loop.
const AT_ONCE: u64 = 50_000;

/// What can happen.
#[derive(Debug, Clone)]
pub enum Event {
    /// A VM's timer.
    Tick(usize),
    /// A VM's queue has rung.
    Rung(usize),
    /// A client sends a request to a worker, and will send another.
    Client(usize),
    /// Somebody sends a request with this credential to a VM.
    Request(usize, u64),
    /// The turn of a request that waited has come.
    Turn(usize, u64),
    /// A client gives up.
    HangUp(usize, u64),
    /// A call reaches the service.
    Reaches(u64),
    /// A poll has waited long enough.
    PollIsUp(u64),
    /// A call ends.
    Ends(u64, End),
    /// An administrator does something.
    Administer,
    /// Somebody writes what is none of the gates' business.
    WriteOther,
    /// Something goes wrong.
    Disturb,
    /// A VM is gone from one moment to the next.
    Kill(usize),
    /// A VM is no longer needed.
    Remove(usize),
    /// Every VM is asked about every credential.
    Examine(u64),
    /// Somebody looks whether all is well.
    Watch,
}

/// The world.
pub struct World {
    /// What kind of a world it is.
    pub scenario: Scenario,
    /// Chance.
    pub random: RefCell<Random>,
    /// Time.
    pub agenda: RefCell<Agenda<Event>>,
    /// What the VMs share.
    pub shared: SharedData,
    /// What they know of keys, where they read one memory in place as the dynamic module's workers do.
    pub table: Option<Arc<Table>>,
    /// The key service.
    pub service: RefCell<Service>,
    /// Polls that wait at the service.
    pub parked: RefCell<BTreeMap<u64, Poll>>,
    /// The network.
    pub weather: RefCell<Weather>,
    /// All VMs that ever were.
    pub vms: RefCell<Vec<Rc<Vm>>>,
    /// The VM of each thread that takes new requests, and since when there is none. The first is the main
    /// thread's.
    pub threads: RefCell<Vec<Result<usize, Time>>>,
    /// Calls under way.
    pub flights: RefCell<BTreeMap<u64, Flight>>,
    /// Requests that wait.
    pub waiting: RefCell<BTreeMap<u64, Waiting>>,
    /// The credential of each digest that was ever sent.
    pub digests: RefCell<HashMap<Digest, u64>>,
    /// What must hold.
    pub oracle: RefCell<Oracle>,
    /// What happened.
    pub trace: Trace,
    /// How far the wall clock is from where it should be, in milliseconds.
    pub wall_jumped: Cell<i64>,
    /// Until when the whole process stands still.
    pub paused_until: Cell<Time>,
    /// When a poll was last seen under way.
    pub polled: Cell<Time>,
    /// How often which credential is used.
    pub popularity: WeightedIndex<f64>,
    /// How deep in accesses to shared data it is.
    pub depth: Cell<u32>,
    steps: Cell<u64>,
    /// The millisecond of the last event, and how many events there were in it.
    busy: Cell<(Time, u64)>,
    last_number: Cell<u64>,
    /// The last credential that was made up.
    pub last_made_up: Cell<u64>,
}

impl World {
    /// A world at its beginning.
    pub fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let world = Self {
            agenda: RefCell::default(),
            shared: SharedData::counting_from(scenario.first_change),
            // Not by chance, so that the other worlds are the same with and without these.
            table: seed
                .is_multiple_of(3)
                .then(|| table(scenario.shared_entries)),
            service: RefCell::new(Service::new(&scenario)),
            parked: RefCell::default(),
            weather: RefCell::default(),
            vms: RefCell::default(),
            threads: RefCell::new(vec![Err(0); scenario.workers + 1]),
            flights: RefCell::default(),
            waiting: RefCell::default(),
            digests: RefCell::default(),
            oracle: RefCell::default(),
            trace,
            wall_jumped: Cell::new(0),
            paused_until: Cell::new(0),
            polled: Cell::new(0),
            popularity: zipf(scenario.credentials),
            depth: Cell::new(0),
            steps: Cell::new(0),
            busy: Cell::new((0, 0)),
            last_number: Cell::new(0),
            last_made_up: Cell::new(MADE_UP),
            random: RefCell::new(random),
            scenario,
        };
        world.begin();
        world
    }

    fn begin(&self) {
        self.note(|| format!("{:?}", self.scenario));
        for _ in 0..self.scenario.credentials {
            self.administer_once();
        }
        let recovery = self.recovery();
        self.oracle.borrow_mut().disturbed(0, recovery);
        for thread in 0..=self.scenario.workers {
            self.start_vm(thread);
            if thread > 0 {
                self.add(0, Event::Client(thread));
            }
        }
        self.add(self.scenario.administer_every, Event::Administer);
        self.add(1, Event::Watch);
        for storm in &self.scenario.storms {
            self.add(storm.start, Event::Disturb);
        }
        self.add(self.scenario.end - 2_500, Event::Examine(0));
    }

    /// Time that it takes to recover from a fault: a poll may have to come to its end first.
    pub fn recovery(&self) -> Time {
        crate::oracle::RECOVERED_WITHIN + self.scenario.wait + 1_000
    }

    /// Lets everything happen until the end, or until something must not have happened.
    pub fn run(&self) {
        self.run_until(self.scenario.end);
    }

    /// Lets everything happen until a time.
    pub fn run_until(&self, until: Time) {
        while self.oracle.borrow().violation.is_none() {
            let event = self.agenda.borrow_mut().next(until);
            let Some(event) = event else { break };
            self.perform(event);
        }
    }

    /// How many events there were.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.agenda.borrow().now()
    }

    /// Lets an event happen after a delay.
    pub fn add(&self, delay: Time, event: Event) {
        let tie = self.below(u64::MAX);
        let at = self.now() + delay;
        self.agenda.borrow_mut().add(at, tie, event);
    }

    /// A time around a mean: half to one and a half of it.
    pub fn around(&self, mean: Time) -> Time {
        self.between(mean / 2, mean + mean / 2)
    }

    /// A number below a bound.
    pub fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    /// A number from one to another, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.random.borrow_mut().between(low, high)
    }

    /// One of several.
    pub fn pick<T: Copy>(&self, choices: &[T]) -> T {
        self.random.borrow_mut().pick(choices)
    }

    /// True as often as the probability says.
    pub fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.random.borrow_mut().chance(probability)
    }

    /// Notes what happens.
    pub fn note(&self, text: impl FnOnce() -> String) {
        self.trace.note(self.now(), text);
    }

    /// Notes a violation.
    pub fn violated(&self, invariant: Invariant, text: impl FnOnce() -> String) {
        self.oracle.borrow_mut().violated(invariant, text);
    }

    /// A number that was not used before.
    pub fn number(&self) -> u64 {
        self.last_number.set(self.last_number.get() + 1);
        self.last_number.get()
    }

    fn perform(&self, event: Event) {
        self.steps.set(self.steps.get() + 1);
        self.time_passes();
        if let Some(vm) = event.vm() {
            let vm = Rc::clone(&self.vms.borrow()[vm]);
            if vm.is_gone() {
                return;
            }
            if vm.is_busy() {
                vm.later(event);
                return;
            }
            let now = self.now();
            if now < self.paused_until.get() {
                self.add(self.paused_until.get() - now, event);
                return;
            }
        }
        self.trace.mix(self.now());
        match event {
            Event::Tick(vm) => self.tick(vm),
            Event::Rung(vm) => self.rung(vm),
            Event::Client(thread) => self.client(thread),
            Event::Request(vm, credential) => self.request(vm, credential),
            Event::Turn(vm, request) => self.turn(vm, request),
            Event::HangUp(vm, request) => self.hang_up(vm, request),
            Event::Reaches(call) => self.reaches(call),
            Event::PollIsUp(call) => self.answer_poll(call, true),
            Event::Ends(call, end) => self.ends(call, end),
            Event::Administer => {
                self.administer();
                let delay = self.around(self.scenario.administer_every);
                self.add(delay, Event::Administer);
            }
            Event::WriteOther => self.write_other(),
            Event::Disturb => self.disturb(),
            Event::Kill(vm) => self.kill(vm),
            Event::Remove(vm) => self.remove(vm),
            Event::Examine(credential) => self.examine(credential),
            Event::Watch => self.watch(),
        }
    }

    /// Whoever rings its own bell without end stands still, and all with it.
    fn time_passes(&self) {
        let (time, events) = self.busy.get();
        let now = self.now();
        let events = if time == now { events + 1 } else { 0 };
        self.busy.set((now, events));
        if events > AT_ONCE {
            self.violated(Invariant::Driven, || {
                format!("{events} events in a millisecond")
            });
        }
    }

    fn watch(&self) {
        self.add(100, Event::Watch);
        let now = self.now();
        let mut oracle = self.oracle.borrow_mut();
        if oracle.polls_under_way() > 0 {
            self.polled.set(now);
        }
        oracle.is_followed(&self.scenario, now, self.polled.get());
    }
}

impl Event {
    /// The VM in whose thread it happens.
    fn vm(&self) -> Option<usize> {
        match self {
            Self::Tick(vm)
            | Self::Rung(vm)
            | Self::Request(vm, _)
            | Self::Turn(vm, _)
            | Self::HangUp(vm, _)
            | Self::Kill(vm)
            | Self::Remove(vm) => Some(*vm),
            _ => None,
        }
    }
}
