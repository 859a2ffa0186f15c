//! What stands in tables and lists of facts.

#![allow(
    unused_qualifications,
    reason = "askama's macro for enums writes paths in full"
)]

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Badge, Time};

/// What stands in a cell.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/cell.html")]
pub enum Cell {
    /// Nothing.
    None(&'static str),
    /// A text.
    Text(String),
    /// An id, a hint, a code: what is copied letter by letter.
    Code(String),
    /// The way to another page.
    Link {
        /// Where to.
        href: String,
        /// Its text.
        text: String,
    },
    /// A moment.
    Time(Time),
    /// A status or a verdict.
    Badge(Badge),
    /// Several, one behind the other.
    Several(Vec<Cell>),
}

impl HtmlSafe for Cell {}

impl Cell {
    /// A text, or a word where there is none.
    pub fn text_or(text: Option<&str>, none: &'static str) -> Self {
        text.map_or(Self::None(none), |text| Self::Text(text.to_owned()))
    }

    /// A moment, or a word where there is none.
    pub fn time_or(time: Option<i64>, none: &'static str) -> Self {
        time.map_or(Self::None(none), |time| Self::Time(Time(time)))
    }

    /// The way to a record, by its id.
    pub fn record(id: Option<&str>, href: impl Fn(&str) -> String) -> Self {
        id.map_or(Self::None("none"), |id| Self::Link {
            href: href(id),
            text: id.to_owned(),
        })
    }

    /// Words of a list; no list and an empty one are told apart.
    pub fn words(list: Option<&[String]>, missing: &'static str, empty: &'static str) -> Self {
        match list {
            None => Self::None(missing),
            Some([]) => Self::None(empty),
            Some(words) => Self::Several(words.iter().cloned().map(Self::Code).collect()),
        }
    }
}

/// A button that does something at once.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/action.html")]
pub struct Action {
    /// What is asked for with POST.
    pub href: String,
    /// What stands on it.
    pub label: &'static str,
    /// What it is about, for those who hear the buttons of a page one after the other.
    pub about: String,
    /// What goes along.
    pub fields: Vec<(&'static str, String)>,
}

impl HtmlSafe for Action {}
