//! Streams, as a worker thread of Envoy has them.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ptr::{null, without_provenance_mut};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::abi::{self, Handle, Own};
use crate::bytes::{Bytes, List};
use crate::configuration::Live;
use crate::inside::enter;
use crate::threads::{Queue, context, lock, run};

/// What the functions of the module return.
const CONTINUE: i32 = 0;
const STOP: i32 = 1;
const STOP_ALL_AND_WATERMARK: i32 = 4;

/// Names and values.
pub type Headers = Vec<(String, Vec<u8>)>;

/// Headers of texts.
pub fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// A request of a client.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its headers.
    pub headers: Headers,
    /// Its trailers, if it has any.
    pub trailers: Option<Headers>,
    /// Whether it has a body.
    pub has_body: bool,
    /// The policy that its route names.
    pub policy: Option<Vec<u8>>,
    /// Where it comes from.
    pub source: Option<Vec<u8>>,
    /// Whether the upstream answers at once. Otherwise [`Exchange::finish`] lets it.
    pub is_answered_at_once: bool,
}

/// An answer to a client in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u32,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// What access logs show.
    pub details: String,
}

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Begun,
    /// It waits.
    Waiting,
    /// The upstream has got it, with these headers and trailers.
    Onward(Headers, Headers),
    /// The module has answered it.
    Answered(Response),
}

/// What was seen of a stream, while it lives and after.
#[derive(Debug)]
struct Seen {
    fate: Fate,
    filter_state: BTreeMap<String, Vec<u8>>,
    route_was_cleared: bool,
    has_ended: bool,
}

/// A stream, as a test sees it.
#[derive(Clone)]
pub struct Exchange {
    number: usize,
    queue: Arc<Queue>,
    seen: Arc<Mutex<Seen>>,
}

impl Exchange {
    /// What has become of it so far.
    pub fn fate(&self) -> Fate {
        lock(&self.seen).fate.clone()
    }

    /// The status that the module has answered with.
    pub fn status(&self) -> Option<u32> {
        match &lock(&self.seen).fate {
            Fate::Answered(response) => Some(response.status),
            _ => None,
        }
    }

    /// The value of a header that the upstream has got.
    pub fn upstream(&self, name: &str) -> Option<String> {
        let Fate::Onward(headers, _) = self.fate() else {
            return None;
        };
        let header = headers.into_iter().find(|(known, _)| known == name);
        header.map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
    }

    /// A value of its filter state.
    pub fn filter_state(&self, name: &str) -> Option<String> {
        let seen = lock(&self.seen);
        let value = seen.filter_state.get(name);
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether Envoy was to choose the route again.
    pub fn route_was_cleared(&self) -> bool {
        lock(&self.seen).route_was_cleared
    }

    /// Whether it is no more.
    pub fn has_ended(&self) -> bool {
        lock(&self.seen).has_ended
    }

    /// The client goes, whatever has become of it until then.
    pub fn hang_up(&self) {
        let number = self.number;
        run(&self.queue, move || destroy(number));
    }

    /// The upstream's answer comes, where it goes on and has none yet.
    pub fn finish(&self) {
        let number = self.number;
        run(&self.queue, move || {
            let goes_on = with(number, |stream| {
                matches!(lock(&stream.seen).fate, Fate::Onward(..))
            });
            if goes_on == Some(true) {
                respond(number);
                destroy(number);
            }
        });
    }
}

/// A stream in Envoy.
pub struct Stream {
    own: Own,
    configuration: Arc<Live>,
    pub request: List,
    pub trailers: List,
    has_trailers: bool,
    has_body: bool,
    is_answered_at_once: bool,
    pub policy: Option<Bytes>,
    pub source: Option<Bytes>,
    /// What the last getter has given.
    pub lent: Option<Bytes>,
    /// The events that are under way, one inside the other: whether the last act of each is done.
    events: Vec<bool>,
    seen: Arc<Mutex<Seen>>,
}

thread_local! {
    static STREAMS: RefCell<HashMap<usize, Stream>> = RefCell::default();
}

fn with<T>(number: usize, act: impl FnOnce(&mut Stream) -> T) -> Option<T> {
    STREAMS.with_borrow_mut(|streams| streams.get_mut(&number).map(act))
}

/// A stream that the module touches: its thread is this one, it lives, it is in an event, and the last act of that is
/// not done.
pub fn touched<T>(handle: Handle, act: impl FnOnce(&mut Stream) -> T) -> T {
    let touched = with(handle.addr(), |stream| {
        let event = stream.events.last();
        assert_eq!(event, Some(&false), "a stream is touched behind its event");
        act(stream)
    });
    touched.expect("a stream is touched that has ended, or that is another thread's")
}

impl Stream {
    /// Whether a list of its headers may be edited now.
    pub fn may_be_edited(&self, is_trailers: bool) -> bool {
        is_trailers == matches!(lock(&self.seen).fate, Fate::Onward(..))
    }

    pub fn set_filter_state(&self, name: String, value: Vec<u8>) {
        lock(&self.seen).filter_state.insert(name, value);
    }

    pub fn clear_route(&self) {
        lock(&self.seen).route_was_cleared = true;
    }

    fn acts(&mut self) {
        if let Some(event) = self.events.last_mut() {
            *event = true;
        }
    }
}

/// An event of a stream, if that is still there.
fn event<T>(number: usize, hook: impl FnOnce(Handle, Own) -> T) -> Option<T> {
    let own = with(number, |stream| {
        stream.events.push(false);
        stream.own
    })?;
    let result = enter(|| hook(without_provenance_mut(number), own));
    with(number, |stream| {
        stream.events.pop();
        stream.request.moves();
        stream.trailers.moves();
        stream.lent = None;
    });
    Some(result)
}

/// A request comes to this thread. One that is not decoded was answered by another filter before.
pub fn begin(configuration: Arc<Live>, request: Request, is_decoded: bool) -> Exchange {
    static LAST: AtomicUsize = AtomicUsize::new(1);
    let number = LAST.fetch_add(1, Relaxed);
    let seen = Arc::new(Mutex::new(Seen {
        fate: Fate::Begun,
        filter_state: BTreeMap::new(),
        route_was_cleared: false,
        has_ended: false,
    }));
    let lent = |bytes: Option<Vec<u8>>| bytes.map(|bytes| Bytes::new(&bytes));
    let own = configuration.own();
    let stream = Stream {
        own: null(),
        configuration,
        request: List::new(&request.headers),
        trailers: List::new(&request.trailers.clone().unwrap_or_default()),
        has_trailers: request.trailers.is_some(),
        has_body: request.has_body,
        is_answered_at_once: request.is_answered_at_once,
        policy: lent(request.policy),
        source: lent(request.source),
        lent: None,
        events: Vec::new(),
        seen: Arc::clone(&seen),
    };
    STREAMS.with_borrow_mut(|streams| streams.insert(number, stream));
    // SAFETY: the configuration lives as long as its streams; the module makes the other one.
    let own = enter(|| unsafe { abi::filter_new(own, without_provenance_mut(number)) });
    assert!(!own.is_null(), "an Envoy of 1.39 dies of this");
    with(number, |stream| stream.own = own);
    if is_decoded {
        decode(number, &seen);
    } else {
        respond(number);
        destroy(number);
    }
    Exchange {
        number,
        queue: context().expect("a worker").queue,
        seen,
    }
}

fn decode(number: usize, seen: &Mutex<Seen>) {
    let is_end = with(number, |stream| !stream.has_body && !stream.has_trailers) == Some(true);
    // SAFETY: the stream lives, and this is its thread.
    let action = event(number, |handle, own| unsafe {
        abi::request_headers(handle, own, is_end)
    });
    let is_answered = matches!(lock(seen).fate, Fate::Answered(_));
    match action {
        Some(CONTINUE) if !is_answered => pass_on(number),
        Some(STOP) if is_answered => {}
        Some(STOP_ALL_AND_WATERMARK) if !is_answered => lock(seen).fate = Fate::Waiting,
        _ => panic!("{action:?} where {:?}", lock(seen).fate),
    }
}

/// A request goes on: its body and trailers follow, and then the upstream has it.
fn pass_on(number: usize) {
    let passed = with(number, |stream| {
        let fate = Fate::Onward(stream.request.headers(), Headers::new());
        lock(&stream.seen).fate = fate;
        (
            stream.has_body,
            stream.has_trailers,
            stream.is_answered_at_once,
        )
    });
    let Some((has_body, has_trailers, is_answered_at_once)) = passed else {
        return;
    };
    if has_body {
        // SAFETY: the stream lives, and this is its thread.
        let action = event(number, |handle, own| unsafe {
            abi::request_body(handle, own, !has_trailers)
        });
        assert_eq!(action, Some(CONTINUE));
    }
    if has_trailers {
        // SAFETY: the stream lives, and this is its thread.
        let action = event(number, |handle, own| unsafe {
            abi::request_trailers(handle, own)
        });
        assert!(matches!(action, Some(CONTINUE | STOP)));
        with(number, |stream| {
            if let Fate::Onward(_, trailers) = &mut lock(&stream.seen).fate {
                *trailers = stream.trailers.headers();
            }
        });
    }
    if is_answered_at_once {
        respond(number);
        end(number);
    }
}

/// An answer passes on its way to the client.
fn respond(number: usize) {
    // SAFETY: as long as the stream lives, on its thread.
    event(number, |handle, own| unsafe {
        abi::response_headers(handle, own, false)
    });
    // SAFETY: likewise.
    event(number, |handle, own| unsafe {
        abi::response_body(handle, own, true)
    });
    // SAFETY: likewise.
    event(number, |handle, own| unsafe {
        abi::stream_complete(handle, own)
    });
}

/// A stream is over: it ends at once or, as in newer Envoys, behind what is under way.
fn end(number: usize) {
    let context = context().expect("a worker");
    if context.envoy.ends_within.load(Relaxed) {
        destroy(number);
    } else {
        context.queue.post(Box::new(move || destroy(number)));
    }
}

fn destroy(number: usize) {
    let Some(own) = with(number, |stream| stream.own) else {
        return;
    };
    let stream = STREAMS.with_borrow_mut(|streams| streams.remove(&number));
    // SAFETY: the module has made it, and gets it back once.
    enter(|| unsafe { abi::filter_destroy(own) });
    if let Some(stream) = stream {
        lock(&stream.seen).has_ended = true;
        // It may be the last one of its configuration, which is then destroyed by this thread.
        drop(stream.configuration);
    }
}

/// This thread ends, and all streams with it.
pub fn destroy_all() {
    let mut numbers: Vec<usize> = STREAMS.with_borrow(|streams| streams.keys().copied().collect());
    numbers.sort_unstable();
    numbers.into_iter().for_each(destroy);
}

/// The module answers a stream.
pub fn answer(handle: Handle, response: Response) {
    touched(handle, |stream| {
        let mut seen = lock(&stream.seen);
        assert!(
            !matches!(seen.fate, Fate::Answered(_)),
            "a stream is answered twice"
        );
        seen.fate = Fate::Answered(response);
        drop(seen);
        stream.acts();
    });
    respond(handle.addr());
    end(handle.addr());
}

/// The module lets a stream go on.
pub fn go_on(handle: Handle) {
    touched(handle, |stream| {
        let seen = lock(&stream.seen);
        assert_eq!(seen.fate, Fate::Waiting, "what does not wait goes on");
        drop(seen);
        stream.acts();
    });
    pass_on(handle.addr());
}

/// An event that was scheduled comes, unless its stream has ended.
pub fn scheduled(number: usize, committed: u64) {
    // SAFETY: the stream lives, and this is its thread.
    event(number, |handle, own| unsafe {
        abi::scheduled(handle, own, committed)
    });
}
