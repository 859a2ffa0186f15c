//! The program that steers browsers: one for all tests of the process.

use nix::unistd::geteuid;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};
use support::browser::{Programs, found};
use support::client::Request;
use support::failure::{Failure, Result};
use support::paths;
use support::ports::{self, Port};
use support::process::{Process, cleaner};
use support::wait::PATIENCE;
use tokio::runtime::Runtime;

/// A host that is this machine to the browser, and another site than `127.0.0.1` and `localhost`.
pub const OTHER_HOST: &str = "other.test";

static DRIVER: LazyLock<Driver> =
    LazyLock::new(|| Driver::start().unwrap_or_else(|error| panic!("{error}")));

/// A running chromedriver. It ends with this process, and its browsers, which are in its process group, end with it.
pub struct Driver {
    programs: Programs,
    port: Port,
    _process: Process,
    /// Removes profiles and sockets, of which browsers leave some behind.
    _cleaner: Child,
}

/// The driver.
///
/// # Panics
/// When it does not start.
pub fn driver() -> &'static Driver {
    &DRIVER
}

impl Driver {
    fn start() -> Result<Self> {
        let programs = found()?;
        let logs = paths::target().join("tests/browser");
        fs::create_dir_all(&logs)?;
        let id = std::process::id();
        // In the system's folder: a socket's path must be short.
        let scratch = std::env::temp_dir().join(format!("keybound-browser-{id}"));
        fs::create_dir_all(&scratch)?;
        let cleaner = cleaner(&scratch)?;
        let port = ports::reserve();
        let mut process = Process::spawn(
            &format!("chromedriver-{id}"),
            Command::new(&programs.driver)
                .arg(format!("--port={}", port.number()))
                .env("TMPDIR", &scratch),
            &logs,
        )?;
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port.number())).is_err() {
            if process.ended().is_some() || Instant::now() > end {
                return Err(Failure::new(format!(
                    "chromedriver did not start\n{}",
                    process.tail(20)
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            programs,
            port,
            _process: process,
            _cleaner: cleaner,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What a session asks for: a browser of its own, without a window, that reaches nothing but this machine.
    pub fn capabilities(&self) -> Value {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-extensions".to_owned(),
            "--disable-sync".to_owned(),
            // No graphics card takes part, and containers have little shared memory.
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-proxy-server".to_owned(),
            format!(
                "--host-resolver-rules=MAP {OTHER_HOST} 127.0.0.1, MAP * ~NOTFOUND, \
                 EXCLUDE 127.0.0.1, EXCLUDE localhost"
            ),
        ];
        if geteuid().is_root() {
            // Chromium refuses to make its sandbox as root. The pages are our own.
            arguments.push("--no-sandbox".to_owned());
        }
        json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": self.programs.browser.display().to_string(),
                "args": arguments,
            },
        })
    }

    /// Sends it a command, and gives what it answers.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = Request::new(method, path).header("host", self.address());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .with_body(body.to_string());
        }
        let answer = request.send(self.port()).await?;
        let mut answer: Value = serde_json::from_slice(&answer.body)?;
        match answer["value"]["error"].as_str() {
            Some(error) => Err(Failure::new(format!(
                "{error}: {}",
                answer["value"]["message"].as_str().unwrap_or_default()
            ))),
            None => Ok(answer["value"].take()),
        }
    }

    /// The same where nothing can be awaited: it blocks the thread.
    pub fn ask_now(&self, method: &str, path: &str) -> Result<Value> {
        thread::scope(|scope| {
            let asking = scope.spawn(|| Runtime::new()?.block_on(self.ask(method, path, None)));
            asking
                .join()
                .unwrap_or_else(|_| Err(Failure::new("asking chromedriver failed")))
        })
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

/// Where what a failed test saw is kept.
pub fn kept(name: &str) -> PathBuf {
    paths::target().join("tests/browser").join(name)
}
