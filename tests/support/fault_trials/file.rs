//! SQLite's file, and what a trial does to it.

use crate::failure::{Failure, Result};
use crate::key_service::KeyService;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts the file aside.
pub(super) fn take_away(database: &Path) -> Result<()> {
    Ok(fs::rename(database, aside(database))?)
}

/// Puts it back.
pub(super) fn put_back(database: &Path) -> Result<()> {
    Ok(fs::rename(aside(database), database)?)
}

fn aside(database: &Path) -> PathBuf {
    database.with_extension("aside")
}

/// Keeps a copy of the database of a service that does not run.
pub(super) fn keep_backup(database: &Path) -> Result<()> {
    fs::copy(database, backup(database))?;
    Ok(())
}

/// Puts that copy in its place.
pub(super) fn restore(database: &Path) -> Result<()> {
    fs::copy(backup(database), database)?;
    for log in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(database.with_extension(log));
    }
    Ok(())
}

fn backup(database: &Path) -> PathBuf {
    database.with_extension("backup")
}

/// Bounds the files of the key service, as a full disk does: nothing more fits into any of them.
pub(super) fn limit_files(service: &mut KeyService, bytes: &str) -> Result<()> {
    let process = service
        .process()
        .ok_or_else(|| Failure::new("the key service does not run"))?;
    let done = Command::new("prlimit")
        .args(["--pid", &process.id().to_string()])
        .arg(format!("--fsize={bytes}:"))
        .status()
        .map_err(|error| Failure::from(error).during("prlimit, of util-linux"))?;
    if done.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("prlimit ended with {done}")))
    }
}

/// Holds the database so that nobody else can write.
pub(super) async fn lock(database: PathBuf) -> Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .map_err(sql)?;
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut connection)
        .await
        .map_err(sql)?;
    Ok(connection)
}

pub(super) async fn unlock(lock: SqliteConnection) -> Result<()> {
    lock.close().await.map_err(sql)
}

fn sql(error: sqlx::Error) -> Failure {
    Failure::new(error.to_string()).during("the lock on the database")
}
