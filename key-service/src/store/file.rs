//! Whether the file that is open is still the one under its name. Somebody may delete it, move it or put
//! another in its place; what is written after that is lost as soon as the service stops.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The database file and those that SQLite keeps beside it while it is open.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    database: Identity,
    beside: OnceLock<Vec<Identity>>,
}

#[derive(Debug)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: PathBuf) -> std::io::Result<Self> {
        let data = std::fs::metadata(&path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
            path,
        })
    }

    fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        match Self::of(self.path.clone()) {
            Ok(now) if (now.device, now.inode) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(format!(
                "another file was put in the place of {path} while the service had it open"
            )),
            Err(error) => Err(format!(
                "{path} was deleted or moved while the service had it open ({error})"
            )),
        }
    }
}

impl DatabaseFile {
    /// The file of this name, before it is opened.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            database: Identity::of(path.to_owned())?,
            beside: OnceLock::new(),
        })
    }

    /// Remembers the log and its index as well. They stay as long as one connection is open.
    pub(super) fn is_open(&self) {
        let path = &self.database.path;
        let found = ["-wal", "-shm"]
            .into_iter()
            .filter_map(|ending| Identity::of(beside(path, ending)).ok());
        let _ = self.beside.set(found.collect());
    }

    /// Whether all of them are still there. The error says which is not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.database.check()?;
        self.beside
            .get()
            .into_iter()
            .flatten()
            .try_for_each(Identity::check)
    }
}

/// The path with something appended to it.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
