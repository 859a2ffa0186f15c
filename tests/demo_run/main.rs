//! `make run`, as a newcomer meets it.

mod tutorial;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use support::client::Request;
use support::ports::{self, Port};
use support::process::Process;
use support::wait;

const VARIABLES: [&str; 4] = [
    "KEYBOUND_PORT",
    "KEYBOUND_ADMIN_PORT",
    "KEYBOUND_KEY_SERVICE_PORT",
    "KEYBOUND_UPSTREAM_PORT",
];

struct Demo {
    process: Process,
    ports: Vec<Port>,
}

fn launch(data: &Path, logs: &Path) -> Demo {
    launch_in("", data, logs)
}

/// With the filter in a home; none is the chosen one.
fn launch_in(home: &str, data: &Path, logs: &Path) -> Demo {
    let ports: Vec<Port> = VARIABLES.iter().map(|_| ports::reserve()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.env("KEYBOUND_DEMO_DATA", data);
    if !home.is_empty() {
        command.env("KEYBOUND_HOME", home);
    }
    for (variable, port) in VARIABLES.iter().zip(&ports) {
        command.env(variable, port.number().to_string());
    }
    let process = Process::spawn("demo", &mut command, logs).unwrap();
    Demo { process, ports }
}

impl Demo {
    async fn ready(&mut self) {
        wait::until("the line that begins with ready", async || {
            if let Some(status) = self.process.ended() {
                panic!("it ended ({status})\n{}", self.process.tail(50));
            }
            let output = self.process.output();
            if output.lines().any(|line| line.starts_with("ready ")) {
                Ok(())
            } else {
                Err(output)
            }
        })
        .await
        .unwrap();
    }

    /// Each command that it prints is answered as it says.
    async fn shows_every_case(&self) {
        let output = self.process.output();
        let commands: Vec<&str> = output
            .lines()
            .take_while(|line| !line.starts_with("ready "))
            .filter(|line| line.contains("curl -i "))
            .collect();
        assert!(commands.len() >= 15, "{output}");
        assert!(
            !output.contains('\x1b'),
            "colours where there is no terminal"
        );
        let gateway = self.ports[0].number();
        for line in commands {
            // name  status  code  curl -i [-H 'x-api-key: KEY'] URL
            let (expected, command) = line.split_once("curl -i ").unwrap();
            let words: Vec<&str> = expected.split_whitespace().collect();
            let [.., status, code] = words.as_slice() else {
                panic!("{line}")
            };
            let mut request = Request::get("/");
            if let Some((_, rest)) = command.split_once("'x-api-key: ") {
                request = request.header("x-api-key", rest.split('\'').next().unwrap());
            }
            let answer = request.send(gateway).await.unwrap();
            assert_eq!(answer.status.to_string(), *status, "{line}");
            assert_eq!(
                answer.header("x-keybound-code").unwrap_or("allowed"),
                *code,
                "{line}"
            );
        }
    }

    /// Nothing listens on any of its ports any more.
    async fn left_nothing(&self) {
        wait::until("its ports to be free", async || {
            match self
                .ports
                .iter()
                .find(|port| !ports::is_free(port.number()))
            {
                Some(port) => Err(format!("{} is taken", port.number())),
                None => Ok(()),
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn it_shows_every_case_stops_in_order_and_keeps_its_data() {
    let data = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut demo = launch(data.path(), logs.path());
    demo.ready().await;

    demo.shows_every_case().await;

    let token = data.path().join("gateway-token");
    assert_eq!(
        fs::metadata(&token).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let first = fs::read_to_string(&token).unwrap();
    let status = demo.process.stop().await.unwrap();
    assert!(status.success(), "{status}\n{}", demo.process.tail(30));
    demo.left_nothing().await;

    let mut demo = launch(data.path(), logs.path());
    demo.ready().await;
    assert_eq!(fs::read_to_string(&token).unwrap(), first, "data is kept");
    // A crash of the demonstration itself: what it started must end all the same.
    demo.process.signal(nix::sys::signal::Signal::SIGKILL);
    demo.left_nothing().await;
}

/// `make run NATIVE=1`: the dynamic module, with the configuration that its users copy.
#[tokio::test]
async fn it_shows_every_case_with_the_dynamic_module() {
    let data = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut demo = launch_in("native", data.path(), logs.path());
    demo.ready().await;

    demo.shows_every_case().await;
    let output = demo.process.output();
    assert!(
        output.contains("starting Envoy with the dynamic module"),
        "{output}"
    );
    let configuration = fs::read_to_string(data.path().join("envoy.yaml")).unwrap();
    assert!(configuration.contains("DynamicModuleFilter"));
    let status = demo.process.stop().await.unwrap();
    assert!(status.success(), "{status}\n{}", demo.process.tail(30));
    demo.left_nothing().await;
}

#[tokio::test]
async fn it_ends_with_commands_that_work_as_they_are() {
    let data = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut demo = launch(data.path(), logs.path());
    demo.ready().await;
    wait::until("what to try next", async || match demo.process.output() {
        output if output.contains("explain --access-log") => Ok(()),
        output => Err(output),
    })
    .await
    .unwrap();

    let output = demo.process.output();
    let (_, next) = output.split_once("\nNext, ").unwrap();
    let commands: Vec<&str> = next
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    let [export, create, use_it, refused, explain] = commands.as_slice() else {
        panic!("{next}")
    };
    // The new key takes the place of SECRET, as a person would put it there.
    let script = format!(
        "set -e\n{export}\nkey=$({create} --json | sed -n 's/.*\"secret\": \"\\(.*\\)\".*/\\1/p')\n\
         {}\n{refused}\n{explain}\n",
        use_it.replace("'x-api-key: SECRET'", "\"x-api-key: $key\"")
    );
    let mut shell = tokio::process::Command::new("bash");
    let done = shell.args(["-c", &script]).output().await.unwrap();
    let [printed, errors] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(done.status.success(), "{printed}{errors}");
    let passed = printed
        .find("200 OK")
        .unwrap_or_else(|| panic!("{printed}"));
    let refused = printed
        .find("403 Forbidden")
        .unwrap_or_else(|| panic!("{printed}"));
    let explained = printed.find("refused: user_suspended");
    assert!(passed < refused && Some(refused) < explained, "{printed}");
    demo.process.stop().await.unwrap();
}

#[tokio::test]
async fn a_part_that_dies_ends_it_with_its_name() {
    let data = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut demo = launch(data.path(), logs.path());
    demo.ready().await;

    let answer = Request::new("POST", "/quitquitquit")
        .send(demo.ports[1].number())
        .await
        .unwrap();
    assert_eq!(answer.status, 200);

    let status = demo.process.wait().await.unwrap();
    assert!(!status.success());
    assert!(
        demo.process.log().contains("envoy ended by itself"),
        "{}",
        demo.process.tail(30)
    );
    demo.left_nothing().await;
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_starts() {
    let data = tempfile::tempdir().unwrap();
    let taken = ports::reserve();
    let _listener = TcpListener::bind(("127.0.0.1", taken.number())).unwrap();
    let others: Vec<Port> = VARIABLES.iter().map(|_| ports::reserve()).collect();

    for variable in VARIABLES {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        command.env("KEYBOUND_DEMO_DATA", data.path().join("never"));
        for (name, port) in VARIABLES.iter().zip(&others) {
            command.env(name, port.number().to_string());
        }
        let output = command
            .env(variable, taken.number().to_string())
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);

        assert!(!output.status.success());
        assert!(
            message.contains(&format!("port {}", taken.number())),
            "{message}"
        );
        assert!(message.contains(variable), "{message}");
        assert!(!data.path().join("never").exists());
    }
}
