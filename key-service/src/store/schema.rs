//! What belongs into the database: a file from elsewhere may hold more, such as a trigger that gives back
//! what is revoked.

use std::path::Path;

use sqlx::{Connection, Executor, Sqlite, SqliteConnection};

use super::database::Store;
use super::open::MIGRATIONS;
use super::pool::Pool;

/// Type, name and text of a table, index, trigger or view.
type Part = (String, String, Option<String>);

/// Refuses a database that holds anything but the tables and indexes of this version, or holds them
/// otherwise. The error is one line for people.
pub(super) async fn check(store: &Store, path: &Path) -> Result<(), String> {
    let Pool::Sqlite(readers) = &store.readers else {
        return Ok(());
    };
    let found = parts(readers).await.map_err(|error| unread(path, &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stored::tables;

    #[tokio::test]
    async fn every_table_whose_rows_have_a_version_is_one_of_records_with_these_very_columns() {
        let mut new = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut new).await.unwrap();
        let sql = "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) \
                   AS columns WHERE tables.type = 'table' AND tables.name <> '_sqlx_migrations' ORDER BY tables.rowid, columns.cid";
        let made: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut new).await.unwrap();
        let versioned: Vec<&str> = made
            .iter()
            .filter(|(_, column)| column == "version")
            .map(|(table, _)| table.as_str())
            .collect();
        let known: Vec<&str> = tables().iter().map(|table| table.name).collect();
        assert_eq!(versioned, known);
        for table in tables() {
            let columns: Vec<&str> = made
                .iter()
                .filter(|(name, column)| name == table.name && column != "place")
                .map(|(_, column)| column.as_str())
                .collect();
            assert_eq!(columns, table.columns, "{}", table.name);
        }
    }
}
