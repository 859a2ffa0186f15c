//! Configurations, as the main thread of Envoy has them.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicUsize};
use std::sync::{Arc, Mutex, Weak};

use crate::abi::{self, Buffer, Handle, Own};
use crate::bytes::{Bytes, List};
use crate::calls::{Answer, Call, Ending, Handling};
use crate::inside::enter;
use crate::stream::Headers;
use crate::threads::{Queue, context, lock, run};

/// All configurations that have not begun to end.
static ALL: Mutex<BTreeMap<usize, Weak<Live>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Those that have an event on this thread at the moment.
    static EVENTS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
struct Metric {
    kind: Kind,
    name: String,
    value: u64,
}

#[derive(Default)]
struct State {
    is_defined: bool,
    metrics: Vec<Metric>,
    calls: BTreeMap<u64, Call>,
    last_call: u64,
}

/// Decides what becomes of a call.
pub type OnCall = dyn Fn(&Call) -> Handling + Send + Sync;

/// A configuration in Envoy. The test and each stream hold it, and it is destroyed with the last of them.
pub struct Live {
    number: usize,
    own: AtomicPtr<std::ffi::c_void>,
    main: Arc<Queue>,
    on_call: Box<OnCall>,
    state: Mutex<State>,
}

/// A configuration, as a test sees it.
pub struct Configuration {
    /// There until it is dropped.
    live: Option<Arc<Live>>,
}

/// The configuration that the module means. It is in an event of it, on the main thread.
pub fn touched(handle: Handle) -> Arc<Live> {
    let is_main = context().is_some_and(|context| context.is_main);
    assert!(
        is_main,
        "a configuration is touched by another thread than the main one"
    );
    let is_event = EVENTS.with_borrow(|events| events.last() == Some(&handle.addr()));
    assert!(is_event, "a configuration is touched outside of its event");
    let live = lock(&ALL).get(&handle.addr()).and_then(Weak::upgrade);
    live.expect("a configuration is touched that has ended")
}

impl Live {
    /// Gives the module a configuration; nothing where it is refused.
    pub fn begin(name: &str, text: &[u8], on_call: Box<OnCall>) -> Option<Arc<Self>> {
        static LAST: AtomicUsize = AtomicUsize::new(1);
        let live = Arc::new(Self {
            number: LAST.fetch_add(1, Relaxed),
            own: AtomicPtr::new(null_mut()),
            main: context().expect("the main thread").queue,
            on_call,
            state: Mutex::default(),
        });
        lock(&ALL).insert(live.number, Arc::downgrade(&live));
        let (name, text) = (Bytes::new(name.as_bytes()), Bytes::new(text));
        // SAFETY: both are there until it returns.
        let own =
            live.event(|handle, _| unsafe { abi::config_new(handle, name.lent(), text.lent()) });
        lock(&live.state).is_defined = true;
        live.own.store(own.cast_mut(), Relaxed);
        (!own.is_null()).then_some(live)
    }

    /// The module's part of it.
    pub fn own(&self) -> Own {
        self.own.load(Relaxed).cast_const()
    }

    /// For events that end with it.
    pub fn weak(&self) -> (Weak<Self>, Arc<Queue>) {
        let weak = lock(&ALL).get(&self.number).cloned().unwrap_or_default();
        (weak, Arc::clone(&self.main))
    }

    fn event<T>(&self, hook: impl FnOnce(Handle, Own) -> T) -> T {
        EVENTS.with_borrow_mut(|events| events.push(self.number));
        let result = enter(|| hook(without_provenance_mut(self.number), self.own()));
        EVENTS.with_borrow_mut(|events| events.pop());
        result
    }

    /// An event that was scheduled comes.
    pub fn scheduled(&self, committed: u64) {
        // SAFETY: it lives, and this is the main thread.
        self.event(|handle, own| unsafe { abi::config_scheduled(handle, own, committed) });
    }

    /// The module makes a metric.
    pub fn define(&self, kind: Kind, name: String) -> usize {
        let mut state = lock(&self.state);
        assert!(!state.is_defined, "Envoy takes no new metric any more");
        state.metrics.push(Metric {
            kind,
            name,
            value: 0,
        });
        state.metrics.len() - 1
    }

    /// The module changes a metric.
    pub fn change(&self, kind: Kind, metric: usize, change: impl FnOnce(u64) -> Option<u64>) {
        let mut state = lock(&self.state);
        let metric = state
            .metrics
            .get_mut(metric)
            .expect("the metric is defined");
        assert_eq!(metric.kind, kind, "{}", metric.name);
        let value = change(metric.value);
        metric.value = value.unwrap_or_else(|| panic!("{} is below zero", metric.name));
    }

    /// The module sends a call. Gives its number, or why it is not taken.
    pub fn call(&self, mut call: Call) -> Result<u64, i32> {
        if [":method", ":path", ":authority"]
            .iter()
            .any(|name| call.header(name).is_empty())
        {
            return Err(1);
        }
        let number = {
            let mut state = lock(&self.state);
            state.last_call += 1;
            state.last_call
        };
        call.number = number;
        let handling = (self.on_call)(&call);
        if let Handling::Refuses(reason) = handling {
            return Err(reason);
        }
        lock(&self.state).calls.insert(number, call);
        match handling {
            Handling::Within(ending) => self.ends(number, &ending),
            Handling::Soon(ending) => {
                let (weak, main) = self.weak();
                main.post(Box::new(move || {
                    if let Some(live) = weak.upgrade() {
                        live.ends(number, &ending);
                    }
                }));
            }
            Handling::Takes | Handling::Refuses(_) => {}
        }
        Ok(number)
    }

    /// A call ends, if it has not yet.
    fn ends(&self, number: u64, ending: &Ending) {
        if lock(&self.state).calls.remove(&number).is_none() {
            return;
        }
        let (result, Answer { headers, body }) = match ending {
            Ending::Answered(answer) => (0, answer.clone()),
            Ending::Broken => (1, Answer::default()),
        };
        let headers = List::new(&headers);
        let body: Vec<Bytes> = body.iter().map(|chunk| Bytes::new(chunk)).collect();
        let lent = headers.lent();
        let chunks: Vec<Buffer> = body.iter().map(Bytes::lent).collect();
        // SAFETY: all of it is there until it returns, and this is the main thread.
        self.event(|handle, own| unsafe {
            let headers = if lent.is_empty() {
                null()
            } else {
                lent.as_ptr()
            };
            let body = if chunks.is_empty() {
                null()
            } else {
                chunks.as_ptr()
            };
            abi::config_callout_done(
                handle,
                own,
                number,
                result,
                headers,
                lent.len(),
                body,
                chunks.len(),
            );
        });
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        lock(&ALL).remove(&self.number);
        let own = self.own();
        if !own.is_null() {
            // SAFETY: the module has made it, and gets it back once.
            enter(|| unsafe { abi::config_destroy(own) });
        }
    }
}

impl Configuration {
    /// One that the module has taken.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live: Some(live) }
    }

    /// What streams hold.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(self.get())
    }

    fn get(&self) -> &Arc<Live> {
        self.live.as_ref().expect("it was not dropped")
    }

    /// Lets an event come on the main thread.
    pub fn event(&self, event: u64) {
        let live = self.live();
        run(&self.get().main, move || live.scheduled(event));
    }

    /// The calls that are under way.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.get().state).calls.values().cloned().collect()
    }

    /// Ends a call.
    pub fn ends(&self, call: u64, ending: Ending) {
        let live = self.live();
        run(&self.get().main, move || live.ends(call, &ending));
    }

    /// The value of a metric: of a counter or a gauge, or how many values a histogram has got.
    pub fn metric(&self, name: &str) -> u64 {
        let state = lock(&self.get().state);
        let metric = state.metrics.iter().find(|metric| metric.name == name);
        metric
            .unwrap_or_else(|| panic!("there is no metric {name}"))
            .value
    }

    /// All gauges that are not zero, and their values.
    pub fn gauges(&self) -> Vec<(String, u64)> {
        let state = lock(&self.get().state);
        let gauges = state.metrics.iter();
        gauges
            .filter(|metric| metric.kind == Kind::Gauge && metric.value != 0)
            .map(|metric| (metric.name.clone(), metric.value))
            .collect()
    }
}

impl Drop for Configuration {
    /// Envoy lets go of it, on the main thread.
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            let main = Arc::clone(&live.main);
            run(&main, move || drop(live));
        }
    }
}

/// Headers of the module, copied.
///
/// # Safety
/// There must be so many.
pub unsafe fn copied(headers: *const abi::HttpHeader, count: usize) -> Headers {
    if headers.is_null() || count == 0 {
        return Headers::new();
    }
    // SAFETY: as promised by the caller.
    let headers = unsafe { std::slice::from_raw_parts(headers, count) };
    let bytes = |pointer, length| {
        // SAFETY: likewise.
        unsafe { crate::callbacks::read(Buffer { pointer, length }) }
    };
    headers
        .iter()
        .map(|header| {
            let name = bytes(header.name, header.name_length);
            let value = bytes(header.value, header.value_length);
            (String::from_utf8_lossy(&name).into_owned(), value)
        })
        .collect()
}
