//! Bearer tokens of those who call this service, and what each role may do.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::text::random_base62;
use super::words::words;

words! {
    /// What a token is for.
    Role {
        /// The protocol under `/v1`, and nothing else.
        Gateway = "gateway",
        /// Everything under `/admin/v1`.
        Admin = "admin",
        /// Reading under `/admin/v1`.
        Viewer = "viewer",
    }
}

/// A bearer token in clear.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

impl Token {
    /// Characters that a token brought by the operator must have at least.
    pub const SHORTEST: usize = 20;

    /// A new random token; its prefix tells what it is for.
    pub fn generate(role: Role) -> Self {
        Self(format!("kbt_{}_{}", role.as_str(), random_base62(40)))
    }

    /// A token that the operator brings along.
    pub fn chosen(text: &str) -> Result<Self, String> {
        if text.len() < Self::SHORTEST || text.len() > 512 {
            return Err(format!("must have {} to 512 characters", Self::SHORTEST));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("may hold only visible ASCII characters, no spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The token of an `authorization` header. The scheme is compared ignoring case.
    pub fn from_authorization(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim_matches(' ');
        let fits = scheme.eq_ignore_ascii_case("bearer")
            && !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(token.to_owned()))
    }

    /// What is stored and looked up instead of the token.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes())))
    }

    /// The clear text, to be shown once or sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of a token: tokens are long and random, so nothing is to be gained by guessing.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest(String);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(…)")
    }
}

impl TokenDigest {
    /// base64url of the digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A registered token: whose it is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenEntry {
    /// Names the holder; stands in the audit log as the actor.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// When it was registered, in Unix seconds.
    pub created_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_compared_ignoring_case() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(
                Token::from_authorization(good.as_bytes()).map(|token| token.0),
                Some("abc".to_owned()),
                "{good:?}"
            );
        }
        for bad in [
            "",
            "abc",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "Bearer a b",
            "Bearer ä",
        ] {
            assert!(
                Token::from_authorization(bad.as_bytes()).is_none(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn nothing_secret_is_in_debug() {
        let token = Token::generate(Role::Admin);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(format!("{:?}", token.digest()), "TokenDigest(…)");
    }
}
