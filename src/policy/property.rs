//! Whatever any order of changes makes of a path, no policy is missed. The servers here share no code with
//! what they test.

use proptest::prelude::*;
use proptest::sample::select;

use crate::policy::{Authentication, Policies, Policy, Route, RouteMatch, Statement};
use crate::test_util::Sent;

/// A step of a server on the way from what it is sent to what it looks for.
#[derive(Debug, Clone, Copy)]
enum Step {
    Decode,
    DecodeButSlashes,
    DecodeUnreserved,
    DropParameters,
    DropSessions,
    CutAtParameter,
    CutAtQuery,
    CutAtZero,
    Resolve,
    ResolveFirstDropped,
    Backslashes,
    Merge,
    DropLastSlash,
    Lower,
    Trim,
    Compose,
    DropHost,
}

const STEPS: [Step; 17] = [
    Step::Decode,
    Step::DecodeButSlashes,
    Step::DecodeUnreserved,
    Step::DropParameters,
    Step::DropSessions,
    Step::CutAtParameter,
    Step::CutAtQuery,
    Step::CutAtZero,
    Step::Resolve,
    Step::ResolveFirstDropped,
    Step::Backslashes,
    Step::Merge,
    Step::DropLastSlash,
    Step::Lower,
    Step::Trim,
    Step::Compose,
    Step::DropHost,
];

fn decode(path: &str, wanted: impl Fn(char) -> bool) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.get(..2);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            // Bytes beyond ASCII are looked at elsewhere.
            Some(byte) if byte.is_ascii() && wanted(byte.into()) => {
                decoded.push(byte.into());
                decoded.push_str(part.split_at(2).1);
            }
            _ => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    decoded
}

fn segments(path: &str, change: impl Fn(&str) -> String) -> String {
    let changed: Vec<String> = path.split('/').map(change).collect();
    changed.join("/")
}

fn until(path: &str, ends: &[char]) -> String {
    path.split(ends).next().unwrap().to_owned()
}

/// RFC 3986 section 5.2.4.
fn resolve(path: &str) -> String {
    let mut resolved: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                resolved.pop();
            }
            name => resolved.push(name),
        }
    }
    format!("/{}", resolved.join("/"))
}

impl Step {
    fn take(self, path: &str) -> String {
        match self {
            Self::Decode => decode(path, |_| true),
            Self::DecodeButSlashes => decode(path, |byte| byte != '/' && byte != '\\'),
            Self::DecodeUnreserved => {
                decode(path, |byte| byte.is_alphanumeric() || "-._~".contains(byte))
            }
            Self::DropParameters => segments(path, |segment| until(segment, &[';'])),
            Self::DropSessions => segments(path, |segment| match segment.find(";s") {
                Some(begin) => segment.split_at(begin).0.to_owned(),
                None => segment.to_owned(),
            }),
            Self::CutAtParameter => until(path, &[';']),
            Self::CutAtQuery => until(path, &['?', '#']),
            Self::CutAtZero => until(path, &['\0']),
            Self::Resolve => resolve(path),
            Self::ResolveFirstDropped => resolve(&segments(path, |segment| {
                let name = until(segment, &[';']);
                if name.chars().all(|character| character == '.') {
                    name
                } else {
                    segment.to_owned()
                }
            })),
            Self::Backslashes => path.replace('\\', "/"),
            Self::Merge => {
                let mut merged = path.to_owned();
                while merged.contains("//") {
                    merged = merged.replace("//", "/");
                }
                merged
            }
            Self::DropLastSlash => match path.strip_suffix('/') {
                Some("") | None => path.to_owned(),
                Some(rest) => rest.to_owned(),
            },
            Self::Lower => path.to_lowercase(),
            Self::Trim => segments(path, |segment| {
                let behind = segment.trim_end_matches(['.', ' ', '+']);
                match segment {
                    "." | ".." => segment.to_owned(),
                    _ => behind.trim_start_matches([' ', '+']).to_owned(),
                }
            }),
            Self::Compose => path.replace('\u{ff0e}', ".").replace('\u{ff0f}', "/"),
            Self::DropHost => match path.strip_prefix("//") {
                Some(rest) => rest
                    .find('/')
                    .map_or("/", |begin| rest.split_at(begin).1)
                    .to_owned(),
                None => path.to_owned(),
            },
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "/", "/", "/", "/", "a", "b", "a", "b", "A", "%61", "%62", "%41", "%2561", ".",
        "..", "%2e", "/..;", "/%2e%2e;", ";", ";", ";s", "%3B", "%3b", "%253B", "%2F", "%2f",
        "%252F", "\\", "%5C", "%20", "+", "%3F", "%23", "%00", "%25", "x", "\u{ff0e}", "\u{ff0f}",
    ]);
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Each route its policy, which its name as environment tells from the others.
fn policies() -> Policies {
    let routes = [
        (Some("/a/b"), None),
        (None, Some("/a/b/a")),
        (None, Some("/a/b")),
        (None, Some("/a/a")),
        (Some("/a"), None),
        (None, Some("/a")),
        (None, Some("/b")),
    ];
    let policy = |name: &str| Policy {
        environment: Some(name.to_owned()),
        authentication: Authentication::Required,
        ..Policy::default()
    };
    let named: Vec<(String, Policy)> = (0..routes.len())
        .map(|place| (place.to_string(), policy(&place.to_string())))
        .collect();
    let routes = routes
        .iter()
        .enumerate()
        .map(|(place, (path, prefix))| Route {
            matches: RouteMatch {
                path: path.map(str::to_owned),
                prefix: prefix.map(str::to_owned),
                ..RouteMatch::default()
            },
            policy: Policies::index(&named, &place.to_string()).unwrap(),
        });
    let routes = routes.collect();
    Policies::new(named, routes, policy("default"))
}

/// The policy for a path that is read as it is written.
fn chosen_for(path: &str) -> &'static str {
    let below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match path {
        "/a/b" => "0",
        _ if below("/a/b/a") => "1",
        _ if below("/a/b") => "2",
        _ if below("/a/a") => "3",
        "/a" => "4",
        _ if below("/a") => "5",
        _ if below("/b") => "6",
        _ => "default",
    }
}

fn judged_by(path: &str) -> Vec<String> {
    let policies = policies();
    let sent = Sent::new(&[(":path", path)]);
    let chosen = policies.choose(&sent.request()).unwrap();
    chosen
        .iter()
        .map(|policy| policy.environment.clone().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_policy_is_missed(path in path(), steps in proptest::collection::vec(select(&STEPS), 0..9)) {
        let judged = judged_by(&path);
        let mut read = path.clone();
        for step in &steps {
            read = step.take(&read);
            let chosen = chosen_for(&read);
            prop_assert!(judged.iter().any(|name| name == chosen), "{path} is read as {read}: {judged:?}");
        }
    }

    /// What a policy takes for stated is what every server finds there.
    #[test]
    fn nothing_else_is_stated(
        path in path(),
        steps in proptest::collection::vec(select(&STEPS), 0..9),
        index in 0_usize..3,
    ) {
        let sent = Sent::new(&[(":path", &path)]);
        let states = |id: &str| Statement::PathSegment(index).is_of(&sent.request(), Some(id));
        let mut read = path.clone();
        for step in steps.iter().filter(|step| !matches!(step, Step::Lower)) {
            read = step.take(&read);
        }
        let found = decode(&read, |_| true);
        let found = found.split('/').nth(index + 1).unwrap_or_default();
        for id in ["a", "b", "A", "x", "ab", "aa", "ba"] {
            prop_assert!(!states(id) || found == id, "{path} states {id} and is read as {read}");
        }
    }
}

/// The property says nothing where all is judged by everything.
#[test]
fn what_can_be_listed_is() {
    for (path, judged) in [
        ("/a", &["4"][..]),
        ("/A", &["default", "4"]),
        ("/a/", &["5", "4"]),
        ("/a;s/b;x", &["default", "4", "0", "5"]),
        ("/a/%61", &["5", "3"]),
        ("/a/b%2Fa", &["5", "1"]),
        ("/b;x", &["default", "6"]),
    ] {
        let mut found = judged_by(path);
        found.sort();
        let mut judged = judged.to_vec();
        judged.sort_unstable();
        assert_eq!(found, judged, "{path}");
    }
    assert_eq!(judged_by("/a/..;/b").len(), 8);
}
