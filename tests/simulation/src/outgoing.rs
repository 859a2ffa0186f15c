//! Calls as the host sends them for a VM, and how they end.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use keybound::host::{Answer, Call};
use keybound::protocol::LONGEST_BODY;

use crate::agenda::Time;
use crate::oracle::{Invariant, Kind, STEADY};
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

/// An answer as a host reads it.
struct Read<'e> {
    end: &'e End,
    /// How long its body may be that was asked for.
    most: Cell<usize>,
}

impl Answer for Read<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        let End::Answer {
            status,
            marked,
            retry_after,
            ..
        } = self.end
        else {
            return None;
        };
        let value = match name {
            ":status" => Some(status.to_string()),
            "x-keybound-protocol" => marked.then(|| "1".to_owned()),
            "retry-after" => retry_after.map(|seconds| seconds.to_string()),
            _ => None,
        };
        value.map(String::into_bytes)
    }

    fn body(&self, most: usize) -> Option<Vec<u8>> {
        self.most.set(most);
        match self.end {
            End::Answer { body, .. } => (body.len() <= most).then(|| body.to_vec()),
            End::Broken => None,
        }
    }
}

impl World {
    /// Sends a call, where the host takes it.
    pub fn dispatch(&self, vm: &Vm, call: &Call<'_>) -> Option<u64> {
        let header = |wanted| {
            let found = call.headers.iter().find(|(name, _)| *name == wanted);
            found.map_or("", |(_, value)| *value)
        };
        let path = header(":path");
        let now = self.now();
        self.shown("a call's path", path.as_bytes());
        self.shown("a call's body", call.body.unwrap_or_default());
        let Some(asked) = self.asked(path, call.body) else {
            self.violated(Invariant::Verdict, || {
                format!("a call that is none: {path}")
            });
            return None;
        };
        let kind = match asked {
            Asked::Resolve(_) => Kind::Resolve,
            Asked::Changes(_) => Kind::Changes,
            Asked::Usage => Kind::Usage,
        };
        let timeout: Time = call.timeout_millis;
        let service = self.service.borrow();
        let truth = &service.truth;
        let number = self.number();
        let mut oracle = self.oracle.borrow_mut();
        oracle.calls(vm.id, kind, now);
        if let Asked::Resolve(digests) = &asked {
            oracle.asks(vm.id, digests);
        }
        if !self.is_taken(kind) {
            self.note(|| format!("VM {}: the host does not take a call for {}", vm.id, path));
            return None;
        }
        let steady = now - vm.ticked.get() <= STEADY;
        oracle.sent(&self.scenario, vm.id, number, kind, now, timeout, steady);
        if let Asked::Resolve(digests) = &asked {
            oracle.looks_up(truth, &self.scenario, vm.id, number, digests, now);
        }
        drop(oracle);
        if kind == Kind::Changes {
            self.polled.set(now);
        }
        self.note(|| {
            format!(
                "VM {} sends call {number}: {path} {:?}",
                vm.id,
                asked.credentials()
            )
        });
        let flight = Flight {
            vm: vm.id,
            kind,
            sent: now,
            asked,
        };
        self.flights.borrow_mut().insert(number, flight);
        self.departs(number, kind, timeout);
        Some(number)
    }

    /// A call has ended.
    pub fn ends(&self, call: u64, end: End) {
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
        self.tell(&vm, call, &flight, &end, now);
        let read = Read {
            end: &end,
            most: Cell::new(0),
        };
        self.drive(flight.vm, |worker, host| {
            let answered = matches!(end, End::Answer { .. });
            worker.answered(host, call, answered.then_some(&read));
        });
        self.oracle.borrow_mut().handled(flight.vm);
        let most = read.most.get();
        self.oracle
            .borrow_mut()
            .check(Invariant::Driven, most <= LONGEST_BODY, || {
                format!("VM {} reads a body of up to {most} bytes", flight.vm)
            });
    }

    /// Tells the oracle what a VM is about to be told.
    fn tell(&self, vm: &Vm, call: u64, flight: &Flight, end: &End, now: Time) {
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
                oracle.told(&service.truth, vm.id, evidence, (call, flight.sent), now);
            }
            if flight.kind == Kind::Resolve && *status != 200 {
                oracle.asked_in_vain(vm.id, now);
            }
            if let (429 | 503, Some(seconds)) = (status, retry_after) {
                oracle.asked_to_wait(vm.id, flight.kind, *seconds, now);
            }
        }
    }
}
