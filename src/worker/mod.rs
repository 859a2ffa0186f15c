//! The driver: how a gate is driven through whatever host carries it. Every host has this one.
//!
//! A host calls a [`Worker`] for each of its events; the worker asks the gate, and carries out what the gate says
//! through the [door](crate::host). Calls are sent by [`Worker::tick`], [`Worker::rung`] and [`Worker::answered`]
//! alone, never within a request: Envoy drops the answer to a call that a request has sent together with the
//! request. So a request that needs a call rings the worker's own bell.

mod calls;
mod clock;
mod effects;
mod metrics;

use std::sync::Arc;

use crate::gate::{Decision, Edition, Gate, Settings};
use crate::host::{
    Answer, BellId, CallId, Clocks, Header, Host, Meter, RemoveHeader, RequestId, Stream,
};
#[cfg(target_pointer_width = "64")]
use crate::knowledge::cache::Table;
use crate::request::Request;
use crate::request::headers::Headers;
use crate::telemetry::Counts;
use crate::time::Now;
use clock::Clock;
use effects::carry_out;
pub use metrics::{Metrics, Told};

/// Milliseconds between two ticks: how often a worker looks at the clocks, hands over what it counted and gives up
/// who waited too long.
pub const TICK: u64 = 100;

/// Requests that go on in one event. A host may go on with each within the end of the event, one inside the
/// other, so that many of them would use up its stack.
pub const RESUMED_AT_ONCE: usize = 32;

/// A gate and what is needed to drive it.
#[derive(Debug)]
pub struct Worker {
    gate: Gate,
    clock: Clock,
    metrics: Option<Metrics>,
    told: Told,
    /// Whether its own bell has been rung, and not answered yet.
    awake: bool,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Onward,
    /// It has been answered.
    Answered,
    /// It waits.
    Waiting,
}

/// Who is told of every decision before it is carried out: the simulation, which judges it. Nobody else listens.
pub trait Observer {
    /// A request has been decided on.
    fn decided(&self, _: RequestId, _: &Decision, _: Now) {}
}

impl Worker {
    /// A worker that knows nothing yet. `name` tells it from all others.
    pub fn new(
        settings: Settings,
        name: String,
        edition: Option<Edition>,
        host: &impl Clocks,
    ) -> Self {
        let mut clock = Clock::default();
        clock.synchronize(host);
        let mut gate = Gate::new(settings, name);
        if let Some(edition) = edition {
            gate.runs(edition);
        }
        Self {
            gate,
            clock,
            metrics: None,
            told: Told::default(),
            awake: false,
        }
    }

    /// A request has come. Its headers are there, and stay readable while it is edited.
    pub fn request<H: Host + Observer>(
        &mut self,
        host: &H,
        stream: &mut H::Stream,
        id: RequestId,
        headers: &[Header<'_>],
        has_body: bool,
    ) -> Fate {
        let request = Request {
            has_body,
            ..Request::new(Headers::new(headers), &*stream)
        };
        let now = self.clock.now(host);
        let decision = self.gate.request(&request, id, now, host);
        host.decided(id, &decision, now);
        let fate = carry_out(&decision, &mut self.gate, headers, stream, now);
        self.wake_if_needed(host, now);
        fate
    }

    /// The turn of a request that waited has come, in an event of its own.
    pub fn go_on<H: Host + Observer>(
        &mut self,
        host: &H,
        stream: &mut H::Stream,
        id: RequestId,
        headers: &[Header<'_>],
    ) -> Fate {
        self.gate.turn_is_late();
        let fate = self.resume(host, stream, id, headers);
        self.wake_if_needed(host, self.clock.now(host));
        fate
    }

    /// The trailers of a request have come.
    pub fn trailers(&self, headers: &[Header<'_>], trailers: &mut impl RemoveHeader) {
        self.gate.edit_trailers(Headers::new(headers), trailers);
    }

    /// A request is gone.
    pub fn gone(&mut self, id: RequestId) {
        self.gate.forget(id);
    }

    /// [`TICK`] has passed.
    pub fn tick(&mut self, host: &(impl Host + Observer)) {
        self.clock.synchronize(host);
        if let Some(bell) = host.bell() {
            self.gate.reachable_by(bell);
        }
        let now = self.clock.now(host);
        self.gate.tick(now, host);
        self.gate.say_how_full();
        let metrics = self.metrics.get_or_insert_with(|| Metrics::define(host));
        metrics.flush(self.gate.telemetry.counts(), &mut self.told, host);
        metrics.flush_gate(&mut self.gate, now, host);
        self.work(host);
    }

    /// The worker's bell has been rung, by itself or by another worker.
    pub fn rung(&mut self, host: &(impl Host + Observer)) {
        self.awake = false;
        self.gate.rung(self.clock.now(host), host);
        self.work(host);
    }

    /// A call has ended, without an answer where it was broken off.
    pub fn answered(
        &mut self,
        host: &(impl Host + Observer),
        call: CallId,
        answer: Option<&impl Answer>,
    ) {
        let now = self.clock.now(host);
        calls::ended(&mut self.gate, call, answer, now, host);
        self.work(host);
    }

    /// A call that seemed to be sent was not: the host does not take it.
    pub fn not_sent(&mut self, host: &(impl Host + Observer), call: CallId) {
        let now = self.clock.now(host);
        self.gate.refused(call, now, host);
        self.work(host);
    }

    /// The configuration goes: what this worker has added to gauges is taken away again.
    pub fn end(&mut self, host: &impl Meter) {
        if let Some(metrics) = &self.metrics {
            metrics.take_back(&mut self.told, host);
        }
    }

    /// This worker follows the change feed by what another one of the process hears.
    pub fn never_leads(&mut self) {
        self.gate.never_leads();
    }

    /// What this worker shares with others is in this table.
    #[cfg(target_pointer_width = "64")]
    pub fn shares(&mut self, table: Arc<Table>) {
        self.gate.shares(table);
    }

    /// What it counts, for whoever hands it on.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(self.gate.telemetry.counts())
    }

    /// Whether [`Self::rung`] has something to do.
    pub fn has_work(&self, host: &impl Clocks) -> bool {
        self.gate.has_work(self.clock.now(host))
    }

    /// The gate, to be looked at.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Goes on with who waited, sends what is to be sent, and wakes whoever is to be woken.
    fn work(&mut self, host: &(impl Host + Observer)) {
        self.call_turns(host);
        let clock = &self.clock;
        calls::send(&mut self.gate, host, || clock.now(host));
        for bell in self.gate.take_rings() {
            host.ring(bell);
        }
        self.wake_if_needed(host, self.clock.now(host));
        self.gate.say_how_full();
    }

    fn call_turns(&mut self, host: &(impl Host + Observer)) {
        for _ in 0..RESUMED_AT_ONCE {
            let Some(id) = self.gate.next_ready() else {
                break;
            };
            host.turn_to(id, |stream, headers| {
                self.resume(host, stream, id, headers);
            });
        }
    }

    fn resume<H: Host + Observer>(
        &mut self,
        host: &H,
        stream: &mut H::Stream,
        id: RequestId,
        headers: &[Header<'_>],
    ) -> Fate {
        let request = Request::new(Headers::new(headers), &*stream);
        let now = self.clock.now(host);
        let decision = self.gate.resume(id, &request, now, host);
        host.decided(id, &decision, now);
        let fate = carry_out(&decision, &mut self.gate, headers, stream, now);
        if fate == Fate::Onward {
            stream.resume();
        }
        fate
    }

    /// Wakes this worker where there is work that an event of a request must not do, or that was left for the next.
    fn wake_if_needed(&mut self, host: &impl Host, now: Now) {
        if !self.awake && self.gate.has_work(now) {
            // Without a bell the next tick does the work.
            self.awake = host.bell().is_some_and(|bell: BellId| host.ring(bell));
        }
    }
}
