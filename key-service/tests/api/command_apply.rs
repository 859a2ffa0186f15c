//! `key-service apply`, `diff` and `export` with the built program: files, secrets, what is told first, and exit codes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::program::{program, text};
use crate::support::{Service, digest};

const SECRET: &str = "a-secret-that-nobody-prints";

struct It {
    service: Service,
    folder: tempfile::TempDir,
}

impl It {
    fn start() -> Self {
        Self {
            service: Service::start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run_in(self.folder.path(), &self.service, arguments, None)
    }

    /// What a command prints that succeeds, for programs and for people.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        (text(&output.stdout), text(&output.stderr))
    }

    /// What a command says that ends with this code.
    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}{told}",
            text(&output.stdout)
        );
        assert!(
            !told.contains(SECRET) && !text(&output.stdout).contains(SECRET),
            "{told}"
        );
        told
    }
}

fn run_in(folder: &Path, service: &Service, arguments: &[&str], input: Option<&str>) -> Output {
    let mut child = program(folder)
        .env("KEYBOUND_SERVER", &service.url)
        .env("KEYBOUND_TOKEN", service.admin.reveal())
        .env("A_SECRET", SECRET)
        .env("STOCK_SYNC_KEY", "kb_live_a-key-for-an-example-of-files")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

const TENANT: &str = "tenants:\n  - id: ten_shop\n    key_rules: {require: [purpose]}\n";

#[test]
fn files_and_directories_are_one_description_and_secrets_come_from_elsewhere() {
    let it = It::start();
    it.write("keys/a.yaml", TENANT);
    it.write("keys/deeper/b.yml", "users:\n- {id: usr_sync, tenant_id: ten_shop}\n---\n# nothing\n---\nkeys:\n- {id: key_env, user_id: usr_sync, purpose: p, secret: {env: A_SECRET}}\n");
    it.write("keys/.hidden.yaml", "nonsense: 1");
    it.write("keys/README.md", "nonsense");
    it.write("keys/deeper/secret", "a-secret-of-a-file\n");
    it.write("keys/deeper/c.json", r#"{"keys": [{"id": "key_file", "user_id": "usr_sync", "purpose": "p", "secret": {"file": "secret"}, "expires_at": "2099-01-31"}]}"#);
    it.write("more.yaml", "users:\n- id: usr_more\n");
    let files = ["-f", "keys", "-f", "more.yaml"];
    let (would, told) = it.done(&[&["apply", "--dry-run"], &files[..]].concat());
    assert!(would.contains("create  key        key_file"), "{would}");
    assert!(
        told.contains("nothing is written: 6 would be created, 0 changed, 0 are as the files say"),
        "{told}"
    );
    assert_eq!(it.service.changes("")["cursor"], 0);
    assert!(
        it.fails(1, &[&["diff"], &files[..]].concat())
            .contains("not as the files say")
    );
    let (done, told) = it.done(&[&["apply"], &files[..]].concat());
    assert_eq!(done, would);
    assert!(
        told.contains("6 created, 0 changed, 0 as the files say"),
        "{told}"
    );
    for (secret, id) in [(SECRET, "key_env"), ("a-secret-of-a-file", "key_file")] {
        let known = it.service.resolve(&[&digest(&json!(secret))]);
        assert_eq!(known["results"][0]["key"]["id"], id);
    }
    // The whole day is meant.
    let key = it.service.get("/admin/v1/keys/key_file").expect(200);
    assert_eq!(key["expires_at"], 4_073_587_200_i64);
    let (again, _) = it.done(&[&["apply"], &files[..]].concat());
    assert_eq!(again, "");
    it.done(&[&["diff"], &files[..]].concat());
    it.write("more.yaml", "users:\n- id: usr_more\n  scopes: [a, b]\n");
    let (changed, _) = it.done(&["apply", "-f", "more.yaml"]);
    assert_eq!(
        changed,
        "update  user       usr_more\n        scopes: - -> a b\n"
    );
}

#[test]
fn whatever_is_wrong_is_named_with_file_entry_and_field() {
    let it = It::start();
    it.write("a.yaml", "tenants:\n- {id: ten_a}\n- {id: ten_a}\nuser: []\nkeys:\n- {id: key_a, key: a-secret-that-nobody-prints}\n- {id: key_b, secret: {env: NOT_SET}}\n- {id: key_c, secret: {file: nowhere}}\n- {id: key_d, secret: {env: A, file: B}}\n- {id: key_e, expires_at: 90d}\n");
    it.write("b.json", r#"{"tenants": [{"id": "ten_a"}], "keys": {}}"#);
    let told = it.fails(2, &["apply", "-f", "a.yaml", "-f", "b.json"]);
    for line in [
        "a.yaml: tenants[1] (ten_a): id: is given twice, first in a.yaml: tenants[0] (ten_a)",
        "a.yaml: user: unknown field",
        "a.yaml: keys[0] (key_a): key: a key in clear does not belong into a file",
        "a.yaml: keys[1] (key_b): secret: the environment variable NOT_SET is not set",
        "a.yaml: keys[2] (key_c): secret: nowhere cannot be read",
        "a.yaml: keys[3] (key_d): secret: must be either {env: NAME} or {file: PATH}",
        "a.yaml: keys[4] (key_e): expires_at: must not be a span",
        "b.json: tenants[0] (ten_a): id: is given twice",
        "b.json: keys: must be a list",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    it.write("c.yaml", "users:\n- {id: usr_c}\nkeys:\n- {id: key_c, user_id: usr_c, secret: {env: A_SECRET}, scope: [x]}\n- {id: key_d, user_id: usr_gone, digest: x}\n");
    it.write("d.json", r#"{"users": [{"id": "usr_d", "kind": "robot"}]}"#);
    let told = it.fails(1, &["apply", "-f", "d.json", "-f", "c.yaml"]);
    for line in [
        "d.json: users[0] (usr_d): kind: must be one of person, system",
        "c.yaml: keys[0] (key_c): scope: unknown field, did you mean \"scopes\"?",
        "c.yaml: keys[1] (key_d): digest: ",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    // For a comparison 1 says that something differs.
    it.fails(2, &["diff", "-f", "c.yaml"]);
    for twice in [
        "tenants:\n- id: a\n  id: b\n",
        r#"{"tenants": [{"id": "a", "id": "b"}]}"#,
        "tenants: []\ntenants: []\n",
    ] {
        it.write("twice", twice);
        it.fails(2, &["apply", "-f", "twice"]);
    }
    for nothing in ["", "[]", "text", "{"] {
        it.write("nothing", nothing);
        it.fails(2, &["apply", "-f", "nothing"]);
    }
    it.write("empty/README", "");
    it.fails(2, &["apply", "-f", "empty"]);
    it.fails(2, &["apply", "-f", "missing.yaml"]);
    it.fails(2, &["apply"]);
    assert_eq!(it.service.changes("")["cursor"], 0);
}

#[test]
fn what_no_file_names_is_told_before_it_is_stopped() {
    let it = It::start();
    it.write("all.yaml", &format!("{TENANT}users: [{{id: usr_sync, tenant_id: ten_shop}}]\nkeys: [{{id: key_1, user_id: usr_sync, purpose: p, secret: {{env: A_SECRET}}}}]\n"));
    it.done(&["apply", "-f", "all.yaml"]);
    it.write("less.yaml", TENANT);
    let (would, _) = it.done(&["apply", "-f", "less.yaml", "--prune", "--dry-run"]);
    assert!(would.contains("revoke  key        key_1"), "{would}");
    assert!(would.contains("update  user       usr_sync"), "{would}");
    let told = it.fails(1, &["apply", "-f", "less.yaml", "--prune"]);
    assert!(
        told.contains(
            "No file names these, so they are stopped (--prune):\n  revoke  key        key_1"
        ),
        "{told}"
    );
    assert!(told.contains("add --force"), "{told}");
    assert_eq!(
        it.service.get("/admin/v1/keys/key_1").expect(200)["status"],
        "active"
    );
    it.done(&["apply", "-f", "less.yaml", "--prune", "--force"]);
    let key = it.service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(
        (&key["status"], &key["revoked_reason"]),
        (&json!("revoked"), &json!("no file names it any more"))
    );
    it.done(&["diff", "-f", "less.yaml", "--prune"]);
}

#[test]
fn an_export_is_applied_to_another_service_and_exported_as_the_same() {
    let it = It::start();
    it.write("all.yaml", &format!("{TENANT}users: [{{id: usr_sync, tenant_id: ten_shop, name: 'no'}}]\nkeys: [{{id: key_1, user_id: usr_sync, purpose: 'a: b', secret: {{env: A_SECRET}}, hours: {{days: [mon], from: '08:00', to: '18:00'}}, expires_at: 2099-01-31T12:00:00Z}}]\n"));
    it.done(&["apply", "-f", "all.yaml"]);
    let (yaml, _) = it.done(&["export"]);
    assert!(!yaml.contains(SECRET));
    let (json, _) = it.done(&["export", "--json"]);
    let lists: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(lists["keys"][0]["digest"], digest(&json!(SECRET)));
    for written in [&yaml, &json] {
        let other = Service::start();
        let output = run_in(
            it.folder.path(),
            &other,
            &["apply", "-f", "-"],
            Some(written),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        let again = run_in(it.folder.path(), &other, &["export"], None);
        assert_eq!(text(&again.stdout), yaml);
    }
    let (none, _) = it.done(&["export", "--tenant", "ten_none"]);
    assert_eq!(none, "tenants: []\nusers: []\nkeys: []\n");
}

/// The directory that the documentation shows, and the commands of its workflow.
#[test]
fn the_example_is_applied_as_it_is() {
    let service = Service::start();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gitops");
    let run = |arguments: &[&str]| run_in(&example, &service, arguments, None);
    let differs = run(&["diff", "-f", "keys/", "--prune"]);
    assert_eq!(differs.status.code(), Some(1), "{}", text(&differs.stderr));
    let done = run(&["apply", "-f", "keys/", "--prune"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let same = run(&["diff", "-f", "keys/", "--prune"]);
    assert!(
        same.status.success(),
        "{}{}",
        text(&same.stdout),
        text(&same.stderr)
    );
    let keys = service.get("/admin/v1/keys").expect(200);
    assert!(
        keys["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["verdict"] == "allowed"),
        "{keys}"
    );
    let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
    for command in [
        "key-service diff -f keys/ --prune",
        "key-service apply -f keys/ --prune",
    ] {
        assert!(readme.contains(command), "{command}");
    }
}
