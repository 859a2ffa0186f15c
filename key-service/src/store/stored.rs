//! Tenants, users and keys as they are stored. The table at the end is the only one: what is in it can be written,
//! read, listed and followed, and is moved on by a restore; what is not in it can be none of these.

use std::sync::LazyLock;

use serde::Serialize;

use super::belongs::Belongs;
use super::columns::{Column, json_text};
use super::error::StoreError;
use super::sql::{On, Row, Statement, Value};
use crate::domain::audit::Kind;
use crate::domain::credential::Digest;
use crate::domain::key::Key;
use crate::domain::tenant::Tenant;
use crate::domain::user::{User, UserStatus};

/// A record that has a table, and in it an id, the number of its last write, and a place in lists.
pub trait Stored: Belongs + Clone + PartialEq + Serialize + Send + Sync + Sized + 'static {
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
    fn read(row: &Row) -> Result<Self, StoreError>;

    /// The values of its columns, in the order of [`Table::columns`].
    fn values(&self) -> Result<Vec<Value>, StoreError>;

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
    pub(super) change: fn(&Row) -> Result<Change, StoreError>,
    /// What is asked of it.
    pub(super) sql: LazyLock<Sql>,
}

/// The statements of a table. `$1` is what SQLite and PostgreSQL both take.
#[derive(Debug)]
pub(super) struct Sql {
    /// The list behind `SELECT`. Names are those of the columns with the table's before them, so that a row may
    /// hold several records.
    pub columns: String,
    /// The column that orders lists.
    pub place: String,
    /// The record of an id.
    pub by_id: String,
    /// The records of a JSON list of ids: with SQLite, with PostgreSQL.
    pub by_ids: [String; 2],
    /// The records with a number after the first value, as many as the second says.
    pub changes: String,
    /// Writes a record, new or in the place of the one with its id, on SQLite.
    pub put: String,
    /// Writes a JSON list of records likewise, on PostgreSQL: a way over the network for all of them.
    pub put_all: String,
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
        let list = names.join(", ");
        let set: Vec<String> = names
            .iter()
            .filter(|name| !FIXED.contains(name))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let set = set.join(", ");
        Self {
            place: format!("{table}.place"),
            by_id: format!("SELECT {columns} FROM {table} WHERE id = $1"),
            by_ids: among(&columns, table, "id"),
            changes: format!(
                "SELECT {columns} FROM {table} WHERE version > $1 ORDER BY version LIMIT $2"
            ),
            put: format!(
                "INSERT INTO {table} ({list}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {set}",
                each(&|n, _| format!("${n}")),
            ),
            put_all: format!(
                "INSERT INTO {table} ({list}) SELECT {list} FROM json_populate_recordset(NULL::{table}, $1::json) \
                 ON CONFLICT (id) DO UPDATE SET {set}"
            ),
            move_on: format!("UPDATE {table} SET version = version + $1"),
            columns,
        }
    }
}

/// The statements that read the rows in whose column there is one of a JSON list of texts: with SQLite, with
/// PostgreSQL.
fn among(columns: &str, table: &str, column: &str) -> [String; 2] {
    [
        "(SELECT value FROM json_each($1))",
        "(SELECT json_array_elements_text($1::json))",
    ]
    .map(|list| format!("SELECT {columns} FROM {table} WHERE {column} IN {list}"))
}

/// The records of these ids, as far as there are any.
pub(super) async fn by_ids<T: Stored>(
    on: impl Into<On<'_>>,
    ids: &[&str],
) -> Result<Vec<T>, StoreError> {
    let [sqlite, postgres] = &T::table().sql.by_ids;
    all(Statement::each(sqlite, postgres), on, ids).await
}

/// The keys of these digests, as far as there are any.
pub(super) async fn keys_by_digests(
    on: impl Into<On<'_>>,
    digests: &[&str],
) -> Result<Vec<Key>, StoreError> {
    static SQL: LazyLock<[String; 2]> =
        LazyLock::new(|| among(&Key::table().sql.columns, "keys", "digest"));
    let [sqlite, postgres] = &*SQL;
    all(Statement::each(sqlite, postgres), on, digests).await
}

/// The users of these logins, but for those that are deleted.
pub(super) async fn users_by_logins(
    on: impl Into<On<'_>>,
    logins: &[&str],
) -> Result<Vec<User>, StoreError> {
    static SQL: LazyLock<[String; 2]> =
        LazyLock::new(|| among(&User::table().sql.columns, "users", "login_key"));
    let [sqlite, postgres] = &*SQL;
    let mut found: Vec<User> = all(Statement::each(sqlite, postgres), on, logins).await?;
    found.retain(|user| user.status != UserStatus::Deleted);
    Ok(found)
}

async fn all<T: Stored>(
    statement: Statement,
    on: impl Into<On<'_>>,
    texts: &[&str],
) -> Result<Vec<T>, StoreError> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let rows = statement.bind(json_text(&texts)?).fetch_all(on).await?;
    rows.iter().map(T::read).collect()
}

/// The record of this id.
pub(super) async fn by_id<T: Stored>(
    on: impl Into<On<'_>>,
    id: &str,
) -> Result<Option<T>, StoreError> {
    let row = Statement::new(T::table().sql.by_id.as_str())
        .bind(id)
        .fetch_optional(on)
        .await?;
    row.as_ref().map(T::read).transpose()
}

/// The key of this digest.
pub(super) async fn key_by_digest(
    on: impl Into<On<'_>>,
    digest: &Digest,
) -> Result<Option<Key>, StoreError> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let columns = &Key::table().sql.columns;
        format!("SELECT {columns} FROM keys WHERE digest = $1")
    });
    let row = Statement::new(SQL.as_str())
        .bind(digest.as_str())
        .fetch_optional(on)
        .await?;
    row.as_ref().map(Key::read).transpose()
}

/// The record of a row in which it may be missing, as a joined one is.
pub(super) fn joined<T: Stored>(row: &Row) -> Result<Option<T>, StoreError> {
    match row.get::<Option<&str>>(T::FIRST)? {
        Some(_) => T::read(row).map(Some),
        None => Ok(None),
    }
}

/// The columns of a record in a row, one after the other as `Sql::columns` has them. The first is found by its
/// name; to look for each of them would be felt in every answer to a gateway.
struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    fn of<T: Stored>(row: &'r Row) -> Result<Self, StoreError> {
        let next = row.place(T::FIRST)?;
        Ok(Self { row, next })
    }

    /// Takes the column that has this name.
    fn take<C: Column>(&mut self, name: &str) -> Result<C, StoreError> {
        let at = self.next;
        debug_assert_eq!(self.row.name(at)?, name, "columns are out of order");
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

            fn read(row: &Row) -> Result<Self, StoreError> {
                let mut columns = Columns::of::<Self>(row)?;
                Ok(Self {
                    $($column: columns.take(concat!(stringify!($table), "_", stringify!($column)))?,)+
                })
            }

            fn values(&self) -> Result<Vec<Value>, StoreError> {
                Ok(vec![$(self.$column.value()?),+])
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
    User in users: id version tenant_id name status scopes apis created_at updated_at kind login login_key external_id
        display_name contact status_held;
    Key in keys: id version digest user_id tenant_id environment name hint status not_before expires_at replaced_by
        replaced_at revoked_at revoked_reason scopes networks hours created_at updated_at purpose contact rotate_every leaked_at;
}
