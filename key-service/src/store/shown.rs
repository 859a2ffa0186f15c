//! What is read of the database for one record: the record alone, or with what is known beside it.

use std::sync::LazyLock;

use super::belongs::Belongs;
use super::error::StoreError;
use super::sql::{Row, Statement};
use super::stored::Stored;
use crate::domain::key::Key;
use crate::domain::usage::UsedKey;

/// What a row shows of a record.
pub trait Shown: Sized + Send {
    /// The record.
    type Record: Belongs;

    /// The column that orders lists of them.
    fn place() -> &'static str;

    /// The list behind `SELECT`.
    fn columns() -> &'static str;

    /// What stands behind `FROM`: the table, and what is joined to it.
    fn from() -> &'static str;

    /// Reads a row of these columns.
    fn of_row(row: &Row) -> Result<Self, StoreError>;
}

impl<T: Stored> Shown for T {
    type Record = T;

    fn place() -> &'static str {
        &T::table().sql.place
    }

    fn columns() -> &'static str {
        &T::table().sql.columns
    }

    fn from() -> &'static str {
        T::table().name
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        T::read(row)
    }
}

impl Shown for UsedKey {
    type Record = Key;

    fn place() -> &'static str {
        Key::place()
    }

    fn columns() -> &'static str {
        static COLUMNS: LazyLock<String> = LazyLock::new(|| {
            let key = Key::columns();
            format!("{key}, key_last_use.at AS last_used_at, {REPORTED} AS usage_reported")
        });
        &COLUMNS
    }

    fn from() -> &'static str {
        "keys LEFT JOIN key_last_use ON key_last_use.key_id = keys.id"
    }

    fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: Key::read(row)?,
            last_used_at: row.get("last_used_at")?,
            usage_reported: row.get("usage_reported")?,
        })
    }
}

/// Whether any gateway has ever reported use.
pub(super) const REPORTED: &str = "EXISTS (SELECT 1 FROM usage_reporting)";

/// `SELECT … FROM … WHERE `, with these columns before the others.
pub(super) fn select<T: Shown>(first: &str) -> Statement {
    let (columns, from) = (T::columns(), T::from());
    Statement::new(format!("SELECT {first}{columns} FROM {from} WHERE "))
}
