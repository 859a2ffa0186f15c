//! Which database the tests run on: a SQLite file, or what `KEYBOUND_TEST_DATABASE` names, `postgresql-16` say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use ::support::postgres::{Server, VERSIONS};
use key_service::store::{Location, Missing, Store};

/// The version of PostgreSQL, where the tests run on it.
pub static VERSION: LazyLock<Option<String>> = LazyLock::new(|| {
    let named = std::env::var("KEYBOUND_TEST_DATABASE").unwrap_or_default();
    if ["", "sqlite"].contains(&named.as_str()) {
        return None;
    }
    let version = named.strip_prefix("postgresql-").unwrap_or_default();
    assert!(
        VERSIONS.contains(&version),
        "KEYBOUND_TEST_DATABASE={named} is neither sqlite nor postgresql-{{{}}}",
        VERSIONS.join(",")
    );
    Some(version.to_owned())
});

/// The server that all tests share. It ends with this process.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let version = VERSION.as_deref().expect("the tests run on SQLite");
    Server::start(version).unwrap()
});

/// A database with tables and nothing in them: making them anew for each test would take longer than the test.
static TEMPLATE: LazyLock<&str> = LazyLock::new(|| {
    SERVER.create("template").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(SERVER.url("template").as_str(), Missing::Create)
            .await
            .unwrap();
        store.close().await;
    });
    "template"
});

/// Whether the tests run on PostgreSQL. What is about a file alone has nothing to test there.
pub fn is_postgresql() -> bool {
    VERSION.is_some()
}

/// The server that all tests share, where they run on PostgreSQL.
pub fn server() -> Option<&'static Server> {
    is_postgresql().then(|| &*SERVER)
}

/// A database of PostgreSQL that is gone with the test.
#[derive(Debug)]
pub struct Database {
    pub name: String,
}

impl Database {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        SERVER.copy(*TEMPLATE, &name).unwrap();
        Self { name }
    }

    pub fn url(&self) -> String {
        SERVER.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = SERVER.remove(&self.name);
    }
}

/// The database of a test, and where it is: in its folder, or on the server.
pub fn database(folder: &Path) -> (Option<Database>, Location) {
    if !is_postgresql() {
        return (None, folder.join("keybound.db").as_path().into());
    }
    let database = Database::new();
    let location = Location::from(database.url().as_str());
    (Some(database), location)
}

/// What a program that runs in this folder finds in `KEYBOUND_DATABASE`, where it is told nothing else.
pub fn of_folder(folder: &Path) -> Option<String> {
    static OF_FOLDERS: LazyLock<Mutex<HashMap<PathBuf, Database>>> = LazyLock::new(Mutex::default);
    if !is_postgresql() {
        return None;
    }
    let mut known = OF_FOLDERS.lock().unwrap();
    // Folders of tests that are over.
    known.retain(|folder, _| folder.exists());
    let database = known.entry(folder.to_owned()).or_insert_with(Database::new);
    Some(database.url())
}

/// Where the database of a folder's programs is.
pub fn location_of(folder: &Path) -> Location {
    match of_folder(folder) {
        Some(url) => url.as_str().into(),
        None => folder.join("keybound.db").as_path().into(),
    }
}

/// Runs a statement in the database of a folder's programs, whichever it is.
pub fn run_in(folder: &Path, sql: &'static str) {
    match of_folder(folder) {
        Some(url) => {
            let name = url.rsplit('/').next().unwrap();
            SERVER.ask(name, sql).unwrap();
        }
        None => crate::backup_files::execute(&folder.join("keybound.db"), sql),
    }
}
