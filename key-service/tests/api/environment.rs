//! What environment variables hold is not shown: one may be a URL with a password.

use std::collections::BTreeSet;
use std::path::Path;

use crate::program::{run, text};

const SECRET: &str = "postgres://keybound:hunter22@db/keys";

/// The help of a command and of all below it.
fn helps(folder: &Path, command: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let output = run(folder, environment, &[command, &["--help"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let help = text(&output.stdout);
    let commands = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let below: Vec<String> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect();
    let mut all = vec![help];
    for name in &below {
        all.extend(helps(folder, &[command, &[name]].concat(), environment));
    }
    all
}

fn variables(helps: &[String]) -> BTreeSet<String> {
    let named = helps.iter().flat_map(|help| help.split("[env: ").skip(1));
    named
        .filter_map(|rest| rest.split([']', '=']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_help_and_no_error_shows_what_a_variable_holds() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = helps(folder.path(), &[], &[]);
    assert!(quiet.len() > 30, "{} commands", quiet.len());
    let variables = variables(&quiet);
    assert!(variables.contains("KEYBOUND_DATABASE"), "{variables:?}");

    let environment: Vec<(&str, &str)> = variables
        .iter()
        .map(|name| (name.as_str(), SECRET))
        .collect();
    assert_eq!(helps(folder.path(), &[], &environment), quiet);

    for name in &variables {
        for command in [
            &["serve"][..],
            &["ready"],
            &["tenant", "list"],
            &["token", "list"],
        ] {
            let output = run(
                folder.path(),
                &[(name, SECRET)],
                &[command, &["--bad"]].concat(),
            );
            assert!(!text(&output.stderr).contains("hunter22"), "{name}");
        }
    }
    let wrong = run(folder.path(), &[("KEYBOUND_LISTEN", SECRET)], &["serve"]);
    assert_eq!(wrong.status.code(), Some(2));
    let error = text(&wrong.stderr);
    assert!(
        error.contains("--listen") && !error.contains("hunter22"),
        "{error}"
    );
    let typed = run(folder.path(), &[], &["serve", "--listen", "nowhere"]);
    assert!(
        text(&typed.stderr).contains("'nowhere'"),
        "{}",
        text(&typed.stderr)
    );
}
