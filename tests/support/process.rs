//! A child process that cannot outlive its test, and whose output is at hand when it fails.

use crate::failure::{Failure, Result};
use crate::wait::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// A running child. Dropping it ends it.
///
/// It is in a process group of its own, so that Ctrl-C in a terminal reaches only the parent, which then
/// stops its children in order. If the parent dies without a chance to do so, the leash ends the child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    leash: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with no input, and with its output in files of `folder` that are named after it.
    pub fn spawn(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let output = folder.join(format!("{name}.out"));
        let log = folder.join(format!("{name}.log"));
        let append = |path: &Path| File::options().create(true).append(true).open(path);
        let child = command
            .stdin(Stdio::null())
            .stdout(append(&output)?)
            .stderr(append(&log)?)
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Failure::new(format!(
                    "cannot start {}: {error}",
                    command.get_program().to_string_lossy()
                ))
            })?;
        let leash = match leash(child.id()) {
            Ok(leash) => leash,
            Err(error) => {
                signal_group(child.id(), Signal::SIGKILL);
                return Err(
                    Failure::from(error).during("cannot start the guard of a child process")
                );
            }
        };
        Ok(Self {
            name: name.to_owned(),
            child,
            status: None,
            leash,
            output,
            log,
        })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output until now.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// What it wrote to standard error until now.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// The last lines of both, for a message.
    pub fn tail(&self, lines: usize) -> String {
        let mut text = String::new();
        for (file, content) in [(&self.output, self.output()), (&self.log, self.log())] {
            let all: Vec<&str> = content.lines().collect();
            if !all.is_empty() {
                text.push_str(&format!("--- end of {}\n", file.display()));
                for line in all.iter().skip(all.len().saturating_sub(lines)) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        if text.is_empty() {
            format!("--- {} wrote nothing\n", self.name)
        } else {
            text
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Failure::new(format!(
            "{} did not end\n{}",
            self.name,
            self.tail(20)
        )))
    }

    /// Waits until `probe` succeeds. Fails at once, with the end of its log, when the process ends.
    pub async fn ready<F>(&mut self, mut probe: F) -> Result<()>
    where
        F: AsyncFnMut() -> Result<()>,
    {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return Err(Failure::new(format!(
                    "{} ended before it was ready ({status})\n{}",
                    self.name,
                    self.tail(30)
                )));
            }
            match probe().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= end => {
                    return Err(Failure::new(format!(
                        "{} did not get ready within {} s: {error}\n{}",
                        self.name,
                        PATIENCE.as_secs(),
                        self.tail(30)
                    )));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Sends a signal to it and its children.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            signal_group(self.child.id(), signal);
        }
    }

    /// Ends it now, without a chance to tidy up, as a crash would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
    }

    /// Asks it to end and waits; gives how it ended. One that does not listen is killed.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while self.ended().is_none() && Instant::now() < end {
            tokio::time::sleep(PAUSE).await;
        }
        self.stopped()
    }

    /// The same where nothing can be awaited: it blocks the thread.
    pub fn stop_now(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while self.ended().is_none() && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        self.stopped()
    }

    fn stopped(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        let tail = self.tail(20);
        self.kill();
        Err(Failure::new(format!(
            "{} did not stop when it was asked to\n{tail}",
            self.name
        )))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Only afterwards: the leash must not be gone while the child lives.
        let _ = self.leash.kill();
        let _ = self.leash.wait();
    }
}

/// A shell that reads from a pipe whose other end only this process holds. The pipe closes when this
/// process ends, however it ends, and the shell then kills the child's group. PR_SET_PDEATHSIG would not
/// do: it fires when the *thread* that started the child ends, which in a test is too early.
fn leash(child: u32) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args([
            "-c",
            "read -r _; kill -s KILL -- \"-$1\" 2>/dev/null",
            "leash",
            &child.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// A shell that removes a folder when this process has let go of it, however it ends: when the shell's input is closed.
/// A process that is ended at the same moment writes there for a moment longer.
pub fn cleaner(folder: &Path) -> Result<Child> {
    Ok(Command::new("/bin/sh")
        .args([
            "-c",
            "read -r _; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- \"$1\" 2>/dev/null && break; sleep 0.5; done",
            "cleaner",
        ])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?)
}

fn signal_group(leader: u32, signal: Signal) {
    if let Ok(id) = i32::try_from(leader) {
        // Fails only when the group is gone, which is what was wanted.
        let _ = kill(Pid::from_raw(-id), signal);
    }
}

fn read(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
