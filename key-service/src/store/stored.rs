//! Tenants, users and keys as they are stored. The table at the end is the only one: what is in it can be written,
//! read, listed and followed, and is moved on by a restore; what is not in it can be none of these.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Column as _, Row as _, SqliteExecutor};

use super::columns::{Column, plain};
use super::error::StoreError;
use crate::domain::audit::Kind;
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::user::User;

/// A record that has a table, and in it an id, the number of its last write, and a place in lists.
pub trait Stored: Clone + PartialEq + Serialize + Send + Sync + Sized + 'static {
    /// Name of its first column in a row.
    const FIRST: &'static str;

    /// Where it is stored.
    fn table() -> &'static Table;

    /// Its id.
    fn id(&self) -> &str;

    /// The number of its last write.
    fn version(&self) -> i64;

    /// Gives it the number and the time of a write, in Unix seconds.
    fn stamp(&mut self, version: i64, at: i64);

    /// Reads it from a row of `Sql::columns`.
    fn read(row: &SqliteRow) -> Result<Self, StoreError>;

    /// The values of its columns, in the order of [`Table::columns`].
    fn values(&self) -> Result<SqliteArguments, StoreError>;

    /// Bytes that it takes at least in an answer to a gateway.
    fn bytes(&self) -> usize;

    /// What followers are told of a write.
    fn into_change(self) -> Change;
}

/// A table of records.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What the audit log calls its records.
    pub kind: Kind,
    /// Its columns, but for `place`.
    pub columns: &'static [&'static str],
    /// Reads what was written from a row of `Sql::columns`.
    pub(super) change: fn(&SqliteRow) -> Result<Change, StoreError>,
    /// What is asked of it.
    pub(super) sql: LazyLock<Sql>,
}

/// The statements of a table. `$1` is what SQLite and PostgreSQL both take.
#[derive(Debug)]
pub(super) struct Sql {
    /// The list behind `SELECT`. Names are those of the columns with the table's before them, so that a row may
    /// hold several records.
    pub columns: String,
    /// The record of an id.
    pub by_id: String,
    /// The records with a number after the first value, as many as the second says.
    pub changes: String,
    /// Writes a record, new or in the place of the one with its id.
    pub put: String,
    /// Adds a number to the versions of all records.
    pub move_on: String,
}

/// Columns that stay as they were first written.
const FIXED: [&str; 2] = ["id", "created_at"];

impl Sql {
    fn of(table: &str, names: &[&str]) -> Self {
        let each = |of: &dyn Fn(usize, &str) -> String| -> String {
            let parts: Vec<String> = (1..).zip(names).map(|(n, name)| of(n, name)).collect();
            parts.join(", ")
        };
        let columns = each(&|_, name| format!("{table}.{name} AS {table}_{name}"));
        let set: Vec<String> = names
            .iter()
            .filter(|name| !FIXED.contains(name))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        Self {
            by_id: format!("SELECT {columns} FROM {table} WHERE id = $1"),
            changes: format!(
                "SELECT {columns} FROM {table} WHERE version > $1 ORDER BY version LIMIT $2"
            ),
            put: format!(
                "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {}",
                names.join(", "),
                each(&|n, _| format!("${n}")),
                set.join(", ")
            ),
            move_on: format!("UPDATE {table} SET version = version + $1"),
            columns,
        }
    }
}

/// The record of this id.
pub(super) async fn by_id<T: Stored>(
    executor: impl SqliteExecutor<'_>,
    id: &str,
) -> Result<Option<T>, StoreError> {
    let row = sqlx::query(T::table().sql.by_id.as_str())
        .bind(id)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(T::read).transpose()
}

/// The key of this digest.
pub(super) async fn key_by_digest(
    executor: impl SqliteExecutor<'_>,
    digest: &Digest,
) -> Result<Option<Key>, StoreError> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let columns = &Key::table().sql.columns;
        format!("SELECT {columns} FROM keys WHERE digest = $1")
    });
    let row = sqlx::query(SQL.as_str())
        .bind(digest.as_str())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Key::read).transpose()
}

/// The record of a row in which it may be missing, as a joined one is.
pub(super) fn joined<T: Stored>(row: &SqliteRow) -> Result<Option<T>, StoreError> {
    match plain::<Option<&str>>(row, T::FIRST)? {
        Some(_) => T::read(row).map(Some),
        None => Ok(None),
    }
}

/// The columns of a record in a row, one after the other as `Sql::columns` has them. The first is found by its
/// name; to look for each of them would be felt in every answer to a gateway.
struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    fn of<T: Stored>(row: &'r SqliteRow) -> Result<Self, StoreError> {
        let next = row.try_column(T::FIRST)?.ordinal();
        Ok(Self { row, next })
    }

    /// Takes the column that has this name.
    fn take<C: Column>(&mut self, name: &str) -> Result<C, StoreError> {
        let at = self.next;
        debug_assert_eq!(self.row.column(at).name(), name, "columns are out of order");
        self.next += 1;
        C::read(self.row, at)
    }
}

macro_rules! stored {
    ($($record:ident in $table:ident: $($column:ident)+;)+) => {
        /// A record that was written.
        #[derive(Debug, Clone)]
        pub enum Change {
            $(
                #[doc = concat!("One of the table ", stringify!($table), ".")]
                $record(Box<$record>),
            )+
        }

        impl Change {
            /// What was written: a later change of the same makes this one needless.
            pub(super) fn entity(&self) -> (Kind, &str) {
                match self { $(Self::$record(record) => (Kind::$record, record.id()),)+ }
            }

            /// The number of the write.
            pub fn seq(&self) -> i64 {
                match self { $(Self::$record(record) => record.version(),)+ }
            }

            /// Bytes that the record takes at least in an answer to a gateway.
            pub(super) fn bytes(&self) -> usize {
                match self { $(Self::$record(record) => record.bytes(),)+ }
            }
        }

        /// The tables of all records.
        pub fn tables() -> Vec<&'static Table> {
            vec![$($record::table(),)+]
        }

        $(impl Stored for $record {
            const FIRST: &'static str = concat!(stringify!($table), "_id");

            fn table() -> &'static Table {
                static TABLE: Table = Table {
                    name: stringify!($table),
                    kind: Kind::$record,
                    columns: &[$(stringify!($column)),+],
                    change: |row| Ok($record::read(row)?.into_change()),
                    sql: LazyLock::new(|| Sql::of(stringify!($table), &[$(stringify!($column)),+])),
                };
                &TABLE
            }

            fn id(&self) -> &str {
                &self.id
            }

            fn version(&self) -> i64 {
                self.version
            }

            fn stamp(&mut self, version: i64, at: i64) {
                (self.version, self.updated_at) = (version, at);
            }

            fn read(row: &SqliteRow) -> Result<Self, StoreError> {
                let mut columns = Columns::of::<Self>(row)?;
                Ok(Self {
                    $($column: columns.take(concat!(stringify!($table), "_", stringify!($column)))?,)+
                })
            }

            fn values(&self) -> Result<SqliteArguments, StoreError> {
                let mut values = SqliteArguments::default();
                $(self.$column.add_to(&mut values)?;)+
                Ok(values)
            }

            fn bytes(&self) -> usize {
                self.id.len() $(+ self.$column.bytes())+
            }

            fn into_change(self) -> Change {
                Change::$record(Box::new(self))
            }
        })+
    };
}

// A field that is left out here does not compile, nor does one that the record has not; a test holds the columns to
// the tables as the migrations make them.
stored! {
    Tenant in tenants: id version name status created_at updated_at;
    User in users: id version tenant_id name status scopes apis created_at updated_at;
    Key in keys: id version digest user_id tenant_id environment name hint status not_before expires_at replaced_by
        replaced_at revoked_at revoked_reason scopes networks hours created_at updated_at;
}
