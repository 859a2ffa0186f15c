//! README and `docs/` against the code: no verdict, metric, link or example may be missing or wrong. (The
//! fields of `docs/configuration.md` are checked in `config/tests/documentation.rs`.)

mod protocol;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::config;
use crate::credential::Location;
use crate::reply::{Detail, Rejection};
use crate::reply::{Replies, Reply};
use crate::telemetry::Telemetry;
use crate::test_util::Sent;
use crate::verdict::{Class, Reason};

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../docs/architecture.md");
const CONTRIBUTING: &str = include_str!("../CONTRIBUTING.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const INSTALLATION: &str = include_str!("../docs/installation.md");
const METRICS: &str = include_str!("../docs/metrics.md");
const SECURITY: &str = include_str!("../docs/security.md");
const TROUBLESHOOTING: &str = include_str!("../docs/troubleshooting.md");
const ENVOY: &str = include_str!("../envoy/envoy.yaml");
const NATIVE_ENVOY: &str = include_str!("../envoy/native/envoy.yaml");

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
    Reason::ALL.into_iter()
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

/// What stands under a heading of the second level.
fn section(text: &'static str, heading: &str) -> &'static str {
    let found = sections(text, "##")
        .into_iter()
        .find(|(given, _)| *given == heading);
    found.unwrap_or_else(|| panic!("no section {heading}")).1
}

/// The cells of each row of the tables in a text, without heads and lines.
fn rows(text: &'static str) -> Vec<Vec<&'static str>> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_rule = |line: &str| line.starts_with("|--");
    let mut rows = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let head = lines.get(at + 1).is_some_and(|next| is_rule(next));
        if line.starts_with("| ") && !head {
            rows.push(line.trim_matches(['|', ' ']).split(" | ").collect());
        }
    }
    rows
}

/// The names in backticks in a cell.
fn names(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The examples of a language in a text.
fn examples(text: &'static str, language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    text.split(start.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
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

    let table = TROUBLESHOOTING.split("\n## ").next().unwrap();
    let entries = sections(TROUBLESHOOTING, "###");
    for reason in reasons() {
        let code = reason.code();
        let link = format!("[`{code}`](#{code})");
        assert!(table.contains(&link), "the table of steps lacks {link}");
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
fn the_readme_names_each_code_under_its_status() {
    let classes = [
        Class::Credential,
        Class::User,
        Class::Permission,
        Class::Unavailable,
        Class::Configuration,
    ];
    let expected: Vec<_> = classes
        .into_iter()
        .map(|class| {
            let of_class: Vec<_> = reasons().filter(|reason| reason.class() == class).collect();
            let codes: Vec<_> = of_class.iter().map(|reason| reason.code()).collect();
            (of_class[0].status().to_string(), codes)
        })
        .collect();
    let listed: Vec<_> = rows(section(README, "What a refusal tells"))
        .into_iter()
        .map(|row| (row[0].to_owned(), names(row[2])))
        .collect();
    assert_eq!(listed, expected);
    let count = format!("{} codes", reasons().count());
    assert_eq!(README.matches(&count).count(), 2, "{count}");
}

#[test]
fn the_fields_to_begin_with_are_fields() {
    let listed = rows(section(CONFIGURATION, "Where to begin"));
    assert!(listed.len() > 10);
    for field in listed.iter().flat_map(|row| names(row[1])) {
        let row = format!("| `{field}` | ");
        let reference = CONFIGURATION.lines().any(|line| line.starts_with(&row));
        assert!(reference, "docs/configuration.md has no field {field}");
    }
}

#[test]
fn each_metric_is_listed_and_each_listed_counter_counts() {
    let listed: Vec<_> = rows(section(METRICS, "Metrics"))
        .into_iter()
        .map(|row| (names(row[0])[0], row[1]))
        .collect();
    let mut counters: Vec<String> = Telemetry::names()
        .map(|name| match name.split_once('.') {
            Some((kind @ ("rejected" | "shadowed"), _)) => format!("{kind}.<code>"),
            _ => name,
        })
        .collect();
    counters.sort();
    counters.dedup();
    let mut told: Vec<_> = listed
        .iter()
        .filter(|(_, kind)| *kind == "counter")
        .map(|(name, _)| (*name).to_owned())
        .collect();
    told.sort();
    assert_eq!(told, counters);
}

#[test]
fn the_readmes_examples_work() {
    let examples = examples(README, "json");
    assert_eq!(examples.len(), 2);
    for example in examples {
        let settings = config::parse(example.as_bytes(), &|_| Some("secret".to_owned()));
        assert!(settings.is_ok(), "{settings:?}");
    }
}

#[test]
fn the_yaml_for_an_envoy_of_ones_own_is_that_of_the_shipped_configuration() {
    for (heading, file, shipped) in [
        ("Plain Envoy", "envoy/envoy.yaml", ENVOY),
        (
            "As a dynamic module",
            "envoy/native/envoy.yaml",
            NATIVE_ENVOY,
        ),
    ] {
        let shipped: Vec<_> = shipped
            .lines()
            .map(|line| line.split(" #").next().unwrap_or(line).trim())
            .collect();
        let blocks = examples(section(INSTALLATION, heading), "yaml");
        let lines = blocks.into_iter().flat_map(str::lines).map(str::trim);
        let mut seen = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            assert!(shipped.contains(&line), "{file} lacks: {line}");
            seen += 1;
        }
        assert!(seen > 15, "{heading}");
    }
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
    let mut documents: Vec<_> = ["docs", "docs/migration"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "examples/gitops/README.md",
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

/// Each journey has ten steps, and the table of rooms has every folder and file of `src/`, in the order in which
/// `lib.rs` declares them.
#[test]
fn the_architecture_names_every_room_and_walks_four_times() {
    let journeys = section(ARCHITECTURE, "Four journeys");
    let steps = |number: usize| journeys.matches(&format!("\n{number}. ")).count();
    assert_eq!(
        (1..=11).map(steps).collect::<Vec<_>>(),
        [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0]
    );
    let rooms: Vec<String> = rows(section(ARCHITECTURE, "The rooms"))
        .into_iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let declared: Vec<&str> = include_str!("lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .filter(|name| *name != "test_util")
        .collect();
    assert_eq!(rooms, declared);
}

/// What is not a test imports rooms that are declared before its own, and never one that comes later.
#[test]
fn rooms_import_those_above_them_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: Vec<&str> = include_str!("lib.rs")
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .take_while(|name| *name != "test_util")
        .collect();
    let place = |name: &str| rooms.iter().position(|room| *room == name);
    let mut folders = vec![root.clone()];
    let (mut upward, mut arrows) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let room = name.split(['/', '.']).next().unwrap();
            let Some(own) =
                place(room).filter(|_| !name.contains("test") && !name.contains("property"))
            else {
                continue;
            };
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.starts_with("//"));
            let code = code.collect::<Vec<_>>().join("\n");
            for import in code.split("crate::").skip(1) {
                let end = import.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
                let other = import.get(..end.unwrap_or(import.len())).unwrap();
                arrows += 1;
                if place(other).is_some_and(|other| other > own) {
                    upward.push(format!("{name} imports {other}"));
                }
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    assert!(arrows > 100, "{arrows}");
}

/// The files of the resource that is made up for a recipe are not asked for.
#[test]
fn every_path_that_contributing_and_the_architecture_name_is_there() {
    const FOLDERS: [&str; 8] = [
        "src/",
        "key-service/",
        "tests/",
        "envoy/",
        "benches/",
        "fuzz/",
        "tools/",
        "docs/",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [CONTRIBUTING, ARCHITECTURE];
    let names = pages.iter().flat_map(|page| page.lines().flat_map(names));
    let paths = names.filter(|name| {
        let is_path = FOLDERS.iter().any(|folder| name.starts_with(folder));
        is_path && !name.contains(' ') && !name.contains("organisation")
    });
    let (there, missing): (Vec<_>, Vec<_>) = paths.partition(|path| root.join(path).exists());
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(there.len() > 100, "{}", there.len());
}

/// The codes that a rule counts: all with its beginning, but for those that it takes out.
fn codes_of_rule(record: &str) -> Vec<&'static str> {
    let rules = include_str!("../envoy/observe/prometheus/recording.yaml");
    let rule = rules.split(record).nth(1).unwrap();
    let rule = rule.split("\n\n").next().unwrap();
    let beginning = rule.split("code=~\"").nth(1).unwrap();
    let beginning = beginning.split(".+\"").next().unwrap();
    let out = rule.split(&format!("code!~\"{beginning}(")).nth(1);
    let out: Vec<&str> = out.map_or(Vec::new(), |out| {
        out.split(')').next().unwrap().split('|').collect()
    });
    let codes = Reason::ALL.into_iter().map(Reason::code);
    codes
        .filter(|code| {
            let end = code.strip_prefix(beginning);
            end.is_some_and(|end| !out.contains(&end))
        })
        .collect()
}

/// A new reason of a key or a user is counted by what the alerts ask for, unless it is named here.
#[test]
fn alerts_count_every_refused_key_and_user() {
    let of = |class, uncounted: &[Reason]| {
        let counted = Reason::ALL
            .into_iter()
            .filter(|reason| reason.class() == class && !uncounted.contains(reason));
        counted.map(Reason::code).collect::<Vec<_>>()
    };
    // Scanners and people who try an address in a browser.
    let by_anybody = [
        Reason::KeyMissing,
        Reason::KeyDuplicated,
        Reason::KeyMalformed,
    ];
    assert_eq!(
        codes_of_rule("keybound:rejected_keys:rate5m"),
        of(Class::Credential, &by_anybody)
    );
    // Of tenants.
    let of_others = [
        Reason::TenantMissing,
        Reason::TenantSuspended,
        Reason::TenantMismatch,
    ];
    assert_eq!(
        codes_of_rule("keybound:rejected_users:rate5m"),
        of(Class::User, &of_others)
    );
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
