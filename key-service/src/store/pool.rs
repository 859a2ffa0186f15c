//! Connections, and the transactions on them.

use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, Transaction as SqlxTransaction};

use super::error::StoreError;
use super::lent::{Connections, Lent};
use super::measures::PoolSize;
use super::sql::On;

/// Everything is read as it was at one moment.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// A service whose machine is gone in the middle of a write, and one that stands still, must not hold up the others:
/// the server ends their transactions. No timeout of statements: one that ends a commit which waits for a standby
/// would make it look done.
const WRITE: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '15s'";

/// Connections to the database.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(Connections),
}

impl Pool {
    /// Begins to read, all of it from one snapshot.
    pub(super) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin(SNAPSHOT).await?),
        })
    }

    /// Begins to write. On SQLite nobody else does until it ends.
    pub(super) async fn write(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin(WRITE).await?),
        })
    }

    /// How its connections are used.
    pub(super) fn size(&self, pool: &'static str) -> PoolSize {
        let (size, idle, most) = match self {
            Self::Sqlite(of) => (of.size(), of.num_idle(), of.options().get_max_connections()),
            Self::Postgres(Connections { pool: of, .. }) => {
                (of.size(), of.num_idle(), of.options().get_max_connections())
            }
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        PoolSize {
            pool,
            used: size.saturating_sub(idle),
            idle,
            most,
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(connections) => connections.pool.close().await,
        }
    }
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

/// A transaction. Dropped without [`Transaction::commit`], it has not happened.
#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(SqlxTransaction<'static, Sqlite>),
    Postgres(Lent),
}

impl Transaction {
    /// Where its statements run.
    pub(super) fn on(&mut self) -> Result<On<'_>, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => On::Sqlite(transaction),
            Self::Postgres(lent) => On::Postgres(lent.connection()?),
        })
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
            Self::Postgres(lent) => lent.commit().await,
        }
    }

    /// Ends it after reading.
    pub(super) async fn end(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.rollback().await?),
            Self::Postgres(lent) => lent.roll_back().await,
        }
    }
}
