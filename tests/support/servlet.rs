//! A real servlet container, Tomcat, that tells how it read the path of a request.

use crate::failure::{Failure, Result};
use crate::paths;
use crate::ports::{self, Port};
use crate::process::Process;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A running Tomcat. Dropping it ends it.
#[derive(Debug)]
pub struct Tomcat {
    _process: Process,
    _folder: TempDir,
    strict: Port,
    lenient: Port,
}

impl Tomcat {
    /// Starts the one that `make tomcat` fetched.
    pub async fn start() -> Result<Self> {
        let tomcat = paths::target().join("tomcat");
        if !tomcat.join("classes").exists() {
            return Err(Failure::new(format!(
                "there is no Tomcat at {}: run `make tomcat`",
                tomcat.display()
            )));
        }
        let parent = paths::target().join("tests");
        std::fs::create_dir_all(&parent)?;
        let folder = TempDir::with_prefix_in("tomcat-", parent)?;
        let (strict, lenient) = (ports::reserve(), ports::reserve());
        let mut process = Process::spawn(
            "tomcat",
            &mut command(&tomcat, &strict, &lenient, folder.path()),
            folder.path(),
        )?;
        let output = folder.path().join("tomcat.out");
        // On a busy machine it takes a virtual machine its time to start.
        let mut tries = 4;
        while let Err(error) = is_ready(&mut process, &output).await {
            tries -= 1;
            if tries == 0 || process.ended().is_some() {
                return Err(error);
            }
        }
        Ok(Self {
            _process: process,
            _folder: folder,
            strict,
            lenient,
        })
    }

    /// The port where Tomcat has the settings it comes with.
    pub fn strict(&self) -> u16 {
        self.strict.number()
    }

    /// The port where it accepts what it can be told to accept.
    pub fn lenient(&self) -> u16 {
        self.lenient.number()
    }
}

async fn is_ready(process: &mut Process, output: &Path) -> Result<()> {
    process
        .ready(async || {
            if std::fs::read_to_string(output)?.contains("ready") {
                Ok(())
            } else {
                Err(Failure::new("it has not said that it is ready"))
            }
        })
        .await
}

fn command(tomcat: &Path, strict: &Port, lenient: &Port, folder: &Path) -> Command {
    let libraries = format!(
        "{}:{}",
        tomcat.join("classes").display(),
        tomcat.join("usr/share/java/*").display()
    );
    let mut command = Command::new("java");
    command
        .args(["-XX:TieredStopAtLevel=1", "-cp", &libraries, "Paths"])
        .args([strict.number().to_string(), lenient.number().to_string()])
        .arg(folder);
    command
}
