//! `key-service backup` and `key-service restore`.

use std::path::PathBuf;

use serde_json::json;

use super::database::{Database, block_on};
use super::outcome::{Failure, Outcome};
use super::output::{self, note, print_line};
use super::serve::stop_signal;
use crate::domain::time::now;
use crate::store::backup;

#[derive(clap::Args)]
#[command(
    after_help = "The backup is one file, readable by its owner alone. It holds no key or token in clear, \
    but tells who has access to what."
)]
pub struct Backup {
    /// File to make; it must not exist yet
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

#[derive(clap::Args)]
#[command(
    after_help = "Everything written since the backup is undone: keys, users and tokens that were revoked or \
    suspended since then work again, and keys that were made since then are unknown. The database that is \
    replaced is kept beside the restored one. Every gateway drops what it knew and asks again."
)]
pub struct Restore {
    /// File that key-service backup made
    file: PathBuf,
    #[command(flatten)]
    database: Database,
}

pub fn save(arguments: &Backup, as_json: bool) -> Outcome {
    let database = arguments
        .database
        .file("use pg_dump --format=custom, or the provider's backups; see docs/operations.md")?;
    let saved = block_on(unless_stopped(backup::save(database, &arguments.file)))?;
    if as_json {
        output::json(&json!({
            "file": arguments.file.display().to_string(),
            "keys": saved.keys,
            "sequence": saved.sequence,
        }));
        return Ok(());
    }
    print_line(&format!(
        "saved {} keys at sequence number {} to {}",
        saved.keys,
        saved.sequence,
        arguments.file.display()
    ));
    Ok(())
}

pub fn restore(arguments: &Restore, as_json: bool) -> Outcome {
    let database = arguments.database.file(
        "use pg_restore into an empty database: gateways start over by themselves where it is another cluster; see \
         docs/operations.md",
    )?;
    let work = backup::restore(&arguments.file, database, now());
    let restored = block_on(unless_stopped(work))?;
    if as_json {
        let replaced = restored.replaced.as_ref();
        output::json(&json!({
            "backup_sequence": restored.backup,
            "last_write_at": restored.last_write_at,
            "sequence": restored.sequence,
            "replaced_file": replaced.map(|file| file.display().to_string()),
        }));
        return Ok(());
    }
    print_line(&format!(
        "restored sequence number {}, last written {}; numbers go on from {}",
        restored.backup,
        output::time(restored.last_write_at),
        restored.sequence
    ));
    if let Some(replaced) = &restored.replaced {
        note(&format!(
            "The database before is kept as {}. What was revoked, suspended or deactivated since the backup \
             works again until it is done anew.",
            replaced.display()
        ));
    }
    Ok(())
}

/// Does it, unless a signal says to stop: what is half done is then cleared away.
async fn unless_stopped<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, Failure> {
    let stop_signal = stop_signal()?;
    tokio::select! {
        done = work => done.map_err(Failure::Refused),
        name = stop_signal => Err(Failure::Refused(format!("stopped by {name}: nothing was changed"))),
    }
}
