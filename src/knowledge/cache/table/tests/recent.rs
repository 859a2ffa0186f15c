//! What a worker keeps of a table is what the table holds, whatever becomes of that.

use super::*;
use crate::credential::digest::Digest;

fn key_id(number: u16) -> EntityId {
    let [low, high] = number.to_le_bytes();
    let mut digest = [7; 32];
    // Parts of an id: for its bucket, for its tag, and those by which it is remembered.
    for at in [0, 8, 12, 14] {
        (digest[at], digest[at + 1]) = (low, high);
    }
    EntityId::key(&Digest::new(digest))
}

fn key_of(number: u16, version: u64) -> Record {
    let owned = chain(|key, _, _| {
        key.id = format!("key_{number}").as_str().into();
        key.version = version;
        key.user_id = Some(format!("usr_{}", number % 3).as_str().into());
        key.tenant_id = number.is_multiple_of(2).then(|| "ten_0".into());
        key.environment = Some(version.to_string().as_str().into());
    });
    Record::key(owned.key)
}

fn put_key(table: &Table, number: u16, version: u64) {
    put(table, key_id(number), key_of(number, version), version);
}

fn put_user(table: &Table, number: u16, version: u64, is_there: bool) {
    let name = format!("usr_{number}");
    let length = usize::try_from(version % 40).unwrap() + 1;
    let user = User {
        id: name.as_str().into(),
        ..user_of(version, length)
    };
    let record = Record::User(is_there.then(|| Rc::new(user)));
    put(table, EntityId::user(&name), record, version);
}

fn put_tenant(table: &Table, version: u64, is_there: bool) {
    let tenant = Tenant {
        id: "ten_0".into(),
        version,
        status: TenantStatus::Active,
    };
    let record = Record::Tenant(is_there.then(|| Rc::new(tenant)));
    put(table, EntityId::tenant("ten_0"), record, version);
}

/// A table with so many keys, their three users and their tenant.
fn filled_with(keys: u16) -> Arc<Table> {
    let table = table(2 * usize::from(keys).max(128));
    (0..3).for_each(|user| put_user(&table, user, 1, true));
    put_tenant(&table, 1, true);
    (0..keys).for_each(|key| put_key(&table, key, 1));
    table
}

/// A table with a few keys.
fn filled() -> Arc<Table> {
    filled_with(6)
}

#[derive(Debug, Clone)]
enum Change {
    Key(u16),
    User(u16, bool),
    Tenant(bool),
    RemoveKey(u16),
    RemoveUser(u16),
    Epoch,
    Nothing,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..6_u16).prop_map(Change::Key),
        (0..3_u16, any::<bool>()).prop_map(|(user, is_there)| Change::User(user, is_there)),
        any::<bool>().prop_map(Change::Tenant),
        (0..6_u16).prop_map(Change::RemoveKey),
        (0..3_u16).prop_map(Change::RemoveUser),
        Just(Change::Epoch),
        Just(Change::Nothing),
    ]
}

proptest! {
    /// Whoever has kept something finds what one finds who has not.
    #[test]
    fn what_is_kept_is_what_is_there(changes in prop::collection::vec(change(), 1..100)) {
        let table = filled();
        let (mut kept, mut version) = (Scratch::default(), 1);
        let others = Epoch { number: 4, began: Some(1) };
        for change in changes {
            version += 1;
            match change {
                Change::Key(key) => put_key(&table, key, version),
                Change::User(user, is_there) => put_user(&table, user, version, is_there),
                Change::Tenant(is_there) => put_tenant(&table, version, is_there),
                Change::RemoveKey(key) => remove(&table, key_id(key)),
                Change::RemoveUser(user) => remove(&table, EntityId::user(&format!("usr_{user}"))),
                // Somebody comes to a bucket in another epoch.
                Change::Epoch => drop(table.get_with_floor(&key_id(0), others)),
                Change::Nothing => {}
            }
            for key in 0..6 {
                for epoch in [EPOCH, others] {
                    let found = kept.look_up(&table, &key_id(key), epoch);
                    let there = Scratch::default().look_up(&table, &key_id(key), epoch);
                    prop_assert_eq!(found, there);
                }
            }
        }
    }
}

#[test]
fn what_another_epoch_has_taken_over_is_not_kept() {
    let table = table(16);
    let before = Epoch::default();
    let after = Epoch {
        number: 1,
        began: Some(1),
    };
    let key = chain(|key, _, _| (key.user_id, key.tenant_id) = (None, None)).key;
    let entry = Entry {
        record: Record::key(key),
        version: 1,
        confirmed: Instant::from_millis(1),
    };
    let insert = |floor, _, _| {
        Some(Edit {
            insert: true,
            floor,
        })
    };
    table.replace(key_id(1), Some(&entry), 1, before, insert);
    let mut kept = Scratch::default();
    for _ in 0..2 {
        assert!(kept.look_up(&table, &key_id(1), before).is_some());
    }

    assert!(table.get_with_floor(&key_id(1), after).0.is_some());

    assert!(kept.look_up(&table, &key_id(1), before).is_none());
    assert!(kept.look_up(&table, &key_id(1), after).is_some());
}

#[test]
fn what_was_looked_at_long_ago_is_read_again() {
    let table = filled();
    let mut kept = Scratch::default();
    let (chain, _) = kept.look_up(&table, &key_id(1), EPOCH).unwrap();
    let (same, _) = kept.look_up(&table, &key_id(1), EPOCH).unwrap();
    assert!(Rc::ptr_eq(&chain.key, &same.key));

    table.changes.fetch_add(1 << 22, Relaxed);

    let (read, _) = kept.look_up(&table, &key_id(1), EPOCH).unwrap();
    assert_eq!(read, chain);
    assert!(!Rc::ptr_eq(&read.key, &chain.key));
}

#[test]
fn no_more_is_kept_than_there_is_room_for_and_who_comes_again_is() {
    const KEYS: u16 = 5_000;
    let table = filled_with(KEYS);
    let mut kept = Scratch::default();
    for key in 0..KEYS - 100 {
        assert!(kept.look_up(&table, &key_id(key), EPOCH).is_some());
    }
    assert_eq!(kept.kept(), 1024);
    // What comes once is not kept, and what comes again is.
    let mut is_kept = |key| {
        let (one, _) = kept.look_up(&table, &key_id(key), EPOCH).unwrap();
        let (other, _) = kept.look_up(&table, &key_id(key), EPOCH).unwrap();
        Rc::ptr_eq(&one.key, &other.key)
    };
    let first: Vec<bool> = (KEYS - 100..KEYS).map(&mut is_kept).collect();
    let second: Vec<bool> = (KEYS - 100..KEYS).map(&mut is_kept).collect();
    assert!(first.iter().all(|kept| !*kept));
    assert!(second.iter().all(|kept| *kept));
    assert_eq!(kept.kept(), 1024);
}

/// Else each key that comes would push out another one, where many are asked for evenly.
#[test]
fn who_comes_again_late_is_not_kept() {
    let table = filled_with(4_000);
    let mut kept = Scratch::default();
    let mut come = |key| kept.look_up(&table, &key_id(key), EPOCH).unwrap().0.key;
    (0..2_000).for_each(|key| drop(come(key)));

    drop(come(2_000));
    (2_001..3_050).for_each(|key| drop(come(key)));
    let (late, then) = (come(2_000), come(2_000));
    assert!(!Rc::ptr_eq(&late, &then));
    // Now it has come twice in a row.
    assert!(Rc::ptr_eq(&come(2_000), &come(2_000)));
}

#[test]
fn users_and_tenants_of_several_keys_are_kept_once() {
    let table = filled();
    let mut kept = Scratch::default();
    let mut of = |key| kept.look_up(&table, &key_id(key), EPOCH).unwrap().0;
    // Read, and then kept.
    for key in [0, 3] {
        of(key);
    }
    let (one, other) = (of(0), of(3));
    let users = (one.user.unwrap(), other.user.unwrap());
    assert_eq!(one.key.user_id, other.key.user_id);
    assert!(Rc::ptr_eq(&users.0, &users.1));
}
