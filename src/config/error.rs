//! Why a configuration is refused.

use std::cell::OnceCell;
#[cfg(not(target_os = "wasi"))]
use std::cell::RefCell;
use std::fmt::{self, Arguments};

/// What is wrong with a configuration, in one line: the path of the field, the problem, the remedy. Holds
/// no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The problems that are found. Reading goes on after one with stand-ins, and what was read is dropped.
#[derive(Default)]
pub(super) struct Problems {
    first: OnceCell<ConfigError>,
    /// All of them with their paths, for who checks a configuration. The filter wants the first alone.
    #[cfg(not(target_os = "wasi"))]
    all: RefCell<Vec<(String, ConfigError)>>,
}

impl Problems {
    /// What was read, unless there was a problem: then the first.
    pub(super) fn or<T>(self, read: T) -> Result<T, ConfigError> {
        match self.first.into_inner() {
            Some(error) => Err(error),
            None => Ok(read),
        }
    }

    /// What was read, unless there were problems.
    #[cfg(not(target_os = "wasi"))]
    pub(super) fn or_all<T>(self, read: T) -> Result<T, Vec<ConfigError>> {
        let all = self.all.into_inner();
        match all.is_empty() {
            true => Ok(read),
            false => Err(all.into_iter().map(|(_, problem)| problem).collect()),
        }
    }

    /// What follows from a problem that is told already is none of its own: one at the same place, of a part
    /// of it, or of the whole that it is a part of.
    #[cfg(not(target_os = "wasi"))]
    fn add(&self, path: String, problem: ConfigError) {
        let mut all = self.all.borrow_mut();
        let follows = |told: &str| is_within(told, &path) || is_within(&path, told);
        if !all.iter().any(|(told, _)| follows(told)) {
            all.push((path, problem));
        }
    }
}

/// Whether a place is another, or a part of it.
#[cfg(not(target_os = "wasi"))]
fn is_within(place: &str, other: &str) -> bool {
    let below = place.strip_prefix(other);
    other.is_empty() || below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}

/// Where in the configuration something is, such as `routes[0].match.prefix`.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The configuration as a whole, and who is told of problems.
    Root(&'a Problems),
    /// A member of an object.
    Member(&'a Place<'a>, &'a str),
    /// An item of a list, from 0.
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// Refuses the configuration for what is here.
    #[cold]
    pub(super) fn refuse(&self, problem: Arguments<'_>) {
        let problems = self.problems();
        problems.first.get_or_init(|| self.error(problem));
        #[cfg(not(target_os = "wasi"))]
        problems.add(self.path(), self.error(problem));
    }

    fn error(&self, problem: Arguments<'_>) -> ConfigError {
        let path = self.path();
        let path = if path.is_empty() {
            "configuration"
        } else {
            &path
        };
        ConfigError(format!("{path}: {problem}"))
    }

    fn problems(&self) -> &Problems {
        match self {
            Self::Root(problems) => problems,
            Self::Member(parent, _) | Self::Item(parent, _) => parent.problems(),
        }
    }

    /// As whoever wrote the configuration would write it. A name that could be misread is quoted:
    /// `policies["a.b"]`.
    fn path(&self) -> String {
        match self {
            Self::Root(_) => String::new(),
            Self::Member(parent, name) => match (parent.path(), is_plain(name)) {
                (parent, true) if parent.is_empty() => (*name).to_owned(),
                (parent, true) => format!("{parent}.{name}"),
                (parent, false) => format!("{parent}[{}]", quoted(name)),
            },
            Self::Item(parent, index) => format!("{}[{index}]", parent.path()),
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Text from the configuration as it may stand in a message: quoted, in one line and not endless.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn paths_are_written_as_in_the_configuration() {
        let first = Problems::default();
        let routes = Place::Member(&Place::Root(&first), "routes");
        let route = Place::Item(&routes, 2);
        assert_eq!(Place::Member(&route, "match").path(), "routes[2].match");
    }

    #[test]
    fn names_that_could_be_misread_are_quoted() {
        let first = Problems::default();
        let policies = Place::Member(&Place::Root(&first), "policies");
        for (name, path) in [
            ("v1.orders", r#"policies["v1.orders"]"#),
            ("", r#"policies[""]"#),
            ("a\nb", r#"policies["a\nb"]"#),
        ] {
            assert_eq!(Place::Member(&policies, name).path(), path);
        }
    }

    #[test]
    fn only_the_first_problem_is_told() {
        let first = Problems::default();
        let root = Place::Root(&first);
        root.refuse(format_args!("is wrong"));
        Place::Member(&root, "digest").refuse(format_args!("is wrong too"));
        let error = first.or(()).unwrap_err();
        assert_eq!(error.to_string(), "configuration: is wrong");
    }

    #[test]
    fn all_are_told_but_what_follows_from_another() {
        let problems = Problems::default();
        let root = Place::Root(&problems);
        let service = Place::Member(&root, "key_service");
        Place::Member(&service, "cluster").refuse(format_args!("is wrong"));
        let cluster = Place::Member(&service, "cluster");
        for follows in [service, cluster, Place::Item(&cluster, 0)] {
            follows.refuse(format_args!("is wrong"));
        }
        Place::Member(&service, "clusters").refuse(format_args!("is wrong too"));
        let all = problems.or_all(()).unwrap_err();
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            all,
            [
                "key_service.cluster: is wrong",
                "key_service.clusters: is wrong too"
            ]
        );
    }

    #[test]
    fn without_a_problem_there_is_what_was_read() {
        assert_eq!(Problems::default().or(7), Ok(7));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(quoted(&"ä".repeat(80)), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}\"…", "ä".repeat(80)));
    }
}
