//! What the main thread and one worker say to each other.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keybound::host::{Answer, Call, CallId, RequestId};
use keybound::telemetry::Counts;

use crate::envoy::Waker;

/// The event in which a request takes what has come for its worker.
pub const MAIL: u64 = 1;

/// The event in which a request goes on.
pub const TURN: u64 = 2;

/// What has come for a worker.
#[derive(Debug)]
pub enum Mail {
    /// Time has passed.
    Tick,
    /// A call has ended.
    Ended(CallId, Ended),
}

/// How a call has ended.
#[derive(Debug)]
pub enum Ended {
    /// With an answer.
    Answered(OwnedAnswer),
    /// It was broken off.
    Broken,
    /// Envoy did not take it.
    NotSent,
}

/// An answer to a call.
#[derive(Debug)]
pub struct OwnedAnswer {
    /// Names and values.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer for OwnedAnswer {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        let header = self
            .headers
            .iter()
            .find(|(known, _)| known == name.as_bytes());
        header.map(|(_, value)| value.clone())
    }

    fn body(&self, most: usize) -> Option<Vec<u8>> {
        (self.body.len() <= most).then(|| self.body.clone())
    }
}

/// The mailbox of one worker of one configuration.
#[derive(Debug)]
pub struct Mailbox {
    /// Whether anything is in it: all that a hit looks at.
    is_full: AtomicBool,
    mail: Mutex<Vec<Mail>>,
    /// The requests that wait, each of which can be woken.
    waiting: Mutex<BTreeMap<RequestId, Waker>>,
    /// What the worker counts.
    pub counts: Arc<Counts>,
}

impl Mailbox {
    /// An empty one.
    pub fn new(counts: Arc<Counts>) -> Self {
        Self {
            is_full: AtomicBool::new(false),
            mail: Mutex::default(),
            waiting: Mutex::default(),
            counts,
        }
    }

    /// Puts something in, and wakes a request that waits, if there is one; otherwise the next one finds it.
    pub fn put(&self, mail: Mail) {
        {
            let mut all = lock(&self.mail);
            // Nothing is gained by two ticks.
            let is_tick = |mail: &Mail| matches!(mail, Mail::Tick);
            if !is_tick(&mail) || !all.iter().any(is_tick) {
                all.push(mail);
            }
            self.is_full.store(true, Release);
        }
        if let Some(waker) = lock(&self.waiting).values().next() {
            waker.wake(MAIL);
        }
    }

    /// Takes out all that is in it.
    pub fn take(&self) -> Vec<Mail> {
        if !self.is_full.load(Acquire) {
            return Vec::new();
        }
        let mut all = lock(&self.mail);
        self.is_full.store(false, Release);
        std::mem::take(&mut *all)
    }

    /// A request waits.
    pub fn waits(&self, request: RequestId, waker: Waker) {
        lock(&self.waiting).insert(request, waker);
    }

    /// A request waits no more. Its waker goes with it.
    pub fn waits_no_more(&self, request: RequestId) {
        lock(&self.waiting).remove(&request);
    }

    /// Lets the turn of a request come.
    pub fn turn(&self, request: RequestId) {
        if let Some(waker) = lock(&self.waiting).get(&request) {
            waker.wake(TURN);
        }
    }

    /// Lets the turn of every request come: their worker is no more.
    pub fn turn_all(&self) {
        for waker in lock(&self.waiting).values() {
            waker.wake(TURN);
        }
    }
}

/// A call that a worker wants sent.
#[derive(Debug)]
pub struct Order {
    /// Whose it is.
    pub from: Arc<Mailbox>,
    /// The worker's own number for it.
    pub call: CallId,
    cluster: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    timeout_millis: u64,
}

impl Order {
    /// Copies a call.
    pub fn new(from: Arc<Mailbox>, number: CallId, call: &Call<'_>) -> Self {
        Self {
            from,
            call: number,
            cluster: call.cluster.to_owned(),
            headers: call
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: call.body.map(<[u8]>::to_vec),
            timeout_millis: call.timeout_millis,
        }
    }

    /// The call, to be sent.
    pub fn send<T>(&self, send: impl FnOnce(&Call<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        send(&Call {
            cluster: &self.cluster,
            headers: &headers,
            body: self.body.as_deref(),
            timeout_millis: self.timeout_millis,
        })
    }
}

/// What a panicked thread has left is whole: everything under these locks is written in one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
