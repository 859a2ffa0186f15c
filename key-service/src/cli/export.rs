//! `key-service export`: everything as `key-service apply` reads it.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value};
use serde_saphyr::DoubleQuoted;
use ureq::http::Method;

use super::client::{Remote, encoded};
use super::outcome::{Failure, Outcome};
use super::output::print_line;

const HELP: &str = "\
What is printed is what \"key-service apply -f\" reads: applied to an empty service it makes the same, with the same keys.
Never a key in clear: keys are told by their digests, so the other service needs the same pepper. What a new record has
without being told is left out, and so are versions, times of writes, use and rotations.

Examples:
  key-service export --tenant ten_shop > shop.yaml
  key-service export --json | jq '.keys | length'";

/// Entries of a page.
const PAGE: usize = 500;

/// What is exported, in the order in which it is made.
const KINDS: [&str; 3] = ["tenants", "users", "keys"];

/// Fields that people look for first, in their order.
const FIRST: [&str; 10] = [
    "id",
    "tenant_id",
    "user_id",
    "digest",
    "hint",
    "name",
    "display_name",
    "kind",
    "status",
    "environment",
];

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Only this tenant, its users and their keys
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

/// Prints everything that there is.
pub fn run(arguments: &Arguments, remote: &Remote) -> Outcome {
    let mut lists = Map::new();
    for kind in KINDS {
        lists.insert(kind.to_owned(), all(arguments, remote, kind)?.into());
    }
    if remote.json {
        print_line(&format!("{:#}", Value::Object(lists)));
        return Ok(());
    }
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(&Lists(&lists), options)
        .map_err(|error| Failure::Refused(format!("it cannot be written as YAML: {error}")))?;
    print_line(yaml.trim_end());
    Ok(())
}

fn all(arguments: &Arguments, remote: &Remote, kind: &str) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut path = format!("/export?kind={kind}&limit={PAGE}");
        for (name, value) in [("tenant", &arguments.tenant), ("page_token", &next)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        let mut answer = remote.call(&Method::GET, &path, None)?;
        if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
            entries.extend(items);
        }
        let token = answer.get("next_page_token").and_then(Value::as_str);
        next = token.map(str::to_owned);
        if next.is_none() {
            return Ok(entries);
        }
    }
}

/// The lists in their order.
struct Lists<'v>(&'v Map<String, Value>);

impl Serialize for Lists<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lists = serializer.serialize_map(None)?;
        for kind in KINDS {
            let entries = self.0.get(kind).and_then(Value::as_array);
            let entries: Vec<Entry<'_>> = entries.into_iter().flatten().map(Entry).collect();
            lists.serialize_entry(kind, &entries)?;
        }
        lists.end()
    }
}

/// An entry, with what people look for first in front.
struct Entry<'v>(&'v Value);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(fields) = self.0.as_object() else {
            return self.0.serialize(serializer);
        };
        let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
        let rest = fields
            .iter()
            .filter(|(name, _)| !FIRST.contains(&name.as_str()));
        let mut entry = serializer.serialize_map(None)?;
        for (name, value) in first.chain(rest) {
            entry.serialize_entry(name, &Quoted(value))?;
        }
        entry.end()
    }
}

/// A value whose texts are texts to readers of YAML 1.1 as well: to those 18:00 is the number 1080, and no is false.
struct Quoted<'v>(&'v Value);

/// What is no text there, in any case of its letters.
const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

impl Serialize for Quoted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => {
                let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic())
                    && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
                match is_word {
                    true => text.serialize(serializer),
                    false => DoubleQuoted(text).serialize(serializer),
                }
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Quoted)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Quoted(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::cli::documents::yaml;

    fn written(text: &str) -> String {
        let lists = json!({"tenants": [{"id": text, "name": text}], "users": [], "keys": [{"scopes": [text]}]});
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        let map = lists.as_object().unwrap();
        let written = serde_saphyr::to_string_with_options(&Lists(map), options).unwrap();
        let read = yaml(written.as_bytes()).unwrap().remove(0);
        assert_eq!(read, lists, "{written}");
        written
    }

    #[test]
    fn older_readers_of_yaml_find_texts_where_texts_are() {
        for text in [
            "18:00",
            "2027-01-31",
            "No",
            "on",
            "y",
            "1_000",
            "0777",
            "10.0.0.0/8",
        ] {
            let quoted = format!("id: \"{text}\"");
            assert!(written(text).contains(&quoted), "{text}");
        }
        assert!(written("ten_shop").contains("id: ten_shop\n"));
    }

    #[test]
    fn what_is_written_as_yaml_is_read_as_the_same() {
        for text in [
            "08:00",
            "no",
            "on",
            "~",
            "null",
            "1e3",
            "0x10",
            "0o7",
            "-",
            "- a",
            "#",
            "a: b",
            "a #b",
            "*",
            "&a",
            "!b",
            "%",
            "@",
            "`",
            "2027-01-31",
            "1_000",
            ".inf",
            "<<",
            "=",
            "é",
            "",
            " a",
            "a ",
            "'",
            "\"",
            "{",
            "[",
            "|",
            ">",
            "?",
            "-A9",
            "+1",
            "1.",
            "true",
            "y",
            "🦀",
            "\u{2028}",
            "\u{feff}a",
        ] {
            written(text);
        }
    }

    proptest! {
        #[test]
        fn any_line_is(text in "\\PC{0,60}") {
            written(&text);
        }
    }
}
