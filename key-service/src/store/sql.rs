//! Statements that SQLite and PostgreSQL both take, and rows as either gives them. Where the two differ in what
//! they take, a statement holds both texts: [`Statement::each`].

use std::borrow::Cow;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ColumnIndex, Decode, Postgres, Row as _,
    SqlSafeStr as _, SqlStr, Sqlite, Type,
};

use super::error::StoreError;
use super::lent::{Connections, bounded};

/// What a column holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text, or null.
    Text(Option<String>),
    /// A number, or null.
    Number(Option<i64>),
}

macro_rules! values {
    ($($type:ty: $value:ident => $of:expr;)+) => { $(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $of
            }
        }
    )+ };
}
values! {
    &str: text => Self::Text(Some(text.to_owned()));
    &String: text => Self::Text(Some(text.clone()));
    String: text => Self::Text(Some(text));
    Option<String>: text => Self::Text(text);
    i64: number => Self::Number(Some(number));
    Option<i64>: number => Self::Number(number);
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => text.as_deref().into(),
            Value::Number(number) => (*number).into(),
        }
    }
}

/// A row of an answer.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type that a column is read as.
pub(super) trait Plain<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Plain<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

/// The name of a column, or its place in a row.
pub(super) trait Name: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> {}

impl<T: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>> Name for T {}

impl Row {
    /// What the column holds.
    pub(super) fn get<'r, T: Plain<'r>>(&'r self, column: impl Name) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// The place of the column of this name.
    pub(super) fn place(&self, column: &str) -> Result<usize, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_column(column)?.ordinal(),
            Self::Postgres(row) => row.try_column(column)?.ordinal(),
        })
    }

    /// The name of the column at this place.
    pub(super) fn name(&self, at: usize) -> Result<&str, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_column(at)?.name(),
            Self::Postgres(row) => row.try_column(at)?.name(),
        })
    }
}

/// Where a statement runs.
pub(super) enum On<'c> {
    SqlitePool(&'c SqlitePool),
    Sqlite(&'c mut SqliteConnection),
    PostgresPool(&'c Connections),
    Postgres(&'c mut PgConnection),
}

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Statement {
    text: Text,
    values: Vec<Value>,
}

#[derive(Debug)]
enum Text {
    Same(Cow<'static, str>),
    Each {
        sqlite: &'static str,
        postgres: &'static str,
    },
}

impl Statement {
    /// A statement that both take.
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            text: Text::Same(text.into()),
            values: Vec::new(),
        }
    }

    /// The same statement, as each of them takes it.
    pub(super) fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self {
            text: Text::Each { sqlite, postgres },
            values: Vec::new(),
        }
    }

    /// Gives the next placeholder its value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Gives all placeholders their values.
    pub(super) fn bind_all(mut self, values: Vec<Value>) -> Self {
        self.values = values;
        self
    }

    /// Adds to a text that both take.
    pub(super) fn push(&mut self, more: &str) -> &mut Self {
        if let Text::Same(text) = &mut self.text {
            text.to_mut().push_str(more);
        }
        self
    }

    /// Adds a placeholder, and gives it its value.
    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let placeholder = format!("${}", self.values.len());
        self.push(&placeholder)
    }

    /// All rows.
    pub(super) async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, StoreError> {
        let of_sqlite = |rows: Vec<SqliteRow>| rows.into_iter().map(Row::Sqlite).collect();
        let of_postgres = |rows: Vec<PgRow>| rows.into_iter().map(Row::Postgres).collect();
        Ok(match on.into() {
            On::SqlitePool(pool) => {
                let (text, values) = self.for_sqlite()?;
                of_sqlite(sqlx::query_with(text, values).fetch_all(pool).await?)
            }
            On::Sqlite(connection) => {
                let (text, values) = self.for_sqlite()?;
                of_sqlite(sqlx::query_with(text, values).fetch_all(connection).await?)
            }
            On::PostgresPool(pool) => {
                let (text, values) = self.for_postgres()?;
                let mut lent = pool.lend().await?;
                let query = sqlx::query_with(text, values).fetch_all(lent.connection()?);
                let rows = bounded(query).await?;
                lent.give_back();
                of_postgres(rows)
            }
            On::Postgres(connection) => {
                let (text, values) = self.for_postgres()?;
                of_postgres(bounded(sqlx::query_with(text, values).fetch_all(connection)).await?)
            }
        })
    }

    /// The first row, if there is one.
    pub(super) async fn fetch_optional(
        self,
        on: impl Into<On<'_>>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    /// The first row, which is there.
    pub(super) async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row, StoreError> {
        let row = self.fetch_optional(on).await?;
        row.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// The first column of the first row, which is there.
    pub(super) async fn scalar<T>(self, on: impl Into<On<'_>>) -> Result<T, StoreError>
    where
        T: for<'r> Plain<'r>,
    {
        self.fetch_one(on).await?.get(0)
    }

    /// Runs it, and gives how many rows it wrote.
    pub(super) async fn execute(self, on: impl Into<On<'_>>) -> Result<u64, StoreError> {
        Ok(match on.into() {
            On::SqlitePool(pool) => {
                let (text, values) = self.for_sqlite()?;
                let done = sqlx::query_with(text, values).execute(pool).await?;
                done.rows_affected()
            }
            On::Sqlite(connection) => {
                let (text, values) = self.for_sqlite()?;
                let done = sqlx::query_with(text, values).execute(connection).await?;
                done.rows_affected()
            }
            On::PostgresPool(pool) => {
                let (text, values) = self.for_postgres()?;
                let mut lent = pool.lend().await?;
                let query = sqlx::query_with(text, values).execute(lent.connection()?);
                let done = bounded(query).await?;
                lent.give_back();
                done.rows_affected()
            }
            On::Postgres(connection) => {
                let (text, values) = self.for_postgres()?;
                let done = bounded(sqlx::query_with(text, values).execute(connection)).await?;
                done.rows_affected()
            }
        })
    }

    /// The rows one after the other, as they are read.
    pub(super) fn fetch<'c>(
        self,
        on: impl Into<On<'c>>,
    ) -> Result<BoxStream<'c, Result<Row, StoreError>>, StoreError> {
        macro_rules! rows {
            ($of:ident, $row:path, $executor:expr) => {{
                let (text, values) = self.$of()?;
                sqlx::query_with(text, values)
                    .fetch($executor)
                    .map(|row| Ok($row(row?)))
                    .boxed()
            }};
        }
        Ok(match on.into() {
            On::SqlitePool(pool) => rows!(for_sqlite, Row::Sqlite, pool),
            On::Sqlite(connection) => rows!(for_sqlite, Row::Sqlite, connection),
            On::PostgresPool(pool) => rows!(for_postgres, Row::Postgres, &pool.pool),
            On::Postgres(connection) => rows!(for_postgres, Row::Postgres, connection),
        })
    }

    fn for_sqlite(self) -> Result<(SqlStr, SqliteArguments), StoreError> {
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            let added = match value {
                Value::Text(text) => arguments.add(text),
                Value::Number(number) => arguments.add(number),
            };
            added.map_err(unencoded)?;
        }
        let text = match self.text {
            Text::Same(text) => safe(text),
            Text::Each { sqlite, .. } => sqlite.into_sql_str(),
        };
        Ok((text, arguments))
    }

    fn for_postgres(self) -> Result<(SqlStr, PgArguments), StoreError> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            let added = match value {
                Value::Text(text) => arguments.add(text),
                Value::Number(number) => arguments.add(number),
            };
            added.map_err(unencoded)?;
        }
        let text = match self.text {
            Text::Same(text) => safe(text),
            Text::Each { postgres, .. } => postgres.into_sql_str(),
        };
        Ok((text, arguments))
    }
}

/// Whatever somebody sent is a value, never a part of a text.
fn safe(text: Cow<'static, str>) -> SqlStr {
    match text {
        Cow::Borrowed(text) => text.into_sql_str(),
        Cow::Owned(text) => AssertSqlSafe(text).into_sql_str(),
    }
}

fn unencoded(error: sqlx::error::BoxDynError) -> StoreError {
    StoreError::Database(sqlx::Error::Encode(error))
}
