//! Why a configuration is refused.

use std::fmt;

/// What is wrong with a configuration, in one line: the path of the field, the problem, the remedy. Holds
/// no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: Path,
    problem: String,
}

/// Where in the configuration something is, such as `routes[0].match.prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(String);

impl ConfigError {
    /// A problem at a path.
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl Path {
    /// The configuration as a whole.
    pub(super) const fn root() -> Self {
        Self(String::new())
    }

    /// A member of the object at this path. A name that could be misread is quoted: `policies["a.b"]`.
    pub(super) fn member(&self, name: &str) -> Self {
        let plain = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        Self(match (plain, self.0.as_str()) {
            (true, "") => name.to_owned(),
            (true, parent) => format!("{parent}.{name}"),
            (false, parent) => format!("{parent}[{}]", quoted(name)),
        })
    }

    /// An item of the list at this path, from 0.
    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0.as_str() {
            "" => "configuration",
            path => path,
        })
    }
}

/// Text from the configuration as it may stand in a message: quoted, in one line and not endless.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some(_) => format!("{:?}…", text.chars().take(MOST).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::test;

    #[test]
    fn paths_are_written_as_in_the_configuration() {
        let path = Path::root().member("routes").item(2).member("match");
        assert_eq!(path.to_string(), "routes[2].match");
        assert_eq!(Path::root().to_string(), "configuration");
    }

    #[test]
    fn names_that_could_be_misread_are_quoted() {
        let policies = Path::root().member("policies");
        for (name, path) in [
            ("v1.orders", r#"policies["v1.orders"]"#),
            ("", r#"policies[""]"#),
            ("a\nb", r#"policies["a\nb"]"#),
        ] {
            assert_eq!(policies.member(name).to_string(), path);
        }
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(quoted(&"ä".repeat(80)), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}\"…", "ä".repeat(80)));
    }
}
