//! What a known key takes of the memory of a process whose workers read it in place, counted exactly: what the core
//! allocates, by an allocator that counts, and how far its table reaches.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybound::config;
use keybound::gate::{CallEnd, Decision, Gate, Purpose};
use keybound::host::{Header, Memory};
use keybound::knowledge::cache::Table;
use keybound::request::Request;
use keybound::request::headers::Headers;
use keybound::test_util::{SharedData, at};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Known keys, four of each user, whose tenant has a hundred users. The table is for twice as many.
const KEYS: usize = 20_000;
const KEYS_A_USER: usize = 4;
const USERS_A_TENANT: usize = 100;

/// Of these so many come first: each worker then keeps as many as it ever does of what it is asked for most.
const FIRST: usize = 4_000;

/// What a worker keeps of that at most, in bytes.
const KEPT: usize = 3 << 19;

/// Keys that are asked for at once.
const BATCH: usize = 64;

/// Bytes of a key beside its ids, with its part of its user, its tenant and the table.
const MOST: f64 = 120.0;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is done by the system's allocator, with what it is asked for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Words(Arc<[AtomicU64]>);

impl Memory for Words {
    fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

fn ids(number: usize) -> [String; 3] {
    let user = number / KEYS_A_USER;
    let tenant = user / USERS_A_TENANT;
    [
        format!("key_{number:016}"),
        format!("usr_{user:016}"),
        format!("ten_{tenant:016}"),
    ]
}

fn credential(number: usize) -> String {
    format!("kb_live_{number}")
}

fn result(digest: &[u8], number: usize) -> Value {
    let [key, user, tenant] = ids(number);
    json!({
        "digest": URL_SAFE_NO_PAD.encode(digest),
        "key": {
            "id": key, "version": number + 1, "user_id": user, "tenant_id": tenant,
            "environment": "live", "status": "active", "expires_at": 1_800_000_000,
            "scopes": ["orders:read", "orders:write"],
        },
        "user": {"id": user, "version": 1, "tenant_id": tenant, "status": "active"},
        "tenant": {"id": tenant, "version": 1, "status": "active"},
    })
}

fn ask(gate: &mut Gate, number: usize, store: &SharedData) -> Decision {
    let credential = credential(number);
    let headers: [Header<'_>; 3] = [
        (b":path", b"/v1/orders"),
        (b":method", b"GET"),
        (b"x-api-key", credential.as_bytes()),
    ];
    let request = Request::new(Headers::new(&headers), &());
    let id = u64::try_from(number).expect("a number");
    gate.request(&request, id, at(0), store)
}

/// Lets a worker learn some keys.
fn teach(gate: &mut Gate, numbers: std::ops::Range<usize>, store: &SharedData) {
    let mut known = HashMap::new();
    for number in numbers.clone() {
        known.insert(Sha256::digest(credential(number)).to_vec(), number);
        assert!(matches!(ask(gate, number, store), Decision::Wait));
    }
    while let Some(outgoing) = gate.next_call(at(0)) {
        let Purpose::Resolve(batch) = &outgoing.purpose else {
            panic!("{:?}", outgoing.purpose);
        };
        let results: Vec<Value> = batch
            .digests
            .iter()
            .map(|digest| result(digest.bytes(), known[&digest.bytes()[..]]))
            .collect();
        let body = json!({"as_of": KEYS + 1, "results": results}).to_string();
        gate.sent(1, outgoing.purpose);
        let end = CallEnd::Answered {
            status: 200,
            marked: true,
            body: Some(body.as_bytes()),
            retry_after: None,
        };
        gate.ended(1, &end, at(0), store);
    }
    for number in numbers {
        gate.forget(u64::try_from(number).expect("a number"));
    }
}

#[test]
fn a_known_key_takes_few_bytes_beside_its_ids_however_many_workers_know_it() {
    let text = json!({
        "key_service": {"cluster": "key_service", "changes": {"enabled": false}},
        "usage": {"enabled": false},
        "limits": {"shared_entries": 2 * KEYS, "local_entries": 2 * KEYS},
    });
    let settings = || config::parse(text.to_string().as_bytes(), &|_| None).expect("valid");
    let words: Arc<[AtomicU64]> = (0..Table::words(2 * KEYS))
        .map(|_| AtomicU64::new(0))
        .collect();
    let table = Arc::new(Table::new(Box::new(Words(Arc::clone(&words))), 2 * KEYS));
    let mut workers = ["one", "two", "three", "four"].map(|name| {
        let mut gate = Gate::new(settings(), name.to_owned());
        gate.shares(Arc::clone(&table));
        gate
    });
    let store = SharedData::default();
    let mut unknown = 0;
    let mut learn = |numbers: std::ops::Range<usize>| {
        let begun = ALLOCATED.load(Relaxed);
        for first in numbers.clone().step_by(BATCH) {
            let [one, ..] = &mut workers;
            teach(one, first..numbers.end.min(first + BATCH), &store);
        }
        for gate in &mut workers {
            for number in numbers.clone() {
                unknown += usize::from(!matches!(ask(gate, number, &store), Decision::Proceed(_)));
            }
        }
        ALLOCATED.load(Relaxed).saturating_sub(begun)
    };

    let kept = learn(0..FIRST) / 4;
    let allocated = learn(FIRST..KEYS);

    assert_eq!(unknown, 0);
    let last = words.iter().rposition(|word| word.load(Relaxed) != 0);
    let reached = 8 * (last.expect("something") + 1);
    let users = KEYS / KEYS_A_USER;
    let of_ids: usize = (0..KEYS)
        .map(|number| {
            let [key, user, tenant] = ids(number).map(|id| id.len());
            // The user's record is there once for its keys, and the tenant's for its users.
            let of_user = usize::from(number % KEYS_A_USER == 0) * (user + tenant);
            let of_tenant = usize::from(number % (KEYS_A_USER * USERS_A_TENANT) == 0) * tenant;
            key + user + tenant + of_user + of_tenant
        })
        .sum();
    let in_table = (reached - of_ids) as f64 / KEYS as f64;
    let bytes = in_table + allocated as f64 / (KEYS - FIRST) as f64;
    println!(
        "{KEYS} keys, {users} users: {bytes:.1} bytes a key beside {:.1} of ids ({allocated} allocated, {reached} in the \
         table), and {kept} a worker",
        of_ids as f64 / KEYS as f64,
    );
    assert!(bytes <= MOST, "{bytes}");
    assert!(kept <= KEPT, "{kept}");
}
