//! The root context: configuration, ticks, calls to the key service and their answers.

use std::rc::Rc;
use std::time::Duration;

use log::error;
use proxy_wasm::hostcalls;

use super::host::{CallAnswer, SharedData, Stream, property};
use super::http::Filter;
use super::metrics::Metrics;
use super::{Carried, Vm, Waker, unique_name};
use crate::config;
use crate::gate::Settings;
use crate::gate::{CallEnd, Edition, Gate, LONGEST_BODY, Outgoing};
use crate::request::Request;
use crate::request::headers::Headers;
use crate::time::Instant;

/// How often a VM looks at the clock, hands over what it counted and gives up who waited too long.
const TICK: Duration = Duration::from_millis(100);

/// Requests that go on in one callback. The host goes on with each within the end of the callback, one
/// inside the other, so that many of them would use up its stack.
const RESUMED_AT_ONCE: usize = 32;

/// The root context of a VM.
pub(super) struct Root {
    id: u32,
    vm: Option<Rc<Vm>>,
    metrics: Option<Metrics>,
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            vm: None,
            metrics: None,
        }
    }

    /// A new request's part; nothing without a configuration.
    pub(super) fn filter(&self) -> Option<Filter> {
        Some(Filter::new(Rc::clone(self.vm.as_ref()?)))
    }

    /// Takes over the configuration. False where it is refused.
    pub(super) fn configure(&mut self) -> bool {
        let text = hostcalls::get_buffer(
            proxy_wasm::types::BufferType::PluginConfiguration,
            0,
            usize::MAX,
        );
        let text = text.ok().flatten().unwrap_or_default();
        match config::parse(&text, &|name| std::env::var(name).ok()) {
            Ok(settings) if settings.internal_redirects && !Stream::declare_note() => {
                error!(
                    "keybound configuration: internal_redirects: this host cannot keep what it needs"
                );
                false
            }
            Ok(settings) => {
                let vm = Vm::new(Gate::new(settings, unique_name()));
                let now = vm.clock.now().instant;
                vm.gate.borrow_mut().runs(edition(&text, now));
                self.vm = Some(Rc::new(vm));
                let _ = hostcalls::set_tick_period(TICK);
                true
            }
            Err(wrong) => {
                error!("keybound configuration: {wrong}");
                false
            }
        }
    }

    /// A tick's time has passed.
    pub(super) fn tick(&mut self) {
        let Some(vm) = &self.vm else { return };
        follow_log_level();
        vm.clock.synchronize();
        {
            let mut gate = vm.gate.borrow_mut();
            let now = vm.clock.now();
            if let Some(queue) = vm.waker.queue() {
                gate.reachable_by(queue);
            }
            gate.tick(now, &SharedData);
            self.metrics
                .get_or_insert_with(Metrics::define)
                .flush(&mut gate, now);
        }
        self.work();
    }

    /// A queue of this VM has something: it was rung by itself or by another.
    pub(super) fn rung(&mut self, queue: u32) {
        if let Some(vm) = &self.vm {
            vm.waker.answer(queue);
            vm.gate.borrow_mut().rung(vm.clock.now(), &SharedData);
        }
        self.work();
    }

    /// A call has ended, with so many headers and so long a body.
    pub(super) fn answered(&mut self, call: u32, headers: usize, body_size: usize) {
        let Some(vm) = &self.vm else { return };
        let body = (headers > 0 && body_size <= LONGEST_BODY).then(|| CallAnswer::body(body_size));
        let status = CallAnswer::status(headers);
        let end = match status {
            Some(status) => CallEnd::Answered {
                status,
                marked: CallAnswer::header("x-keybound-protocol").as_deref() == Some(b"1"),
                body: body.as_deref(),
                retry_after: matches!(status, 429 | 503).then(retry_after).flatten(),
            },
            None => CallEnd::Broken,
        };
        vm.gate
            .borrow_mut()
            .ended(call, &end, vm.clock.now(), &SharedData);
        self.work();
    }

    /// Sends what is to be sent and goes on with who waited.
    fn work(&self) {
        let Some(vm) = &self.vm else { return };
        self.resume(vm);
        self.send(vm);
        let mut gate = vm.gate.borrow_mut();
        for queue in gate.take_rings() {
            Waker::ring(queue);
        }
        vm.wake_if_needed(&gate, vm.clock.now());
    }

    fn resume(&self, vm: &Vm) {
        for _ in 0..RESUMED_AT_ONCE {
            let mut gate = vm.gate.borrow_mut();
            let Some((waiter, resolution)) = gate.next_ready() else {
                break;
            };
            if !Stream::enter(waiter) {
                continue;
            }
            let packed = Stream::request_headers();
            let request = Request {
                headers: Headers::new(&packed),
                host: &Stream,
                // Asked of new requests only.
                has_body: false,
            };
            let decision = gate.resume(waiter, &request, resolution, vm.clock.now(), &SharedData);
            if Vm::carry_out(&decision, &gate, &request) == Carried::Onward {
                Stream::resume();
            }
        }
        Stream::enter(self.id);
    }

    fn send(&self, vm: &Vm) {
        loop {
            let mut gate = vm.gate.borrow_mut();
            let now = vm.clock.now();
            let Some(outgoing) = gate.next_call(now) else {
                break;
            };
            match dispatch(gate.settings(), &outgoing) {
                Some(call) => gate.sent(call, outgoing.purpose),
                None => gate.not_sent(outgoing.purpose, now, &SharedData),
            }
        }
    }
}

fn dispatch(settings: &Settings, outgoing: &Outgoing) -> Option<u32> {
    let service = &settings.key_service;
    let authorization = service
        .token
        .as_ref()
        .map(|token| format!("Bearer {}", token.reveal()));
    let method = if outgoing.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    let mut headers = vec![
        (":method", method),
        (":path", outgoing.path.as_str()),
        (":authority", service.authority.as_str()),
        ("accept", "application/json"),
    ];
    if outgoing.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    if let Some(authorization) = &authorization {
        headers.push(("authorization", authorization));
    }
    let body = outgoing.body.as_deref();
    hostcalls::dispatch_http_call(
        &service.cluster,
        headers,
        body,
        Vec::new(),
        outgoing.timeout,
    )
    .ok()
}

/// What this runs: Envoy's `name` and `root_id` tell the plugin from others in the process, and its text, its
/// variables and the module's version tell it from itself before an update.
fn edition(configuration: &[u8], now: Instant) -> Edition {
    let plugin = ["plugin_name", "plugin_root_id"].map(|name| {
        let value = property(name.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    });
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").into(),
        String::from_utf8_lossy(configuration).into_owned(),
    ];
    for (name, value) in std::env::vars_os() {
        parts.push(name.to_string_lossy().into_owned());
        parts.push(value.to_string_lossy().into_owned());
    }
    let borrowed: Vec<&str> = parts.iter().map(String::as_str).collect();
    Edition::new(&plugin.each_ref().map(String::as_str), &borrowed, now)
}

/// How long a service asks to be left alone, in seconds (RFC 9110 section 10.2.3). Reading the other form, a
/// date, would be more than a hundredth of the module; who sends one is tried again as after any failure.
fn retry_after() -> Option<Duration> {
    let value = CallAnswer::header("retry-after")?;
    let seconds = std::str::from_utf8(&value).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Takes over the host's log level, which an operator can change at any time: a line that the host would
/// drop is then not even written.
fn follow_log_level() {
    if let Ok(level) = hostcalls::get_log_level() {
        proxy_wasm::set_log_level(level);
    }
}
