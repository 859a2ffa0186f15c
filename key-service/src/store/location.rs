//! Where the database is.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file of SQLite, or a database of PostgreSQL.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// The file of this path.
    File(PathBuf),
    /// The database of this URL.
    Postgres {
        /// May hold a password: shown nowhere.
        url: String,
        /// Connections that are opened at most.
        connections: u32,
    },
}

/// Connections of a command, and of a service that is told nothing else.
pub const CONNECTIONS: u32 = 10;
/// Connections that are needed: one listens, one looks after the server, two write, one reads.
pub const FEWEST_CONNECTIONS: u32 = 5;

impl From<OsString> for Location {
    fn from(text: OsString) -> Self {
        match text.to_str() {
            Some(url) if is_url(url) => Self::Postgres {
                url: url.to_owned(),
                connections: CONNECTIONS,
            },
            _ => Self::File(text.into()),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&str> for Location {
    fn from(text: &str) -> Self {
        OsString::from(text).into()
    }
}

fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

impl Location {
    /// The same with so many connections, where that says something.
    pub fn with_connections(self, connections: u32) -> Self {
        match self {
            Self::Postgres { url, .. } => Self::Postgres { url, connections },
            file => file,
        }
    }
}

/// Without user, password and parameters.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Postgres { url, .. } => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                let end = rest.find(['?', '#']).unwrap_or(rest.len());
                write!(formatter, "postgres://{}", rest.get(..end).unwrap_or(""))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (text, shown) in [
            ("postgres://db/keys", "postgres://db/keys"),
            (
                "postgresql://anna:pass@word@db:5433/keys?password=s3cret#s3cret",
                "postgres://db:5433/keys",
            ),
            (
                "postgres://u:p?w@db/keys?sslmode=require",
                "postgres://db/keys",
            ),
            ("postgres://u:p?w", "postgres://u:p"),
        ] {
            let location = Location::from(text);
            assert!(matches!(location, Location::Postgres { .. }));
            if text.contains('@') {
                assert_eq!(location.to_string(), shown, "{text}");
                assert_eq!(format!("{location:?}"), format!("Location({shown})"));
            }
        }
        let file = Location::from("keybound.db");
        assert_eq!(file, Location::File("keybound.db".into()));
    }
}
