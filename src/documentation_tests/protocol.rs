//! `docs/protocol.md` against the code: its tables, limits, words and examples.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{examples, names, reasons, reply, rows, section};
use crate::config;
use crate::credential::digest::{Digest, Digester};
use crate::credential::{Checksum, KeyFormat, crc32};
use crate::knowledge::cache::EntityId;
use crate::protocol::{LONGEST_BODY, MARKER, MOST_DIGESTS};
use crate::record::{
    Changed, Content, DAYS, Hours, KeyStatus, Resolved, TenantStatus, UserStatus, parse_answer,
    parse_changes,
};
use crate::reply::Detail;
use crate::telemetry::usage::Usage;
use crate::test_util::{at, chain};
use crate::verdict::{Class, Reason};

const PAGE: &str = include_str!("../../docs/protocol.md");

const DIGEST: &str = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";

/// The number in the row of the limits that says what is limited.
fn limit(what: &str) -> usize {
    let rows = rows(section(PAGE, "Limits"));
    let row = rows.iter().find(|row| row[0] == what);
    let row = row.unwrap_or_else(|| panic!("no limit: {what}"));
    row[1].parse().unwrap()
}

/// The answer of the page's example, changed.
fn answer(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut answer = serde_json::from_str(examples(PAGE, "json")[1]).unwrap();
    change(&mut answer);
    serde_json::to_vec(&answer).unwrap()
}

fn is_read(change: impl FnOnce(&mut Value)) -> bool {
    let answer = parse_answer(&answer(change)).unwrap();
    answer.results[0].1.is_ok()
}

fn digest(text: &str) -> Option<Digest> {
    let body = format!(r#"{{"as_of": 1, "results": [{{"digest": "{text}", "key": null}}]}}"#);
    let answer = parse_answer(body.as_bytes()).unwrap();
    answer.results.first().map(|(digest, _)| *digest)
}

#[test]
fn verdicts_are_those_of_the_code_in_its_order() {
    let expected: Vec<Vec<String>> = reasons()
        .enumerate()
        .map(|(at, reason)| {
            let code = reason.code();
            let class = class(reason.class());
            let number = match class {
                "configuration" => "-".to_owned(),
                _ => (at + 1).to_string(),
            };
            vec![
                number,
                format!("[`{code}`](troubleshooting.md#{code})"),
                class.to_owned(),
                reason.status().to_string(),
            ]
        })
        .collect();
    let listed: Vec<_> = rows(section(PAGE, "Verdicts"))
        .into_iter()
        .map(|row| row[..4].to_vec())
        .collect();
    assert_eq!(listed, expected);
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Credential => "credential",
        Class::User => "user",
        Class::Permission => "permission",
        Class::Unavailable => "unavailable",
        Class::Configuration => "configuration",
    }
}

#[test]
fn titles_and_headers_are_those_of_the_answers() {
    let tables = rows(section(PAGE, "The answer to the client"));
    let (headers, titles): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|row| row[0].starts_with('`'));
    for reason in reasons() {
        let reply = reply(reason, Detail::Precise);
        let of_code = format!("{}, `{}`", class(reason.class()), reason.code());
        let row = titles.iter().find(|row| row[0] == of_code);
        let row = row.or_else(|| titles.iter().find(|row| row[0] == class(reason.class())));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["title"], row.unwrap()[1], "{}", reason.code());

        let told = |row: &&Vec<&str>| row[1] == "all" || row[1] == reply.status.to_string();
        let mut told: Vec<_> = headers
            .iter()
            .filter(told)
            .map(|row| names(row[0])[0])
            .collect();
        let mut sent: Vec<_> = reply.headers.iter().map(|(name, _)| *name).collect();
        told.sort_unstable();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(told, sent, "{}", reason.code());
    }
}

#[test]
fn status_words_are_known_and_refused_as_told() {
    for row in rows(section(PAGE, "Records")) {
        let (record, cell, verdict) = match row[..] {
            [record @ ("key" | "user" | "tenant"), cell, verdict] => (record, cell, Some(verdict)),
            [record @ ("key" | "user" | "tenant"), cell] => (record, cell, None),
            _ => continue,
        };
        let word = names(cell)[0];
        let body = answer(|answer| answer["results"][0][record]["status"] = json!(word));
        let answer = parse_answer(&body).unwrap();
        assert!(answer.doubts.is_empty(), "{record} {word}");
        let Ok(Resolved::Known { key, user, tenant }) = &answer.results[0].1 else {
            panic!("{record} {word}");
        };
        let read = match record {
            "key" => format!("{:?}", key.status),
            "user" => format!("{:?}", user.as_ref().unwrap().status),
            _ => format!("{:?}", tenant.as_ref().unwrap().status),
        };
        assert_eq!(read.to_lowercase(), word, "{record}");
        let code = format!("{record}_{word}");
        match verdict.map(|verdict| names(verdict)[0]) {
            None => assert_eq!(word, "active"),
            Some(verdict) => assert_eq!(verdict, code),
        }
        assert!(word == "active" || reasons().any(|reason| reason.code() == code));
    }
}

#[test]
fn no_status_word_is_left_out() {
    let rows = rows(section(PAGE, "Records"));
    for (record, words) in [
        ("key", KeyStatus::ALL.len()),
        ("user", UserStatus::ALL.len()),
        ("tenant", TenantStatus::ALL.len()),
    ] {
        let told = rows.iter().filter(|row| row[0] == record).count();
        assert_eq!(told, words, "{record}");
        // What the page says of any other word.
        let body = answer(|answer| answer["results"][0][record]["status"] = json!("brandnew"));
        assert_eq!(parse_answer(&body).unwrap().doubts.len(), 1, "{record}");
    }
}

#[test]
fn fields_of_records_are_read_and_required_as_told() {
    let text = section(PAGE, "Records");
    for (record, heading) in [
        ("key", "### Key"),
        ("user", "### User"),
        ("tenant", "### Tenant"),
    ] {
        let (_, table) = text.split_once(heading).unwrap();
        let table = rows(table.split("###").next().unwrap());
        let fields: Vec<_> = table.iter().map(|row| names(row[0])[0]).collect();
        let body = answer(|_| {});
        let body: Value = serde_json::from_slice(&body).unwrap();
        let example = &body["results"][0][record];
        let mut given: Vec<_> = example.as_object().unwrap().keys().collect();
        let mut told = fields.clone();
        given.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, given, "{record}");
        for (row, field) in table.iter().zip(fields) {
            let required = row[1].ends_with("required");
            let null = |answer: &mut Value| answer["results"][0][record][field] = Value::Null;
            // Who names no user and no tenant must not bring them along.
            let alone = |answer: &mut Value| {
                null(answer);
                if record == "key" {
                    answer["results"][0]["user"] = Value::Null;
                    answer["results"][0]["tenant"] = Value::Null;
                }
            };
            assert_eq!(is_read(alone), !required, "{record}.{field}");
            let wrong = |answer: &mut Value| answer["results"][0][record][field] = json!(1.5);
            assert!(!is_read(wrong), "{record}.{field} is not read");
        }
    }
}

#[test]
fn days_are_those_of_the_code() {
    let text = section(PAGE, "Records");
    let list = DAYS.map(|day| format!("`{day}`")).join(", ");
    assert!(super::in_one_line(text).contains(&list), "{list}");
    let allows = |to| Hours::parse(["mon"], "00:00", to) != Hours::Unreadable;
    assert!(allows("23:59") && !allows("24:00"));
}

#[test]
fn the_marker_is_that_of_the_code() {
    let marker = format!("`{}: {}`", MARKER.0, MARKER.1);
    assert!(
        PAGE.contains(&format!("has the header {marker}")),
        "{marker}"
    );
    let version = format!("The marker names the version: `{}`.", MARKER.1);
    assert!(section(PAGE, "Versions").contains(&version), "{version}");
}

#[test]
fn limits_are_those_of_the_code() {
    assert_eq!(limit("bytes of an answer"), LONGEST_BODY);
    assert_eq!(limit("digests of a call"), MOST_DIGESTS);
    assert_eq!(limit("bytes of a digest"), Digest::LENGTH);
    let characters = limit("characters of a digest");
    assert_eq!(DIGEST.len(), characters);
    assert!(digest(DIGEST).is_some());
    assert!(digest(&"A".repeat(characters - 1)).is_none());
    assert!(digest(&format!("{}B", "A".repeat(characters - 1))).is_none());

    let texts = |count, bytes| json!(vec!["x".repeat(bytes); count]);
    let key = |field: &'static str, value: Value| {
        is_read(move |answer| answer["results"][0]["key"][field] = value)
    };
    let (entries, bytes) = (
        limit("entries of a list of a record"),
        limit("bytes of an entry of such a list"),
    );
    assert!(key("scopes", texts(entries, bytes)));
    assert!(!key("scopes", texts(entries + 1, 1)));
    assert!(!key("scopes", texts(1, bytes + 1)));
    assert!(!key("scopes", texts(1, 0)));
    let bytes = limit("bytes of an id, an environment or a scope");
    assert!(key("environment", json!("x".repeat(bytes))));
    assert!(!key("environment", json!("x".repeat(bytes + 1))));
    assert!(!key("id", json!("x".repeat(bytes + 1))));
    let latest = limit("latest time");
    assert!(key("expires_at", json!(latest)));
    assert!(!key("expires_at", json!(latest + 1)));

    // The answer itself is the first level.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        let body = format!(r#"{{"as_of": 1, "results": [], "more": {open}{close}}}"#);
        parse_answer(body.as_bytes()).is_ok()
    };
    let levels = limit("levels of nesting in JSON");
    assert!(nested(levels) && !nested(levels + 1));

    let changes = |count: usize| {
        let list: Vec<_> = (1..=count)
            .map(|seq| json!({"seq": seq, "kind": "other"}))
            .collect();
        let body = json!({"cursor": count, "reset": false, "changes": list});
        parse_changes(&serde_json::to_vec(&body).unwrap(), 0).is_ok()
    };
    let most = limit("changes of an answer");
    assert!(changes(most) && !changes(most + 1));

    let most = limit("keys of a report");
    let mut usage = usage();
    for key in 0..=most {
        count(&mut usage, &format!("key_{key}"));
    }
    let report: Value = serde_json::from_slice(&usage.next_report(at(20_000)).unwrap()).unwrap();
    assert_eq!(report["keys"].as_array().unwrap().len(), most);
}

fn usage() -> Usage {
    let settings = config::parse(br#"{"key_service": {"cluster": "key_service"}}"#, &|_| None);
    Usage::new(settings.unwrap().usage, "reporter".to_owned())
}

fn count(usage: &mut Usage, id: &str) {
    count_as(usage, id, None, "203.0.113.7");
}

fn count_as(usage: &mut Usage, id: &str, refused: Option<Reason>, source: &str) {
    let key = chain(|key, _, _| key.id = id.into()).key;
    let source = || Some(source.parse().unwrap());
    usage.count(EntityId::user(id), &key, refused, at(0), &source);
}

#[test]
fn examples_are_read_by_the_code_and_written_as_by_it() {
    let examples = examples(PAGE, "json");
    let [request, answer, changes, report, problem] = examples[..] else {
        panic!("{} examples in JSON", examples.len());
    };

    let request: Value = serde_json::from_str(request).unwrap();
    for digest in request["digests"].as_array().unwrap() {
        assert!(self::digest(digest.as_str().unwrap()).is_some());
    }

    let answer = parse_answer(answer.as_bytes()).unwrap();
    assert!(answer.doubts.is_empty());
    let [
        (_, Ok(Resolved::Known { user, tenant, .. })),
        (_, Ok(Resolved::Unknown)),
    ] = &answer.results[..]
    else {
        panic!("{answer:?}");
    };
    assert!(user.is_some() && tenant.is_some());

    let changes = parse_changes(changes.as_bytes(), 4711).unwrap();
    assert!(changes.doubts.is_empty());
    let changed: Vec<_> = changes
        .changes
        .iter()
        .map(|change| &change.changed)
        .collect();
    let [
        Changed::User(_, Content::Record(_)),
        Changed::Key(_, Content::Gone),
    ] = changed[..]
    else {
        panic!("{changed:?}");
    };

    let mut usage = usage();
    count_as(
        &mut usage,
        "key_01",
        Some(Reason::ScopeMissing),
        "203.0.113.7",
    );
    let written: Value = serde_json::from_slice(&usage.next_report(at(20_000)).unwrap()).unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    let fields = |report: &Value| {
        let names = |value: &Value| {
            let members = value.as_object().unwrap();
            members.keys().cloned().collect::<Vec<_>>()
        };
        (names(report), names(&report["keys"][0]))
    };
    assert_eq!(fields(&report), fields(&written));

    let mut problem: Value = serde_json::from_str(problem).unwrap();
    problem
        .as_object_mut()
        .unwrap()
        .remove("request_id")
        .unwrap();
    let reason = reasons().find(|reason| problem["code"] == reason.code());
    let written = reply(reason.unwrap(), Detail::Precise).body;
    assert_eq!(problem, serde_json::from_slice::<Value>(&written).unwrap());
}

#[test]
fn digests_and_checksums_are_those_of_the_code() {
    let text = section(PAGE, "Digests");
    let value = |what: &str| {
        let row = rows(text).into_iter().find(|row| row[0] == what).unwrap();
        names(row[1])[0]
    };
    let credential = value("credential").as_bytes();
    let written = |digester: &Digester| URL_SAFE_NO_PAD.encode(digester.digest(credential).bytes());
    assert_eq!(value("SHA-256"), written(&Digester::plain()));
    let pepper = value("pepper").as_bytes();
    assert_eq!(value("HMAC-SHA-256"), written(&Digester::peppered(pepper)));

    let format = KeyFormat {
        prefixes: vec!["kb_live_".to_owned()],
        checksum: Checksum::Crc32,
        min_length: "kb_live_".len() + 32 + 6,
        max_length: "kb_live_".len() + 32 + 6,
        ..KeyFormat::default()
    };
    assert!(format.accepts(credential));
    let checksum = String::from_utf8(crc32(b"123456789").to_vec()).unwrap();
    assert!(section(PAGE, "Keys made by the reference").contains(&checksum));
}
