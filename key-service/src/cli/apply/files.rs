//! Files that describe tenants, users and keys: read, put together, and found again where the service finds something
//! wrong.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::secret::resolve;
use crate::cli::documents::{read, yaml};
use crate::cli::outcome::Failure;
use crate::domain::input::parse;
use crate::domain::when::moment_in_file;

/// What a file holds, in this order.
const LISTS: [&str; 3] = ["tenants", "users", "keys"];
/// Endings of files that are read in a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What all files describe together.
#[derive(Default)]
pub struct Files {
    /// The entries of each list.
    entries: HashMap<&'static str, Vec<Value>>,
    /// Where each of them stands.
    places: HashMap<&'static str, Vec<String>>,
    /// Where each id was seen first.
    seen: HashMap<(&'static str, String), String>,
    errors: Vec<String>,
}

impl Files {
    /// Reads these files, and those of directories. Everything that is wrong is told at once.
    pub fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Self::default();
        for path in paths {
            if path.is_dir() {
                let mut found = Vec::new();
                collect(path, &mut found)?;
                if found.is_empty() {
                    return Err(Failure::Usage(format!(
                        "{} holds no file that ends with .yaml, .yml or .json",
                        path.display()
                    )));
                }
                for file in found {
                    files.add(&file)?;
                }
            } else {
                files.add(path)?;
            }
        }
        match files.errors.is_empty() {
            true => Ok(files),
            false => Err(Failure::Usage(format!(
                "nothing is written:\n  {}",
                files.errors.join("\n  ")
            ))),
        }
    }

    /// What the service is sent.
    pub fn body(&self) -> Value {
        let list = |name| self.entries.get(name).cloned().unwrap_or_default();
        json!({"tenants": list("tenants"), "users": list("users"), "keys": list("keys")})
    }

    /// What the service found wrong, with the file and the entry in which it is.
    pub fn told(&self, error: &Value) -> String {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let (field, message) = (
            text("field").unwrap_or_default(),
            text("message").unwrap_or_default(),
        );
        let rule = text("rule").map_or(String::new(), |rule| format!(" (rule {rule})"));
        let found = LISTS.into_iter().find_map(|list| {
            let (place, rest) = field
                .strip_prefix(list)?
                .strip_prefix('[')?
                .split_once(']')?;
            let place = self.places.get(list)?.get(place.parse::<usize>().ok()?)?;
            Some((place, rest.trim_start_matches('.')))
        });
        match found {
            None if field.is_empty() => format!("{message}{rule}"),
            None => format!("{field}: {message}{rule}"),
            Some((place, "")) => format!("{place}: {message}{rule}"),
            // Here it says where the key is.
            Some((place, "key")) => format!("{place}: secret: {message}{rule}"),
            Some((place, field)) => format!("{place}: {field}: {message}{rule}"),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let name = match path == Path::new("-") {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let text = read(path)?;
        let documents = documents(&text).map_err(|why| Failure::Usage(format!("{name}: {why}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        // Documents of one file are counted on: the third key is the third in the file.
        let mut count = HashMap::new();
        for document in documents {
            match document {
                Value::Object(lists) => self.add_lists(&name, folder, lists, &mut count),
                // A document of comments alone.
                Value::Null => {}
                _ => self.errors.push(format!(
                    "{name}: must hold tenants, users and keys, each a list"
                )),
            }
        }
        Ok(())
    }

    fn add_lists(
        &mut self,
        name: &str,
        folder: &Path,
        mut lists: Map<String, Value>,
        count: &mut HashMap<&'static str, usize>,
    ) {
        for list in LISTS {
            match lists.remove(list) {
                None | Some(Value::Null) => {}
                Some(Value::Array(entries)) => {
                    for entry in entries {
                        let place = count.entry(list).or_default();
                        self.add_entry(list, format!("{name}: {list}[{place}]"), folder, entry);
                        *place += 1;
                    }
                }
                Some(_) => self.errors.push(format!("{name}: {list}: must be a list")),
            }
        }
        for unknown in lists.keys() {
            self.errors.push(format!(
                "{name}: {unknown}: unknown field; a file holds tenants, users and keys"
            ));
        }
    }

    fn add_entry(
        &mut self,
        list: &'static str,
        mut place: String,
        folder: &Path,
        mut entry: Value,
    ) {
        if let Some(id) = entry.get("id").and_then(Value::as_str) {
            place = format!("{place} ({id})");
            let first = self.seen.insert((list, id.to_owned()), place.clone());
            if let Some(first) = first {
                self.errors
                    .push(format!("{place}: id: is given twice, first in {first}"));
            }
        }
        if let (Value::Object(entry), "keys") = (&mut entry, list) {
            if let Err(why) = resolve(entry, folder) {
                self.errors.push(format!("{place}: {why}"));
            }
            for (field, of_day) in [("not_before", false), ("expires_at", true)] {
                if let Some(Value::String(text)) = entry.get(field) {
                    match moment_in_file(text, of_day) {
                        Ok(time) => drop(entry.insert(field.to_owned(), time.into())),
                        Err(why) => self.errors.push(format!("{place}: {field}: {why}")),
                    }
                }
            }
        }
        self.entries.entry(list).or_default().push(entry);
        self.places.entry(list).or_default().push(place);
    }
}

/// All files of a directory and those below it, in the order of their names. What begins with a dot is not meant.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::Usage(format!("cannot read {}: {error}", folder.display()))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort_unstable();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|end| ENDINGS.iter().any(|one| end == *one))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The documents of a file. A field that is given twice is refused in either language.
fn documents(text: &[u8]) -> Result<Vec<Value>, String> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err("there is nothing in it".to_owned());
    }
    if serde_json::from_slice::<Value>(text).is_ok() {
        let document = parse("it", text).map_err(|refusal| {
            let errors = refusal.within("").into_iter();
            let errors = errors.map(|error| format!("{} {}", error.field, error.message));
            errors.collect::<Vec<_>>().join("; ")
        })?;
        return Ok(vec![document]);
    }
    yaml(text)
}
