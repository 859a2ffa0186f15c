//! Opening and closing the database file of SQLite.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

use super::database::{Engine, Missing, OpenFile, Store};
use super::error::{StoreError, result_code};
use super::file::{DatabaseFile, beside};
use super::measures::Measures;
use super::pool::Pool;
use super::sql::Statement;
use super::writable::Writable;

/// How the tables came to be.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Connections that read at the same time; each is a thread, and reads are short.
const READERS: u32 = 4;
/// How long a statement waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a request waits for a connection before it is told that the service is overloaded.
const TURN: Duration = Duration::from_secs(5);

impl Store {
    /// Opens a file and brings its tables up to date. The error is one line for people.
    pub(super) async fn open_file(path: &Path, missing: Missing) -> Result<Self, String> {
        if missing == Missing::Refuse && !path.exists() {
            return Err(format!(
                "there is no database at {}: check --database, or start the service once to make it",
                path.display()
            ));
        }
        let in_use = lock_file(path)?;
        match in_use.try_lock_shared() {
            Ok(()) => Self::open_with(path, in_use).await,
            Err(TryLockError::WouldBlock) => Err(format!(
                "the database {} is being restored: wait until that is done",
                path.display()
            )),
            Err(TryLockError::Error(error)) => Err(no_lock(path, &error)),
        }
    }

    /// Opens a database that nobody else can open as long as `in_use` is locked.
    pub(super) async fn open_with(path: &Path, in_use: File) -> Result<Self, String> {
        let file = make_private(path)
            .and_then(|()| DatabaseFile::of(path))
            .map_err(|error| cannot_open(path, &sqlx::Error::Io(error)))?;
        let file = Arc::new(file);
        let options = options(path)?
            .journal_mode(SqliteJournalMode::Wal)
            // A revocation that was answered must outlive a power failure.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = async |connections, options, writable: Arc<Writable>| {
            pool_options(Arc::clone(&file), writable)
                .max_connections(connections)
                .connect_with(options)
                .await
                .map_err(|error| cannot_open(path, &error))
        };
        let writable = Arc::new(Writable::default());
        let writer: SqlitePool = pool(1, options.clone(), Arc::clone(&writable)).await?;
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => format!(
                "the database {} was written by a newer key-service: use that version, or restore an older backup",
                path.display()
            ),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                cannot_open(path, &error)
            }
            other => format!("cannot bring the database {} up to date: {other}", path.display()),
        })?;
        let read_only = options.pragma("query_only", "on");
        // What becomes of their transactions says nothing of writes.
        let readers = pool(READERS, read_only.clone(), Arc::default()).await?;
        let keeper = pool(1, read_only, Arc::default()).await?;
        let queue = Arc::default();
        let store = Self {
            readers: Pool::Sqlite(readers.clone()),
            writer: Pool::Sqlite(writer),
            reports: Arc::clone(&queue),
            queue,
            writable,
            sequence: watch::Sender::new(0),
            recent: Arc::default(),
            measures: Measures::default(),
            engine: Engine::Sqlite(Arc::new(OpenFile {
                file: Arc::clone(&file),
                keeper: keeper.clone(),
                _in_use: in_use,
            })),
        };
        let unreadable = |error: &dyn std::fmt::Display| {
            format!("cannot read the database {}: {error}", path.display())
        };
        store.begin_chain().await.map_err(|error| {
            format!(
                "cannot bring the audit log of {} up to date: {error}",
                path.display()
            )
        })?;
        store
            .refresh_sequence()
            .await
            .map_err(|error| unreadable(&error))?;
        sqlx::query("SELECT value FROM sequence")
            .execute(&keeper)
            .await
            .map_err(|error| unreadable(&error))?;
        // All at once: should the file be gone later, none can be opened any more, and look-ups go on.
        let mut opened = Vec::new();
        while opened.len() < READERS as usize {
            opened.push(
                readers
                    .acquire()
                    .await
                    .map_err(|error| unreadable(&error))?,
            );
        }
        file.is_open();
        Ok(store)
    }

    /// Closes the database; the log of a file is written back into it.
    pub async fn close(&self) {
        self.readers.close().await;
        match &self.engine {
            Engine::Postgres(server) => server.close().await,
            Engine::Sqlite(open) => {
                open.keeper.close().await;
                let checkpoint = Statement::new("PRAGMA wal_checkpoint(TRUNCATE)");
                if let Err(error) = checkpoint.execute(&self.writer).await {
                    tracing::warn!(%error, "the database was not checkpointed; the next start does it");
                }
            }
        }
        self.writer.close().await;
    }
}

/// How to open exactly this file. SQLite takes names such as `:memory:` and `file:a?mode=memory` for
/// something else than a file; of one that begins at the root it does not.
pub(super) fn options(path: &Path) -> Result<SqliteConnectOptions, String> {
    Ok(SqliteConnectOptions::new().filename(sqlite_name(path)?))
}

/// The name by which SQLite finds exactly this file.
pub(super) fn sqlite_name(path: &Path) -> Result<String, String> {
    let from_root =
        std::path::absolute(path).map_err(|error| cannot_open(path, &sqlx::Error::Io(error)))?;
    from_root.into_os_string().into_string().map_err(|_| {
        format!(
            "the name {} is not UTF-8 text, which SQLite needs: choose another",
            path.display()
        )
    })
}

/// Connections that stay open, all to the same file, and without a transaction that is thought to be open.
/// `writable` is told where there is nevertheless.
fn pool_options(file: Arc<DatabaseFile>, writable: Arc<Writable>) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(TURN)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |_, _| {
            let same = file.check().map_err(std::io::Error::other);
            Box::pin(async move { Ok(same?) })
        })
        .after_release(move |connection, _| {
            let writable = Arc::clone(&writable);
            Box::pin(async move {
                if !connection.is_in_transaction() {
                    return Ok(true);
                }
                // After a full disk and other errors SQLite rolls back by itself. Then there is nothing to
                // roll back, the count of open transactions stays wrong for good, and so does every later
                // write. Whoever was rolled back only now, because its request was given up, is told apart
                // by what comes behind that in the queue of the connection.
                connection.ping().await?;
                let usable = !connection.is_in_transaction();
                if !usable {
                    writable.failed(&StoreError::RolledBack);
                }
                Ok(usable)
            })
        })
}

/// The file that is locked as long as the database is open: shared by all who use it, alone by who
/// replaces it. Not the database itself, whose locks are SQLite's.
pub(super) fn lock_file(database: &Path) -> Result<File, String> {
    let path = beside(database, ".lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| no_lock(database, &error))
}

pub(super) fn no_lock(database: &Path, error: &std::io::Error) -> String {
    format!(
        "the file {}, which says that the database is in use, cannot be opened and locked: {error}; check that \
         its folder exists and can be written",
        beside(database, ".lock").display()
    )
}

/// Makes the file where it is missing, for its owner alone: it tells who has access to what. SQLite
/// gives its other files the same permissions.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    let made = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// SQLite's result codes that have a remedy of their own.
pub(super) fn cannot_open(path: &Path, error: &sqlx::Error) -> String {
    let path = path.display();
    match result_code(error) {
        Some(5 | 6) => format!(
            "the database {path} is locked by another process: stop that process, or use another file"
        ),
        Some(11 | 26) => format!(
            "the file {path} is no intact SQLite database: restore a backup, or name another file with --database"
        ),
        Some(8) => format!(
            "the database {path} cannot be written: check the permissions of the file and its folder"
        ),
        Some(14) => format!(
            "the database {path} cannot be opened: check that its folder exists and can be written"
        ),
        _ => format!("cannot open the database {path}: {error}"),
    }
}
