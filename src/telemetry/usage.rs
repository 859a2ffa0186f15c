//! Counts per key, reported to the key service now and then.
//!
//! A report that was not taken is kept and sent again under its number, so that the key service counts it
//! once however often it arrives. What is counted meanwhile goes into the next one.

use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashTable;
use serde::Serialize;

use crate::knowledge::cache::EntityId;
use crate::protocol::MOST_REPORTED;
use crate::record::Key;
use crate::time::{Instant, Now};

/// Keys that are counted at most, while reports are not taken. Those that come then are not counted.
const COUNTED: usize = 10_000;

/// Time before a report that was not taken is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a key service that takes no reports is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(600);

/// Reports of usage per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether usage is counted and reported.
    pub enabled: bool,
    /// Time between two reports.
    pub every: Duration,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It was not, and is sent again.
    NotTaken,
    /// The key service takes none.
    Unsupported,
}

/// Counts per key, and the report under way.
#[derive(Debug)]
pub struct Usage {
    every: Option<Duration>,
    reporter: String,
    batch: u64,
    /// By what stands for their keys in the caches, which is a hash already.
    counts: HashTable<Counted>,
    /// Unix seconds since which the counts were collected.
    from: u64,
    report: Option<Vec<u8>>,
    /// Whether a report is under way.
    sent: bool,
    /// When the next report may be sent.
    due: Option<Instant>,
    /// Until when nothing is counted, for nobody would take it.
    left_alone: Option<Instant>,
}

#[derive(Debug)]
struct Counted {
    id: EntityId,
    key: Rc<Key>,
    count: Count,
}

impl Counted {
    fn is_of(&self, id: EntityId, key: &Rc<Key>) -> bool {
        self.id == id && (Rc::ptr_eq(&self.key, key) || self.key.id == key.id)
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    allowed: u64,
    rejected: u64,
    last_at: u64,
}

impl Count {
    fn add(&mut self, allowed: bool, at: u64) {
        let verdicts = if allowed {
            &mut self.allowed
        } else {
            &mut self.rejected
        };
        *verdicts = verdicts.saturating_add(1);
        self.last_at = at;
    }
}

#[derive(Serialize)]
struct Report<'a> {
    reporter: &'a str,
    batch: u64,
    from: u64,
    to: u64,
    keys: Vec<KeyCount<'a>>,
}

#[derive(Serialize)]
struct KeyCount<'a> {
    id: &'a str,
    allowed: u64,
    rejected: u64,
    last_at: u64,
}

impl Usage {
    /// Nothing counted yet. `reporter` tells this worker from all others.
    pub fn new(settings: Settings, reporter: String) -> Self {
        Self {
            every: settings.enabled.then_some(settings.every),
            reporter,
            batch: 0,
            counts: HashTable::new(),
            from: 0,
            report: None,
            sent: false,
            due: None,
            left_alone: None,
        }
    }

    /// Counts a verdict on a key. A key that was seen before costs no allocation.
    pub fn count(&mut self, id: EntityId, key: &Rc<Key>, allowed: bool, now: Now) {
        let Some(every) = self.every else { return };
        if self.counts.is_empty() {
            if self.left_alone.is_some_and(|until| now.instant < until) {
                return;
            }
            self.from = now.unix;
            self.due.get_or_insert(now.instant + every);
        }
        let known = self
            .counts
            .find_mut(id.spread(), |counted| counted.is_of(id, key));
        if let Some(counted) = known {
            counted.count.add(allowed, now.unix);
        } else if self.counts.len() < COUNTED {
            let mut count = Count::default();
            count.add(allowed, now.unix);
            let counted = Counted {
                id,
                key: Rc::clone(key),
                count,
            };
            self.counts
                .insert_unique(id.spread(), counted, |counted| counted.id.spread());
        }
    }

    /// The body of the next report, if one is due and none is under way.
    pub fn next_report(&mut self, now: Now) -> Option<Vec<u8>> {
        if self.sent || self.due.is_none_or(|due| due > now.instant) {
            return None;
        }
        if self.report.is_none() {
            self.report = self.collect(now);
        }
        self.report.clone()
    }

    fn collect(&mut self, now: Now) -> Option<Vec<u8>> {
        let counted: Vec<Counted> = self
            .counts
            .extract_if(|_| true)
            .take(MOST_REPORTED)
            .collect();
        let report = Report {
            reporter: &self.reporter,
            batch: self.batch.saturating_add(1),
            from: self.from,
            to: now.unix,
            keys: counted
                .iter()
                .map(|Counted { key, count, .. }| KeyCount {
                    id: &key.id,
                    allowed: count.allowed,
                    rejected: count.rejected,
                    last_at: count.last_at,
                })
                .collect(),
        };
        let body = serde_json::to_vec(&report).ok()?;
        self.batch = report.batch;
        Some(body)
    }

    /// The report is under way.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The report has come to this.
    pub fn ended(&mut self, outcome: Outcome, now: Now) {
        self.sent = false;
        match outcome {
            Outcome::Taken => {
                self.report = None;
                let soon = match self.every {
                    Some(every) if self.counts.len() < MOST_REPORTED => every,
                    // Much is left.
                    _ => RETRY,
                };
                self.due = (!self.counts.is_empty()).then(|| now.instant + soon);
            }
            // The same again, but not at once: the key service may be overloaded.
            Outcome::NotTaken => self.due = Some(now.instant + RETRY),
            Outcome::Unsupported => {
                self.report = None;
                self.counts.clear();
                self.due = None;
                self.left_alone = Some(now.instant + LEFT_ALONE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let key = chain(|key, _, _| key.id = id.into()).key;
        usage.count(EntityId::user(id), &key, allowed, now);
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
            "keys": [{"id": "key_1", "allowed": 2, "rejected": 1, "last_at": unix(64)}],
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
        for key in 0..20_000 {
            count(&mut usage, &format!("key_{key}"), true, at(0));
        }
        assert_eq!(usage.counts.len(), COUNTED);
        let mut millis = 10_000;
        for batch in 1..=10 {
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
}
