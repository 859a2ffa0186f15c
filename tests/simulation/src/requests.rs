//! Requests: how they come, what becomes of them.

use keybound::gate::{Decision, Gate, Resolution};
use keybound::knowledge::cache::Store;
use keybound::record::Chain;
use keybound::request::headers::{Headers, pack};
use keybound::request::{Circumstances, Request};

use crate::clients::SECRET;
use crate::oracle::{Decided, Invariant, Outcome};
use crate::vm::{Vm, Waiting};
use crate::world::{Event, World};

/// Header that says who it is; clients may send it as well.
const IDENTITY: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

/// A request as a client sends it, with identity headers of the client's own.
struct Sent(Vec<u8>);

impl Sent {
    fn new(credential: &str) -> Self {
        let mut headers = vec![
            (":method", "GET"),
            (":path", "/orders"),
            (":authority", "api.example"),
            ("x-api-key", credential),
        ];
        headers.extend(IDENTITY.map(|name| (name, "forged")));
        headers.push(("x-user-id", "forged again"));
        let bytes = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Self(pack(bytes))
    }

    fn request(&self) -> Request<'_> {
        Request {
            headers: Headers::new(&self.0),
            host: self,
            has_body: false,
        }
    }

    /// The same request after an edit of its headers.
    fn edited(&self, edit: impl FnOnce(Headers<'_>, &mut Vec<(String, Vec<u8>)>)) -> Self {
        let mut headers = self.list();
        edit(Headers::new(&self.0), &mut headers);
        let bytes = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()));
        Self(pack(bytes))
    }

    fn list(&self) -> Vec<(String, Vec<u8>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Headers::new(&self.0)
            .iter()
            .map(|(name, value)| (text(name), value.to_vec()))
            .collect()
    }
}

impl Circumstances for Sent {
    fn source_address(&self) -> Option<Vec<u8>> {
        Some(b"192.0.2.7:4711".to_vec())
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        None
    }
}

impl World {
    /// A request with a credential comes to a VM.
    pub fn request(&self, vm: usize, credential: u64) {
        let request = self.number();
        self.call(vm, |vm, gate, store| {
            let since = self.now();
            let (text, digest) = self.credential(credential);
            self.oracle.borrow_mut().requested(vm.id, digest, since);
            let sent = Sent::new(&text);
            let now = self.clock(vm);
            let unix = now.unix;
            let decision = gate.request(&sent.request(), request, now, store);
            let waiting = Waiting {
                vm: vm.id,
                credential,
                since,
            };
            self.decided(vm, gate, &sent, &decision, waiting, request, unix, false);
            self.wake_if_needed(vm, gate);
        });
    }

    /// A request that waited goes on.
    pub fn go_on(
        &self,
        vm: &Vm,
        gate: &mut Gate,
        store: &dyn Store,
        request: u32,
        resolution: Resolution,
    ) {
        let Some(waiting) = self.waiting.borrow_mut().remove(&request) else {
            self.violated(Invariant::OneOutcome, || {
                format!(
                    "VM {} goes on with request {request}, which does not wait",
                    vm.id
                )
            });
            return;
        };
        vm.waits.set(vm.waits.get() - 1);
        let (text, _) = self.credential(waiting.credential);
        let sent = Sent::new(&text);
        let now = self.clock(vm);
        let sent = sent.edited(|headers, list| gate.edit_waiting(headers, list));
        let decision = gate.resume(request, &sent.request(), resolution, now, store);
        self.decided(vm, gate, &sent, &decision, waiting, request, now.unix, true);
    }

    /// A client hangs up.
    pub fn hang_up(&self, vm: usize, request: u32) {
        if self.waiting.borrow_mut().remove(&request).is_none() {
            return;
        }
        self.oracle.borrow_mut().count("clients that hung up");
        self.call(vm, |vm, gate, _| {
            self.note(|| format!("the client of request {request} at VM {} hangs up", vm.id));
            vm.waits.set(vm.waits.get() - 1);
            gate.forget(request);
        });
    }

    #[expect(clippy::too_many_arguments, reason = "what a stream knows in Envoy")]
    fn decided(
        &self,
        vm: &Vm,
        gate: &Gate,
        sent: &Sent,
        decision: &Decision,
        waiting: Waiting,
        request: u32,
        unix: u64,
        waited: bool,
    ) {
        let Waiting {
            credential, since, ..
        } = waiting;
        self.note(|| {
            let short = match decision {
                Decision::Proceed(passage) => match &passage.identity {
                    Some(chain) => format!("allowed, {}", versions(chain)),
                    None => "passes without identity".to_owned(),
                },
                Decision::Refuse(refusal) => {
                    let chain = refusal.chain.as_ref().map(versions);
                    format!("{} {}", refusal.reason.code(), chain.unwrap_or_default())
                }
                Decision::Wait => "waits".to_owned(),
            };
            format!(
                "VM {}: request {request} of credential {credential}: {short}",
                vm.id
            )
        });
        let outcome = match decision {
            Decision::Wait => {
                self.waiting.borrow_mut().insert(request, waiting);
                vm.waits.set(vm.waits.get() + 1);
                if !waited && self.chance(self.scenario.hangs_up) {
                    let patience = self.between(0, 50);
                    self.add(patience, Event::HangUp(vm.id, request));
                }
                return;
            }
            Decision::Proceed(passage) => {
                let mut headers = sent.list();
                gate.edit(passage, Headers::new(&sent.0), &mut headers);
                self.went_upstream(passage.identity.as_ref(), &headers);
                match &passage.identity {
                    Some(chain) => Outcome::Allowed(chain),
                    None => Outcome::Refused("passes without identity", None),
                }
            }
            Decision::Refuse(refusal) => {
                let mut headers = sent.list();
                gate.edit_refused(Headers::new(&sent.0), &mut headers);
                self.went_upstream_as(&headers, [const { None }; 4]);
                self.no_credential_left(&headers);
                let reply = gate.reply(refusal, &sent.request());
                self.shown("an answer", &reply.body);
                for (_, value) in reply.headers.iter() {
                    self.shown("a header of an answer", value.as_bytes());
                }
                Outcome::Refused(refusal.reason.code(), refusal.chain.as_ref())
            }
        };
        let decided = Decided {
            vm: vm.id,
            credential,
            // A thread that stands still in the middle of a callback does not see the time pass.
            now: vm.began.get(),
            decided: self.now(),
            unix,
            since,
            waited,
            waiting: vm.waits.get(),
            outcome,
        };
        self.trace.mix(credential);
        let service = self.service.borrow();
        self.oracle
            .borrow_mut()
            .decided(&service.truth, &self.scenario, &decided);
    }

    fn went_upstream(&self, chain: Option<&Chain>, headers: &[(String, Vec<u8>)]) {
        let key = chain.map(|chain| &*chain.key);
        let values = [
            key.map(|key| key.id.to_string()),
            key.and_then(|key| key.user_id.as_deref())
                .map(str::to_owned),
            key.and_then(|key| key.tenant_id.as_deref())
                .map(str::to_owned),
            key.map(|key| key.scopes.joined().to_owned()),
        ];
        self.went_upstream_as(headers, values);
        self.no_credential_left(headers);
    }

    fn no_credential_left(&self, headers: &[(String, Vec<u8>)]) {
        let credential = headers.iter().any(|(name, _)| name == "x-api-key");
        self.oracle
            .borrow_mut()
            .check(Invariant::Identity, !credential, || {
                "the credential is left in the request".to_owned()
            });
    }

    fn went_upstream_as(&self, headers: &[(String, Vec<u8>)], values: [Option<String>; 4]) {
        for (name, value) in IDENTITY.iter().zip(values) {
            let given: Vec<&[u8]> = headers
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.as_slice())
                .collect();
            let right: Vec<&[u8]> = value.iter().map(String::as_bytes).collect();
            self.oracle
                .borrow_mut()
                .check(Invariant::Identity, given == right, || {
                    format!("{name} goes upstream as {given:?}")
                });
        }
    }

    /// Something leaves the core.
    pub fn shown(&self, what: &str, bytes: &[u8]) {
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        self.oracle
            .borrow_mut()
            .check(Invariant::NoSecret, !found, || {
                format!(
                    "{what} holds a credential: {}",
                    String::from_utf8_lossy(bytes)
                )
            });
    }
}

fn versions(chain: &Chain) -> String {
    let user = chain.user.as_ref().map(|user| (&user.id, user.version));
    let tenant = chain
        .tenant
        .as_ref()
        .map(|tenant| (&tenant.id, tenant.version));
    format!(
        "{} version {}, {user:?}, {tenant:?}",
        chain.key.id, chain.key.version
    )
}
