//! Saving the database while it is used, and putting a saved one in its place.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::database::{MOVED_ON, Store};
use super::error::StoreError;
use super::file::beside;
use super::open::{cannot_open, lock_file, make_private, no_lock, options, sqlite_name};
use super::schema;
use super::sql::Statement;
use super::stored::tables;
use super::write::Write;
use crate::domain::audit::{Action, Kind};

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// The sequence number at which the backup is true.
    pub sequence: i64,
    /// The keys in it.
    pub keys: i64,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The sequence number of the backup.
    pub backup: i64,
    /// The number from which writes go on.
    pub sequence: i64,
    /// When the last write in the backup was made, in Unix seconds.
    pub last_write_at: Option<i64>,
    /// Where the database that was replaced is now.
    pub replaced: Option<PathBuf>,
}

/// Saves the database to a new file. The service may run meanwhile, and write. The error is one line for
/// people.
pub async fn save(database: &Path, to: &Path) -> Result<Saved, String> {
    if !database.exists() {
        return Err(format!(
            "there is no database at {}: check --database",
            database.display()
        ));
    }
    if to.exists() {
        return Err(format!(
            "{} exists already: choose another name, so that no earlier backup is lost",
            to.display()
        ));
    }
    // Under another name first: what has the right name is whole.
    let written = |error| cannot_write(to, &error);
    let partial = Partial::make(beside(to, ".partial")).map_err(written)?;
    let mut connection = connect(database).await?;
    sqlx::query("VACUUM INTO ?")
        .bind(sqlite_name(&partial.0)?)
        .execute(&mut connection)
        .await
        .map_err(|error| format!("the database was not saved: {error}"))?;
    let saved = check(&partial.0).await?;
    partial.becomes(to).map_err(written)?;
    Ok(saved)
}

/// Puts a backup in the place of the database, which nobody may have open. All its numbers are moved on, so
/// that whoever follows the changes starts over, and no record held from before counts as the newer one.
/// The error is one line for people.
pub async fn restore(backup: &Path, database: &Path, now: i64) -> Result<Restored, String> {
    let lock = lock_file(database)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!(
                "the database {} is in use: stop the key service first",
                database.display()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(no_lock(database, &error)),
    }
    let written = |error| cannot_write(database, &error);
    let saved = check(backup).await?;
    let partial = Partial::make(beside(database, ".restoring")).map_err(written)?;
    partial.copy(backup).map_err(written)?;
    let own = lock
        .try_clone()
        .map_err(|error| no_lock(database, &error))?;
    let store = Store::open_with(&partial.0, own).await?;
    let moved = async {
        schema::check(&store, backup).await?;
        let before = sequence_of(database).await;
        let base = saved.sequence.max(before.unwrap_or(0));
        move_on(&store, base + MOVED_ON - saved.sequence, now)
            .await
            .map_err(|error| format!("the backup was not restored: {error}"))
    };
    let moved = moved.await;
    store.close().await;
    let (sequence, last_write_at) = moved?;
    let replaced = set_aside(database).map_err(written)?;
    partial.becomes(database).map_err(written)?;
    Ok(Restored {
        backup: saved.sequence,
        sequence,
        last_write_at,
        replaced,
    })
}

/// A database that is being written: for its owner alone, and gone unless it becomes what was asked for,
/// whatever comes in between.
struct Partial(PathBuf);

impl Partial {
    fn make(path: PathBuf) -> std::io::Result<Self> {
        remove_all(&path)?;
        make_private(&path)?;
        Ok(Self(path))
    }

    /// Takes over what is in a file, and not who may read that.
    fn copy(&self, from: &Path) -> std::io::Result<()> {
        let mut to = File::options().write(true).open(&self.0)?;
        std::io::copy(&mut File::open(from)?, &mut to).map(drop)
    }

    fn becomes(&self, path: &Path) -> std::io::Result<()> {
        sync(&self.0)?;
        fs::rename(&self.0, path)?;
        sync_folder(path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = remove_all(&self.0);
    }
}

/// Whether a file is an intact database of this service, complete in itself.
async fn check(path: &Path) -> Result<Saved, String> {
    if !path.is_file() {
        return Err(format!("there is no file {}", path.display()));
    }
    if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        return Err(format!(
            "{} was copied while it was in use and is not complete: make backups with key-service backup",
            path.display()
        ));
    }
    let mut connection = connect(path).await?;
    let intact: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| cannot_open(path, &error))?;
    if intact != "ok" {
        let what = intact.lines().last().unwrap_or_default();
        return Err(format!("{} is damaged: {what}", path.display()));
    }
    let saved: Result<(i64, i64), _> =
        sqlx::query_as("SELECT value, (SELECT count(*) FROM keys) FROM sequence")
            .fetch_one(&mut connection)
            .await;
    let (sequence, keys) =
        saved.map_err(|_| format!("{} is no database of a key service", path.display()))?;
    close(connection, path).await?;
    Ok(Saved { sequence, keys })
}

/// The number of the last write in a database that may be missing or damaged. Its log is written back into
/// it meanwhile.
async fn sequence_of(path: &Path) -> Option<i64> {
    if !path.exists() {
        return None;
    }
    let mut connection = connect(path).await.ok()?;
    let sequence = sqlx::query_scalar("SELECT value FROM sequence")
        .fetch_one(&mut connection)
        .await;
    close(connection, path).await.ok()?;
    sequence.ok()
}

async fn move_on(store: &Store, by: i64, now: i64) -> Result<(i64, Option<i64>), StoreError> {
    let mut write = store.write("command line", now).await?;
    let moved = write.move_on(by).await?;
    write.commit().await?;
    Ok(moved)
}

impl Write {
    /// Adds this to the number of every record and to the sequence. Gives the sequence, and when the last
    /// write before this was made.
    async fn move_on(&mut self, by: i64) -> Result<(i64, Option<i64>), StoreError> {
        let last_write_at = Statement::new("SELECT max(at) FROM audit")
            .scalar(self.on().await?)
            .await?;
        for table in tables() {
            let sql = table.sql.move_on.as_str();
            let statement = Statement::new(sql).bind(by);
            statement.execute(self.on().await?).await?;
        }
        let sequence = self.skip(by).await?;
        let before = json!({"sequence": sequence - by});
        let after = json!({"sequence": sequence});
        self.audit(
            Action::Restore,
            Kind::Database,
            "keybound",
            Some(sequence),
            Some(&before),
            &after,
        )
        .await?;
        Ok((sequence, last_write_at))
    }
}

/// Keeps the database under another name, and takes its log out of the way: it would be applied to whatever
/// has the database's name next.
fn set_aside(database: &Path) -> std::io::Result<Option<PathBuf>> {
    if !database.exists() {
        remove(&beside(database, "-wal"))?;
        return Ok(None);
    }
    let kept = (1..)
        .map(|number| beside(database, &format!(".replaced-{number}")))
        .find(|kept| !kept.exists())
        .unwrap_or_default();
    // A second name first: at no moment is there no database, which the service would then make anew.
    fs::hard_link(database, &kept)?;
    if beside(database, "-wal").exists() {
        fs::rename(beside(database, "-wal"), beside(&kept, "-wal"))?;
    }
    remove(&beside(database, "-shm"))?;
    Ok(Some(kept))
}

async fn connect(path: &Path) -> Result<SqliteConnection, String> {
    SqliteConnection::connect_with(&options(path)?)
        .await
        .map_err(|error| cannot_open(path, &error))
}

async fn close(connection: SqliteConnection, path: &Path) -> Result<(), String> {
    connection
        .close()
        .await
        .map_err(|error| cannot_open(path, &error))
}

/// Removes a database with all that SQLite puts beside it.
fn remove_all(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        remove(&beside(path, ending))?;
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names in a file's folder outlive a power failure.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    sync(folder.unwrap_or(Path::new(".")))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be written: {error}. Check that its folder exists, can be written and has room",
        path.display()
    )
}
