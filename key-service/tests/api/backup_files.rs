//! `key-service backup` and `restore`: under exactly that name, for the owner alone, and nothing in it that
//! is not ours.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::backup::{files, refused, succeeds};
use crate::engine::is_postgresql;
use crate::program::{program, run, text};

/// Does something to a database that no key service does.
pub fn execute(database: &Path, sql: &str) {
    let work = async {
        let url = format!("sqlite://{}", database.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    };
    runtime().block_on(work);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_name_that_sqlite_reads_in_its_own_way_is_taken_as_it_is() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    for name in [
        ":memory:",
        "file:saved.db",
        "file:saved.db?mode=memory",
        "file::memory:?cache=shared",
        "saved.db?mode=ro",
        "a b%20c.db",
        "",
    ] {
        if name.is_empty() {
            assert!(!run(folder, &[], &["backup", name]).status.success());
            continue;
        }
        succeeds(folder, &["backup", name]);
        assert!(
            files(folder).contains(&name.to_owned()),
            "{name:?}: {:?}",
            files(folder)
        );
        assert_eq!(mode(&folder.join(name)), 0o600);
        succeeds(folder, &["restore", name, "--database", "restored.db"]);
        let tokens = succeeds(folder, &["token", "list", "--database", name]);
        assert!(tokens.contains("NAME"), "{tokens}");
    }
    // The service's own database likewise: one in memory would lose every write.
    succeeds(folder, &["demo", "--database", "file:live.db?mode=memory"]);
    assert!(files(folder).contains(&"file:live.db?mode=memory".to_owned()));
}

#[test]
fn a_name_that_sqlite_cannot_have_is_refused() {
    if is_postgresql() {
        return;
    }
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    let before = files(folder);
    let output = program(folder)
        .arg("backup")
        .arg(std::ffi::OsStr::from_bytes(b"saved-\xff.db"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("not UTF-8"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(files(folder), before);
}

#[test]
fn a_restored_database_is_private_whoever_may_read_the_backup() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    succeeds(folder, &["backup", "saved.db"]);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.join("saved.db"), open).unwrap();
    succeeds(folder, &["restore", "saved.db"]);
    assert_eq!(mode(&folder.join("keybound.db")), 0o600);
}

#[test]
fn a_backup_that_is_stopped_leaves_nothing() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    // Nobody else can read the database: the backup waits for it.
    let runtime = runtime();
    let held = runtime.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(folder.join("keybound.db"))
            .pragma("locking_mode", "exclusive");
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for sql in [
            "BEGIN IMMEDIATE",
            "UPDATE sequence SET value = value + 1",
            "COMMIT",
        ] {
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
        connection
    });
    let before = files(folder);
    let mut child = program(folder)
        .args(["backup", "saved.db"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("saved.db.partial").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("stopped by SIGTERM"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(files(folder), before);
    drop(held);
}

#[test]
fn what_no_key_service_made_is_not_restored() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    for (name, sql) in [
        (
            "revive",
            "CREATE TRIGGER revive AFTER UPDATE OF status ON keys BEGIN \
             UPDATE keys SET status = 'active' WHERE id = NEW.id; END",
        ),
        ("everybody", "CREATE VIEW everybody AS SELECT * FROM users"),
        ("more", "CREATE TABLE more (what TEXT)"),
        ("keys_by_hint", "CREATE INDEX keys_by_hint ON keys (hint)"),
        (
            "users",
            "ALTER TABLE users ADD COLUMN extra TEXT DEFAULT 'x'",
        ),
    ] {
        let file = format!("{name}.db");
        succeeds(folder, &["backup", &file]);
        execute(&folder.join(&file), sql);
        let before = (
            files(folder),
            std::fs::read(folder.join("keybound.db")).unwrap(),
        );
        refused(folder, &["restore", &file], name);
        let after = (
            files(folder),
            std::fs::read(folder.join("keybound.db")).unwrap(),
        );
        assert!(before == after, "{name}: {:?}", after.0);
    }
}
