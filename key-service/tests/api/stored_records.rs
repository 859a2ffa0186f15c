//! What holds for the records of every table: the feed tells of each, and a restore moves each on.

use std::collections::BTreeMap;
use std::path::Path;

use key_service::store::stored::tables;
use sqlx::{Connection, SqliteConnection};

use crate::backup::{TOKENS, changes, succeeds};
use crate::engine::is_postgresql;
use crate::program::Running;

/// By what the feed calls its records: how many a table has, and the least of their versions.
fn found(folder: &Path) -> BTreeMap<String, (i64, i64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", folder.join("keybound.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let mut found = BTreeMap::new();
        for table in tables() {
            let sql = format!("SELECT count(*), min(version) FROM {}", table.name);
            let row = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap();
            found.insert(table.kind.as_str().to_owned(), row);
        }
        connection.close().await.unwrap();
        found
    })
}

/// The same of the changes that a follower is given after this number.
fn told(service: &Running, after: i64) -> BTreeMap<String, (i64, i64)> {
    let answer = changes(service, after);
    assert_eq!(answer["reset"], false);
    let mut told = BTreeMap::new();
    for change in answer["changes"].as_array().unwrap() {
        let kind = change["kind"].as_str().unwrap().to_owned();
        let (count, least) = told.entry(kind).or_insert((0, i64::MAX));
        *count += 1;
        *least = (*least).min(change["seq"].as_i64().unwrap());
    }
    told
}

#[test]
fn the_feed_tells_of_every_table_and_a_restore_moves_each_on() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    let before = found(folder);
    assert!(before.values().all(|(count, _)| *count > 0), "{before:?}");
    let service = Running::start(folder, &TOKENS);
    assert_eq!(told(&service, 0), before);
    service.stop();

    succeeds(folder, &["backup", "saved.db"]);
    succeeds(folder, &["restore", "saved.db"]);
    let after = found(folder);
    for (kind, (count, least)) in &after {
        assert_eq!(*count, before[kind].0);
        assert!(*least > 1_000_000_000, "{kind}: {least}");
    }
    let least = after.values().map(|(_, least)| *least).min().unwrap();
    let service = Running::start(folder, &TOKENS);
    assert_eq!(told(&service, least - 1), after);
    service.stop();
}
