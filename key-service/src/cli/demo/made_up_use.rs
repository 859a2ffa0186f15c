//! A week of use and refusals that nobody made, so that whoever looks at the console for the first time sees it alive.

use super::cases::{CASES, Case, Special};
use crate::domain::time::HOUR;
use crate::domain::usage::{UsageOfKey, UsageReport};
use crate::store::{StoreError, Write};

/// Who is said to have counted. Each hour is one report, which counts once, however often it is sent.
const REPORTER: &str = "demo";
/// Hours that are made up.
const HOURS: i64 = 7 * 24;

/// What happened of late: a case, from how many hours ago until how many, and requests an hour.
const INCIDENTS: [(&str, i64, i64, i64); 4] = [
    ("user_suspended", 9, 0, 240),
    ("key_expired", 5, 2, 150),
    ("address_not_allowed", 15, 13, 420),
    ("user_deactivated", 30, 0, 60),
];

/// Counts the hours up to now that were not counted yet.
pub async fn count(write: &mut Write) -> Result<(), StoreError> {
    let now = write.now();
    let this_hour = now / HOUR;
    for ago in (0..HOURS).rev() {
        let hour = this_hour - ago;
        let end = ((hour + 1) * HOUR - 1).min(now);
        let of_hour = |case: &Case| of_case(case, hour, ago, end);
        let keys: Vec<UsageOfKey> = CASES.iter().filter_map(of_hour).collect();
        let report = UsageReport {
            reporter: REPORTER.to_owned(),
            batch: hour,
            from: hour * HOUR,
            to: end,
            keys,
        };
        write.count(&report).await?;
    }
    Ok(())
}

/// What is said of the key of a case.
fn of_case(case: &Case, hour: i64, ago: i64, end: i64) -> Option<UsageOfKey> {
    if matches!(case.special, Special::NotStored) {
        return None;
    }
    let requests = requests(case, hour, ago);
    let (allowed, rejected) = match case.code {
        "allowed" => (requests, 0),
        _ => (0, requests),
    };
    (requests > 0).then(|| UsageOfKey {
        id: format!("key_demo_{}", case.name),
        allowed,
        rejected,
        last_at: end,
        rejected_by: match rejected {
            0 => Vec::new(),
            _ => vec![(case.code.to_owned(), rejected)],
        },
        last_rejected_at: (rejected > 0).then_some(end),
        networks: vec![("203.0.113.0/24".to_owned(), requests)],
    })
}

/// More by day than by night, and never quite the same.
fn requests(case: &Case, hour: i64, ago: i64) -> i64 {
    let of_day = 12 - (hour.rem_euclid(24) - 13).abs();
    let seed = case.name.bytes().fold(hour, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(i64::from(byte))
    });
    let some = seed.rem_euclid(7);
    let usual = match case.code {
        "allowed" => of_day * 90 + some * 40,
        _ => of_day / 4 * some / 4,
    };
    let incidents = INCIDENTS
        .iter()
        .filter(|(name, from, to, _)| *name == case.name && (*to..=*from).contains(&ago));
    let more: i64 = incidents
        .map(|(.., an_hour)| an_hour + some * an_hour / 20)
        .sum();
    usual + more
}
