//! A server of PostgreSQL while it is used, and its history: a failover may lose writes, and whoever followed them must
//! start over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::sync::{Mutex, Notify};

use super::error::{StoreError, sql_state};
use super::lent::{Lent, bounded};

/// What writes tell of, on the database they were made in.
pub(super) const CHANNEL: &str = "keybound";

/// A server, as long as the store is open.
#[derive(Debug)]
pub(super) struct Server {
    /// How its history is told from another's.
    pub origin: Origin,
    /// Connections that listen and look, and wait for nobody else.
    pub own: PgPool,
    /// Whether writes of other services are told of as they are made.
    pub listening: AtomicBool,
    /// Whether it cannot be reached.
    pub away: Arc<AtomicBool>,
    /// A write was made here after one elsewhere that is not known yet.
    pub behind: Notify,
    /// The listening connection is of no use any more.
    pub deaf: Notify,
    /// Whoever reads what is new, for all.
    pub catching_up: Mutex<()>,
}

/// How the server's history is told from another's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// By the system and the timeline, which a promotion changes.
    Timeline,
    /// By the system, where the functions for the other are missing, as on Aurora.
    System,
    /// Not at all, as on what is no PostgreSQL.
    Unknown,
}

/// The row of the sequence, with the server's history beside it.
macro_rules! sequence {
    ($origin:literal, $more:literal) => {
        concat!(
            "SELECT value, origin, audit_id, audit_hash, pg_is_in_recovery() AS standby, ",
            $origin,
            " AS server FROM sequence",
            $more
        )
    };
}
macro_rules! texts {
    ($more:literal) => {
        [
            sequence!(
                "CASE WHEN pg_is_in_recovery() THEN NULL ELSE (SELECT system_identifier FROM pg_control_system())::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END",
                $more
            ),
            sequence!(
                "(SELECT system_identifier FROM pg_control_system())::text",
                $more
            ),
            sequence!("NULL::text", $more),
        ]
    };
}
const READ: [&str; 3] = texts!("");
const LOCK: [&str; 3] = texts!(" FOR UPDATE");

/// The row of the sequence.
#[derive(Debug)]
pub(super) struct Sequence {
    pub value: i64,
    origin: Option<String>,
    pub audit_id: i64,
    pub audit_hash: Option<String>,
    pub standby: bool,
    server: Option<String>,
}

impl Sequence {
    /// The server's history is not the one in which the last number was given.
    pub(super) fn is_of_another_history(&self) -> bool {
        self.value > 0
            && self.server.is_some()
            && self.origin.is_some()
            && self.origin != self.server
    }

    /// The history in which the next number is given.
    pub(super) fn origin(&self) -> Option<String> {
        self.server.clone().or_else(|| self.origin.clone())
    }
}

impl Server {
    /// Locks the sequence until the transaction ends, and reads it.
    pub(super) async fn lock(&self, lent: &mut Lent) -> Result<Sequence, StoreError> {
        let locked = bounded(self.origin.read(LOCK, lent.connection()?)).await;
        if let Err(StoreError::ReadOnly(_)) = locked {
            lent.spoil();
        }
        locked
    }

    /// Reads the sequence.
    pub(super) async fn read(&self, lent: &mut Lent) -> Result<Sequence, StoreError> {
        bounded(self.origin.read(READ, lent.connection()?)).await
    }

    /// Whether writes of other services are told of as they are made.
    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Refuses at once what would wait for a server that is away.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(StoreError::Away(None)),
            false => Ok(()),
        }
    }

    /// Something before the last write is not known here.
    pub(super) fn is_behind(&self) {
        self.behind.notify_one();
    }

    pub(super) async fn close(&self) {
        self.own.close().await;
    }
}

impl Origin {
    async fn read(
        self,
        texts: [&'static str; 3],
        connection: &mut PgConnection,
    ) -> Result<Sequence, sqlx::Error> {
        let [timeline, system, unknown] = texts;
        let text = match self {
            Self::Timeline => timeline,
            Self::System => system,
            Self::Unknown => unknown,
        };
        let row = sqlx::query(text).fetch_one(connection).await?;
        Ok(Sequence {
            value: row.try_get("value")?,
            origin: row.try_get("origin")?,
            audit_id: row.try_get("audit_id")?,
            audit_hash: row.try_get("audit_hash")?,
            standby: row.try_get("standby")?,
            server: row.try_get("server")?,
        })
    }

    /// The first that this server can tell.
    pub(super) async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut found = Err(sqlx::Error::RowNotFound);
        for origin in [Self::Timeline, Self::System, Self::Unknown] {
            found = origin.read(READ, connection).await.map(|_| origin);
            // Only where the server does not know it; what is away knows nothing.
            match &found {
                Err(error) if sql_state(error).is_some() => {}
                _ => return found,
            }
        }
        found
    }
}
