//! Calls as the host sends them for a VM, and how they end.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use keybound::gate::{CallEnd, LONGEST_BODY, Outgoing, Purpose};

use crate::agenda::Time;
use crate::oracle::{Invariant, Kind};
use crate::service::{Digest, Evidence, Poll};
use crate::vm::Vm;
use crate::world::{Event, World};

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

impl Asked {
    fn credentials(&self) -> Vec<Option<u64>> {
        match self {
            Self::Resolve(digests) => digests.iter().map(|(_, credential)| *credential).collect(),
            Self::Changes(_) | Self::Usage => Vec::new(),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl World {
    /// Sends a call, where the host takes it.
    pub fn dispatch(&self, vm: &Vm, outgoing: &Outgoing) -> Option<u32> {
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
        oracle.calls(vm.id, kind, now);
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
        let timeout = outgoing.timeout.as_millis() as Time;
        oracle.sent(&self.scenario, vm.id, call, kind, now, timeout);
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
        self.departs(call, kind, timeout);
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
}
