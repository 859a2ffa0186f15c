//! What a command prints and nobody gets: a secret that is lost is taken back.

use std::fs::File;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::program::{Running, program, run, text};

const ADMIN: &str = "admin-token-number-one";

/// Where a test's output goes.
fn full_disk() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

struct Furnished {
    folder: tempfile::TempDir,
    service: Running,
}

impl Furnished {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
        let it = Self { folder, service };
        it.json(&["tenant", "create", "--id", "ten_a"]);
        it.json(&["user", "create", "--id", "usr_a", "--tenant", "ten_a"]);
        it
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [
            ("KEYBOUND_TOKEN", ADMIN),
            ("KEYBOUND_SERVER", &self.service.url),
        ]
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = run(self.folder.path(), &self.environment(), &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn printing_to(&self, stdout: Stdio, arguments: &[&str]) -> Output {
        into(self.folder.path(), &self.environment(), stdout, arguments)
    }
}

fn into(folder: &Path, environment: &[(&str, &str)], stdout: Stdio, arguments: &[&str]) -> Output {
    let mut command = program(folder);
    command.envs(environment.iter().copied()).args(arguments);
    command.stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_new_key_that_nobody_got_is_revoked_again() {
    let it = Furnished::start();
    let create = ["key", "create", "--user", "usr_a"];
    for (stdout, json) in [
        (full_disk(), false),
        (full_disk(), true),
        (closed_pipe(), false),
        (closed_pipe(), true),
    ] {
        let before = it.json(&["key", "list"])["items"].as_array().unwrap().len();
        let more: &[&str] = if json { &["--json"] } else { &[] };
        let output = it.printing_to(stdout, &[&create, more].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("could not be written to standard output"),
            "{error}"
        );
        let list = it.json(&["key", "list"]);
        let keys = list["items"].as_array().unwrap();
        assert_eq!(keys.len(), before + 1);
        let key = keys.last().unwrap();
        assert_eq!(key["status"], "revoked");
        assert!(
            key["revoked_reason"]
                .as_str()
                .unwrap()
                .contains("nobody got it")
        );
        let id = key["id"].as_str().unwrap();
        assert!(error.contains(&format!("{id} is revoked again")), "{error}");
        assert!(!error.contains("Keep the secret"), "{error}");
    }
}

#[test]
fn a_key_whose_successor_nobody_got_is_as_it_was() {
    let it = Furnished::start();
    let create = ["key", "create", "--user", "usr_a", "--id"];
    it.json(&[&create[..], &["without_end"]].concat());
    it.json(&[&create[..], &["with_end", "--expires", "90d"]].concat());
    for (id, grace) in [("without_end", "24h"), ("with_end", "0s")] {
        let before = it.json(&["key", "show", id]);
        let rotate = ["key", "rotate", id, "--grace", grace];
        for stdout in [full_disk(), closed_pipe()] {
            let output = it.printing_to(stdout, &rotate);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains(&format!("{id} is as it was")), "{error}");
            let after = it.json(&["key", "show", id]);
            for field in ["status", "expires_at", "replaced_by", "replaced_at"] {
                assert_eq!(after[field], before[field], "{id}.{field}");
            }
        }
        let list = it.json(&["key", "list", "--status", "revoked"]);
        assert!(!list["items"].as_array().unwrap().is_empty());
        let rotated = it.json(&rotate);
        assert_eq!(it.json(&["key", "show", id])["replaced_by"], rotated["id"]);
    }
}

#[test]
fn a_token_that_nobody_got_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["token", "create", "--role", "viewer", "--name", "vera"];
    for stdout in [full_disk(), closed_pipe()] {
        let output = into(folder.path(), &[], stdout, &create);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("so none was made"), "{error}");
    }
    let list = run(folder.path(), &[], &["token", "list", "--json"]);
    assert_eq!(text(&list.stdout).trim(), "[]");
    let made = run(folder.path(), &[], &create);
    assert!(
        made.status.success(),
        "the name is free: {}",
        text(&made.stderr)
    );
}

#[test]
fn a_first_admin_token_that_nobody_got_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let output = into(
        folder.path(),
        &[],
        full_disk(),
        &["serve", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the admin token could not be written"));
    let service = Running::start(folder.path(), &[]);
    assert!(
        service.first_lines.contains("kbt_admin_"),
        "{}",
        service.first_lines
    );
    service.stop();
}

#[test]
fn a_list_that_does_not_fit_on_the_disk_is_an_error_and_a_reader_who_leaves_is_none() {
    let it = Furnished::start();
    let full = it.printing_to(full_disk(), &["user", "list"]);
    assert_eq!(full.status.code(), Some(1));
    let error = text(&full.stderr);
    assert!(error.contains("cannot write to standard output"), "{error}");
    let left = it.printing_to(closed_pipe(), &["user", "list"]);
    assert_eq!(left.status.code(), Some(0), "{}", text(&left.stderr));
}
