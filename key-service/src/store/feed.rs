//! The change feed: records by the number of their last write. Nothing is kept beside the records
//! themselves, because only the last change of each needs to be told.

use futures_util::TryStreamExt as _;
use keybound::protocol::LONGEST_BODY;

use super::changes::Changes;
use super::database::Store;
use super::error::StoreError;
use super::lent::in_time;
use super::pool::Transaction;
use super::sql::Statement;
use super::stored::{Change, Table, tables};

/// Bytes of records that are read at most for one answer, and then as much as one record more. An answer
/// is no larger, so more would be read in vain, and many who ask at once would fill the memory.
const MOST_BYTES: usize = LONGEST_BODY;

impl Store {
    /// At most `limit` changes after this number, from one snapshot.
    pub async fn changes(&self, after: i64, limit: usize) -> Result<Changes, StoreError> {
        // Most who ask know everything, and wait.
        let as_of = self.read_sequence().await?;
        if after >= as_of {
            return Ok(Reading::default().changes(as_of, limit));
        }
        in_time(self.read_changes(after, limit)).await
    }

    async fn read_changes(&self, after: i64, limit: usize) -> Result<Changes, StoreError> {
        let mut snapshot = self.readers.snapshot().await?;
        let as_of: i64 = Statement::new("SELECT value FROM sequence")
            .scalar(snapshot.on()?)
            .await?;
        let mut found = Reading::default();
        if after < as_of {
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            for table in tables() {
                found.read(&mut snapshot, table, (after, most)).await?;
            }
        }
        snapshot.end().await?;
        Ok(found.changes(as_of, limit))
    }

    /// The same without the database, where it is known: after a commit it is, for whoever was not far
    /// behind.
    pub fn recent_changes(&self, after: i64, limit: usize) -> Option<Changes> {
        self.recent.after(after, *self.sequence.borrow(), limit)
    }
}

/// What was read of the tables.
#[derive(Default)]
struct Reading {
    changes: Vec<Change>,
    /// Nothing is missing up to here, where a table was not read to its end.
    whole_to: Option<i64>,
}

impl Reading {
    /// Reads one table, until there are `most` or they are large enough together.
    async fn read(
        &mut self,
        snapshot: &mut Transaction,
        table: &'static Table,
        (after, most): (i64, i64),
    ) -> Result<(), StoreError> {
        let sql = table.sql.changes.as_str();
        let query = Statement::new(sql).bind(after).bind(most);
        let mut rows = query.fetch(snapshot.on()?)?;
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let change = (table.change)(&row)?;
            bytes += change.bytes();
            let seq = change.seq();
            self.changes.push(change);
            if bytes > MOST_BYTES {
                self.whole_to = Some(self.whole_to.map_or(seq, |other| other.min(seq)));
                break;
            }
        }
        Ok(())
    }

    fn changes(mut self, as_of: i64, limit: usize) -> Changes {
        let whole_to = self.whole_to.unwrap_or(as_of);
        self.changes.retain(|change| change.seq() <= whole_to);
        self.changes.sort_by_key(Change::seq);
        Changes::limited((as_of, whole_to), self.changes, limit)
    }
}
