//! `docs/tutorial.md`, typed by a shell: each command works, and prints what the page says.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::paths;

use crate::launch;

/// A block of the page: its language, and its lines.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, opened)) = rest.split_once("\n```") {
        let (language, body) = opened.split_once('\n').unwrap();
        let (body, after) = body.split_once("\n```").unwrap();
        blocks.push((language, body));
        rest = after;
    }
    blocks
}

/// The lines that the output of the commands before must hold, each somewhere.
fn missing<'a>(expected: &'a str, output: &str) -> Vec<&'a str> {
    expected
        .lines()
        .filter(|line| !output.contains(line))
        .collect()
}

#[tokio::test]
async fn every_command_of_the_tutorial_works_and_prints_what_the_page_says() {
    let data = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let mut demo = launch(data.path(), logs.path());
    demo.ready().await;
    let [gateway, _, key_service, _] = [0, 1, 2, 3].map(|port| demo.ports[port].number());

    let page = fs::read_to_string(paths::root().join("docs/tutorial.md")).unwrap();
    // Where the page's commands run: a folder that has what a clone has after `make run`.
    let clone = tempfile::tempdir().unwrap();
    fs::create_dir(clone.path().join("target")).unwrap();
    link(data.path(), &clone.path().join("target/demo"));
    link(
        &paths::root().join("target/release"),
        &clone.path().join("target/release"),
    );

    let mut script = "set -euo pipefail\n".to_owned();
    let mut expected = Vec::new();
    for (language, block) in blocks(&page) {
        match language {
            "sh" => {
                let number = expected.len();
                let _ = write!(
                    script,
                    "echo '== {number}' >> output\nexec >> output\n{block}\n"
                );
                expected.push("");
            }
            "text" => *expected.last_mut().unwrap() = block,
            other => panic!("a block of {other:?}"),
        }
    }
    assert!(expected.iter().any(|lines| !lines.is_empty()));
    let script = script.replace("127.0.0.1:10000", &format!("127.0.0.1:{gateway}"));
    let folder = clone.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder)
            .env("KEYBOUND_SERVER", format!("http://127.0.0.1:{key_service}"))
            .output()
            .unwrap()
    })
    .await
    .unwrap();

    let printed = fs::read_to_string(clone.path().join("output")).unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{printed}");
    for (number, lines) in expected.iter().enumerate() {
        let part = printed.split(&format!("== {number}\n")).nth(1).unwrap();
        let part = part.split("== ").next().unwrap();
        assert_eq!(missing(lines, part), Vec::<&str>::new(), "{part}");
    }
}

fn link(original: &Path, name: &Path) {
    std::os::unix::fs::symlink(original, name).unwrap();
}
