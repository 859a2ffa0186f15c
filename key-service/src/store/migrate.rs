//! Copying everything from a stopped service's SQLite file into an empty PostgreSQL database.

use std::fs::TryLockError;
use std::path::Path;

use futures_util::TryStreamExt as _;
use serde_json::json;

use super::chain::{self, End};
use super::database::{MOVED_ON, Missing, Store};
use super::error::StoreError;
use super::location::Location;
use super::open::{lock_file, no_lock};
use super::pool::Transaction;
use super::queue::Urgency;
use super::sql::Statement;
use super::stored::tables;
use super::write::Write;
use crate::domain::audit::{Action, Kind};

/// Rows that are sent at a time.
const PART: usize = 1000;

/// A table as it is copied.
struct Copied {
    name: &'static str,
    columns: Vec<&'static str>,
    /// The column whose numbers PostgreSQL gives.
    numbered: Option<&'static str>,
}

/// All that a service stores, but for the sequence, which is moved on, and what is for one file alone.
fn copied() -> Vec<Copied> {
    let records = tables().into_iter().map(|table| Copied {
        name: table.name,
        columns: [&["place"], table.columns].concat(),
        numbered: Some("place"),
    });
    let others = [
        (
            "audit",
            &[
                "id",
                "at",
                "actor",
                "action",
                "kind",
                "entity_id",
                "seq",
                "before",
                "after",
                "previous_hash",
                "hash",
            ][..],
        ),
        ("key_rules", &["tenant_id", "rules"]),
        ("webhook_expiring", &["key_id", "day"]),
        ("retries", &["id", "request", "entity_id", "made_at"]),
        ("key_usage", &["key_id", "day", "allowed", "rejected"]),
        ("key_last_use", &["key_id", "at"]),
        ("key_refusals", &["key_id", "day", "code", "requests"]),
        ("key_last_refusal", &["key_id", "at"]),
        ("key_networks", &["key_id", "day", "network", "requests"]),
        ("use_by_hour", &["tenant_id", "hour", "code", "requests"]),
        ("usage_reports", &["reporter", "batch", "received_at"]),
        ("usage_reporting", &["only_row", "since"]),
    ];
    let others = others.into_iter().map(|(name, columns)| Copied {
        name,
        columns: columns.to_vec(),
        numbered: None,
    });
    let approvals = Copied {
        name: "approvals",
        columns: vec![
            "place",
            "id",
            "user_id",
            "tenant_id",
            "api",
            "reason",
            "status",
            "requested_by",
            "created_at",
            "decided_by",
            "decided_at",
            "decision_reason",
        ],
        numbered: Some("place"),
    };
    let tokens = Copied {
        name: "tokens",
        columns: vec![
            "place",
            "name",
            "digest",
            "role",
            "created_at",
            "revoked_at",
            "tenant_id",
            "user_id",
            "expires_at",
        ],
        numbered: Some("place"),
    };
    let webhooks = Copied {
        name: "webhooks",
        columns: vec!["place", "id", "tenant_id", "url", "events", "created_at"],
        numbered: Some("place"),
    };
    let messages = Copied {
        name: "webhook_messages",
        columns: vec![
            "place",
            "event_id",
            "webhook_id",
            "event",
            "payload",
            "created_at",
            "attempts",
            "next_at",
            "state",
            "last_error",
        ],
        numbered: Some("place"),
    };
    records
        .chain([approvals, tokens, webhooks, messages])
        .chain(others)
        .collect()
}

/// What was copied.
#[derive(Debug)]
pub struct Migrated {
    /// The number of the last write in the file.
    pub before: i64,
    /// The number from which writes go on.
    pub sequence: i64,
    /// Tables, and how many rows each has.
    pub tables: Vec<(&'static str, i64)>,
}

/// Copies a file that no service has open. All or nothing: until the end, nobody sees any of it. `progress` is told
/// how many rows of a table were sent. The error is one line for people.
pub async fn migrate(
    from: &Path,
    to: Location,
    now: i64,
    progress: impl FnMut(&'static str, i64),
) -> Result<Migrated, String> {
    if !from.exists() {
        return Err(format!(
            "there is no database at {}: check --from",
            from.display()
        ));
    }
    let lock = lock_file(from)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!(
                "the database {} is in use: stop the key service first",
                from.display()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(no_lock(from, &error)),
    }
    let source = Store::open_with(from, lock).await?;
    let done = async {
        let target = Store::open(to, Missing::Create).await?;
        let done = copy(&source, &target, now, progress).await;
        target.close().await;
        done
    };
    let done = done.await;
    source.close().await;
    done
}

async fn copy(
    source: &Store,
    target: &Store,
    now: i64,
    mut progress: impl FnMut(&'static str, i64),
) -> Result<Migrated, String> {
    let failed = |error: StoreError| format!("nothing was copied: {error}");
    let mut file = source.readers.snapshot().await.map_err(failed)?;
    let before: i64 = Statement::new("SELECT value FROM sequence")
        .scalar(file.on().map_err(failed)?)
        .await
        .map_err(failed)?;
    let end = chain::end(&mut file).await.map_err(failed)?;
    let mut write = target
        .write_as(Urgency::Import, "command line", now)
        .await
        .map_err(failed)?;
    let mut copied_rows = Vec::new();
    for table in copied() {
        let there = write.count_rows(table.name).await.map_err(failed)?;
        if there > 0 {
            return Err(format!(
                "the target is not empty, its table {} has {there} rows: name a new database",
                table.name
            ));
        }
    }
    for table in copied() {
        let sent = copy_table(&mut file, &mut write, &table, &mut progress)
            .await
            .map_err(failed)?;
        let there = write.count_rows(table.name).await.map_err(failed)?;
        if there != sent {
            return Err(format!(
                "nothing was copied: {sent} rows of the table {} were sent, and {there} arrived",
                table.name
            ));
        }
        copied_rows.push((table.name, sent));
    }
    let sequence = write.go_on(before, end).await.map_err(failed)?;
    write.commit().await.map_err(failed)?;
    file.end().await.map_err(failed)?;
    Ok(Migrated {
        before,
        sequence,
        tables: copied_rows,
    })
}

/// Sends a table, and gives how many rows it has.
async fn copy_table(
    file: &mut Transaction,
    write: &mut Write,
    table: &Copied,
    progress: &mut impl FnMut(&'static str, i64),
) -> Result<i64, StoreError> {
    let name = table.name;
    let fields: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("'{column}', {column}"))
        .collect();
    let first = table.columns.first().copied().unwrap_or_default();
    let read = format!(
        "SELECT json_object({}) FROM {name} ORDER BY {first}",
        fields.join(", ")
    );
    let list = table.columns.join(", ");
    let insert = format!(
        "INSERT INTO {name} ({list}) SELECT {list} FROM json_populate_recordset(NULL::{name}, $1::json)"
    );
    let mut sent = 0;
    let mut part: Vec<String> = Vec::with_capacity(PART);
    let mut rows = Statement::new(read).fetch(file.on()?)?;
    loop {
        let row = rows.try_next().await?;
        let ended = row.is_none();
        if let Some(row) = row {
            part.push(row.get(0)?);
        }
        if part.len() == PART || ended && !part.is_empty() {
            sent += i64::try_from(part.len()).unwrap_or(i64::MAX);
            Statement::new(insert.clone())
                .bind(format!("[{}]", part.join(",")))
                .execute(write.on().await?)
                .await?;
            part.clear();
            progress(name, sent);
        }
        if ended {
            break;
        }
    }
    if let Some(column) = table.numbered {
        Statement::new(format!(
            "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), coalesce(max({column}), 1), count(*) > 0) \
             FROM {name}"
        ))
        .fetch_one(write.on().await?)
        .await?;
    }
    Ok(sent)
}

impl Write {
    async fn count_rows(&mut self, table: &str) -> Result<i64, StoreError> {
        Statement::new(format!("SELECT count(*) FROM {table}"))
            .scalar(self.on().await?)
            .await
    }

    /// Goes on from the numbers of another database, so far further up that everybody who follows starts over.
    async fn go_on(&mut self, before: i64, end: End) -> Result<i64, StoreError> {
        self.take_over(end).await?;
        let sequence = self.skip(before + MOVED_ON).await?;
        self.audit(
            Action::Restore,
            Kind::Database,
            "keybound",
            Some(sequence),
            Some(&json!({"sequence": before})),
            &json!({"sequence": sequence}),
        )
        .await?;
        Ok(sequence)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;
    use crate::store::open::MIGRATIONS;

    #[tokio::test]
    async fn every_table_is_copied_with_all_its_columns() {
        let mut new = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut new).await.unwrap();
        // The sequence is moved on, people sign in again; the others are what one file alone needs.
        let sql = "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) \
                   AS columns WHERE tables.type = 'table' AND tables.name NOT IN \
                   ('sequence', 'audit_chain', 'probe', 'sessions', '_sqlx_migrations', 'sqlite_sequence') ORDER BY 1, 2";
        let made: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut new).await.unwrap();
        let mut named: Vec<(String, String)> = copied()
            .into_iter()
            .flat_map(|table| {
                let columns = table.columns.into_iter();
                columns.map(move |column| (table.name.to_owned(), column.to_owned()))
            })
            .collect();
        named.sort();
        assert_eq!(named, made);
    }
}
