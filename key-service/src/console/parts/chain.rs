//! The chain: credential, key, user, tenant and permission as five links that hold, break, or are not looked at.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Cell, Time};

/// The five links, in the order in which they are looked at.
#[derive(Debug, Template)]
#[template(path = "parts/chain.html")]
pub struct Chain {
    /// The links.
    pub links: Vec<Link>,
}

impl HtmlSafe for Chain {}

/// A link.
#[derive(Debug)]
pub struct Link {
    /// What it is.
    pub name: &'static str,
    /// The record, where there is one.
    pub record: Option<Cell>,
    /// How it is.
    pub state: State,
    /// Why it is so, in a sentence.
    pub detail: String,
    /// Since when it is so, and who made it so.
    pub since: Option<(Time, String)>,
    /// What mends it.
    pub mend: Option<Mend>,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All that was looked at is right.
    Holds,
    /// The first that is not: the verdict.
    Breaks,
    /// Behind the one that breaks: it would break, too.
    BreaksToo,
    /// Behind the one that breaks, or nothing to look at.
    NotLookedAt,
}

/// What mends a link with one click.
#[derive(Debug)]
pub struct Mend {
    /// What it does, said before it is done.
    pub consequence: String,
    /// Whether it opens a page, and changes nothing yet.
    pub opens: bool,
    /// Where it is sent.
    pub href: String,
    /// What goes along.
    pub fields: Vec<(&'static str, String)>,
    /// What stands on the button.
    pub label: &'static str,
}

impl State {
    /// For the style sheet.
    fn class(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Breaks => "breaks",
            Self::BreaksToo => "breaks-too",
            Self::NotLookedAt => "not-looked-at",
        }
    }

    /// For people.
    fn text(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Breaks => "breaks here",
            Self::BreaksToo => "would break, too",
            Self::NotLookedAt => "not looked at",
        }
    }
}
