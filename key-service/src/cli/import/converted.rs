//! What an export of another system becomes: the lines that the service's import reads, and what is left out.

use serde_json::Value;

/// Keys of another system.
#[derive(Debug, Default)]
pub struct Converted {
    /// A JSON object a line. A line without one is no key.
    pub text: Vec<u8>,
    /// What each line came from, for people.
    pub labels: Vec<String>,
    /// What cannot be brought along, and why.
    pub left_out: Vec<String>,
}

impl Converted {
    /// Adds a line.
    pub fn add(&mut self, label: String, line: &Value) {
        self.text.extend_from_slice(line.to_string().as_bytes());
        self.text.push(b'\n');
        self.labels.push(label);
    }

    /// Adds a line at this number, behind empty ones.
    pub fn add_at(&mut self, number: usize, line: &Value) {
        while self.labels.len() + 1 < number {
            self.text.push(b'\n');
            self.labels.push(String::new());
        }
        self.add(String::new(), line);
    }

    /// Names what is not brought along.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        self.left_out.push(format!("{what}: {why}"));
    }
}

/// The id of the user that stands for whoever another system knows by this name.
pub fn user_of(name: &str) -> String {
    format!("usr_{name}")
}

/// The entries of a list; none where it is missing.
pub fn entries<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A text of an object that is not empty.
pub fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    let text = value.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}
