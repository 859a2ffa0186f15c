//! An Envoy: its threads, and what a test does with it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::abi;
use crate::calls::{Call, Handling};
use crate::clock;
use crate::configuration::{Configuration, Live};
use crate::stream::{self, Exchange, Request};
use crate::threads::{Shared, Thread};

/// The event by which the module's own thread tells the main thread that time has passed.
const TICK: u64 = 1;

/// An Envoy. It ends when it is dropped, after its configurations.
pub struct Envoy {
    main: Thread,
    workers: Vec<Worker>,
    shared: Arc<Shared>,
}

/// A worker thread of it.
pub struct Worker(Thread);

impl Envoy {
    /// One whose threads do what comes to them as soon as they can.
    pub fn new(workers: usize) -> Self {
        Self::begin(workers, false)
    }

    /// One in which events come when a test says so ([`Self::settle`]), and time passes when it says so
    /// ([`Self::pass`]).
    pub fn held(workers: usize) -> Self {
        Self::begin(workers, true)
    }

    fn begin(workers: usize, is_held: bool) -> Self {
        let shared = Arc::new(Shared {
            is_held,
            ..Shared::default()
        });
        // SAFETY: the module returns a text that is there for good.
        let version = unsafe { CStr::from_ptr(abi::program_init()) };
        assert_eq!(version, c"v0.2.0");
        let worker = |number| {
            let name = format!("worker-{number}");
            Worker(Thread::begin(&name, &shared, false, stream::destroy_all))
        };
        Self {
            main: Thread::begin("main", &shared, true, || ()),
            workers: (0..workers).map(worker).collect(),
            shared,
        }
    }

    /// From now on a stream is destroyed within the call that answers it or lets it go on, as Envoy 1.39 does it, or
    /// behind it, as Envoy 1.40 does.
    pub fn ends_streams_within(&self, within: bool) {
        self.shared.ends_within.store(within, Relaxed);
    }

    /// Gives the module a configuration; nothing where it refuses. Its calls are handled as `on_call` says, on the main
    /// thread.
    pub fn configure(
        &self,
        text: &str,
        on_call: impl Fn(&Call) -> Handling + Send + Sync + 'static,
    ) -> Option<Configuration> {
        self.configure_named("keybound", text.as_bytes(), on_call)
    }

    /// The same with any name of a filter, and any bytes.
    pub fn configure_named(
        &self,
        name: &str,
        text: &[u8],
        on_call: impl Fn(&Call) -> Handling + Send + Sync + 'static,
    ) -> Option<Configuration> {
        let (name, text) = (name.to_owned(), text.to_vec());
        let begin = move || Live::begin(&name, &text, Box::new(on_call));
        self.main.run(begin).map(Configuration::new)
    }

    /// A worker thread.
    pub fn worker(&self, number: usize) -> &Worker {
        &self.workers[number % self.workers.len()]
    }

    /// Lets the next event come on a thread: on the main one (0) or a worker. Says whether there was one.
    pub fn step(&self, thread: usize) -> bool {
        let threads = self.workers.len() + 1;
        let thread = match thread % threads {
            0 => &self.main,
            worker => &self.workers[worker - 1].0,
        };
        match thread.queue.take_event() {
            Some(event) => {
                thread.run(event);
                true
            }
            None => false,
        }
    }

    /// Lets events come until there are no more.
    pub fn settle(&self) {
        let threads = self.workers.len() + 1;
        for _ in 0..10_000 {
            let stepped = (0..threads).filter(|thread| self.step(*thread)).count();
            if stepped == 0 {
                return;
            }
        }
        panic!("events come without end");
    }

    /// Time passes. Nobody is told of it.
    pub fn pass(&self, time: Duration) {
        self.main.run(move || clock::advance(time));
        for worker in &self.workers {
            worker.0.run(move || clock::advance(time));
        }
    }

    /// A tick comes for a configuration.
    pub fn tick(&self, configuration: &Configuration) {
        configuration.event(TICK);
    }

    /// Ends it. Gives how many schedulers the module has not given back.
    pub fn end(mut self) -> usize {
        self.end_threads();
        self.shared.schedulers.load(Relaxed)
    }

    fn end_threads(&mut self) {
        for worker in &mut self.workers {
            worker.0.end();
        }
        self.main.end();
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end_threads();
        }
    }
}

impl Worker {
    /// A request comes to it.
    pub fn send(&self, configuration: &Configuration, request: Request) -> Exchange {
        let live = configuration.live();
        self.run(move || stream::begin(live, request, true))
    }

    /// A request comes to it that another filter answers before the module sees it.
    pub fn answer_elsewhere(&self, configuration: &Configuration, request: Request) -> Exchange {
        let live = configuration.live();
        self.run(move || stream::begin(live, request, false))
    }

    /// A request comes to it so many times, one after the other, within `around`.
    pub fn send_often<T: Send + 'static>(
        &self,
        configuration: &Configuration,
        request: Request,
        times: usize,
        around: impl FnOnce(&mut dyn FnMut()) -> T + Send + 'static,
    ) -> (Vec<Exchange>, T) {
        let live = configuration.live();
        self.run(move || {
            let mut last = Vec::new();
            let mut send = || {
                for _ in 0..times {
                    last = vec![stream::begin(Arc::clone(&live), request.clone(), true)];
                }
            };
            let result = around(&mut send);
            (last, result)
        })
    }

    /// Does something on its thread.
    pub fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        self.0.run(act)
    }
}
