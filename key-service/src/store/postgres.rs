//! The store on PostgreSQL: opening it, and learning what other services write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::{Mutex, Notify, watch};

use super::connect::{connect, options, prepare};
use super::database::{Engine, Missing, Store, announce};
use super::error::{OpenError, StoreError};
use super::lent::{Connections, Lent};
use super::location::FEWEST_CONNECTIONS;
use super::measures::{Measures, NOTIFY, POLL, WakeupLabels};
use super::pool::Pool;
use super::recent::KEPT;
use super::server::{CHANNEL, Origin, Server};
use crate::domain::time::now;

/// How long a request waits for a connection before it is told that the service is overloaded.
const TURN: Duration = Duration::from_secs(5);
/// How soon a server to which nobody can connect is known to be away.
const NOTICED: Duration = Duration::from_secs(2);
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

impl Store {
    /// Opens the database and brings its tables up to date. The error is one line for people, without the URL.
    pub(super) async fn open_postgres(
        url: &str,
        connections: u32,
        missing: Missing,
    ) -> Result<Self, OpenError> {
        if connections < FEWEST_CONNECTIONS {
            return Err(format!(
                "{connections} connections to the database are too few: a service needs {FEWEST_CONNECTIONS}"
            )
            .into());
        }
        let options = options(url)?;
        let mut connection = connect(&options).await?;
        prepare(&mut connection, missing == Missing::Create).await?;
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
        let away = Arc::new(AtomicBool::new(false));
        let pool = |most, wait| {
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(wait)
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
        let lent = |most| {
            Pool::Postgres(Connections {
                pool: pool(most, TURN),
                away: Arc::clone(&away),
            })
        };
        let store = Self {
            readers: lent(connections - WRITERS - OWN),
            writer: lent(WRITERS),
            queue: Arc::default(),
            reports: Arc::default(),
            writable: Arc::default(),
            sequence: watch::Sender::new(0),
            recent: Arc::default(),
            measures: Measures::default(),
            engine: Engine::Postgres(Arc::new(Server {
                origin,
                own: pool(OWN, NOTICED),
                listening: AtomicBool::new(false),
                away: Arc::clone(&away),
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
        let read = async || {
            let mut lent = Lent::of(&server.own).await?;
            let sequence = server.read(&mut lent).await?;
            Ok::<_, StoreError>((lent, sequence))
        };
        let found = match read().await {
            // One connection that was ended says nothing of the server: another one tells.
            Err(StoreError::Away(_)) => read().await,
            found => found,
        };
        let (mut lent, sequence) = match found {
            Ok(found) => found,
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
