//! Columns: what a record's fields are in the database.

use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::sql::{Name, Row, Value};
use crate::domain::credential::Digest;
use crate::domain::fence::Hours;
use crate::domain::key::KeyStatus;
use crate::domain::tenant::TenantStatus;
use crate::domain::time::Span;
use crate::domain::user::{UserKind, UserStatus};
use crate::domain::words::Status;

/// A field that one column holds.
pub(super) trait Column: Sized {
    /// Reads the column at this place.
    fn read(row: &Row, at: usize) -> Result<Self, StoreError>;

    /// What the column holds.
    fn value(&self) -> Result<Value, StoreError>;

    /// Bytes that it takes at least in an answer to a gateway; 0 for what is never long there.
    fn bytes(&self) -> usize {
        0
    }
}

/// One of a closed set of words.
pub(super) fn word<T>(
    row: &Row,
    column: impl Name,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, StoreError> {
    let text: &str = row.get(column)?;
    parse(text).map_err(|_| StoreError::Corrupt(format!("unknown word \"{text}\"")))
}

/// A JSON text; none is null.
pub(super) fn json<T: DeserializeOwned>(
    row: &Row,
    column: impl Name,
) -> Result<Option<T>, StoreError> {
    row.get::<Option<&str>>(column)?
        .map(|text| {
            serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
        })
        .transpose()
}

/// The JSON text of a column.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

macro_rules! plain_columns {
    ($($type:ty),+) => { $(
        impl Column for $type {
            fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
                row.get(at)
            }

            fn value(&self) -> Result<Value, StoreError> {
                Ok(self.clone().into())
            }
        }
    )+ };
}
plain_columns!(String, Option<String>, i64, Option<i64>);

macro_rules! status_columns {
    ($($type:ty),+) => { $(
        impl Column for $type {
            fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
                word(row, at, Self::parse)
            }

            fn value(&self) -> Result<Value, StoreError> {
                Ok(self.word().into())
            }
        }
    )+ };
}
status_columns!(TenantStatus, UserStatus, KeyStatus);

impl Column for Option<UserStatus> {
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        match row.get::<Option<&str>>(at)? {
            Some(_) => UserStatus::read(row, at).map(Some),
            None => Ok(None),
        }
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(self.map(|status| status.word().to_owned()).into())
    }
}

impl Column for UserKind {
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        word(row, at, Self::parse)
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(self.as_str().into())
    }
}

impl Column for Option<Span> {
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(row.get::<Option<i64>>(at)?.map(Span::stored))
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(self.map(Span::seconds).into())
    }
}

impl Column for Digest {
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(Self::stored(row.get(at)?))
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(self.as_str().into())
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
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        json(row, at)
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(self.as_ref().map(json_text).transpose()?.into())
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Text::bytes)
    }
}

impl Column for Vec<String> {
    fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(json(row, at)?.unwrap_or_default())
    }

    fn value(&self) -> Result<Value, StoreError> {
        Ok(json_text(self)?.into())
    }

    fn bytes(&self) -> usize {
        Text::bytes(self)
    }
}
