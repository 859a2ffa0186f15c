//! What belongs into the database: a file from elsewhere may hold more, such as a trigger that gives back
//! what is revoked.

use std::path::Path;

use sqlx::{Connection, Executor, Sqlite, SqliteConnection};

use super::Store;
use super::open::MIGRATIONS;

/// Type, name and text of a table, index, trigger or view.
type Part = (String, String, Option<String>);

/// Refuses a database that holds anything but the tables and indexes of this version, or holds them
/// otherwise. The error is one line for people.
pub(super) async fn check(store: &Store, path: &Path) -> Result<(), String> {
    let found = parts(&store.readers)
        .await
        .map_err(|error| unread(path, &error))?;
    let ours = ours().await.map_err(|error| unread(path, &error))?;
    if let Some((kind, name, _)) = found.iter().find(|part| !ours.contains(part)) {
        return Err(format!(
            "{} holds a {kind} that no key service made, or made otherwise: {name}. It could change what is \
             written later, so it is not restored: use another backup",
            path.display()
        ));
    }
    if let Some((kind, name, _)) = ours.iter().find(|part| !found.contains(part)) {
        return Err(format!(
            "{} lacks the {kind} {name}: use another backup",
            path.display()
        ));
    }
    Ok(())
}

async fn parts<'c>(
    database: impl Executor<'c, Database = Sqlite>,
) -> Result<Vec<Part>, sqlx::Error> {
    // Names that begin so are SQLite's own, which nobody else can give.
    sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .fetch_all(database)
    .await
}

/// The parts of a new database.
async fn ours() -> Result<Vec<Part>, sqlx::Error> {
    let mut new = SqliteConnection::connect("sqlite::memory:").await?;
    MIGRATIONS.run(&mut new).await?;
    parts(&mut new).await
}

fn unread(path: &Path, error: &sqlx::Error) -> String {
    format!("the tables of {} cannot be read: {error}", path.display())
}
