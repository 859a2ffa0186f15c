//! Statuses and verdicts: a word with a colour, of which the word says all.

use askama::Template;
use askama::filters::HtmlSafe;

/// A word of a closed set.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/badge.html")]
pub struct Badge {
    word: String,
    kind: &'static str,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// What works, and what is allowed.
    pub fn good(word: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            kind: "good",
        }
    }

    /// What is refused, and what refuses.
    pub fn bad(word: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            kind: "bad",
        }
    }

    /// What asks for a look.
    pub fn warning(word: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            kind: "warning",
        }
    }

    /// All else.
    pub fn plain(word: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            kind: "plain",
        }
    }

    /// The status of a record.
    pub fn status(word: &str) -> Self {
        match word {
            "active" | "approved" => Self::good(word),
            "pending" => Self::warning(word),
            _ => Self::bad(word),
        }
    }

    /// A verdict: `allowed`, or the code of a refusal.
    pub fn verdict(code: &str) -> Self {
        match code {
            "allowed" => Self::good(code),
            _ => Self::bad(code),
        }
    }
}
