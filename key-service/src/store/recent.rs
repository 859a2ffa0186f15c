//! The last changes in memory. A commit wakes everybody who follows the feed at once, and they need not all
//! ask the database for what was just written into it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::changes::Changes;
use super::stored::Change;

/// Changes that are kept. Who is further behind reads the database.
pub(super) const KEPT: usize = 1000;
/// Bytes of their texts that are kept.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The last changes, without a gap.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    /// The number after which everything is here.
    begin: i64,
    /// The number of the last change here.
    end: i64,
    changes: VecDeque<Change>,
    bytes: usize,
}

impl Recent {
    /// Adds what was written after a number and up to another. What is known already is passed over. `false`, and
    /// nothing is added, where something before it is not known.
    pub(super) fn add(&self, (after, to): (i64, i64), written: Vec<Change>) -> bool {
        let mut log = self.log();
        if to <= log.end {
            return true;
        }
        if after != log.end {
            return false;
        }
        log.end = to;
        log.bytes += written.iter().map(Change::bytes).sum::<usize>();
        log.changes.extend(written);
        while log.changes.len() > KEPT || log.bytes > KEPT_BYTES {
            let Some(forgotten) = log.changes.pop_front() else {
                break;
            };
            log.bytes -= forgotten.bytes();
            log.begin = forgotten.seq();
        }
        true
    }

    /// Forgets all, and begins anew after a number.
    pub(super) fn begin_after(&self, number: i64) {
        let mut log = self.log();
        if number > log.end {
            *log = Log {
                begin: number,
                end: number,
                ..Log::default()
            };
        }
    }

    /// The number up to which changes were added.
    pub(super) fn end(&self) -> i64 {
        self.log().end
    }

    /// The last change of each record after this number, if all up to `announced` are here.
    pub(super) fn after(&self, after: i64, announced: i64, limit: usize) -> Option<Changes> {
        let log = self.log();
        if after < log.begin || after >= log.end || log.end < announced {
            return None;
        }
        let mut seen = HashSet::new();
        let mut changes: Vec<Change> = log
            .changes
            .iter()
            .rev()
            .take_while(|change| change.seq() > after)
            .filter(|change| seen.insert(change.entity()))
            .cloned()
            .collect();
        changes.reverse();
        Some(Changes::limited((log.end, log.end), changes, limit))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::{Tenant, TenantStatus};

    fn change(id: &str, version: i64) -> Change {
        Change::Tenant(Box::new(Tenant {
            id: id.to_owned(),
            version,
            name: None,
            status: TenantStatus::Active,
            created_at: 0,
            updated_at: 0,
        }))
    }

    fn seqs(changes: Option<Changes>) -> Option<Vec<i64>> {
        changes.map(|found| found.changes.iter().map(Change::seq).collect())
    }

    /// What one write wrote.
    fn add(recent: &Recent, changes: Vec<Change>) -> bool {
        let first = changes.first().unwrap().seq();
        let range = (first - 1, changes.last().unwrap().seq());
        recent.add(range, changes)
    }

    #[test]
    fn only_the_last_change_of_a_record_is_given_in_order_and_up_to_the_limit() {
        let recent = Recent::default();
        recent.begin_after(6);
        assert!(add(&recent, vec![change("a", 7), change("b", 8)]));
        assert!(add(&recent, vec![change("a", 9)]));
        assert!(add(&recent, vec![change("c", 10)]));
        assert_eq!(seqs(recent.after(6, 10, 9)), Some(vec![8, 9, 10]));
        assert_eq!(seqs(recent.after(8, 10, 9)), Some(vec![9, 10]));
        let cut = recent.after(6, 10, 2).unwrap();
        assert_eq!((cut.as_of, cut.cursor), (10, 9));
        let whole = recent.after(9, 10, 9).unwrap();
        assert_eq!((whole.as_of, whole.cursor), (10, 10));
    }

    #[test]
    fn what_is_not_known_here_is_left_to_the_database() {
        let recent = Recent::default();
        assert_eq!(seqs(recent.after(0, 0, 9)), None);
        recent.begin_after(6);
        assert!(add(&recent, vec![change("a", 7)]));
        assert_eq!(
            seqs(recent.after(5, 7, 9)),
            None,
            "there was a change before"
        );
        assert_eq!(
            seqs(recent.after(6, 8, 9)),
            None,
            "another process wrote since"
        );
        assert_eq!(seqs(recent.after(7, 7, 9)), None, "nothing new");
        assert!(!add(&recent, vec![change("b", 9)]), "8 is not known");
        assert_eq!(recent.end(), 7);
        assert!(recent.add((7, 9), vec![change("d", 8), change("b", 9)]));
        assert_eq!(seqs(recent.after(6, 9, 9)), Some(vec![7, 8, 9]));
        assert!(add(&recent, vec![change("b", 9)]), "it is known by now");
        assert_eq!(seqs(recent.after(7, 9, 9)), Some(vec![8, 9]));
        recent.begin_after(11);
        assert_eq!(seqs(recent.after(8, 11, 9)), None);
        assert!(add(&recent, vec![change("e", 12)]));
        assert_eq!(seqs(recent.after(11, 12, 9)), Some(vec![12]));
        recent.begin_after(5);
        assert_eq!(recent.end(), 12, "numbers do not go back");
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_not_claimed() {
        let recent = Recent::default();
        let number = |count: usize| i64::try_from(count).unwrap();
        let all = (1..=number(KEPT) + 5).map(|seq| change(&seq.to_string(), seq));
        assert!(add(&recent, all.collect()));
        assert_eq!(recent.log().changes.len(), KEPT);
        assert_eq!(seqs(recent.after(4, 0, 9)), None);
        assert_eq!(seqs(recent.after(5, 0, 2)), Some(vec![6, 7]));
    }
}
