//! Fields of forms.

use askama::Template;
use askama::filters::HtmlSafe;

/// A field of a form.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/field.html")]
pub struct Field {
    /// What it is called in the form that is sent.
    pub name: &'static str,
    /// What stands beside it.
    pub label: &'static str,
    /// What may stand in it, for people.
    pub help: &'static str,
    /// What stands in it.
    pub value: String,
    /// What is wrong with it.
    pub error: Option<String>,
    /// Whether something must stand in it.
    pub required: bool,
    /// How it is filled in.
    pub control: Control,
}

impl HtmlSafe for Field {}

/// How a field is filled in.
#[derive(Debug, Clone)]
pub enum Control {
    /// By a line.
    Line,
    /// By several lines.
    Lines,
    /// By one of some words.
    Choice(Vec<Choice>),
    /// By yes or no. Yes is `true`.
    Switch,
}

/// One of the words that a field may hold.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The word.
    pub value: &'static str,
    /// For people.
    pub label: &'static str,
}

impl Field {
    /// A line that may be left empty.
    pub fn line(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            help: "",
            value: String::new(),
            error: None,
            required: false,
            control: Control::Line,
        }
    }

    /// One of these words, or none.
    pub fn choice(
        name: &'static str,
        label: &'static str,
        choices: &[(&'static str, &'static str)],
    ) -> Self {
        let choices = choices.iter();
        let control = Control::Choice(
            choices
                .map(|&(value, label)| Choice { value, label })
                .collect(),
        );
        Self {
            control,
            ..Self::line(name, label)
        }
    }

    /// Yes or no.
    pub fn switch(name: &'static str, label: &'static str) -> Self {
        Self {
            control: Control::Switch,
            ..Self::line(name, label)
        }
    }

    /// Several lines.
    pub fn lines(name: &'static str, label: &'static str) -> Self {
        Self {
            control: Control::Lines,
            ..Self::line(name, label)
        }
    }

    /// With this beside it.
    pub fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// With this in it.
    pub fn holding(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    /// Never empty.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What describes it, by the ids of the elements that do.
    fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if self.error.is_some() {
            ids.push(format!("{}-error", self.name));
        }
        if !self.help.is_empty() {
            ids.push(format!("{}-help", self.name));
        }
        ids.join(" ")
    }
}
