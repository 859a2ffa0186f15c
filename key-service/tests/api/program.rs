//! The built program: start, tokens, commands, stop.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use keybound::verdict::{Class, Reason};
use serde_json::Value;

use crate::engine::{is_postgresql, location_of, of_folder};

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_key-service"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.envs(of_folder(folder).map(|url| ("KEYBOUND_DATABASE", url)));
    command
}

pub fn run(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    program(folder)
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A service that is killed with its test, unless it was stopped before.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub url: String,
    pub first_lines: String,
}

impl Running {
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_on(folder, "127.0.0.1:0", environment)
    }

    pub fn start_on(folder: &Path, listen: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = program(folder)
            .args([
                "serve",
                "--listen",
                listen,
                "--log-format",
                "json",
                "--log-level",
                "debug",
            ])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(folder.join("log"))
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_lines = String::new();
        let url = loop {
            let mut line = String::new();
            assert_ne!(
                stdout.read_line(&mut line).unwrap(),
                0,
                "it ended: {first_lines}"
            );
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.trim().to_owned();
            }
            first_lines.push_str(&line);
        };
        Self {
            child,
            stdout,
            url,
            first_lines,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(kill.success());
    }

    /// Stops it as an operator would, and gives what it printed since the start.
    pub fn stop(mut self) -> String {
        self.terminate();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_start_makes_an_admin_token_once_and_not_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::start(folder.path(), &[]);
    let token = first
        .first_lines
        .trim()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    assert!(token.starts_with("kbt_admin_"), "{}", first.first_lines);
    let environment = [
        ("KEYBOUND_TOKEN", token.as_str()),
        ("KEYBOUND_SERVER", first.url.as_str()),
    ];
    let made = run(
        folder.path(),
        &environment,
        &["tenant", "create", "--id", "ten_a", "--json"],
    );
    assert_eq!(text(&made.stderr), "");
    assert_eq!(
        serde_json::from_slice::<Value>(&made.stdout).unwrap()["id"],
        "ten_a"
    );
    run(
        folder.path(),
        &environment,
        &["user", "create", "--id", "usr_a", "--tenant", "ten_a"],
    );
    let key = run(
        folder.path(),
        &environment,
        &[
            "key",
            "create",
            "--user",
            "usr_a",
            "--expires",
            "30d",
            "--json",
        ],
    );
    let key: Value = serde_json::from_slice(&key.stdout).unwrap();
    let table = text(&run(folder.path(), &environment, &["key", "list"]).stdout);
    assert!(
        table.contains(key["id"].as_str().unwrap()) && table.contains("usr_a"),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(first.stop(), "");
    assert!(
        !folder.path().join("keybound.db-wal").exists(),
        "the stop writes the log back"
    );
    let second = Running::start(folder.path(), &[]);
    assert_eq!(second.first_lines, "");
    second.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(
        log.contains("\"message\":\"listening\"") && log.contains("/admin/v1/keys"),
        "{log}"
    );
    for secret in [token.as_str(), key["secret"].as_str().unwrap()] {
        assert!(!log.contains(secret));
        assert!(!log.contains(&secret[10..30]));
    }
}

#[test]
fn tokens_of_the_environment_are_registered_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let status = |url: &str, token: &str, path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent
            .get(format!("{url}{path}"))
            .header("authorization", format!("Bearer {token}"));
        request.call().unwrap().status().as_u16()
    };
    let (old, new, gateway) = (
        "admin-token-number-one",
        "admin-token-number-two",
        "gateway-token-number-one",
    );
    let first = Running::start(
        folder.path(),
        &[
            ("KEYBOUND_ADMIN_TOKEN", old),
            ("KEYBOUND_GATEWAY_TOKEN", gateway),
        ],
    );
    assert_eq!(first.first_lines, "", "no token is made where one is given");
    assert_eq!(status(&first.url, old, "/admin/v1/keys"), 200);
    assert_eq!(status(&first.url, gateway, "/v1/changes"), 200);
    first.stop();
    let second = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", new)]);
    assert_eq!(status(&second.url, old, "/admin/v1/keys"), 401);
    assert_eq!(status(&second.url, new, "/admin/v1/keys"), 200);
    assert_eq!(status(&second.url, gateway, "/v1/changes"), 200);
    second.stop();
    let short = run(
        folder.path(),
        &[("KEYBOUND_ADMIN_TOKEN", "too-short")],
        &["serve", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(short.status.code(), Some(2));
    assert!(
        !text(&short.stderr).contains("too-short"),
        "{}",
        text(&short.stderr)
    );
    let same = run(
        folder.path(),
        &[("KEYBOUND_GATEWAY_TOKEN", new)],
        &["serve", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(
        same.status.code(),
        Some(2),
        "an admin's token must not become a gateway's"
    );
}

#[test]
fn a_taken_port_is_one_clear_line_and_leaves_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(folder.path(), &[], &["serve", "--listen", &address]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.starts_with(&format!("error: cannot listen on {address}"))
            && error.contains("--listen"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    assert_eq!(text(&output.stdout), "");
    assert!(!folder.path().join("keybound.db").exists());
}

/// What the health check of a container asks.
#[test]
fn readiness_is_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(folder.path(), &[]);
    let ask = |url: &str| run(folder.path(), &[], &["ready", "--server", url]);

    let ready = ask(&service.url);
    assert!(ready.status.success(), "{}", text(&ready.stderr));
    assert_eq!(text(&ready.stdout), "");
    let json = run(
        folder.path(),
        &[],
        &["ready", "--json", "--server", &service.url],
    );
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json, serde_json::json!({"ready": true, "status": 200}));
    let elsewhere = ask(&format!("{}/v1", service.url));
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(text(&elsewhere.stderr).contains("is not ready"));

    let url = service.url.clone();
    service.stop();
    let gone = ask(&url);
    assert_eq!(gone.status.code(), Some(3));
    assert!(text(&gone.stderr).contains("cannot reach the service"));
}

#[test]
fn a_database_that_cannot_be_used_is_one_clear_line() {
    if is_postgresql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let serve = |database: &str| {
        let output = run(
            folder.path(),
            &[],
            &["serve", "--listen", "127.0.0.1:0", "--database", database],
        );
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    std::fs::write(
        folder.path().join("text"),
        "this is no database, but a text of some length",
    )
    .unwrap();
    assert!(serve("text").contains("no intact SQLite database"));
    assert!(serve("no-such-folder/db").contains("check that its folder exists"));

    run(
        folder.path(),
        &[],
        &[
            "token",
            "create",
            "--role",
            "viewer",
            "--name",
            "v",
            "--database",
            "newer",
        ],
    );
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, '', 1, x'00', 0)";
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        use sqlx::Connection;
        let path = folder.path().join("newer");
        let mut connection = sqlx::SqliteConnection::connect(path.to_str().unwrap())
            .await
            .unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    assert!(serve("newer").contains("written by a newer key-service"));
}

#[test]
fn exit_codes_tell_refused_from_misused_from_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(
        folder.path(),
        &[("KEYBOUND_ADMIN_TOKEN", "admin-token-number-one")],
    );
    let good = [
        ("KEYBOUND_TOKEN", "admin-token-number-one"),
        ("KEYBOUND_SERVER", service.url.as_str()),
    ];
    let bad = [
        ("KEYBOUND_TOKEN", "admin-token-number-two"),
        ("KEYBOUND_SERVER", service.url.as_str()),
    ];
    let nowhere = [
        ("KEYBOUND_TOKEN", "admin-token-number-one"),
        ("KEYBOUND_SERVER", "http://127.0.0.1:1"),
    ];
    for (environment, arguments, code, part) in [
        (&good[..], &["tenant", "list"][..], 0, ""),
        (
            &good[..],
            &["tenant", "show", "ten_x"][..],
            1,
            "no tenant of this id",
        ),
        (
            &good[..],
            &["user", "create", "--scope", "a b"][..],
            1,
            "scopes[0]: may hold only",
        ),
        (&bad[..], &["tenant", "list"][..], 1, "Check KEYBOUND_TOKEN"),
        (&good[1..], &["tenant", "list"][..], 2, "set KEYBOUND_TOKEN"),
        (
            &good[..],
            &["tenant", "update", "x"][..],
            2,
            "nothing to change",
        ),
        (&good[..], &["key", "create"][..], 2, "--user"),
        (
            &good[..],
            &["key", "create", "--user", "u", "--expires", "soon"][..],
            2,
            "must be a day",
        ),
        (
            &good[..],
            &["key", "create", "--user", "u", "--expires", "0"][..],
            2,
            "'--expires <TIME>': is in the past (1970-01-01T00:00:00Z)",
        ),
        (
            &good[..],
            &["key", "create", "--user", "u", "--expires", "2020-01-31"][..],
            2,
            "is in the past (2020-02-01T00:00:00Z)",
        ),
        (
            &nowhere[..],
            &["tenant", "list"][..],
            3,
            "cannot reach the service",
        ),
    ] {
        let output = run(folder.path(), environment, arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    std::fs::write(
        folder.path().join("keys"),
        "{\"key\": \"an-old-key-from-elsewhere\"}\n{\"key\": \"x\", \"scope\": 1}\n",
    )
    .unwrap();
    let refused = run(folder.path(), &good, &["key", "import", "keys"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stdout).contains("scope unknown field"),
        "{}",
        text(&refused.stdout)
    );
    let imported = run(
        folder.path(),
        &good,
        &["key", "import", "keys", "--partial"],
    );
    assert_eq!(imported.status.code(), Some(1));
    assert!(
        text(&imported.stdout).contains("the key has no user"),
        "{}",
        text(&imported.stdout)
    );
    assert!(text(&imported.stderr).contains("1 imported, 0 there already, 1 failed"));
    let file = folder.path().join("token");
    std::fs::write(&file, "admin-token-number-one\n").unwrap();
    let arguments = ["tenant", "list", "--token-file", file.to_str().unwrap()];
    assert_eq!(
        run(folder.path(), &good[1..], &arguments).status.code(),
        Some(0)
    );
    service.stop();
}

#[test]
fn tokens_are_made_listed_and_revoked_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    if !is_postgresql() {
        assert_eq!(
            run(folder.path(), &[], &["token", "list"]).status.code(),
            Some(1),
            "there is no database yet"
        );
    }
    let made = run(
        folder.path(),
        &[],
        &["token", "create", "--role", "gateway", "--name", "envoy"],
    );
    let token = text(&made.stdout).trim().to_owned();
    assert!(token.starts_with("kbt_gateway_"));
    let twice = run(
        folder.path(),
        &[],
        &["token", "create", "--role", "viewer", "--name", "envoy"],
    );
    assert_eq!(twice.status.code(), Some(1));
    assert_eq!(
        run(folder.path(), &[], &["token", "revoke", "envoy"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        run(folder.path(), &[], &["token", "revoke", "nobody"])
            .status
            .code(),
        Some(1)
    );
    let list = text(&run(folder.path(), &[], &["token", "list", "--json"]).stdout);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["name"], "envoy");
    assert!(list[0]["revoked_at"].is_i64());
    assert!(!list.to_string().contains(&token));
}

#[test]
fn the_demo_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), &[], &["demo", "--json"]);
    assert_eq!(text(&first.stderr), "");
    let sequence = || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            use key_service::store::{Missing, Store};
            let location = location_of(folder.path());
            let store = Store::open(location, Missing::Refuse).await.unwrap();
            let sequence = *store.watch_sequence().borrow();
            store.close().await;
            sequence
        })
    };
    let before = sequence();
    assert!(before > 30);
    let second = run(folder.path(), &[], &["demo", "--json"]);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(sequence(), before, "nothing is written twice");
    let cases: Vec<Value> = serde_json::from_slice(&second.stdout).unwrap();
    // All that a key can be refused for where no policy asks for anything.
    let of_a_key = Reason::CHECKS.into_iter().filter(|reason| match reason {
        Reason::KeyMissing | Reason::KeyDuplicated | Reason::KeyMalformed => false,
        Reason::UserMismatch
        | Reason::TenantMismatch
        | Reason::EnvironmentMismatch
        | Reason::ApiNotApproved
        | Reason::ScopeMissing => false,
        reason => reason.class() != Class::Unavailable,
    });
    for code in of_a_key.map(Reason::code).chain(["allowed"]) {
        assert!(
            cases.iter().any(|case| case["expect_code"] == code),
            "{code}"
        );
    }
    let human = run(folder.path(), &[], &["demo"]);
    assert!(text(&human.stderr).contains("published"));
}
