//! Where a new key goes: to standard output, to a file, or to a command that keeps it. Never into arguments or the
//! environment of anything, which others can read.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::domain::text::random_base62;

/// Where a new key goes instead of standard output.
#[derive(clap::Args)]
pub struct Destination {
    /// Write the key to this new file, which only you can read, instead of printing it. A file that is there is never
    /// replaced
    #[arg(long, value_name = "PATH", conflicts_with = "to_command")]
    to_file: Option<PathBuf>,
    /// Let a shell run this, with the key on its standard input, instead of printing it. What the command prints goes to
    /// standard error
    #[arg(long, value_name = "COMMAND")]
    to_command: Option<String>,
}

impl Destination {
    /// Whether the key is kept by something else than who reads standard output.
    pub fn is_elsewhere(&self) -> bool {
        self.to_file.is_some() || self.to_command.is_some()
    }

    /// Finds out before there is a key what would keep it from arriving.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = &self.to_file else {
            return Ok(());
        };
        if fs::symlink_metadata(path).is_ok() {
            return Err(format!(
                "{} is there already, and is not replaced: name another file",
                path.display()
            ));
        }
        let draft = Draft::beside(path);
        draft
            .create()
            .map(drop)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Brings the key there, and only there. An error says what failed, without the key.
    pub fn deliver(&self, key: &str) -> Result<(), String> {
        if let Some(path) = &self.to_file {
            return write(path, key)
                .map_err(|error| format!("{} could not be written: {error}", path.display()));
        }
        match &self.to_command {
            Some(command) => run(command, key),
            None => Ok(()),
        }
    }
}

/// A file that is not yet what it will be called: whoever opens the final name finds a whole key, or nothing.
struct Draft(PathBuf);

impl Draft {
    fn beside(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self(path.with_file_name(format!(".{name}.{}", random_base62(8))))
    }

    fn create(&self) -> io::Result<File> {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        options.open(&self.0)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn write(path: &Path, key: &str) -> io::Result<()> {
    let draft = Draft::beside(path);
    let mut file = draft.create()?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    // Fails where the name is taken, unlike a rename.
    fs::hard_link(&draft.0, path)
}

/// A command that does not read the key has not kept it, whatever it says at its end.
fn run(command: &str, key: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("the command could not be run: {error}");
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    let mut unread = reader.try_clone().map_err(failed)?;
    let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .stdin(reader)
        .stdout(Stdio::from(stderr));
    // A key is shorter than what a pipe holds: this never waits for the command.
    writer.write_all(key.as_bytes()).map_err(failed)?;
    drop(writer);
    let status = shell.status().map_err(failed)?;
    // The command's end of the pipe, which this process would keep open.
    drop(shell);
    if !status.success() {
        return Err(format!("the command failed: {status}"));
    }
    let mut rest = Vec::new();
    unread.read_to_end(&mut rest).map_err(failed)?;
    match rest.is_empty() {
        true => Ok(()),
        false => Err("the command did not read the key from its standard input".to_owned()),
    }
}
