//! `key-service audit verify`: what was changed in the audit log, or taken out of it, is found.

use std::path::Path;

use serde_json::json;

use crate::backup::{refused, succeeds};
use crate::backup_files::execute;
use crate::engine::{is_postgresql, run_in};
use crate::support::Service;

/// A database with entries of several writes.
fn furnished(folder: &Path) {
    succeeds(folder, &["demo"]);
    succeeds(
        folder,
        &["token", "create", "--role", "viewer", "--name", "one"],
    );
    succeeds(folder, &["token", "revoke", "one"]);
}

#[test]
fn a_log_as_it_was_written_is_whole_also_in_a_backup_and_after_a_restore() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    furnished(folder);
    let first = succeeds(folder, &["audit", "verify"]);
    assert!(first.contains("all as they were written"), "{first}");
    assert_eq!(succeeds(folder, &["audit", "verify"]), first);
    succeeds(folder, &["backup", "saved.db"]);
    assert_eq!(
        succeeds(folder, &["audit", "verify", "--database", "saved.db"]),
        first
    );
    succeeds(folder, &["restore", "saved.db"]);
    assert_ne!(
        succeeds(folder, &["audit", "verify"]),
        first,
        "the restore is an entry"
    );
    refused(
        folder,
        &["audit", "verify", "--database", "none.db"],
        "there is no database",
    );
}

#[test]
fn what_was_tampered_with_is_named() {
    for (sql, named) in [
        (
            "UPDATE audit SET actor = 'somebody else' WHERE id = 7",
            "entry 7: it is not as",
        ),
        (
            "UPDATE audit SET after = '{}' WHERE id = 1",
            "entry 1: it is not as",
        ),
        (
            "UPDATE audit SET at = at + 1 WHERE id = 8",
            "entry 8: it is not as",
        ),
        (
            "DELETE FROM audit WHERE id = 5",
            "entry 6: the entry before",
        ),
        (
            "DELETE FROM audit WHERE id = 1",
            "entry 2: the entry before",
        ),
        (
            "DELETE FROM audit WHERE id >= 4",
            "entry 4: it and what followed",
        ),
        ("DELETE FROM audit", "entry 1: it and what followed"),
        (
            "UPDATE audit SET hash = NULL, previous_hash = NULL",
            "entry 1: it has no hash",
        ),
        (
            "INSERT INTO audit (id, at, actor, action, kind, entity_id) VALUES (999, 1, 'nobody', 'create', 'key', 'key_1')",
            "it has no hash",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        furnished(folder);
        run_in(folder, sql);
        refused(folder, &["audit", "verify"], named);
    }
}

#[test]
fn entries_of_a_version_without_hashes_get_theirs_once() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    furnished(folder);
    let database = folder.join("keybound.db");
    // What that version left.
    for sql in [
        "ALTER TABLE audit DROP COLUMN hash",
        "ALTER TABLE audit DROP COLUMN previous_hash",
        "DROP TABLE audit_chain",
        "DELETE FROM _sqlx_migrations WHERE version = 7",
    ] {
        execute(&database, sql);
    }
    succeeds(folder, &["audit", "verify"]);
    succeeds(
        folder,
        &["token", "create", "--role", "viewer", "--name", "two"],
    );
    let whole = succeeds(folder, &["audit", "verify"]);
    assert!(whole.contains("all as they were written"), "{whole}");
    execute(&database, "UPDATE audit SET hash = NULL WHERE id = 3");
    refused(folder, &["audit", "verify"], "entry 3: it has no hash");
}

#[test]
fn each_entry_shows_its_hash_and_the_one_before() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    service
        .post("/admin/v1/keys/key_1/rotate", &json!({}))
        .expect(201);
    let entries = service.get("/admin/v1/audit").expect(200)["items"]
        .as_array()
        .unwrap()
        .clone();
    assert!(entries.len() >= 5);
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["previous_hash"], pair[1]["hash"]);
        assert_eq!(pair[0]["hash"].as_str().unwrap().len(), 43);
    }
    assert!(entries.last().unwrap()["previous_hash"].is_null());
}
