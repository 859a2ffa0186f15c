//! Columns: what a record's fields are in the database.

use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, ColumnIndex, Decode, Row as _, Sqlite, Type};

use super::error::StoreError;
use crate::domain::credential::Digest;
use crate::domain::fence::Hours;
use crate::domain::key::KeyStatus;
use crate::domain::tenant::TenantStatus;
use crate::domain::user::UserStatus;
use crate::domain::words::Status;

/// A field that one column holds.
pub(super) trait Column: Sized {
    /// Reads the column at this place.
    fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError>;

    /// Adds it to the values of a statement.
    fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError>;

    /// Bytes that it takes at least in an answer to a gateway; 0 for what is never long there.
    fn bytes(&self) -> usize {
        0
    }
}

/// What SQLite holds as it is, by the column's name or place.
pub(super) fn plain<'r, T>(
    row: &'r SqliteRow,
    column: impl ColumnIndex<SqliteRow>,
) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    Ok(row.try_get(column)?)
}

/// One of a closed set of words.
pub(super) fn word<T>(
    row: &SqliteRow,
    column: impl ColumnIndex<SqliteRow>,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, StoreError> {
    let text: &str = plain(row, column)?;
    parse(text).map_err(|_| StoreError::Corrupt(format!("unknown word \"{text}\"")))
}

/// A JSON text; none is null.
pub(super) fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: impl ColumnIndex<SqliteRow>,
) -> Result<Option<T>, StoreError> {
    plain::<Option<&str>>(row, column)?
        .map(|text| {
            serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
        })
        .transpose()
}

/// The JSON text of a column.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn add<'v, T>(values: &mut SqliteArguments, value: T) -> Result<(), StoreError>
where
    T: sqlx::Encode<'v, Sqlite> + Type<Sqlite>,
{
    let added = values.add(value);
    added.map_err(|error| StoreError::Database(sqlx::Error::Encode(error)))
}

macro_rules! plain_columns {
    ($($type:ty),+) => { $(
        impl Column for $type {
            fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError> {
                plain(row, at)
            }

            fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError> {
                add(values, self.clone())
            }
        }
    )+ };
}
plain_columns!(String, Option<String>, i64, Option<i64>);

macro_rules! status_columns {
    ($($type:ty),+) => { $(
        impl Column for $type {
            fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError> {
                word(row, at, Self::parse)
            }

            fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError> {
                add(values, self.word())
            }
        }
    )+ };
}
status_columns!(TenantStatus, UserStatus, KeyStatus);

impl Column for Digest {
    fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError> {
        Ok(Self::stored(plain(row, at)?))
    }

    fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError> {
        add(values, self.as_str().to_owned())
    }
}

/// What a column holds as JSON.
trait Text: Serialize + DeserializeOwned {
    /// As [`Column::bytes`].
    fn bytes(&self) -> usize;
}

impl Text for Vec<String> {
    fn bytes(&self) -> usize {
        self.iter().map(String::len).sum()
    }
}

impl Text for Vec<IpNet> {
    fn bytes(&self) -> usize {
        // None is written shorter.
        self.len() * "::/0".len()
    }
}

impl Text for Hours {
    fn bytes(&self) -> usize {
        0
    }
}

impl<T: Text> Column for Option<T> {
    fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError> {
        json(row, at)
    }

    fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError> {
        add(values, self.as_ref().map(json_text).transpose()?)
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Text::bytes)
    }
}

impl Column for Vec<String> {
    fn read(row: &SqliteRow, at: usize) -> Result<Self, StoreError> {
        Ok(json(row, at)?.unwrap_or_default())
    }

    fn add_to(&self, values: &mut SqliteArguments) -> Result<(), StoreError> {
        add(values, json_text(self)?)
    }

    fn bytes(&self) -> usize {
        Text::bytes(self)
    }
}
