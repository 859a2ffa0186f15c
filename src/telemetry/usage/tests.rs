//! Counts, what is told of them, and their bounds.

use std::cell::Cell;

use serde_json::{Value, json};

use super::*;
use crate::test_util::{at, chain, test};

fn usage() -> Usage {
    let settings = Settings {
        enabled: true,
        every: Duration::from_secs(10),
    };
    Usage::new(settings, "vm_1".to_owned())
}

fn count(usage: &mut Usage, id: &str, allowed: bool, now: Now) {
    let refused = (!allowed).then_some(Reason::UserSuspended);
    count_from(usage, id, refused, now, Some("203.0.113.7"));
}

/// Gives whether the client's address was asked for.
fn count_from(
    usage: &mut Usage,
    id: &str,
    refused: Option<Reason>,
    now: Now,
    source: Option<&str>,
) -> bool {
    let key = chain(|key, _, _| key.id = id.into()).key;
    let asked = Cell::new(false);
    let looks = usage.looks(EntityId::user(id), &key);
    usage.count(EntityId::user(id), &key, refused, now, &|| {
        asked.set(true);
        source.map(|source| source.parse().unwrap())
    });
    assert!(looks || !asked.get(), "it was said before");
    asked.get()
}

fn report(usage: &mut Usage, millis: u64) -> Option<Value> {
    let body = usage.next_report(at(millis))?;
    Some(serde_json::from_slice(&body).unwrap())
}

#[test]
fn counts_are_reported_once_a_period() {
    let mut usage = usage();
    assert_eq!(report(&mut usage, 60_000), None);
    count(&mut usage, "key_1", true, at(60_000));
    count(&mut usage, "key_1", true, at(63_000));
    count(&mut usage, "key_1", false, at(64_000));
    assert_eq!(report(&mut usage, 69_999), None);
    let unix = |seconds: u64| at(seconds * 1000).unix;
    let first = json!({
        "reporter": "vm_1", "batch": 1, "from": unix(60), "to": unix(70),
        "keys": [{
            "id": "key_1", "allowed": 2, "rejected": 1, "last_at": unix(64),
            "rejected_by": {"user_suspended": 1}, "last_rejected_at": unix(64),
            "networks": {"203.0.113.0/24": 3},
        }],
    });
    assert_eq!(report(&mut usage, 70_000), Some(first));
    usage.sent();
    assert_eq!(report(&mut usage, 90_000), None);
    usage.ended(Outcome::Taken, at(70_010));
    assert_eq!(report(&mut usage, 90_000), None);
}

#[test]
fn a_report_that_was_not_taken_is_sent_again_under_its_number() {
    let mut usage = usage();
    count(&mut usage, "key_1", true, at(0));
    let first = report(&mut usage, 10_000);
    usage.sent();
    count(&mut usage, "key_1", true, at(10_500));
    count(&mut usage, "key_2", false, at(10_500));
    usage.ended(Outcome::NotTaken, at(11_000));
    assert_eq!(report(&mut usage, 11_999), None);
    assert_eq!(report(&mut usage, 12_000), first);
    usage.sent();
    usage.ended(Outcome::Taken, at(12_000));
    let second = report(&mut usage, 30_000).unwrap();
    assert_eq!(second["batch"], 2);
    let mut keys: Vec<&str> = second["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["key_1", "key_2"]);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut usage = usage();
    for key in 0..COUNTED + 10 {
        count(&mut usage, &format!("key_{key}"), true, at(0));
    }
    assert_eq!(usage.counts.len(), COUNTED);
    let mut millis = 10_000;
    for batch in 1..=COUNTED / MOST_REPORTED {
        let report = report(&mut usage, millis).unwrap();
        assert_eq!(
            (&report["batch"], report["keys"].as_array().unwrap().len()),
            (&json!(batch), MOST_REPORTED)
        );
        usage.sent();
        usage.ended(Outcome::Taken, at(millis));
        millis += 1000;
    }
    assert_eq!(report(&mut usage, millis + 60_000), None);
}

#[test]
fn nothing_is_counted_where_nothing_is_to_be_reported() {
    let settings = Settings {
        enabled: false,
        every: Duration::from_secs(10),
    };
    let mut usage = Usage::new(settings, String::new());
    count(&mut usage, "key_1", true, at(0));
    assert!(usage.counts.is_empty());
    assert_eq!(usage.next_report(at(100_000)), None);
}

#[test]
fn a_service_that_takes_no_reports_is_left_alone_for_ten_minutes() {
    let mut usage = usage();
    count(&mut usage, "key_1", true, at(0));
    assert!(report(&mut usage, 10_000).is_some());
    usage.sent();
    count(&mut usage, "key_1", true, at(10_001));
    usage.ended(Outcome::Unsupported, at(10_002));
    for millis in [10_003, 300_000, 610_001] {
        count(&mut usage, "key_1", true, at(millis));
        assert!(usage.counts.is_empty());
        assert_eq!(report(&mut usage, millis), None);
    }
    count(&mut usage, "key_1", true, at(610_002));
    assert_eq!(report(&mut usage, 620_001), None);
    let later = report(&mut usage, 620_002).unwrap();
    assert_eq!(later["keys"][0]["allowed"], 1);
    assert_eq!(later["batch"], 2);
}

#[test]
fn refusals_are_told_by_their_codes_and_when_the_last_was() {
    let mut usage = usage();
    let refusals = [
        Reason::ScopeMissing,
        Reason::KeyExpired,
        Reason::ScopeMissing,
    ];
    for (seconds, reason) in (1..).zip(refusals) {
        count_from(&mut usage, "key_1", Some(reason), at(seconds * 1000), None);
    }
    count(&mut usage, "key_1", true, at(5000));
    let report = report(&mut usage, 20_000).unwrap();
    let key = &report["keys"][0];
    assert_eq!(
        key["rejected_by"],
        json!({"scope_missing": 2, "key_expired": 1})
    );
    assert_eq!((&key["rejected"], &key["allowed"]), (&json!(3), &json!(1)));
    assert_eq!(key["last_rejected_at"], at(3000).unix);
    assert_eq!(key["last_at"], at(5000).unix);
}

#[test]
fn a_key_that_was_never_refused_says_nothing_of_refusals() {
    let mut usage = usage();
    count(&mut usage, "key_1", true, at(0));
    let report = report(&mut usage, 20_000).unwrap();
    let members = report["keys"][0].as_object().unwrap();
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ["allowed", "id", "last_at", "networks", "rejected"]);
}

#[test]
fn one_request_in_seventeen_is_asked_where_it_comes_from_and_the_others_count_with_it() {
    let mut usage = usage();
    let networks = ["10.0.1.1", "10.0.2.1", "10.0.1.9"];
    let asked: Vec<usize> = (0..50)
        .filter(|at_request| {
            let source = networks[at_request / 17];
            count_from(&mut usage, "key_1", None, at(0), Some(source))
        })
        .collect();
    assert_eq!(asked, [0, 17, 34]);
    let first = report(&mut usage, 20_000).unwrap();
    assert_eq!(
        first["keys"][0]["networks"],
        json!({"10.0.1.0/24": 33, "10.0.2.0/24": 17})
    );
    usage.ended(Outcome::Taken, at(20_000));
    // A new report begins with a new look.
    assert!(count_from(&mut usage, "key_1", None, at(21_000), None));
    let second = report(&mut usage, 40_000).unwrap();
    assert_eq!(second["keys"][0]["networks"], json!({"other": 1}));
}

/// Another record of the same key, and another key of the same digest.
#[test]
fn a_key_is_counted_as_one_when_its_record_changes() {
    let mut usage = usage();
    let id = EntityId::user("digest");
    for (key_id, version) in [("key_1", 1), ("key_1", 2), ("key_2", 3)] {
        let key = chain(|key, _, _| {
            key.id = key_id.into();
            key.version = version;
        });
        usage.count(id, &key.key, None, at(0), &|| None);
    }
    let report = report(&mut usage, 20_000).unwrap();
    let keys = report["keys"].as_array().unwrap().iter();
    let mut told: Vec<_> = keys.map(|key| (&key["id"], &key["allowed"])).collect();
    told.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(
        told,
        [(&json!("key_1"), &json!(2)), (&json!("key_2"), &json!(1))]
    );
}

#[test]
fn no_report_is_larger_than_a_key_service_takes() {
    let mut usage = usage();
    for key in 0..MOST_REPORTED {
        let id = format!("{key:\"<128}");
        for (at_network, reason) in Reason::ALL.into_iter().enumerate() {
            for _ in 0..LOOKED_AT {
                let source = format!("2001:db8:{at_network:x}::1");
                count_from(&mut usage, &id, Some(reason), at(0), Some(&source));
            }
        }
    }
    let (mut millis, mut told) = (10_000, 0);
    while let Some(body) = usage.next_report(at(millis)) {
        assert!(body.len() < LONGEST_BODY, "{}", body.len());
        let report: Value = serde_json::from_slice(&body).unwrap();
        let keys = report["keys"].as_array().unwrap();
        assert_eq!(keys[0]["networks"].as_object().unwrap().len(), 9);
        told += keys.len();
        usage.sent();
        usage.ended(Outcome::Taken, at(millis));
        millis += 10_000;
    }
    assert_eq!(told, MOST_REPORTED);
    assert!(millis > 20_000, "it takes more than one");
}
