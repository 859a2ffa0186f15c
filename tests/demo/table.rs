//! The table of cases: what to send, and what must come back.

use serde::Deserialize;
use serde_json::Value;
use std::io::IsTerminal;
use support::failure::{Failure, Result};

/// One case.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// What it shows.
    pub case: String,
    /// The key to send; none to send none.
    #[serde(default)]
    pub key: Option<String>,
    /// The status of the answer.
    pub expect_status: u16,
    /// The code of the answer; none for one that is allowed.
    #[serde(default)]
    pub expect_code: Option<String>,
}

impl Case {
    /// What sends it.
    pub fn command(&self, port: u16) -> String {
        let header = match &self.key {
            Some(key) => format!("-H {} ", quoted(&format!("x-api-key: {key}"))),
            None => String::new(),
        };
        format!("curl -i {header}http://127.0.0.1:{port}/")
    }

    fn is_allowed(&self) -> bool {
        self.expect_status == 200
    }

    /// The code of the answer, or `allowed`.
    pub fn code(&self) -> &str {
        self.expect_code.as_deref().unwrap_or("allowed")
    }
}

/// The cases as the key service lists them, after those that need no key of its.
pub fn cases(listed: Value) -> Result<Vec<Case>> {
    let mut cases = vec![
        without_record("key_missing", None),
        without_record("key_malformed", Some("two words")),
    ];
    let listed: Vec<Case> = serde_json::from_value(listed)
        .map_err(|error| Failure::from(error).during("key-service demo"))?;
    cases.extend(listed);
    Ok(cases)
}

/// A case that the filter decides before it asks anybody.
fn without_record(code: &str, key: Option<&str>) -> Case {
    Case {
        case: code.to_owned(),
        key: key.map(str::to_owned),
        expect_status: 401,
        expect_code: Some(code.to_owned()),
    }
}

/// Prints them in columns.
pub fn print(cases: &[Case], port: u16) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let paint = |colour: &str, text: String| {
        if colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text
        }
    };
    let width = |of: fn(&Case) -> usize, title: &str| {
        cases.iter().map(of).max().unwrap_or(0).max(title.len())
    };
    let case_width = width(|case| case.case.chars().count(), "case");
    let code_width = width(|case| case.code().len(), "code");

    println!();
    println!(
        "{}",
        paint(
            "1",
            format!(
                "{:case_width$}  {:6}  {:code_width$}  command",
                "case", "status", "code"
            )
        )
    );
    for case in cases {
        let expected = format!("{:<6}  {:code_width$}", case.expect_status, case.code());
        let expected = paint(if case.is_allowed() { "32" } else { "31" }, expected);
        println!(
            "{:case_width$}  {expected}  {}",
            case.case,
            case.command(port)
        );
    }
    println!();
}

/// For a shell, whatever the text holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
