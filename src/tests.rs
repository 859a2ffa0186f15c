//! What unit tests share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::cache::Store;
use crate::headers::{Headers, pack};
use crate::record::{Key, KeyStatus, Scopes, Tenant, TenantStatus, User, UserStatus};
use crate::request::{Circumstances, Request};
use crate::time::{Instant, Now};
use crate::verdict::Chain;

// One attribute for unit tests that run natively and, as wasm32, under Node.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use core::prelude::v1::test;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use wasm_bindgen_test::wasm_bindgen_test as test;

/// Envoy's shared data: compare-and-swap, but an absent value is written whatever number is given.
#[derive(Debug, Default)]
pub struct MemoryStore {
    values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
}

impl MemoryStore {
    pub fn names(&self) -> usize {
        self.values.borrow().len()
    }

    pub fn bytes(&self) -> usize {
        self.values
            .borrow()
            .values()
            .map(|(value, _)| value.len())
            .sum()
    }

    pub fn holds(&self, text: &str) -> bool {
        let found = |value: &[u8]| {
            value
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        self.values.borrow().values().any(|(value, _)| found(value))
    }
}

impl Store for MemoryStore {
    fn get(&self, name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        self.values
            .borrow()
            .get(name)
            .map(|(value, change)| (value.clone(), Some(*change)))
    }

    fn set(&self, name: &str, value: &[u8], last_change: Option<u32>) -> bool {
        let mut values = self.values.borrow_mut();
        let known = values.get(name).map_or(0, |(_, change)| *change);
        if known != 0 && last_change.is_some_and(|change| change != known) {
            return false;
        }
        values.insert(name.to_owned(), (value.to_vec(), known + 1));
        true
    }
}

/// A request with what only a host can say.
#[derive(Debug, Default)]
pub struct Sent {
    packed: Vec<u8>,
    pub source: Option<String>,
    pub policy: Option<String>,
    pub note: RefCell<Option<Vec<u8>>>,
    pub told: RefCell<Option<String>>,
    pub has_body: bool,
}

impl Sent {
    pub fn new(headers: &[(&str, &str)]) -> Self {
        Self {
            packed: pack(
                headers
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            ),
            ..Self::default()
        }
    }

    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = Some(match source {
            IpAddr::V4(address) => format!("{address}:4711"),
            IpAddr::V6(address) => format!("[{address}]:4711"),
        });
        self
    }

    pub fn on_route(mut self, policy: &str) -> Self {
        self.policy = Some(policy.to_owned());
        self
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            headers: Headers::new(&self.packed),
            host: self,
            has_body: self.has_body,
        }
    }
}

impl Circumstances for Sent {
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

    fn tell_policies(&self, policies: &str) {
        *self.told.borrow_mut() = Some(policies.to_owned());
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
