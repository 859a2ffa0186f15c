//! The world of a seed: virtual time, and everything that happens in it.
//!
//! One thing happens after the other, but for shared data: at each access of a VM, other things may happen
//! before it, to other VMs too, as they do where each has a thread of its own. So a compare-and-swap can
//! fail, a leader can be overtaken in the middle of what it does, and a VM can die there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use rand::distr::weighted::WeightedIndex;
use sha2::{Digest as _, Sha256};

use crate::agenda::{Agenda, Time};
use crate::host::{Flight, Vm, Waiting};
use crate::oracle::{Invariant, Oracle};
use crate::random::{Random, zipf};
use crate::scenario::Scenario;
use crate::service::{Digest, Evidence, Poll, Service};
use crate::shared_data::SharedData;
use crate::trace::Trace;
use crate::weather::Weather;

/// How deep the things that happen at an access to shared data may be nested.
const DEEPEST: u32 = 3;

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
    /// A client gives up.
    HangUp(usize, u32),
    /// A call reaches the service.
    Reaches(u32),
    /// A poll has waited long enough.
    PollIsUp(u32),
    /// A call ends.
    Ends(u32, End),
    /// An administrator does something.
    Administer,
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

/// How a call ends.
#[derive(Debug, Clone)]
pub enum End {
    /// With an answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// Whether it has the protocol's marker.
        marked: bool,
        /// Its body.
        body: Rc<[u8]>,
        /// Seconds.
        retry_after: Option<u64>,
        /// What it says, where it is whole and of the service.
        evidence: Option<Rc<Evidence>>,
    },
    /// Without one.
    Broken,
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
    pub shared: RefCell<SharedData>,
    /// The key service.
    pub service: RefCell<Service>,
    /// Polls that wait at the service.
    pub parked: RefCell<BTreeMap<u32, Poll>>,
    /// The network.
    pub weather: RefCell<Weather>,
    /// All VMs that ever were.
    pub vms: RefCell<Vec<Rc<Vm>>>,
    /// The VM of each thread that takes new requests, and since when there is none. The first is the main
    /// thread's.
    pub threads: RefCell<Vec<Result<usize, Time>>>,
    /// Calls under way.
    pub flights: RefCell<BTreeMap<u32, Flight>>,
    /// Requests that wait.
    pub waiting: RefCell<BTreeMap<u32, Waiting>>,
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
    popularity: WeightedIndex<f64>,
    depth: Cell<u32>,
    steps: Cell<u64>,
    last_number: Cell<u32>,
    last_made_up: Cell<u64>,
}

/// Made-up keys have credentials from here on.
const MADE_UP: u64 = 1_000_000;

impl World {
    /// A world at its beginning.
    pub fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let world = Self {
            agenda: RefCell::default(),
            shared: RefCell::new(SharedData::new(scenario.first_change)),
            service: RefCell::new(Service::new(
                scenario.retention,
                scenario.page,
                scenario.only_last,
            )),
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

    fn run_until(&self, until: Time) {
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
    pub fn number(&self) -> u32 {
        self.last_number.set(self.last_number.get() + 1);
        self.last_number.get()
    }

    /// The text of a credential, and its digest. All begin with the word that must not be seen anywhere.
    pub fn credential(&self, number: u64) -> (String, Digest) {
        let text = format!("{SECRET}-{number}");
        let digest: Digest = Sha256::digest(text.as_bytes()).into();
        self.digests.borrow_mut().insert(digest, number);
        (text, digest)
    }

    fn perform(&self, event: Event) {
        self.steps.set(self.steps.get() + 1);
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
            Event::HangUp(vm, request) => self.hang_up(vm, request),
            Event::Reaches(call) => self.reaches(call),
            Event::PollIsUp(call) => self.answer_poll(call, true),
            Event::Ends(call, end) => self.ends(call, end),
            Event::Administer => {
                self.administer();
                let delay = self.around(self.scenario.administer_every);
                self.add(delay, Event::Administer);
            }
            Event::Disturb => self.disturb(),
            Event::Kill(vm) => self.kill(vm),
            Event::Remove(vm) => self.remove(vm),
            Event::Examine(credential) => self.examine(credential),
            Event::Watch => self.watch(),
        }
    }

    /// Lets something else happen while a VM is in the middle of something.
    pub fn interleave(&self) {
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
    pub fn dies(&self) -> bool {
        let now = self.now();
        self.scenario.storm(now).is_some() && self.chance(0.0002)
    }

    fn free_vms(&self) -> Vec<usize> {
        let vms = self.vms.borrow();
        let free = vms.iter().filter(|vm| !vm.is_gone() && !vm.is_busy());
        free.filter(|vm| vm.thread > 0).map(|vm| vm.id).collect()
    }

    /// A credential as clients choose it.
    pub fn popular(&self) -> u64 {
        self.random.borrow_mut().weighted(&self.popularity)
    }

    fn client(&self, thread: usize) {
        let delay = self.around(self.scenario.request_every);
        self.add(delay, Event::Client(thread));
        let Some(vm) = self.serving(thread) else {
            return;
        };
        let credential = if self.chance(self.scenario.made_up) {
            self.made_up()
        } else {
            self.popular()
        };
        self.add(0, Event::Request(vm, credential));
    }

    /// A credential that nobody has used before, or that somebody has made up before.
    pub fn made_up(&self) -> u64 {
        if self.chance(0.3) {
            return self.between(MADE_UP, self.last_made_up.get());
        }
        self.last_made_up.set(self.last_made_up.get() + 1);
        self.last_made_up.get()
    }

    /// Whether a credential was made up.
    pub fn is_made_up(&self, credential: u64) -> bool {
        (MADE_UP..=self.last_made_up.get()).contains(&credential)
    }

    fn examine(&self, credential: u64) {
        if credential + 1 < self.scenario.credentials {
            self.add(10, Event::Examine(credential + 1));
        }
        for thread in 1..=self.scenario.workers {
            if let Some(vm) = self.serving(thread) {
                self.add(0, Event::Request(vm, credential));
            }
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

impl std::fmt::Display for End {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken => formatter.write_str("broken"),
            Self::Answer {
                status,
                body,
                evidence,
                ..
            } => {
                let whole = if evidence.is_some() {
                    ""
                } else {
                    " (of no use)"
                };
                write!(
                    formatter,
                    "{status}{whole} {}",
                    String::from_utf8_lossy(body)
                )
            }
        }
    }
}

/// What every credential begins with.
pub const SECRET: &str = "S3CR3T";

impl Event {
    /// The VM in whose thread it happens.
    fn vm(&self) -> Option<usize> {
        match self {
            Self::Tick(vm)
            | Self::Rung(vm)
            | Self::Request(vm, _)
            | Self::HangUp(vm, _)
            | Self::Kill(vm)
            | Self::Remove(vm) => Some(*vm),
            _ => None,
        }
    }
}
