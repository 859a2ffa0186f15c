//! A wall clock of Envoy's own, which a test sets forward.

use crate::failure::{Failure, Result};
use crate::paths;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock of one process.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is right, kept in a folder. It takes a C compiler.
    pub fn make(folder: &Path) -> Result<Self> {
        let library = folder.join("clock.so");
        let done = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(paths::root().join("tests/support/clock.c"))
            .status()
            .map_err(|error| Failure::from(error).during("cc, a C compiler"))?;
        if !done.success() {
            return Err(Failure::new(format!("cc ended with {done}")));
        }
        let file = folder.join("clock");
        fs::write(&file, 0_i64.to_ne_bytes())?;
        Ok(Self { file, library })
    }

    /// The environment of a process that is to have this clock.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("CLOCK_AHEAD", self.file.display().to_string()),
        ]
    }

    /// Sets it so many seconds ahead of what is right.
    pub fn set_ahead(&self, seconds: i64) -> Result<()> {
        // Written in place: the process looks at this very file.
        let file = File::options().write(true).open(&self.file)?;
        Ok(file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}
