//! `key-service key import` with the built program.

use std::fmt::Write as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Running, run, text};

const ADMIN: &str = "admin-token-number-one";

struct Import {
    folder: tempfile::TempDir,
    service: Running,
}

impl Import {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Running::start(folder.path(), &[("KEYBOUND_ADMIN_TOKEN", ADMIN)]);
        Self { folder, service }
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let environment = [
            ("KEYBOUND_TOKEN", ADMIN),
            ("KEYBOUND_SERVER", &self.service.url),
        ];
        run(self.folder.path(), &environment, arguments)
    }

    fn import(&self, lines: &str, more: &[&str]) -> Output {
        std::fs::write(self.folder.path().join("keys"), lines).unwrap();
        self.command(&[&["key", "import", "keys"], more].concat())
    }

    /// The newest sequence number: what was imported was counted.
    fn keys(&self) -> usize {
        let list = self.command(&["key", "list", "--json", "--limit", "500"]);
        let list: Value = serde_json::from_slice(&list.stdout).unwrap();
        list["items"].as_array().unwrap().len()
    }
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers
        .into_iter()
        .fold(String::new(), |mut lines, number| {
            let _ = writeln!(
                lines,
                "{}",
                json!({"key": format!("an-old-key-{number:06}"), "id": format!("k{number}")})
            );
            lines
        })
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} {} {}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn any_number_of_lines_is_imported_and_importing_again_changes_nothing() {
    let it = Import::start();
    // More than fits into one body, and into a few.
    let many = lines(0..2_600).replace('{', &format!("{{{}", " ".repeat(400)));
    assert!(many.len() > 1024 * 1024);
    let first = it.import(&many, &[]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("2600 imported, 0 there already, 0 failed"));
    assert_eq!(
        text(&first.stdout).lines().count(),
        2_601,
        "a heading, and a row a line"
    );
    let again = report(&it.import(&many, &["--json"]));
    assert_eq!(again["existing"], 2_600);
    assert_eq!(again["lines"].as_array().unwrap().len(), 2_600);
    assert_eq!(again["lines"][2_599]["line"], 2_600);
    assert_eq!(again["lines"][2_599]["id"], "k2599");
}

#[test]
fn a_wrong_line_far_behind_keeps_all_out_and_is_named_by_its_number() {
    let it = Import::start();
    let mut wrong = lines(0..1_200);
    wrong.push_str("{\"key\": \"x\", \"scope\": 1}\n");
    wrong.push_str(&lines(1_200..1_300));
    let refused = it.import(&wrong, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let (out, error) = (text(&refused.stdout), text(&refused.stderr));
    assert!(
        out.contains("    1201  failed    -                     scope unknown field"),
        "{out}"
    );
    assert!(
        error.contains("nothing is imported: 1300 right, 0 there already, 1 would fail"),
        "{error}"
    );
    assert!(error.contains("1 of 1301 lines failed"), "{error}");
    assert_eq!(it.keys(), 0);

    let partial = it.import(&wrong, &["--partial", "--json"]);
    assert_eq!(partial.status.code(), Some(1), "a script can tell");
    let partial = report(&partial);
    assert_eq!(
        (
            &partial["imported"],
            &partial["failed"],
            &partial["dry_run"]
        ),
        (&json!(1300), &json!(1), &json!(false))
    );
    assert_eq!(partial["lines"][1200]["result"], "failed");
    assert_eq!(partial["lines"][1200]["line"], 1201);
    assert!(it.keys() > 0);
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let it = Import::start();
    let right = it.import(&lines(0..3), &["--dry-run"]);
    assert!(right.status.success(), "{}", text(&right.stderr));
    assert!(
        text(&right.stdout)
            .contains("       3  right     -                     the key has no user")
    );
    assert!(text(&right.stderr).contains("nothing is imported: 3 right"));
    let wrong = it.import(
        "{\"key\": \"x y\"}\n",
        &["--dry-run", "--partial", "--json"],
    );
    assert_eq!(wrong.status.code(), Some(1));
    let wrong = report(&wrong);
    assert_eq!(
        (&wrong["dry_run"], &wrong["failed"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(it.keys(), 0);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_taken() {
    let it = Import::start();
    let output = it.import(
        &format!("\u{feff}{}", lines(0..3).replace('\n', "\r\n")),
        &[],
    );
    assert!(
        output.status.success(),
        "{} {}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert_eq!(it.keys(), 3);
}

#[test]
fn a_break_names_the_line_to_go_on_with() {
    let mut it = Import::start();
    let many = lines(0..1_500);
    it.import(&many, &[]);
    let from = it.import(&many, &["--from-line", "1001", "--json"]);
    let from = report(&from);
    assert_eq!(from["lines"][0]["line"], 1001);
    assert_eq!(from["existing"], 500);

    let gone = "http://127.0.0.1:1".to_owned();
    it.service.url = gone;
    let broken = it.import(&many, &["--partial"]);
    assert_eq!(broken.status.code(), Some(3));
    let error = text(&broken.stderr);
    assert!(
        error.contains("Stopped at line 1: ") && error.contains("--from-line 1,"),
        "{error}"
    );
}

#[test]
fn an_expired_key_is_taken_only_where_that_is_meant() {
    let it = Import::start();
    let expired = "{\"key\": \"an-old-key-that-expired\", \"expires_at\": 0}\n";
    let refused = it.import(expired, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let out = text(&refused.stdout);
    assert!(
        out.contains("expires_at is in the past (1970-01-01T00:00:00Z)"),
        "{out}"
    );
    assert!(out.contains("allow_expired"), "{out}");
    assert_eq!(it.keys(), 0);
    assert!(it.import(expired, &["--allow-expired"]).status.success());
    assert_eq!(it.keys(), 1);
}
