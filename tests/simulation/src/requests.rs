//! Requests: how they come, what becomes of them.

use keybound::gate::Decision;
use keybound::record::Chain;
use keybound::test_util::Handed;
use keybound::time::Now;

use crate::clients::SECRET;
use crate::oracle::{Decided, Invariant, Outcome};
use crate::vm::{Deciding, Expected, Vm, Waiting};
use crate::world::{Event, World};

/// Header that says who it is; clients may send it as well.
const IDENTITY: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

/// The headers of a request as a client sends it, with identity headers of the client's own.
fn sent(credential: &str) -> Vec<(String, Vec<u8>)> {
    let mut headers = vec![
        (":method", "GET"),
        (":path", "/orders"),
        (":authority", "api.example"),
        ("x-api-key", credential),
    ];
    headers.extend(IDENTITY.map(|name| (name, "forged")));
    headers.push(("x-user-id", "forged again"));
    headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect()
}

impl World {
    /// A request in the hands of the host.
    pub fn handed(&self, headers: Vec<(String, Vec<u8>)>) -> Handed {
        Handed {
            headers,
            source: Some("192.0.2.7:4711".to_owned()),
            ..Handed::default()
        }
    }

    /// A request with a credential comes to a VM.
    pub fn request(&self, vm: usize, credential: u64) {
        let request = self.number();
        let (text, digest) = self.credential(credential);
        let since = self.now();
        self.oracle.borrow_mut().requested(vm, digest, since);
        let shown = self.handed(sent(&text));
        let mut handed = self.handed(sent(&text));
        let reached = std::rc::Rc::clone(&self.vms.borrow()[vm]);
        let deciding = Deciding {
            request,
            credential,
            since,
            turned_to: since,
            waited: false,
            expected: None,
            stated: Vec::new(),
        };
        *reached.deciding.borrow_mut() = Some(deciding);
        reached.in_request.set(true);
        self.drive(vm, |worker, host| {
            worker.request(host, &mut handed, request, &shown.list(), false);
            self.carried_out(&reached, std::mem::take(&mut handed));
        });
    }

    /// A client hangs up.
    pub fn hang_up(&self, vm: usize, request: u64) {
        if self.waiting.borrow_mut().remove(&request).is_none() {
            return;
        }
        self.oracle.borrow_mut().count("clients that hung up");
        self.note(|| format!("the client of request {request} at VM {vm} hangs up"));
        let reached = std::rc::Rc::clone(&self.vms.borrow()[vm]);
        reached.waits.set(reached.waits.get() - 1);
        self.drive(vm, |worker, _| worker.gone(request));
    }

    /// A worker has decided on a request: is that right? What the host is to see done is noted.
    pub fn decided(&self, vm: &Vm, decision: &Decision, now: Now) {
        let mut deciding = vm.deciding.borrow_mut();
        let Some(deciding) = &mut *deciding else {
            return self.violated(Invariant::Driven, || {
                format!("VM {} decides on a request that is not there", vm.id)
            });
        };
        let (request, credential) = (deciding.request, deciding.credential);
        let right = self.is_time(vm, now, deciding.turned_to);
        self.oracle
            .borrow_mut()
            .check(Invariant::Driven, right, || {
                format!("VM {} believes that it is {now:?}", vm.id)
            });
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
        let (expected, outcome) = match decision {
            Decision::Wait => {
                deciding.expected = Some(Expected::Waits);
                return;
            }
            Decision::Proceed(passage) => (
                Expected::Onward(identity(passage.identity.as_ref())),
                match &passage.identity {
                    Some(chain) => Outcome::Allowed(chain),
                    None => Outcome::Refused("passes without identity", None),
                },
            ),
            Decision::Refuse(refusal) => (
                Expected::Answered(refusal.reason.code()),
                Outcome::Refused(refusal.reason.code(), refusal.chain.as_ref()),
            ),
        };
        deciding.expected = Some(expected);
        deciding.stated = stated(decision);
        let decided = Decided {
            vm: vm.id,
            credential,
            // A thread that stands still in the middle of a callback does not see the time pass.
            now: vm.began.get(),
            decided: self.now(),
            unix: now.unix,
            since: deciding.since,
            waited: deciding.waited,
            waiting: vm.waits.get(),
            outcome,
        };
        self.trace.mix(credential);
        let service = self.service.borrow();
        self.oracle
            .borrow_mut()
            .decided(&service.truth, &self.scenario, &decided);
    }

    /// A worker has done with a request for now: has the host seen done what was decided, once and in whole?
    pub fn carried_out(&self, vm: &Vm, handed: Handed) {
        let Some(deciding) = vm.deciding.take() else {
            return;
        };
        let request = deciding.request;
        let (resumed, answered) = (handed.resumed, handed.answers.len());
        let right = match &deciding.expected {
            Some(Expected::Onward(_)) => resumed == usize::from(deciding.waited) && answered == 0,
            Some(Expected::Answered(_)) => resumed == 0 && answered == 1,
            Some(Expected::Waits) => resumed == 0 && answered == 0,
            None => false,
        };
        self.oracle
            .borrow_mut()
            .check(Invariant::OneOutcome, right, || {
                format!(
                    "VM {}, request {request}: {:?}, and it goes on {resumed} times and is answered {answered} times",
                    vm.id, deciding.expected
                )
            });
        self.no_credential_left(&handed.headers);
        self.is_stated(&handed, &deciding.stated);
        match &deciding.expected {
            Some(Expected::Onward(identity)) => self.went_upstream(&handed.headers, identity),
            Some(Expected::Answered(code)) => {
                self.went_upstream(&handed.headers, &[const { None }; 4]);
                self.told(&handed, code);
            }
            Some(Expected::Waits) => {
                self.went_upstream(&handed.headers, &[const { None }; 4]);
                self.waits(vm, &deciding, handed.headers);
            }
            None => {}
        }
    }

    fn waits(&self, vm: &Vm, deciding: &Deciding, headers: Vec<(String, Vec<u8>)>) {
        let waiting = Waiting {
            vm: vm.id,
            credential: deciding.credential,
            since: deciding.since,
            asked: self.now(),
            headers,
            called: false,
        };
        self.waiting.borrow_mut().insert(deciding.request, waiting);
        vm.waits.set(vm.waits.get() + 1);
        if !deciding.waited && self.chance(self.scenario.hangs_up) {
            let patience = self.between(0, 50);
            self.add(patience, Event::HangUp(vm.id, deciding.request));
        }
    }

    /// What the access log, and who sets headers of answers, are told.
    fn is_stated(&self, handed: &Handed, stated: &[(&'static str, Option<String>)]) {
        let given = &handed.filter_state;
        let right = given.len() == stated.len()
            && stated.iter().all(|(name, value)| {
                given.iter().any(|(known, given)| {
                    known == name && value.as_ref().is_none_or(|value| value == given)
                })
            });
        self.oracle
            .borrow_mut()
            .check(Invariant::Driven, right, || {
                format!("filter state is {given:?}, where it should be {stated:?}")
            });
    }

    /// What a refused client is told.
    fn told(&self, handed: &Handed, code: &str) {
        for answer in &handed.answers {
            self.shown("an answer", &answer.body);
            for (_, value) in &answer.headers {
                self.shown("a header of an answer", value.as_bytes());
            }
            let named = answer.details == format!("keybound_{code}");
            self.oracle
                .borrow_mut()
                .check(Invariant::Driven, named, || {
                    format!("{code} is answered as {}", answer.details)
                });
        }
    }

    fn no_credential_left(&self, headers: &[(String, Vec<u8>)]) {
        let credential = headers.iter().any(|(name, _)| name == "x-api-key");
        self.oracle
            .borrow_mut()
            .check(Invariant::Identity, !credential, || {
                "the credential is left in the request".to_owned()
            });
    }

    fn went_upstream(&self, headers: &[(String, Vec<u8>)], values: &[Option<String>; 4]) {
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

/// The filter state that a decision is to leave.
fn stated(decision: &Decision) -> Vec<(&'static str, Option<String>)> {
    let mut stated = Vec::new();
    match decision {
        Decision::Wait => {}
        Decision::Proceed(passage) => {
            let notice = passage.notice.as_ref();
            stated.extend(
                notice
                    .and_then(|notice| notice.sunset)
                    .map(|_| ("keybound.sunset", None)),
            );
            let replaced = notice.and_then(|notice| notice.deprecation);
            stated.extend(replaced.map(|at| ("keybound.deprecation", Some(format!("@{at}")))));
        }
        Decision::Refuse(refusal) => {
            stated.push(("keybound.code", Some(refusal.reason.code().to_owned())));
            let [key, user, tenant, _] = identity(refusal.chain.as_ref());
            let ids = [
                ("keybound.key_id", key),
                ("keybound.user_id", user),
                ("keybound.tenant_id", tenant),
            ];
            stated.extend(ids.into_iter().filter(|(_, id)| id.is_some()));
        }
    }
    stated
}

/// The identity headers of a chain.
fn identity(chain: Option<&Chain>) -> [Option<String>; 4] {
    let key = chain.map(|chain| &*chain.key);
    [
        key.map(|key| key.id.to_string()),
        key.and_then(|key| key.user_id.as_deref())
            .map(str::to_owned),
        key.and_then(|key| key.tenant_id.as_deref())
            .map(str::to_owned),
        key.map(|key| key.scopes.joined().to_owned()),
    ]
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
