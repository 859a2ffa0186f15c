//! The table by itself. What it means is tested with [the buckets](super::super::shared), which mean the same.

mod recent;

use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::record::{
    Hours, Key, KeyStatus, Networks, Scopes, Tenant, TenantStatus, User, UserStatus,
};
use crate::test_util::{chain, table, test};
use crate::time::Instant;

const EPOCH: Epoch = Epoch {
    number: 3,
    began: None,
};

fn put(table: &Table, id: EntityId, record: Record, version: u64) {
    let entry = Entry {
        record,
        version,
        confirmed: Instant::from_millis(version),
    };
    table.replace(id, Some(&entry), version, EPOCH, |floor, _, fits| {
        fits.then_some(Edit {
            insert: true,
            floor,
        })
    });
}

fn remove(table: &Table, id: EntityId) {
    table.replace(id, None, 1, EPOCH, |floor, _, _| {
        Some(Edit {
            insert: false,
            floor,
        })
    });
}

fn read(table: &Table, id: EntityId) -> Option<Entry> {
    let locked = table.get_with_floor(&id, EPOCH).0;
    let mut bytes = [0; RECORD_BYTES];
    let unlocked = table.copy(&id, EPOCH, &mut bytes);
    let unlocked = unlocked.and_then(|(record, _)| record.entry());
    assert_eq!(unlocked, locked);
    locked
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[!-~]{1,30}", "[!-~]{128}"]
}

fn time() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..=crate::time::LAST_SECOND).prop_map(Some)]
}

fn networks() -> impl Strategy<Value = Option<Networks>> {
    let range = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(address, length)| ipnet::IpNet::new(
            address.into(),
            length
        )
        .unwrap()),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(address, length)| ipnet::IpNet::new(
            address.into(),
            length
        )
        .unwrap()),
    ];
    let ranges = prop::collection::vec(range, 0..5);
    prop_oneof![
        Just(None),
        Just(Some(Networks::Unreadable)),
        ranges.prop_map(|ranges| Some(Networks::Ranges(ranges))),
    ]
}

fn hours() -> impl Strategy<Value = Option<Hours>> {
    let window = (any::<[bool; 7]>(), 0..1440_u16, 0..1440_u16)
        .prop_map(|(days, from, to)| Hours::Window { days, from, to });
    prop_oneof![
        Just(None),
        Just(Some(Hours::Unreadable)),
        window.prop_map(Some),
    ]
}

fn scopes() -> impl Strategy<Value = Scopes> {
    prop::collection::vec(text(), 0..4)
        .prop_map(|scopes| Scopes::new(scopes.iter().map(String::as_str)))
}

prop_compose! {
    fn key()(
        texts in (text(), prop::option::of(text()), prop::option::of(text()), prop::option::of(text())),
        version in any::<u64>(),
        status in prop::sample::select(&KeyStatus::ALL[..]),
        times in (time(), time(), time()),
        replaced in any::<bool>(),
        scopes in scopes(),
        networks in networks(),
        hours in hours(),
    ) -> Key {
        let (id, user_id, tenant_id, environment) = texts;
        let (not_before, expires_at, replaced_at) = times;
        Key {
            id: id.into(),
            version,
            user_id: user_id.map(Into::into),
            tenant_id: tenant_id.map(Into::into),
            environment: environment.map(Into::into),
            status,
            not_before,
            expires_at,
            replaced,
            replaced_at,
            scopes,
            networks,
            hours,
        }
    }
}

prop_compose! {
    fn user()(
        id in text(),
        version in any::<u64>(),
        tenant_id in prop::option::of(text()),
        status in prop::sample::select(&UserStatus::ALL[..]),
        scopes in prop::option::of(scopes()),
        apis in prop::option::of(prop::collection::vec(text().prop_map(Into::into), 0..4)),
    ) -> User {
        User { id: id.into(), version, tenant_id: tenant_id.map(Into::into), status, scopes, apis }
    }
}

prop_compose! {
    fn tenant()(
        id in text(),
        version in any::<u64>(),
        status in prop::sample::select(&TenantStatus::ALL[..]),
    ) -> Tenant {
        Tenant { id: id.into(), version, status }
    }
}

fn record() -> impl Strategy<Value = (Record, u64)> {
    prop_oneof![
        key().prop_map(|key| {
            let version = key.version;
            (Record::key(Rc::new(key)), version)
        }),
        user().prop_map(|user| {
            let version = user.version;
            (Record::User(Some(Rc::new(user))), version)
        }),
        tenant().prop_map(|tenant| {
            let version = tenant.version;
            (Record::Tenant(Some(Rc::new(tenant))), version)
        }),
        any::<u64>().prop_map(|version| (Record::User(None), version)),
        any::<u64>().prop_map(|version| (Record::Tenant(None), version)),
    ]
}

proptest! {
    /// Into a table that holds others, in any order and over one another.
    #[test]
    fn whatever_is_put_is_read(
        records in prop::collection::vec((0..40_u8, prop::option::of(record())), 1..200),
    ) {
        let table = table(64);
        let mut known = std::collections::HashMap::new();
        for (name, record) in records {
            let id = EntityId::user(&name.to_string());
            match record {
                Some((record, version)) => {
                    put(&table, id, record.clone(), version);
                    known.insert(name, (record, version));
                }
                None => {
                    remove(&table, id);
                    known.remove(&name);
                }
            }
            // A bucket holds less than all of them, if they are long.
            let there = read(&table, id).map(|entry| (entry.record, entry.version));
            prop_assert_eq!(there.as_ref(), known.get(&name));
        }
        for name in 0..40 {
            if let Some(entry) = read(&table, EntityId::user(&name.to_string())) {
                prop_assert_eq!(Some(&(entry.record, entry.version)), known.get(&name));
            }
        }
    }

    #[test]
    fn bytes_that_nobody_has_written_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut key = reader::blank_key();
        let mut user = reader::blank_user();
        let mut tenant = reader::blank_tenant();
        if let Some(record) = Reader::new(&bytes) {
            let _ = (record.entry(), record.known(), record.hints());
            let _ = (record.key(&mut key), record.user(&mut user, None), record.tenant(&mut tenant, None));
        }
    }

    /// What was filled before leaves nothing behind.
    #[test]
    fn a_record_is_filled_as_if_it_were_new(before in key(), after in key(), first in user(), second in user()) {
        let id = EntityId::user("x");
        let written = |record: Record, version| {
            let entry = Entry { record, version, confirmed: Instant::from_millis(7) };
            packed::write(&id, &entry, Hints::default())
        };
        let mut filled = before;
        let bytes = written(Record::key(Rc::new(after.clone())), after.version);
        Reader::new(&bytes).unwrap().key(&mut filled).unwrap();
        prop_assert_eq!(filled, after);
        let mut filled = first;
        let bytes = written(Record::User(Some(Rc::new(second.clone()))), second.version);
        Reader::new(&bytes).unwrap().user(&mut filled, None).unwrap();
        prop_assert_eq!(filled, second);
    }
}

/// A user whose texts all tell its version.
fn user_of(version: u64, length: usize) -> User {
    User {
        id: "usr_1".into(),
        version,
        tenant_id: Some(version.to_string().repeat(length).as_str().into()),
        status: UserStatus::Active,
        scopes: Some(Scopes::new([version.to_string().as_str()])),
        apis: None,
    }
}

#[test]
fn whoever_reads_while_others_write_reads_one_of_the_records_that_were() {
    let shared = table(16);
    let is_over = AtomicBool::new(false);
    let key = chain(|key, _, _| {
        key.tenant_id = None;
    });
    let id = EntityId::key(&crate::credential::digest::Digest::new([7; 32]));
    put(
        &shared,
        EntityId::user("usr_1"),
        Record::User(Some(Rc::new(user_of(1, 2)))),
        1,
    );
    put(&shared, id, Record::key(key.key), 1);
    std::thread::scope(|threads| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(|| {
                    let mut scratch = Scratch::default();
                    let (mut last, mut found) = (0, 0_u64);
                    while !is_over.load(Relaxed) || found == 0 {
                        let Some((chain, _)) = scratch.look_up(&shared, &id, EPOCH) else {
                            continue;
                        };
                        let user = chain.user.as_deref().unwrap();
                        let length = usize::try_from(user.version % 40).unwrap() + 1;
                        assert_eq!(*user, user_of(user.version, length));
                        assert!(user.version >= last, "an older one came back");
                        (last, found) = (user.version, found + 1);
                    }
                    found
                })
            })
            .collect();
        for version in 2..20_000 {
            let length = usize::try_from(version % 40).unwrap() + 1;
            let user = Record::User(Some(Rc::new(user_of(version, length))));
            put(&shared, EntityId::user("usr_1"), user, version);
            // Others take the memory that becomes free.
            let name = format!("usr_{}", version % 7 + 2);
            if version % 3 == 0 {
                remove(&shared, EntityId::user(&name));
            } else {
                let other = User {
                    id: name.as_str().into(),
                    ..user_of(version, length)
                };
                put(
                    &shared,
                    EntityId::user(&name),
                    Record::User(Some(Rc::new(other))),
                    version,
                );
            }
        }
        is_over.store(true, Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

#[test]
fn what_is_changed_again_and_again_takes_no_more_memory() {
    let table = table(1_000);
    let fill = |round: u64| {
        for number in 0..600 {
            let version = 100_000 + round * 1_000 + number;
            let length = usize::try_from((number + round) % 5).unwrap() + 1;
            let record = Record::User(Some(Rc::new(user_of(version, length))));
            put(&table, EntityId::user(&number.to_string()), record, version);
        }
    };
    for round in 0..10 {
        fill(round);
    }
    let before = table.lock().end();
    for round in 10..100 {
        fill(round);
    }
    let after = table.lock().end();
    assert!(after < before + before / 4, "{before} {after}");
}
