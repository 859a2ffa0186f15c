//! What tests share, those of this crate and those around it: the shared data of a process, and a request in the
//! hands of a host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

#[cfg(target_pointer_width = "64")]
use crate::host::Memory;
use crate::host::{Circumstances, EditRequest, Header, LocalAnswer, RemoveHeader, Store, Stream};
#[cfg(target_pointer_width = "64")]
use crate::knowledge::cache::Table;
use crate::record::{Chain, Key, KeyStatus, Scopes, Tenant, TenantStatus, User, UserStatus};
use crate::request::Request;
use crate::request::headers::Headers;
use crate::time::{Instant, Now};

// One attribute for unit tests that run natively and, as wasm32, under Node.
#[cfg(all(test, not(all(target_family = "wasm", target_os = "unknown"))))]
pub use core::prelude::v1::test;
#[cfg(all(test, target_family = "wasm", target_os = "unknown"))]
pub use wasm_bindgen_test::wasm_bindgen_test as test;

/// Envoy's shared data, with its exact semantics (proxy-wasm-cpp-host, `SharedData`): a value that is absent is
/// written whatever number is given; number 0 writes without a condition; nothing is ever deleted; values are
/// copied; the numbers of changes count all writes of the process together, from one on, and go round.
#[derive(Debug)]
pub struct SharedData {
    values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    next_change: RefCell<u32>,
    /// What is found where nothing was written, for inputs that nobody wrote.
    unwritten: Option<Vec<u8>>,
}

impl Default for SharedData {
    fn default() -> Self {
        Self::counting_from(1)
    }
}

impl SharedData {
    /// Nothing written yet; the first change gets this number.
    pub fn counting_from(next_change: u32) -> Self {
        Self {
            values: RefCell::default(),
            next_change: RefCell::new(next_change),
            unwritten: None,
        }
    }

    /// Every value that was not written yet is the same.
    pub fn full_of(bytes: &[u8]) -> Self {
        Self {
            unwritten: Some(bytes.to_vec()),
            ..Self::default()
        }
    }

    /// All that was written.
    pub fn values(&self) -> Vec<Vec<u8>> {
        let values = self.values.borrow();
        values.values().map(|(value, _)| value.clone()).collect()
    }

    /// How many values there are.
    pub fn names(&self) -> usize {
        self.values.borrow().len()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.values().iter().map(Vec::len).sum()
    }

    /// Whether any value has a text in it.
    pub fn holds(&self, text: &str) -> bool {
        let found = |value: &[u8]| {
            value
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        self.values().iter().any(|value| found(value))
    }
}

impl Store for SharedData {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        let values = self.values.borrow();
        match values.get(name) {
            Some((value, change)) => Some((value.clone(), Some(*change))),
            None => self.unwritten.clone().map(|value| (value, None)),
        }
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        let mut values = self.values.borrow_mut();
        let wanted = last_change.unwrap_or(0);
        let known = values.get(name).map(|(_, change)| *change);
        if known.is_some_and(|known| wanted != 0 && wanted != known) {
            return false;
        }
        let mut next = self.next_change.borrow_mut();
        values.insert(name.to_owned(), (value.to_vec(), *next));
        *next = next.checked_add(1).unwrap_or(1);
        true
    }
}

/// Memory that all workers of a process read in place.
#[cfg(target_pointer_width = "64")]
#[derive(Debug)]
pub struct Words(Box<[std::sync::atomic::AtomicU64]>);

#[cfg(target_pointer_width = "64")]
impl Memory for Words {
    fn words(&self) -> &[std::sync::atomic::AtomicU64] {
        &self.0
    }
}

/// A table for about this many entries.
#[cfg(target_pointer_width = "64")]
pub fn table(entries: usize) -> std::sync::Arc<Table> {
    let words = (0..Table::words(entries)).map(|_| std::sync::atomic::AtomicU64::new(0));
    let memory = Words(words.collect());
    std::sync::Arc::new(Table::new(Box::new(memory), entries))
}

/// A request in the hands of a host: what it says of it, and what was done with it.
#[derive(Debug, Default)]
pub struct Handed {
    /// Address of the client.
    pub source: Option<String>,
    /// Policy that the route names.
    pub policy: Option<String>,
    /// What was noted.
    pub note: RefCell<Option<Vec<u8>>>,
    /// The headers as they are now.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Filter state that was set, in order.
    pub filter_state: Vec<(String, String)>,
    /// The answers that it got: status, names and values of headers, and body. One at most, if all is right.
    pub answers: Vec<Answered>,
    /// How often it was let go on.
    pub resumed: usize,
}

/// An answer in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What access logs show.
    pub details: String,
}

impl Handed {
    /// The headers as a host hands them over.
    pub fn list(&self) -> Vec<Header<'_>> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .collect()
    }
}

impl Circumstances for Handed {
    fn source_address(&self) -> Option<Vec<u8>> {
        self.source.clone().map(String::into_bytes)
    }

    fn route_policy(&self) -> Option<Vec<u8>> {
        self.policy.clone().map(String::into_bytes)
    }

    fn noted(&self) -> Option<Vec<u8>> {
        self.note.borrow().clone()
    }

    fn note(&self, note: &[u8]) {
        *self.note.borrow_mut() = Some(note.to_vec());
    }
}

impl RemoveHeader for Handed {
    fn remove(&mut self, name: &str) {
        RemoveHeader::remove(&mut self.headers, name);
    }
}

impl EditRequest for Handed {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.headers.set(name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.headers.add(name, value);
    }
}

impl Stream for Handed {
    fn set_filter_state(&mut self, name: &str, value: &str) {
        self.filter_state.push((name.to_owned(), value.to_owned()));
    }

    fn resume(&mut self) {
        self.resumed += 1;
    }

    fn answer(&mut self, answer: &LocalAnswer<'_>) {
        self.answers.push(Answered {
            status: answer.status,
            headers: answer.headers.to_vec(),
            body: answer.body.to_vec(),
            details: answer.details.to_owned(),
        });
    }
}

/// A plain header list can be edited too.
impl RemoveHeader for Vec<(String, Vec<u8>)> {
    fn remove(&mut self, name: &str) {
        self.retain(|(known, _)| known != name);
    }
}

impl EditRequest for Vec<(String, Vec<u8>)> {
    fn set(&mut self, name: &str, value: &[u8]) {
        RemoveHeader::remove(self, name);
        self.add(name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.push((name.to_owned(), value.to_vec()));
    }
}

/// A request as a client has sent it, with what only a host can say.
#[derive(Debug, Default)]
pub struct Sent<'a> {
    /// Its headers.
    pub headers: Vec<Header<'a>>,
    /// The same request in the hands of a host.
    pub handed: Handed,
    /// Whether more follows.
    pub has_body: bool,
}

impl<'a> Sent<'a> {
    /// A request with headers.
    pub fn new(headers: &[(&'a str, &'a str)]) -> Self {
        Self {
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
            handed: Handed {
                headers: headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect(),
                ..Handed::default()
            },
            has_body: false,
        }
    }

    /// The same from a client's address.
    pub fn from(mut self, source: IpAddr) -> Self {
        self.handed.source = Some(match source {
            IpAddr::V4(address) => format!("{address}:4711"),
            IpAddr::V6(address) => format!("[{address}]:4711"),
        });
        self
    }

    /// The same on a route that names a policy.
    pub fn on_route(mut self, policy: &str) -> Self {
        self.handed.policy = Some(policy.to_owned());
        self
    }

    /// The request as the core sees it.
    pub fn request(&self) -> Request<'_, Handed> {
        Request {
            has_body: self.has_body,
            ..Request::new(Headers::new(&self.headers), &self.handed)
        }
    }
}

/// A moment some milliseconds after the start of a test.
pub fn at(millis: u64) -> Now {
    Now {
        unix: 1_795_000_000 + millis / 1000,
        instant: Instant::from_millis(1_000_000) + Duration::from_millis(millis),
    }
}

/// A key of which nothing is wrong, with its user and tenant, changed as a test wants it.
pub fn chain(change: impl FnOnce(&mut Key, &mut User, &mut Tenant)) -> Chain {
    let mut key = Key {
        id: "key_1".into(),
        version: 1,
        user_id: Some("usr_1".into()),
        tenant_id: Some("ten_1".into()),
        environment: Some("live".into()),
        status: KeyStatus::Active,
        not_before: None,
        expires_at: None,
        replaced: false,
        replaced_at: None,
        scopes: Scopes::new(["orders:read", "stock:*"]),
        networks: None,
        hours: None,
    };
    let mut user = User {
        id: "usr_1".into(),
        version: 1,
        tenant_id: Some("ten_1".into()),
        status: UserStatus::Active,
        scopes: None,
        apis: None,
    };
    let mut tenant = Tenant {
        id: "ten_1".into(),
        version: 1,
        status: TenantStatus::Active,
    };
    change(&mut key, &mut user, &mut tenant);
    Chain {
        key: Rc::new(key),
        user: Some(Rc::new(user)),
        tenant: Some(Rc::new(tenant)),
    }
}

#[cfg(test)]
mod tests {
    use super::{SharedData, Store, test};

    #[test]
    fn a_first_write_is_not_guarded_and_numbers_count_all_writes() {
        let data = SharedData::counting_from(u32::MAX - 1);
        assert!(data.set("a", b"1", Some(4711)));
        assert!(data.set("b", b"1", None));
        assert_eq!(data.get("a"), Some((b"1".to_vec(), Some(u32::MAX - 1))));
        assert!(!data.set("a", b"2", Some(u32::MAX)));
        assert!(data.set("a", b"2", Some(u32::MAX - 1)));
        assert_eq!(data.get("a"), Some((b"2".to_vec(), Some(1))));
        assert!(data.set("a", b"3", None));
        assert_eq!((data.names(), data.get("c")), (2, None));
    }
}
