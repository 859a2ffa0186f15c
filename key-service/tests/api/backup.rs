//! `key-service backup` and `key-service restore`, with the built program.
//! What is about files alone: with PostgreSQL both name other tools, see `postgresql_store.rs`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::engine::is_postgresql;
use crate::program::{Running, run, text};

const ADMIN: &str = "admin-token-number-one";
const GATEWAY: &str = "gateway-token-number-one";
pub const TOKENS: [(&str, &str); 2] = [
    ("KEYBOUND_ADMIN_TOKEN", ADMIN),
    ("KEYBOUND_GATEWAY_TOKEN", GATEWAY),
];

fn call(service: &Running, method: &str, path: &str, body: &Value) -> Value {
    let token = if path.starts_with("/admin") {
        ADMIN
    } else {
        GATEWAY
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", service.url))
        .header("authorization", format!("Bearer {token}"))
        .body(if method == "GET" {
            String::new()
        } else {
            body.to_string()
        })
        .unwrap();
    let mut response = agent.run(request).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    assert!(response.status().is_success(), "{method} {path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn set_status(service: &Running, status: &str) -> i64 {
    let path = "/admin/v1/users/usr_demo_active?force=true";
    call(service, "PATCH", path, &json!({"status": status}))["version"]
        .as_i64()
        .unwrap()
}

pub fn changes(service: &Running, after: i64) -> Value {
    call(
        service,
        "GET",
        &format!("/v1/changes?after={after}"),
        &Value::Null,
    )
}

#[track_caller]
pub fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, &[], arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
pub fn refused(folder: &Path, arguments: &[&str], because: &str) {
    let output = run(folder, &[], arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(because), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// The names of the folder's files.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "log")
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_restored_service_resets_every_follower_however_many_writes_come_then() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    let service = Running::start(folder, &TOKENS);
    let before = set_status(&service, "suspended");
    let saved = succeeds(folder, &["backup", "saved.db"]);
    assert!(
        saved.contains(&format!("at sequence number {before} ")),
        "{saved}"
    );
    let mut last = before;
    for status in ["active", "locked", "active", "locked", "active"] {
        last = set_status(&service, status);
    }
    assert_eq!(last, before + 5);
    refused(
        folder,
        &["restore", "saved.db"],
        "stop the key service first",
    );
    service.stop();

    let restored = succeeds(folder, &["restore", "saved.db"]);
    assert!(
        restored.contains(&format!("restored sequence number {before},")),
        "{restored}"
    );
    let service = Running::start(folder, &TOKENS);
    let user = call(
        &service,
        "GET",
        "/admin/v1/users/usr_demo_active",
        &Value::Null,
    );
    assert_eq!(
        user["status"], "suspended",
        "what it was when the backup was made"
    );
    let version = user["version"].as_i64().unwrap();
    assert!(
        version > last,
        "newer than anything that a gateway may hold"
    );
    let resets = || {
        for cursor in [
            0,
            1,
            before - 1,
            before,
            before + 1,
            last,
            last + 1,
            last + 100,
        ] {
            assert_eq!(changes(&service, cursor)["reset"], true, "{cursor}");
        }
    };
    resets();
    // As many writes as were lost, and more: the old cursors are in the past again.
    for round in 0..10 {
        set_status(&service, ["active", "suspended"][round % 2]);
    }
    resets();
    let cursor = changes(&service, last)["cursor"].as_i64().unwrap();
    set_status(&service, "locked");
    let followed = changes(&service, cursor);
    assert_eq!(followed["reset"], false, "who began anew follows");
    assert_eq!(followed["changes"].as_array().unwrap().len(), 1);
    let audit = call(
        &service,
        "GET",
        "/admin/v1/audit?kind=database",
        &Value::Null,
    );
    assert_eq!(audit["items"][0]["action"], "restore");
    assert_eq!(audit["items"][0]["before"], json!({"sequence": before}));
    service.stop();
}

/// A backup of the restored database, put back over a later state, must reset as well.
#[test]
fn numbers_never_go_back_when_a_restore_is_repeated() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    succeeds(folder, &["backup", "saved.db"]);
    succeeds(folder, &["restore", "saved.db"]);
    let service = Running::start(folder, &TOKENS);
    let held = set_status(&service, "suspended");
    service.stop();
    succeeds(folder, &["restore", "saved.db"]);
    let service = Running::start(folder, &TOKENS);
    let now = set_status(&service, "locked");
    assert!(now > held + 1_000_000);
    assert_eq!(changes(&service, held)["reset"], true);
    service.stop();
}

#[test]
fn the_database_before_is_kept_whole_and_all_files_are_private() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    succeeds(folder, &["backup", "saved.db"]);
    succeeds(
        folder,
        &["token", "create", "--role", "viewer", "--name", "later"],
    );
    let restored = run(folder, &[], &["restore", "saved.db"]);
    let note = text(&restored.stderr);
    let kept = files(folder)
        .into_iter()
        .find(|name| name.starts_with("keybound.db.replaced-"))
        .unwrap();
    assert!(note.contains(&kept), "{note}");
    let tokens = |database: &str| succeeds(folder, &["token", "list", "--database", database]);
    assert!(tokens(&kept).contains("later"));
    assert!(!tokens("keybound.db").contains("later"));
    for name in files(folder) {
        let mode = std::fs::metadata(folder.join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_restored_leaves_the_database_as_it_was() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    succeeds(folder, &["backup", "saved.db"]);
    let whole = std::fs::read(folder.join("saved.db")).unwrap();
    let mut damaged = whole.clone();
    // A page behind the first, whole.
    for byte in &mut damaged[8192..12288] {
        *byte = 0xA5;
    }
    std::fs::write(folder.join("damaged"), damaged).unwrap();
    std::fs::write(
        folder.join("text"),
        "this is no database, but a text of some length",
    )
    .unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::write(folder.join("copied"), &whole).unwrap();
    std::fs::write(folder.join("copied-wal"), "something").unwrap();
    let before = (
        files(folder),
        std::fs::read(folder.join("keybound.db")).unwrap(),
    );
    for (file, because) in [
        ("damaged", "damaged"),
        ("text", "no intact SQLite database"),
        ("empty", "no database of a key service"),
        ("copied", "make backups with key-service backup"),
        ("nothing", "there is no file"),
    ] {
        refused(folder, &["restore", file], because);
        let after = (
            files(folder),
            std::fs::read(folder.join("keybound.db")).unwrap(),
        );
        assert!(before == after, "{file}: {:?}", after.0);
    }
}

#[test]
fn a_backup_overwrites_nothing_and_needs_a_database() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    refused(folder, &["backup", "saved.db"], "check --database");
    succeeds(folder, &["demo"]);
    std::fs::write(folder.join("there"), "an earlier one").unwrap();
    refused(folder, &["backup", "there"], "choose another name");
    refused(
        folder,
        &["backup", "no-such-folder/saved.db"],
        "cannot be written",
    );
    assert_eq!(
        std::fs::read(folder.join("there")).unwrap(),
        b"an earlier one"
    );
}

#[test]
fn a_lost_database_is_restored_too() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    succeeds(folder, &["backup", "saved.db"]);
    for name in files(folder)
        .iter()
        .filter(|name| name.starts_with("keybound.db"))
    {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    // What is left of a damaged one must not be applied to the restored one.
    std::fs::write(folder.join("keybound.db-wal"), "something").unwrap();
    succeeds(folder, &["restore", "saved.db"]);
    assert!(!folder.join("keybound.db-wal").exists());
    let service = Running::start(folder, &TOKENS);
    let key = call(
        &service,
        "GET",
        "/admin/v1/keys/key_demo_allowed",
        &Value::Null,
    );
    assert_eq!(key["status"], "active");
    service.stop();
}

/// The service writes all the time while the backup is made: what is saved is one moment of it.
#[test]
fn a_backup_of_a_service_that_writes_is_one_moment_of_it() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["demo"]);
    let service = Running::start(folder, &TOKENS);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                call(&service, "POST", "/admin/v1/tenants", &json!({}));
                written += 1;
            }
            written
        });
        for number in 0..5 {
            succeeds(folder, &["backup", &format!("saved-{number}.db")]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    service.stop();
    for number in 0..5 {
        succeeds(
            folder,
            &[
                "restore",
                &format!("saved-{number}.db"),
                "--database",
                &format!("{number}.db"),
            ],
        );
    }
}
