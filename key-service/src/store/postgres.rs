//! What only PostgreSQL needs: connecting, knowing the server's history, and learning what other services write.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Row as _};
use tokio::sync::{Mutex, Notify, watch};

use super::database::{Engine, Missing, Store, announce};
use super::error::{StoreError, sql_state};
use super::lent::{Lent, bounded};
use super::location::FEWEST_CONNECTIONS;
use super::measures::{Measures, NOTIFY, POLL, WakeupLabels};
use super::pool::Pool;
use super::recent::KEPT;
use crate::domain::time::now;

/// How the tables came to be.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgresql");
/// Migrations from each multiple of this on are those that older services do not survive.
const GENERATION: i64 = 1000;

/// What writes tell of, on the database they were made in.
pub(super) const CHANNEL: &str = "keybound";

/// How long a request waits for a connection before it is told that the service is overloaded.
const TURN: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is tried before it is used: the server may have been restarted.
const TRUSTED: Duration = Duration::from_secs(1);
/// Connections that write: one that holds the sequence, one that counts use.
const WRITERS: u32 = 2;
/// Connections of its own: one that listens, one that looks whether the server is there.
const OWN: u32 = 2;
/// How long a connection is used: one that leads to what was the primary is not used for much longer.
const LIFETIME: Duration = Duration::from_secs(60);
/// How often the sequence is read although writes are told of, and where they are not.
const POLLS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(200));
/// Writes in a row that were found so and not told of, until the listening connection counts as broken.
const MISSED: u32 = 3;
/// How long after a failure listening is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Parameters of a URL that are taken. Of others the library would write the value to the log.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// A server, as long as the store is open.
#[derive(Debug)]
pub(super) struct Server {
    origin: Origin,
    own: PgPool,
    listening: AtomicBool,
    away: AtomicBool,
    /// A write was made here after one elsewhere that is not known yet.
    behind: Notify,
    /// The listening connection is of no use any more.
    deaf: Notify,
    catching_up: Mutex<()>,
}

/// How the server's history is told from another's.
#[derive(Debug, Clone, Copy)]
enum Origin {
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
    standby: bool,
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
    async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
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

impl Store {
    /// Opens the database and brings its tables up to date. The error is one line for people, without the URL.
    pub(super) async fn open_postgres(
        url: &str,
        connections: u32,
        missing: Missing,
    ) -> Result<Self, String> {
        if connections < FEWEST_CONNECTIONS {
            return Err(format!(
                "{connections} connections to the database are too few: a service needs {FEWEST_CONNECTIONS}"
            ));
        }
        let options = options(url)?;
        let mut connection = PgConnection::connect_with(&options)
            .await
            .map_err(|error| cannot_connect(&error))?;
        prepare(&mut connection, missing).await?;
        let origin = Origin::of(&mut connection)
            .await
            .map_err(|error| format!("cannot read the database: {error}"))?;
        if let Origin::System | Origin::Unknown = origin {
            tracing::warn!(
                by_system = matches!(origin, Origin::System),
                "the database does not tell its timeline: a failover that loses writes goes unnoticed"
            );
        }
        let _ = connection.close().await;
        let pool = |most| {
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(TURN)
                .max_lifetime(LIFETIME)
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        if meta.idle_for < TRUSTED {
                            return Ok(true);
                        }
                        let standby = sqlx::query_scalar("SELECT pg_is_in_recovery()");
                        let standby: bool = standby.fetch_one(connection).await?;
                        Ok(!standby)
                    })
                })
                .connect_lazy_with(options.clone())
        };
        let readers = pool(connections - WRITERS - OWN);
        let store = Self {
            readers: Pool::Postgres(readers),
            writer: Pool::Postgres(pool(WRITERS)),
            queue: Arc::default(),
            reports: Arc::default(),
            writable: Arc::default(),
            sequence: watch::Sender::new(0),
            recent: Arc::default(),
            measures: Measures::default(),
            engine: Engine::Postgres(Arc::new(Server {
                origin,
                own: pool(OWN),
                listening: AtomicBool::new(false),
                away: AtomicBool::new(false),
                behind: Notify::new(),
                deaf: Notify::new(),
                catching_up: Mutex::new(()),
            })),
        };
        let value = store
            .refresh_sequence()
            .await
            .map_err(|error| format!("cannot read the database: {error}"))?;
        store.recent.begin_after(value);
        Ok(store)
    }

    /// Learns of what other services write, and of another history, until it is dropped.
    pub(super) async fn follow_server(&self, server: &Server) {
        tokio::join!(self.listen(server), self.poll(server));
    }

    async fn listen(&self, server: &Server) {
        loop {
            match listener(&server.own).await {
                Ok(mut listener) => {
                    server.listening.store(true, Ordering::Relaxed);
                    // What was told of before.
                    self.learn(server, &NOTIFY).await;
                    loop {
                        tokio::select! {
                            told = listener.try_recv() => match told {
                                Ok(Some(_)) => self.learn(server, &NOTIFY).await,
                                _ => break,
                            },
                            () = server.deaf.notified() => break,
                        };
                    }
                    server.listening.store(false, Ordering::Relaxed);
                    tracing::warn!("the connection that hears of other services' writes was lost");
                }
                Err(error) => tracing::debug!(%error, "cannot listen to the database"),
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn poll(&self, server: &Server) {
        let mut missed = 0;
        loop {
            let wait = match server.is_listening() {
                true => POLLS.0,
                false => POLLS.1,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = server.behind.notified() => {
                    let _ = self.catch_up(server).await;
                    continue;
                }
            }
            if let Err(error) = self.look(server).await {
                tracing::debug!(%error, "the database could not be looked at");
                continue;
            }
            let found = self.learn(server, &POLL).await;
            missed = match found {
                true if server.is_listening() => missed + 1,
                _ => 0,
            };
            if missed >= MISSED {
                missed = 0;
                server.deaf.notify_one();
            }
        }
    }

    /// Looks whether the server is there, and still the one with the history that the numbers are of.
    async fn look(&self, server: &Server) -> Result<(), StoreError> {
        let read = async {
            let mut lent = Lent::of(&server.own).await?;
            let sequence = bounded(server.origin.read(READ, lent.connection()?)).await?;
            Ok::<_, StoreError>((lent, sequence))
        };
        let (mut lent, sequence) = match read.await {
            Ok(read) => read,
            Err(error) => {
                if !server.away.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the database cannot be reached");
                }
                return Err(error);
            }
        };
        if server.away.swap(false, Ordering::Relaxed) {
            tracing::info!("the database is there again");
        }
        if sequence.standby {
            // It was the primary once, or will be: whoever is that now is found by connecting anew.
            lent.spoil();
            return Ok(());
        }
        lent.give_back();
        if sequence.is_of_another_history() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Moves the sequence on, as each write does where the server has another history: whoever follows starts over
    /// now, and not with the next write.
    async fn settle(&self) -> Result<(), StoreError> {
        let write = self.write("key-service", now()).await?;
        write.commit().await
    }

    /// Learns what is new, and counts by what it was told. Gives whether there was anything.
    async fn learn(&self, server: &Server, by: &WakeupLabels) -> bool {
        match self.catch_up(server).await {
            Ok(found) => {
                if found {
                    self.measures.wakeups.get_or_create(by).inc();
                }
                found
            }
            Err(error) => {
                tracing::debug!(%error, "the changes could not be read");
                false
            }
        }
    }

    /// Reads what is new once, for all who follow.
    async fn catch_up(&self, server: &Server) -> Result<bool, StoreError> {
        let _one = server.catching_up.lock().await;
        let mut found = false;
        loop {
            let known = self.recent.end();
            let changes = self.changes(known, KEPT).await?;
            if changes.as_of <= known {
                return Ok(found);
            }
            found = true;
            // Further behind than is kept, or before another history: who follows reads the database.
            if changes.cursor < changes.as_of || changes.as_of - known > KEPT as i64 {
                self.recent.begin_after(changes.as_of);
                announce(&self.sequence, changes.as_of);
            } else if self.recent.add((known, changes.cursor), changes.changes) {
                announce(&self.sequence, changes.cursor);
            }
        }
    }
}

async fn listener(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// How to connect. The error does not repeat the URL.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let known = PARAMETERS.contains(&name) || name.starts_with("options[");
        if !known {
            return Err(format!(
                "the URL of the database has a parameter that is not known, or a password in which ? is not \
                 written as %3F; parameters are {}",
                PARAMETERS.join(", ")
            ));
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        "the URL of the database is not postgres://USER@HOST:PORT/DATABASE, or one of its parameters has no such \
         value; in a password, / is written as %2F, @ as %40"
            .to_owned()
    })?;
    Ok(options
        .application_name("key-service")
        // Where somebody wants to see them, the server tells of slow statements.
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO))
}

/// Brings the tables up to date, one service at a time.
async fn prepare(connection: &mut PgConnection, missing: Missing) -> Result<(), String> {
    let unreadable = |error: sqlx::Error| format!("cannot read the database: {error}");
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreadable)?;
    if encoding != "UTF8" {
        return Err(format!(
            "the database has the encoding {encoding}: make one with ENCODING 'UTF8'"
        ));
    }
    let made: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(unreadable)?;
    if !made && missing == Missing::Refuse {
        return Err(
            "the database holds nothing of a key service: check --database, or start the service once"
                .to_owned(),
        );
    }
    let mut applied = Vec::new();
    if made {
        let found = connection.list_applied_migrations("_sqlx_migrations").await;
        applied = found.map_err(|error| format!("cannot read the database: {error}"))?;
    }
    let ours = MIGRATIONS.iter().map(|migration| migration.version);
    let generation = ours.clone().max().unwrap_or(0) / GENERATION;
    if applied.iter().any(|other| other.version / GENERATION > generation) {
        return Err(
            "the database was written by a newer key-service, which this version does not survive: use that version"
                .to_owned(),
        );
    }
    // A role that may make no tables, and a database that takes no writes, are enough where there is nothing to do.
    if ours.clone().all(|version| applied.iter().any(|other| other.version == version)) {
        return Ok(());
    }
    let mut migrator = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    migrator.run(&mut *connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
            if sql_state(&error) == Some("42501") =>
        {
            "the role may make no tables in the database: make it the database's owner, or grant it CREATE on the \
             schema"
                .to_owned()
        }
        other => format!("cannot bring the database up to date: {other}"),
    })
}

/// What to do where there is no connection.
fn cannot_connect(error: &sqlx::Error) -> String {
    match sql_state(error) {
        Some("28P01" | "28000") => format!(
            "the database does not let this role in ({error}): check user and password, in the URL, PGPASSWORD or \
             the file that PGPASSFILE names, and the server's pg_hba.conf"
        ),
        Some("3D000") => format!("there is no such database ({error}): make it with CREATE DATABASE"),
        Some("53300") => {
            format!("the database has too many connections ({error}): see --database-connections")
        }
        _ => format!("cannot connect to the database: {error}"),
    }
}

