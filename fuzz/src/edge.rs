//! A script of what happens to the dynamic module in Envoy, and what must hold whatever it is: nobody gets through
//! without a valid key, each request comes to its end, nothing panics, nothing is left when Envoy ends, and no line of
//! the log tells a credential. That bytes are read only while they are lent, a sanitizer sees.
//!
//! This file is part of two crates: of the fuzz package, and of the tests of `fake-envoy`, which run the seeds.

use std::panic;
use std::process::abort;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use fake_envoy::{
    Answer, Call, Configuration, Ending, Envoy, Exchange, Fate, Handling, KeyService, Request,
    headers, is_lying, lies_about_headers, most_verbose, take_log,
};

/// One that is good, one that is revoked, one that nobody knows, and one that is revoked and made good again.
const CREDENTIALS: [&str; 4] = [
    "secret-good",
    "secret-revoked",
    "secret-unknown",
    "secret-changing",
];

/// More than anybody waits, or believes a record that was not confirmed.
const LONG: Duration = Duration::from_secs(3600);

/// Steps of a script at most.
const STEPS: usize = 400;

const TEXT: &str = r#"{"key_service": {"cluster": "key_service"}, "limits": {"waiting_requests": 6},
    "policies": {"reports": {"scopes": {"all": ["reports:read"]}}, "orders": {"scopes": {"all": ["orders:read"]}}}}"#;

/// The script.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(usize::from(*first))
    }

    /// Nothing where it is over.
    fn or_zero(&mut self) -> usize {
        self.next().unwrap_or_default()
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(self.0.len().min(most));
        self.0 = rest;
        taken.to_vec()
    }
}

/// A request that was sent.
struct Sent {
    exchange: Exchange,
    credential: Option<usize>,
    is_decoded: bool,
    has_hung_up: bool,
}

struct World {
    envoy: Envoy,
    service: KeyService,
    /// How calls are handled from now on.
    handling: Arc<Mutex<usize>>,
    /// The latest is last; those that were let go are there as long as their streams.
    configurations: Vec<Configuration>,
    sent: Vec<Sent>,
    is_changing_good: bool,
    was_changing_good: bool,
    had_fault: bool,
}

/// Runs a script.
pub fn edge(bytes: &[u8]) {
    begin();
    // All scripts of a process are one world's: what an earlier one has left is old, and its records have changed since.
    static LAST: AtomicU64 = AtomicU64::new(0);
    let last = LAST.fetch_add(1, Relaxed);
    let mut script = Script(bytes);
    let (threads, bytes) = (script.or_zero(), script.0.to_vec());
    let left = match threads % 4 {
        3 => run(Envoy::held(2), last, &bytes),
        // What a thread holds of its own it gives back at its end.
        _ => Envoy::alone(move |envoy| {
            run(envoy, last, &bytes);
        }),
    };
    assert_eq!(left, 0, "schedulers were not given back");
}

/// Gives how many schedulers are left when Envoy has ended.
fn run(envoy: Envoy, last: u64, bytes: &[u8]) -> usize {
    let mut script = Script(bytes);
    let mut world = World::begin(envoy, last);
    for _ in 0..STEPS {
        let Some(step) = script.next() else { break };
        world.step(step, &mut script);
    }
    world.end(script.or_zero())
}

/// A panic of the module is caught by it, and would go unseen.
fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        most_verbose();
        panic::set_hook(Box::new(|panic| {
            if !is_lying() {
                eprintln!("{panic}");
                abort();
            }
        }));
    });
}

/// An answer of something else than a key service, or none.
fn wrong(what: usize, body: Vec<u8>) -> Ending {
    let marked = [(":status", "200"), ("x-keybound-protocol", "1")];
    let (headers, body) = match what % 6 {
        0 => return Ending::Broken,
        1 => (headers(&marked), vec![body]),
        2 => (
            headers(&[(":status", "200")]),
            vec![br#"{"as_of": 1, "results": []}"#.to_vec()],
        ),
        3 => (
            headers(&[
                (":status", "503"),
                ("x-keybound-protocol", "1"),
                ("retry-after", "1"),
            ]),
            Vec::new(),
        ),
        4 => (Vec::new(), vec![Vec::new(), body]),
        _ => (
            headers(&marked),
            vec![br#"{"cursor": 0, "reset": true, "changes": []}"#.to_vec()],
        ),
    };
    Ending::Answered(Answer { headers, body })
}

/// What becomes of a call that the module sends.
fn handle(service: &KeyService, handling: usize, call: &Call) -> Handling {
    match handling % 6 {
        0 => Handling::Takes,
        1 => Handling::Refuses(2),
        2 => Handling::Within(Ending::Broken),
        3 => Handling::Soon(wrong(handling / 6, Vec::new())),
        4 => service
            .answer(call)
            .map_or(Handling::Takes, Handling::Within),
        _ => service.handles(call),
    }
}

impl World {
    fn begin(envoy: Envoy, last: u64) -> Self {
        envoy.pass(LONG * u32::try_from(last).unwrap_or(u32::MAX));
        let service = KeyService::after(last * 1000);
        service.has(CREDENTIALS[0], "good", true);
        service.has(CREDENTIALS[1], "revoked", false);
        service.has(CREDENTIALS[3], "changing", false);
        let mut world = Self {
            envoy,
            service,
            handling: Arc::default(),
            configurations: Vec::new(),
            sent: Vec::new(),
            is_changing_good: false,
            was_changing_good: false,
            had_fault: false,
        };
        world.configure();
        world
    }

    fn configure(&mut self) {
        let (service, handling) = (self.service.clone(), Arc::clone(&self.handling));
        let new = self.envoy.configure(TEXT, move |call| {
            let handling = *handling.lock().unwrap_or_else(PoisonError::into_inner);
            handle(&service, handling, call)
        });
        self.configurations.push(new.expect("it is taken"));
    }

    fn handles(&self, how: usize) {
        *self.handling.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn step(&mut self, step: usize, script: &mut Script<'_>) {
        let one = script.or_zero();
        match step % 16 {
            0..=3 => self.send(one, script),
            4 => self.one_of(one, |sent| {
                sent.has_hung_up = true;
                sent.exchange.hang_up();
            }),
            5 => self.one_of(one, |sent| sent.exchange.finish()),
            6 | 7 => {
                self.envoy.step(one);
            }
            8 => self.envoy.settle(),
            9 => self.end_call(one, |world, call| world.service.answer(call)),
            10 => {
                let body = script.take(one % 9);
                self.end_call(one / 9, |_, _| Some(wrong(one, body)));
            }
            11 => {
                self.envoy.pass(Duration::from_millis(20 * one as u64));
                self.tick();
            }
            12 => self.handles(one),
            13 => self.envoy.ends_streams_within(one.is_multiple_of(2)),
            14 => self.change(one),
            _ => self.reconfigure(one),
        }
    }

    fn one_of(&mut self, number: usize, act: impl FnOnce(&mut Sent)) {
        let count = self.sent.len().max(1);
        if let Some(sent) = self.sent.get_mut(number % count) {
            act(sent);
        }
    }

    fn send(&mut self, what: usize, script: &mut Script<'_>) {
        let how = script.or_zero();
        let credential = CREDENTIALS[what % 4];
        let mut list = headers(&[
            (":method", "GET"),
            (":path", "/v1/orders"),
            (":authority", "api"),
        ]);
        list.extend(headers(&[("x-user-id", "made-up"), ("x-none", "")]));
        let is_odd = how % 8 == 7;
        if is_odd {
            // No credential of ours, but any bytes.
            let mut value = b"~".to_vec();
            value.extend(script.take(what / 4));
            list.push(("x-api-key".to_owned(), value));
        } else {
            list.push(("x-api-key".to_owned(), credential.as_bytes().to_vec()));
        }
        let request = Request {
            headers: list,
            trailers: (what & 16 != 0).then(|| headers(&[("x-key-id", "made-up"), ("x-sum", "7")])),
            has_body: what & 32 != 0,
            policy: (what & 64 != 0).then(|| b"orders".to_vec()),
            source: (what & 128 != 0).then(|| b"10.1.2.3:4711".to_vec()),
            is_answered_at_once: how.is_multiple_of(2),
        };
        let (Some(configuration), worker) =
            (self.configurations.last(), self.envoy.worker(how / 8))
        else {
            return;
        };
        let is_decoded = how % 8 != 6;
        let exchange = match how % 8 {
            6 => worker.answer_elsewhere(configuration, request),
            5 => {
                self.had_fault = true;
                let (last, ()) = worker.send_often(configuration, request, 1, lies_about_headers);
                last.into_iter().next().expect("one was sent")
            }
            _ => worker.send(configuration, request),
        };
        self.sent.push(Sent {
            exchange,
            credential: (!is_odd).then_some(what % 4),
            is_decoded,
            has_hung_up: false,
        });
    }

    /// Ends one of the calls of one of the configurations.
    fn end_call(&mut self, which: usize, ending: impl FnOnce(&Self, &Call) -> Option<Ending>) {
        let configuration = &self.configurations[which % self.configurations.len()];
        let calls = configuration.calls();
        if let Some(call) = calls.get(which / 4 % calls.len().max(1))
            && let Some(ending) = ending(self, call)
        {
            configuration.ends(call.number, ending);
        }
    }

    fn tick(&self) {
        for configuration in &self.configurations {
            self.envoy.tick(configuration);
        }
    }

    fn change(&mut self, what: usize) {
        self.is_changing_good = what % 2 == 1;
        self.was_changing_good |= self.is_changing_good;
        self.service
            .has(CREDENTIALS[3], "changing", self.is_changing_good);
    }

    fn reconfigure(&mut self, how: usize) {
        if self.configurations.len() < 8 {
            if let (0, Some(old)) = (how % 2, self.configurations.last_mut()) {
                // There is a moment without any.
                old.let_go();
            }
            self.configure();
        }
        let latest = self.configurations.len() - 1;
        if let (0..=5, Some(old)) = (
            how % 8,
            self.configurations.get_mut(how / 8 % latest.max(1)),
        ) && latest > 0
        {
            old.let_go();
        }
    }

    fn end(mut self, how: usize) -> usize {
        self.check();
        if how.is_multiple_of(2) {
            // The key service is well, and time passes: nobody waits for ever.
            self.handles(if how.is_multiple_of(4) { 5 } else { 2 });
            for _ in 0..10 {
                self.envoy.pass(Duration::from_millis(500));
                self.tick();
                self.envoy.settle();
            }
            for sent in &self.sent {
                assert!(
                    sent.has_hung_up || sent.exchange.fate() != Fate::Waiting,
                    "one waits for ever"
                );
            }
            self.check();
        }
        self.configurations.clear();
        let left = self.envoy.end();
        for sent in &self.sent {
            assert!(sent.exchange.has_ended(), "a stream does not end");
        }
        left
    }

    fn check(&self) {
        for sent in &self.sent {
            match sent.exchange.fate() {
                Fate::Onward(upstream, trailers) => {
                    let good = match sent.credential {
                        Some(0) => "good",
                        Some(3) if self.was_changing_good => "changing",
                        other => panic!("{other:?} is let through"),
                    };
                    let user = format!("usr_{good}").into_bytes();
                    let told = upstream.iter().filter(|(name, _)| name == "x-user-id");
                    assert!(told.map(|(_, value)| value).eq([&user]), "{upstream:?}");
                    assert!(upstream.iter().all(|(name, _)| name != "x-api-key"));
                    assert!(trailers.iter().all(|(name, _)| name != "x-key-id"));
                }
                Fate::Answered(response) => {
                    let status = response.status;
                    let expected =
                        matches!(status, 401 | 403 | 503) || status == 500 && self.had_fault;
                    assert!(expected, "{response:?}");
                }
                Fate::Waiting => {}
                Fate::Begun => assert!(!sent.is_decoded, "nothing becomes of a request"),
            }
        }
        for (_, line) in take_log() {
            assert!(!line.contains("secret-"), "{line}");
        }
    }
}
