//! One worker, driven by hand.

mod again;
mod answers;
mod caches;
mod feed;
mod guard;
#[cfg(target_pointer_width = "64")]
mod in_place;
mod modes;
mod waiting;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::credential::digest::Digester;
use crate::knowledge::fetch::Batch;
use crate::telemetry::Seen;
use crate::test_util::{Sent, SharedData, at};
use crate::verdict::Reason;

/// One worker, driven by hand, with a key service that knows what a test says.
struct World {
    /// What was read of its counts.
    seen: Seen,
    gate: Gate,
    store: Rc<SharedData>,
    #[cfg(target_pointer_width = "64")]
    table: Option<Arc<Table>>,
    millis: u64,
    next: u64,
    /// Which policies were told to hold, of the last that passed.
    told: Option<String>,
}

/// What became of a request, in short.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Allowed(String),
    Anonymous,
    Refused(Reason),
    Waits(u64),
}

impl World {
    fn new(configuration: &Value) -> Self {
        Self::named("vm", configuration)
    }

    fn named(name: &str, configuration: &Value) -> Self {
        let mut whole = json!({"key_service": {"cluster": "key_service", "changes": {"enabled": false}}, "usage": {"enabled": false}});
        for (name, value) in configuration.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let settings = config::parse(whole.to_string().as_bytes(), &|_| None).unwrap();
        Self {
            seen: Seen::default(),
            gate: Gate::new(settings, name.to_owned()),
            store: Rc::default(),
            #[cfg(target_pointer_width = "64")]
            table: None,
            millis: 0,
            next: 1,
            told: None,
        }
    }

    /// Another worker of the same process.
    fn beside(other: &Self, configuration: &Value) -> Self {
        Self {
            store: Rc::clone(&other.store),
            millis: other.millis,
            ..Self::named("other", configuration)
        }
    }

    fn pass(&mut self, millis: u64) {
        self.millis += millis;
        self.gate.tick(at(self.millis), &*self.store);
    }

    fn ask(&mut self, key: &str) -> Fate {
        self.send(&Sent::new(&[("x-api-key", key)]))
    }

    fn send(&mut self, sent: &Sent) -> Fate {
        let waiter = self.next;
        self.next += 1;
        let decision = self
            .gate
            .request(&sent.request(), waiter, at(self.millis), &*self.store);
        self.fate(decision, waiter)
    }

    /// Goes on with everyone who is ready.
    fn resume(&mut self, key: &str) -> Vec<(u64, Fate)> {
        self.resume_as(&Sent::new(&[("x-api-key", key)]))
    }

    fn resume_as(&mut self, sent: &Sent<'_>) -> Vec<(u64, Fate)> {
        let mut fates = Vec::new();
        while let Some(waiter) = self.gate.next_ready() {
            let now = at(self.millis);
            let decision = self.gate.resume(waiter, &sent.request(), now, &*self.store);
            fates.push((waiter, self.fate(decision, waiter)));
        }
        fates
    }

    fn fate(&mut self, decision: Decision, waiter: u64) -> Fate {
        if let Decision::Proceed(passage) = &decision {
            let told = passage.policies.as_ref();
            self.told = told.map(|told| self.gate.policies_that_hold(told));
        }
        fate(decision, waiter)
    }

    fn batch(&mut self) -> Option<Batch> {
        match self.gate.next_call(at(self.millis))?.purpose {
            Purpose::Resolve(batch) => Some(batch),
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, call: u64) -> Vec<String> {
        let batch = self.batch().expect("there is something to ask");
        let digests = batch
            .digests
            .iter()
            .map(|digest| URL_SAFE_NO_PAD.encode(digest.bytes()));
        let digests = digests.collect();
        self.gate.sent(call, Purpose::Resolve(batch));
        digests
    }

    fn answer(&mut self, call: u64, body: &Value) {
        let body = body.to_string();
        self.end(
            call,
            &CallEnd::Answered {
                status: 200,
                marked: true,
                body: Some(body.as_bytes()),
                retry_after: None,
            },
        );
    }

    fn end(&mut self, call: u64, end: &CallEnd<'_>) {
        self.gate.ended(call, end, at(self.millis), &*self.store);
    }

    /// Lets a key be known as of a sequence.
    fn teach(&mut self, key: &str, as_of: u64, record: &Value) -> Vec<(u64, Fate)> {
        assert_eq!(self.call(99), [digest(key)]);
        self.answer(99, &answer(as_of, &[(key, record.clone())]));
        self.resume(key)
    }

    /// Gives an answer of no use as often as it is asked for.
    fn teach_in_vain(&mut self, key: &str, as_of: u64, record: &Value) -> Vec<(u64, Fate)> {
        for _ in 0..2 {
            assert_eq!(self.teach(key, as_of, record), []);
        }
        self.teach(key, as_of, record)
    }

    /// Counters are taken: those that are not asked for are gone.
    fn counted(&mut self, name: &str) -> u64 {
        let [count] = self.counted_all([name]);
        count
    }

    fn counted_all<const COUNT: usize>(&mut self, names: [&str; COUNT]) -> [u64; COUNT] {
        let counts: Vec<u64> = self.gate.telemetry.counts().since(&mut self.seen).collect();
        names.map(|name| {
            let at = Telemetry::names()
                .position(|known| known == name)
                .expect("a counter");
            counts[at]
        })
    }
}

/// An answer that says nothing.
fn error() -> CallEnd<'static> {
    CallEnd::Answered {
        status: 500,
        marked: true,
        body: None,
        retry_after: None,
    }
}

fn fate(decision: Decision, waiter: u64) -> Fate {
    match decision {
        Decision::Proceed(Passage {
            identity: Some(chain),
            ..
        }) => Fate::Allowed(chain.key.id.to_string()),
        Decision::Proceed(_) => Fate::Anonymous,
        Decision::Refuse(refusal) => Fate::Refused(refusal.reason),
        Decision::Wait => Fate::Waits(waiter),
    }
}

fn digest(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digester::plain().digest(key.as_bytes()).bytes())
}

fn answer(as_of: u64, results: &[(&str, Value)]) -> Value {
    let results: Vec<Value> = results
        .iter()
        .map(|(key, record)| {
            let mut result = record.clone();
            result["digest"] = json!(digest(key));
            result
        })
        .collect();
    json!({"as_of": as_of, "results": results})
}

fn good(version: u64) -> Value {
    json!({
        "key": {"id": "key_1", "version": version, "user_id": "usr_1", "tenant_id": null, "status": "active"},
        "user": {"id": "usr_1", "version": 1, "status": "active"},
    })
}

fn revoked(version: u64) -> Value {
    let mut record = good(version);
    record["key"]["status"] = json!("revoked");
    record
}

fn suspended(version: u64) -> Value {
    let mut record = good(1);
    record["user"]["status"] = json!("suspended");
    record["user"]["version"] = json!(version);
    record
}

fn allowed() -> Fate {
    Fate::Allowed("key_1".to_owned())
}
