//! New keys that are handed to a file or a command, and are seen by nobody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Service, digest};

struct It {
    service: Service,
    folder: tempfile::TempDir,
}

impl It {
    fn start() -> Self {
        Self {
            service: Service::furnished(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// With the folder's programs first on the path.
    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let system = std::env::var("PATH").unwrap();
        std::fs::write(self.path("input"), input).unwrap();
        crate::program::program(self.folder.path())
            .env("PATH", format!("{}:{system}", self.folder.path().display()))
            .env("KEYBOUND_SERVER", &self.service.url)
            .env("KEYBOUND_TOKEN", self.service.admin.reveal())
            .stdin(std::fs::File::open(self.path("input")).unwrap())
            .args(arguments)
            .output()
            .unwrap()
    }

    fn keys(&self) -> Vec<Value> {
        let list = self.service.get("/admin/v1/keys").expect(200);
        list["items"].as_array().unwrap().clone()
    }

    fn key(&self, id: &str) -> Value {
        self.service
            .get(&format!("/admin/v1/keys/{id}"))
            .expect(200)
    }

    /// The id of the key with this text.
    fn known_as(&self, key: &str) -> Value {
        self.service.resolve(&[&digest(&json!(key))])["results"][0]["key"]["id"].clone()
    }

    /// The command failed, with this in its error, and the newest key is revoked.
    #[track_caller]
    fn taken_back(&self, output: &Output, why: &str) {
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains(why) && error.contains("is revoked again"),
            "{error}"
        );
        assert_eq!(text(&output.stdout), "");
        assert_eq!(self.keys().last().unwrap()["status"], "revoked");
    }
}

const CREATE: &[&str] = &["key", "create", "--user", "usr_a", "--environment", "live"];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

#[test]
fn a_file_gets_the_key_alone_and_only_its_owner_reads_it() {
    let it = It::start();
    for (name, json) in [("one", false), ("two", true)] {
        let more: &[&str] = if json { &["--json"] } else { &[] };
        let output = it.run(&with(&with(CREATE, &["--to-file", name]), more));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let key = std::fs::read_to_string(it.path(name)).unwrap();
        let id = it.known_as(&key);
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(printed.contains(id.as_str().unwrap()), "{printed}");
        assert!(!printed.contains(&key[8..40]), "{printed}");
        let mode = it.path(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let left = std::fs::read_dir(it.folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_file_that_is_there_is_not_replaced_and_no_key_is_made_for_it() {
    let it = It::start();
    std::fs::write(it.path("there"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", it.path("link")).unwrap();
    for name in ["there", "link", "no/such/folder"] {
        let output = it.run(&with(CREATE, &["--to-file", name]));
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(error.contains(name), "{error}");
        assert_eq!(it.keys(), Vec::<Value>::new());
    }
    assert_eq!(std::fs::read_to_string(it.path("there")).unwrap(), "mine");
}

#[test]
fn a_command_gets_the_key_on_its_standard_input_and_nowhere_else() {
    let it = It::start();
    let seen =
        "cat > key; tr '\\0' '\\n' < /proc/$$/cmdline > arguments; env > environment; echo kept";
    let output = it.run(&with(CREATE, &["--to-command", seen]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(it.path(name)).unwrap();
    let key = read("key");
    assert!(it.known_as(&key).is_string(), "the key, and no line break");
    for place in ["arguments", "environment"] {
        assert!(!read(place).contains(&key[8..40]), "{place}");
    }
    assert!(read("arguments").contains("cat > key"));
    assert!(!text(&output.stdout).contains("kept"), "the record alone");
    assert!(text(&output.stderr).contains("kept"));
}

#[test]
fn a_key_that_its_command_did_not_keep_is_revoked_again() {
    let it = It::start();
    for (command, why) in [
        (
            "cat > /dev/null; exit 3",
            "the command failed: exit status: 3",
        ),
        ("kill -9 $$", "the command failed: signal: 9"),
        ("no-such-program", "the command failed: exit status: 127"),
        ("true", "did not read the key"),
        ("head -c 5 > /dev/null", "did not read the key"),
    ] {
        let before = it.keys().len();
        it.taken_back(&it.run(&with(CREATE, &["--to-command", command])), why);
        assert_eq!(it.keys().len(), before + 1);
    }
}

#[test]
fn a_rotated_key_whose_successor_was_not_kept_stays_as_it_was() {
    let it = It::start();
    it.run(&with(
        CREATE,
        &["--id", "key_old", "--to-file", "old", "--expires", "90d"],
    ));
    let before = it.key("key_old");
    let rotate = ["key", "rotate", "key_old", "--grace", "0s"];
    it.taken_back(
        &it.run(&with(&rotate, &["--to-command", "cat >&2; false"])),
        "the command failed",
    );
    let after = it.key("key_old");
    for field in [
        "status",
        "expires_at",
        "replaced_by",
        "replaced_at",
        "verdict",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let output = it.run(&with(&rotate, &["--to-file", "old"]));
    assert_eq!(output.status.code(), Some(1), "the old key's file");
    assert_eq!(it.key("key_old")["replaced_by"], Value::Null);
    let output = it.run(&with(&rotate, &["--to-file", "new"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let new = it.known_as(&std::fs::read_to_string(it.path("new")).unwrap());
    assert_eq!(it.key("key_old")["replaced_by"], new);
}

#[test]
fn a_key_is_revoked_by_what_was_found_of_it() {
    let it = It::start();
    it.run(&with(CREATE, &["--id", "key_1", "--to-file", "one"]));
    it.run(&with(CREATE, &["--id", "key_2", "--to-file", "two"]));
    let revoke = ["key", "revoke", "--reason", "found on a wiki", "--key-file"];
    let output = it.run(&with(&revoke, &["one"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(it.key("key_1")["revoked_reason"], "found on a wiki");
    assert_eq!(it.key("key_2")["status"], "active");
    let two = std::fs::read_to_string(it.path("two")).unwrap();
    let output = it.run_with(&with(&revoke, &["-"]), &format!("{two}\n"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(it.key("key_2")["status"], "revoked");
    let output = it.run_with(&with(&revoke, &["-"]), "nobody-knows-this-key");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("Nobody knows this key"), "{error}");
    assert!(!error.contains("nobody-knows"), "{error}");
    for wrong in [
        &["key", "revoke"][..],
        &["key", "revoke", "key_1", "--key-file", "one"],
    ] {
        assert_eq!(it.run(wrong).status.code(), Some(2));
    }
    let audit = it.service.get("/admin/v1/audit?limit=500").text;
    assert!(!audit.contains(&two[8..40]));
}

/// A program that keeps its arguments and its input in files named for it.
fn stand_in(folder: &Path, name: &str) {
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {name}.arguments\nfor last; do :; done\ncat > {name}.key\n"
    );
    let path = folder.join(name);
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_commands_of_the_page_on_secret_stores_hand_the_key_over() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/secret-stores.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut examples = 0;
    for program in ["vault", "kubectl", "aws"] {
        let it = It::start();
        it.service.make_key(&json!({"id": "key_old"}));
        stand_in(it.folder.path(), program);
        let blocks = page.split("\n```sh\n").skip(1);
        let blocks = blocks.map(|part| part.split("\n```").next().unwrap());
        for block in blocks.filter(|block| block.contains(&format!("'{program} "))) {
            examples += 1;
            let script = it.path("example.sh");
            std::fs::write(&script, block.replace("usr_stock-sync", "usr_a")).unwrap();
            let programs = Path::new(env!("CARGO_BIN_EXE_key-service"))
                .parent()
                .unwrap();
            let system = std::env::var("PATH").unwrap();
            let output = std::process::Command::new("sh")
                .args(["-eu", "example.sh"])
                .current_dir(it.folder.path())
                .env(
                    "PATH",
                    format!(
                        "{}:{}:{system}",
                        it.folder.path().display(),
                        programs.display()
                    ),
                )
                .env("KEYBOUND_SERVER", &it.service.url)
                .env("KEYBOUND_TOKEN", it.service.admin.reveal())
                .output()
                .unwrap();
            assert!(output.status.success(), "{block}\n{}", text(&output.stderr));
            let key = std::fs::read_to_string(it.path(&format!("{program}.key"))).unwrap();
            assert!(it.known_as(&key).is_string(), "{block}");
            let arguments =
                std::fs::read_to_string(it.path(&format!("{program}.arguments"))).unwrap();
            assert!(
                !arguments.contains(&key[8..40]) && arguments.contains("stock-sync"),
                "{arguments}"
            );
        }
    }
    assert_eq!(examples, 4);
}
