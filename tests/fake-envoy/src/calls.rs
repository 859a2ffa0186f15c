//! Calls that the module sends, and how they end.

use crate::stream::Headers;

/// A call of the module.
#[derive(Debug, Clone)]
pub struct Call {
    /// Envoy's number for it.
    pub number: u64,
    /// Where to.
    pub cluster: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it may take.
    pub timeout_millis: u64,
}

impl Call {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map_or("", |(_, value)| std::str::from_utf8(value).unwrap_or(""))
    }
}

/// An answer to a call.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its headers, `:status` among them.
    pub headers: Headers,
    /// Its body, in the pieces in which it came.
    pub body: Vec<Vec<u8>>,
}

/// How a call ends.
#[derive(Debug, Clone)]
pub enum Ending {
    /// With an answer.
    Answered(Answer),
    /// It was broken off.
    Broken,
}

/// What Envoy does with a call.
#[derive(Debug, Clone)]
pub enum Handling {
    /// Takes it, and it ends when a test says so.
    Takes,
    /// Takes it, and it ends in an event of its own.
    Soon(Ending),
    /// It ends within, before the module knows its number.
    Within(Ending),
    /// Does not take it, for a reason with this number.
    Refuses(i32),
}
