//! The service against a tester of others: `scim2-tester` knows RFC 7643 and RFC 7644.

use std::path::PathBuf;
use std::process::Command;

use crate::program::text;
use crate::scim::directory;
use crate::support::Service;

/// A program of the Python environment that `make scim` fetches.
fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target/scim/bin")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make scim`",
        path.display()
    );
    path
}

#[test]
fn the_tester_of_scim_finds_nothing_wrong() {
    let service = Service::furnished();
    let token = directory(&service, "ten_a");
    let output = Command::new(tool("scim"))
        .args([
            "--url",
            &format!("{}/scim/v2", service.url),
            "test",
            "--verbose",
        ])
        .env(
            "SCIM_CLI_HEADERS",
            format!("Authorization: Bearer {}", token.reveal()),
        )
        .env("NO_COLOR", "1")
        .current_dir(service.folder())
        .output()
        .unwrap();
    let told = text(&output.stdout);
    let lines = |word: &str| told.lines().filter(|line| line.starts_with(word)).count();
    let found = (
        lines("SUCCESS"),
        lines("ERROR"),
        lines("CRITICAL"),
        lines("SKIPPED"),
    );
    println!("{told}");
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    assert!(found.0 > 30, "{found:?} {told}");
    assert_eq!((found.1, found.2, found.3), (0, 0, 0), "{told}");
}
