//! README and `docs/` against the code: no verdict, metric, link or example may be missing or wrong. (The
//! fields of `docs/configuration.md` are checked in `config/tests/documentation.rs`.)

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::config;
use crate::credential::Location;
use crate::record::{Resolved, parse_answer};
use crate::reply::{Detail, Rejection};
use crate::reply::{Replies, Reply};
use crate::telemetry::Telemetry;
use crate::test_util::Sent;
use crate::verdict::Reason;

const README: &str = include_str!("../README.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const SECURITY: &str = include_str!("../docs/security.md");
const TROUBLESHOOTING: &str = include_str!("../docs/troubleshooting.md");
const ENVOY: &str = include_str!("../envoy/envoy.yaml");

/// The nine steps of troubleshooting, in order.
const STEPS: [&str; 9] = [
    "1. The key itself",
    "2. The user's account",
    "3. Scopes and permissions",
    "4. Gateway and identity configuration",
    "5. Headers and parameters",
    "6. Revoked or expired",
    "7. Logs",
    "8. The path between",
    "9. Reissue",
];

fn reasons() -> impl Iterator<Item = Reason> {
    Reason::CHECKS.into_iter().chain([Reason::PolicyUnknown])
}

fn reply(reason: Reason, detail: Detail) -> Reply {
    let rejection = Rejection {
        detail,
        realm: "api".to_owned(),
        type_base: None,
        retry_after: Duration::from_secs(1),
    };
    let at = [Location::Header("x-api-key".to_owned())];
    Replies::new(&rejection, &at).reply(reason, &Sent::new(&[]).request())
}

fn code_told(reply: &Reply) -> &str {
    let mut headers = reply.headers.iter();
    let code = headers.find(|(name, _)| *name == "x-keybound-code");
    code.map(|(_, value)| value.as_str()).unwrap()
}

/// What stands under each heading of a level, up to the next heading of that level or above.
fn sections(text: &'static str, level: &str) -> Vec<(&'static str, &'static str)> {
    let mut sections = Vec::new();
    let start = format!("\n{level} ");
    for part in text.split(start.as_str()).skip(1) {
        let (heading, body) = part.split_once('\n').unwrap();
        sections.push((heading, body.split("\n## ").next().unwrap_or(body)));
    }
    sections
}

/// The cells of each table row in a section of the README.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let sections = sections(README, "##");
    let (_, body) = sections
        .into_iter()
        .find(|(heading, _)| *heading == section)
        .unwrap_or_else(|| panic!("README.md lacks {section}"));
    body.lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| [`"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn troubleshooting_has_an_entry_for_each_code_in_nine_steps() {
    let steps: Vec<_> = sections(TROUBLESHOOTING, "##")
        .into_iter()
        .map(|(heading, _)| heading)
        .filter(|heading| heading.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert_eq!(steps, STEPS);

    let entries = sections(TROUBLESHOOTING, "###");
    for reason in reasons() {
        let code = reason.code();
        let heading = format!("`{code}`");
        let of_code: Vec<_> = entries
            .iter()
            .filter(|(given, _)| *given == heading)
            .collect();
        assert_eq!(of_code.len(), 1, "entries for {code}");
        let entry = in_one_line(of_code[0].1);
        let reply = reply(reason, Detail::Precise);
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        let (title, detail) = (&problem["title"], &problem["detail"]);
        let sees = format!(
            "- **The client sees** {}, {title}: {detail}",
            reason.status()
        );
        assert!(entry.starts_with(&sees), "{code} must begin with: {sees}");
        for part in [
            "- **It means** ",
            "- **Confirm:** ",
            "- **Fix:** ",
            "- **Prevent:** ",
        ] {
            assert!(entry.contains(part), "{code} lacks {part}");
        }
        let confirm = [
            "*Explain*".to_owned(),
            format!("access log `code` is `{code}`"),
        ];
        for part in confirm {
            assert!(entry.contains(&part), "{code} does not say {part}");
        }
        assert!(
            entry.contains(&format!("`rejected.{code}` counts"))
                || reason == Reason::KeyServiceUnavailable,
            "{code} names no metric"
        );
    }
    assert_eq!(entries.len(), reasons().count());
}

#[test]
fn the_readme_lists_each_verdict_in_the_order_of_the_checks() {
    let listed = rows("Verdicts");
    let expected: Vec<_> = reasons()
        .map(|reason| {
            let code = reason.code();
            vec![
                format!("[`{code}`](docs/troubleshooting.md#{code})"),
                reason.status().to_string(),
            ]
        })
        .collect();
    assert_eq!(
        listed.iter().map(|row| &row[..2]).collect::<Vec<_>>(),
        expected
    );
    assert!(README.contains(&format!("{} codes", expected.len())));
}

#[test]
fn the_readmes_fields_have_the_defaults_of_the_reference() {
    let listed = rows("Configuration");
    assert!(listed.len() > 15);
    for row in listed {
        let reference = CONFIGURATION
            .lines()
            .find(|line| line.starts_with(&format!("| {} |", row[0])))
            .unwrap_or_else(|| panic!("docs/configuration.md lacks {}", row[0]));
        let default = reference
            .trim_matches(['|', ' '])
            .split(" | ")
            .nth(2)
            .unwrap();
        assert_eq!(
            default.split(':').next().unwrap(),
            row[1].split(':').next().unwrap(),
            "{}",
            row[0]
        );
    }
}

#[test]
fn the_readme_lists_each_metric() {
    let listed: Vec<_> = rows("Metrics and access log")
        .into_iter()
        .map(|row| row[0].trim_matches('`'))
        .collect();
    for name in Telemetry::names() {
        let name = match name.split_once('.') {
            Some((kind @ ("rejected" | "shadowed"), _)) => format!("{kind}.<code>"),
            _ => name,
        };
        assert!(
            listed.contains(&name.as_str()),
            "README.md lacks the metric {name}"
        );
    }
}

#[test]
fn the_readmes_examples_work() {
    let examples: Vec<_> = README
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [configuration, answer] = examples[..] else {
        panic!("README.md has {} examples in JSON", examples.len());
    };
    assert!(config::parse(configuration.as_bytes(), &|_| None).is_ok());
    let answer = parse_answer(answer.as_bytes()).unwrap();
    assert!(answer.doubts.is_empty());
    let [(_, Ok(Resolved::Known { user, tenant, .. }))] = &answer.results[..] else {
        panic!("{answer:?}");
    };
    assert!(user.is_some() && tenant.is_some());
}

#[test]
fn the_readmes_yaml_is_that_of_the_shipped_configuration() {
    let shipped: Vec<_> = ENVOY
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line).trim())
        .collect();
    let blocks = README.split("```yaml\n").skip(1);
    let lines = blocks.flat_map(|rest| rest.split("```").next().unwrap_or(rest).lines());
    let mut seen = 0;
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        assert!(shipped.contains(&line), "envoy/envoy.yaml lacks: {line}");
        seen += 1;
    }
    assert!(seen > 20);
}

#[test]
fn what_each_level_tells_is_as_documented() {
    let one_of_each_class = [
        Reason::KeyUnknown,
        Reason::UserSuspended,
        Reason::ScopeMissing,
        Reason::KeyServiceUnavailable,
    ];
    for (level, detail) in [("class", Detail::Class), ("opaque", Detail::Opaque)] {
        let cells = one_of_each_class.map(|reason| {
            let reply = reply(reason, detail);
            format!("{} `{}`", reply.status, code_told(&reply))
        });
        let row = format!("| `{level}` | {} |", cells.join(" | "));
        assert!(SECURITY.contains(&row), "docs/security.md lacks: {row}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<_> = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "fuzz/README.md",
            "key-service/README.md",
        ]
        .map(|name| root.join(name)),
    );
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.starts_with("https://") {
                continue;
            }
            assert_leads_somewhere(&document, document.parent().unwrap(), link);
        }
    }
}

#[test]
fn every_alert_has_its_runbook() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("envoy/observe/prometheus/alerts.yaml");
    let alerts = fs::read_to_string(&file).unwrap();
    let runbooks = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "));
    let mut count = 0;
    for runbook in runbooks {
        assert!(runbook.contains('#'), "{runbook}: of which section?");
        assert_leads_somewhere(&file, root, runbook);
        count += 1;
    }
    assert_eq!(count, alerts.matches("- alert: ").count());
}

fn assert_leads_somewhere(document: &Path, folder: &Path, link: &str) {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => document.to_owned(),
        file => folder.join(file),
    };
    let what = format!("{}: {link}", document.display());
    assert!(target.exists(), "{what}");
    if !anchor.is_empty() {
        let linked = fs::read_to_string(&target).unwrap();
        let mut headings = linked
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(slug);
        assert!(headings.any(|heading| heading == anchor), "{what}");
    }
}

/// A heading as hosts of repositories name it in links.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}
