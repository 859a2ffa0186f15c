//! Threads as Envoy has them: each with a queue of its own, the main thread and the workers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

/// What a thread is to do.
pub type Job = Box<dyn FnOnce() + Send>;

/// What a thread belongs to.
#[derive(Clone)]
pub struct Context {
    pub queue: Arc<Queue>,
    pub is_main: bool,
    pub envoy: Arc<Shared>,
}

/// What all threads of an Envoy share.
#[derive(Default)]
pub struct Shared {
    /// Whether a stream is destroyed within the call that answers it or lets it go on, as Envoy 1.39 does it.
    pub ends_within: AtomicBool,
    /// Schedulers that were not given back.
    pub schedulers: AtomicUsize,
    /// Whether events come when a test says so, and time passes when it says so.
    pub is_held: bool,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// The thread that this is, if it is one of Envoy's.
pub fn context() -> Option<Context> {
    CONTEXT.try_with(|context| context.borrow().clone()).ok()?
}

/// What waits for a thread.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// What a test wants done.
    jobs: VecDeque<Job>,
    /// What Envoy or the module has posted.
    events: VecDeque<Job>,
    is_held: bool,
    is_over: bool,
}

impl Queue {
    /// Posts an event.
    pub fn post(&self, event: Job) {
        let mut waiting = lock(&self.waiting);
        // The thread is no more, and nothing of it.
        if !waiting.is_over {
            waiting.events.push_back(event);
        }
        self.changed.notify_all();
    }

    /// Takes the next event.
    pub fn take_event(&self) -> Option<Job> {
        lock(&self.waiting).events.pop_front()
    }

    fn next(&self) -> Option<Job> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if (!waiting.is_held || waiting.is_over)
                && let Some(event) = waiting.events.pop_front()
            {
                return Some(event);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One of the threads.
pub struct Thread {
    pub queue: Arc<Queue>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Begins it; `last` is done on it at its end.
    pub fn begin(name: &str, envoy: &Arc<Shared>, is_main: bool, last: fn()) -> Self {
        let queue = Arc::new(Queue::default());
        lock(&queue.waiting).is_held = envoy.is_held;
        let context = Context {
            queue: Arc::clone(&queue),
            is_main,
            envoy: Arc::clone(envoy),
        };
        let act = move || {
            let queue = Arc::clone(&context.queue);
            CONTEXT.set(Some(context));
            while let Some(job) = queue.next() {
                job();
            }
            last();
        };
        let handle = thread::Builder::new().name(name.to_owned()).spawn(act);
        Self {
            queue,
            handle: Some(handle.expect("a thread can be made")),
        }
    }

    /// Does something on it, and waits until it is done.
    pub fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        run(&self.queue, act)
    }

    /// It ends when all is done that waits for it.
    pub fn end(&mut self) {
        lock(&self.queue.waiting).is_over = true;
        self.queue.changed.notify_all();
        if let Some(handle) = self.handle.take()
            && let Err(panic) = handle.join()
        {
            resume_unwind(panic);
        }
    }
}

/// Does something on the thread of a queue, and waits until it is done.
pub fn run<T: Send + 'static>(queue: &Queue, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let job = move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(act)));
    };
    lock(&queue.waiting).jobs.push_back(Box::new(job));
    queue.changed.notify_all();
    let result = receiver.recv().expect("the thread is there");
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// A test that has failed has said so already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
