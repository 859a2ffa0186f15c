//! What followers of the change feed are given.

use super::stored::Change;

/// What was written after a number.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The sequence number at which this was read.
    pub as_of: i64,
    /// What to ask after next: the last change given, or `as_of` where none was left out.
    pub cursor: i64,
    /// In the order of their numbers.
    pub changes: Vec<Change>,
}

impl Changes {
    /// The first `limit` of all changes up to `whole_to`, in their order, as they are at `as_of`.
    pub(super) fn limited(
        (as_of, whole_to): (i64, i64),
        changes: Vec<Change>,
        limit: usize,
    ) -> Self {
        let all = Self {
            as_of,
            cursor: whole_to,
            changes,
        };
        // At the limit there may be more, which were not read: go on after the last one given.
        if all.changes.len() < limit {
            all
        } else {
            all.first(limit)
        }
    }

    /// The first `count` of them.
    pub fn first(mut self, count: usize) -> Self {
        self.changes.truncate(count);
        if let Some(last) = self.changes.last() {
            self.cursor = last.seq();
        }
        self
    }
}
