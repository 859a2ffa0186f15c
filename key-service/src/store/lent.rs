//! A connection of PostgreSQL while it is used. A server that does not answer any more, because its machine or the
//! network is gone, must not keep it: TCP alone gives up after a quarter of an hour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;

use super::error::StoreError;

/// How long a statement may take.
const STATEMENT: Duration = Duration::from_secs(10);
/// How long a connection that was left in the middle of something has to become usable again.
const TIDY: Duration = Duration::from_secs(5);

/// Connections to a server that may be away.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub pool: PgPool,
    pub away: Arc<AtomicBool>,
}

impl Connections {
    /// The next free one. While the server is away nobody waits for it.
    pub(super) async fn lend(&self) -> Result<Lent, StoreError> {
        let is_away = || self.away.load(Ordering::Relaxed);
        if is_away() {
            return Err(StoreError::Away(None));
        }
        match Lent::of(&self.pool).await {
            // Nobody was let in, or connected.
            Err(StoreError::Busy(error)) if is_away() => Err(StoreError::Away(Some(error))),
            lent => lent,
        }
    }

    /// The next free one, in a transaction that these statements begin.
    pub(super) async fn begin(&self, begin: &'static str) -> Result<Lent, StoreError> {
        let mut lent = self.lend().await?;
        bounded(sqlx::raw_sql(begin).execute(lent.connection()?)).await?;
        Ok(lent)
    }
}

/// Gives up what takes too long.
pub(super) async fn bounded<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    in_time(async { Ok(work.await?) }).await
}

/// The same of what consists of several statements.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT, work).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Slow),
    }
}

/// A connection that is tidied up, or closed, where it is dropped in the middle of something.
#[derive(Debug)]
pub(super) struct Lent {
    connection: Option<PoolConnection<Postgres>>,
    /// To be closed: whoever comes next gets another.
    spoiled: bool,
}

impl Lent {
    /// The next free one.
    pub(super) async fn of(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self {
            connection: Some(pool.acquire().await?),
            spoiled: false,
        })
    }

    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let connection = self.connection.as_deref_mut();
        connection.ok_or(StoreError::Database(sqlx::Error::PoolClosed))
    }

    /// It is in no transaction and waits for nothing.
    pub(super) fn give_back(mut self) {
        self.connection = None;
    }

    /// It leads to a server that is not the primary: whoever comes next connects anew.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Makes the transaction true.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        bounded(self.connection()?.execute("COMMIT")).await?;
        self.give_back();
        Ok(())
    }

    /// Ends the transaction, of which nothing stays.
    pub(super) async fn roll_back(mut self) -> Result<(), StoreError> {
        bounded(self.connection()?.execute("ROLLBACK")).await?;
        self.give_back();
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.spoiled {
            connection.close_on_drop();
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            // Outside of a transaction it is a warning in the server's log at most.
            let tidy = connection.execute("ROLLBACK");
            let usable = matches!(tokio::time::timeout(TIDY, tidy).await, Ok(Ok(_)));
            if !usable {
                connection.close_on_drop();
            }
        });
    }
}
