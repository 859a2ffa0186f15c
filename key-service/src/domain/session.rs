//! Sessions of the console: who is signed in, and by what.

use super::token::{Grant, TokenDigest, TokenEntry};

/// How long a session lasts at most: a working day.
pub const LASTS: i64 = 10 * 3600;

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// By what.
    pub by: SignedInBy,
    /// From when on it is over, in Unix seconds.
    pub expires_at: i64,
}

/// What stands for somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedInBy {
    /// A token: the session ends with it, and may do what it may do.
    Token {
        /// Of the token.
        digest: TokenDigest,
        /// What it may do.
        entry: TokenEntry,
    },
    /// A provider of identities.
    Identity {
        /// Stands in the audit log as the actor.
        name: String,
        /// What they may do.
        grant: Grant,
    },
}

impl Session {
    /// A session that begins now. It ends no later than its token.
    pub fn begin(by: SignedInBy, now: i64) -> Self {
        let ends = match &by {
            SignedInBy::Token { entry, .. } => entry.grant.expires_at,
            SignedInBy::Identity { grant, .. } => grant.expires_at,
        };
        let longest = now + LASTS;
        Self {
            expires_at: ends.map_or(longest, |ends| ends.min(longest)),
            by,
        }
    }

    /// Who it is, in the audit log.
    pub fn name(&self) -> &str {
        match &self.by {
            SignedInBy::Token { entry, .. } => &entry.name,
            SignedInBy::Identity { name, .. } => name,
        }
    }

    /// What they may do.
    pub fn grant(&self) -> &Grant {
        match &self.by {
            SignedInBy::Token { entry, .. } => &entry.grant,
            SignedInBy::Identity { grant, .. } => grant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::Role;

    #[test]
    fn a_session_outlives_neither_its_token_nor_a_working_day() {
        let ends = |expires_at| {
            let grant = Grant {
                expires_at,
                ..Role::Viewer.into()
            };
            let name = "oidc:vera".to_owned();
            Session::begin(SignedInBy::Identity { name, grant }, 1000).expires_at
        };
        assert_eq!(ends(None), 1000 + LASTS);
        assert_eq!(ends(Some(1000 + LASTS + 1)), 1000 + LASTS);
        assert_eq!(ends(Some(1060)), 1060);
    }
}
