//! Bearer tokens of those who call this service, and what each role may do.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::input::input;
use super::input::rules::Text;
use super::reach::Reach;
use super::refusal::FieldError;
use super::text::{ID, LINE, line, random_base62};
use super::time::{SPAN, Span};
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
        /// The users of one tenant under `/scim/v2`, for the directory that they come from.
        Scim = "scim",
        /// One user's own keys under `/admin/v1`.
        Developer = "developer",
    }
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grant {
    /// What it is for.
    pub role: Role,
    /// The tenant that it sees and changes alone; null is no such bound.
    pub tenant_id: Option<String>,
    /// The user whose own keys it sees and makes alone.
    pub user_id: Option<String>,
    /// From when on it is good for nothing, in Unix seconds.
    pub expires_at: Option<i64>,
}

impl From<Role> for Grant {
    /// Of everything that the role is for, and for ever.
    fn from(role: Role) -> Self {
        Self {
            role,
            tenant_id: None,
            user_id: None,
            expires_at: None,
        }
    }
}

impl Grant {
    /// Refuses bounds that the role does not have, and lacks of those that it must have.
    pub fn check(&self) -> Result<(), FieldError> {
        let wrong = |field: &str, message: &str| Err(FieldError::new(field, message));
        match (self.role, &self.tenant_id, &self.user_id) {
            (Role::Developer, None, Some(_))
            | (Role::Scim, Some(_), None)
            | (Role::Admin | Role::Viewer, _, None)
            | (Role::Gateway, None, None) => Ok(()),
            (Role::Developer, _, None) => wrong(
                "user_id",
                "must be given: a developer's token is for one user",
            ),
            (Role::Developer, Some(_), _) => wrong(
                "tenant_id",
                "must be left out: a developer's token is for one user, who has a tenant already",
            ),
            (Role::Scim, None, _) => wrong(
                "tenant_id",
                "must be given: a directory's token is for one tenant",
            ),
            (Role::Gateway, Some(_), _) => wrong(
                "tenant_id",
                "must be left out: a gateway asks about the keys of all tenants",
            ),
            (_, _, Some(_)) => wrong(
                "user_id",
                "must be left out: it is for tokens of the role developer alone",
            ),
        }
    }

    /// The same, made by somebody who reaches so far: bound to their tenant, where they have but one and the role can be.
    pub fn made_within(mut self, reach: &Reach) -> Result<Self, FieldError> {
        let role = self.role;
        match reach {
            Reach::Everything => {}
            _ if role == Role::Gateway => {
                let message = "must be another one: a gateway asks about the keys of all tenants, you see one";
                return Err(FieldError::new("role", message));
            }
            _ if role == Role::Developer => {}
            reach => self.tenant_id = self.tenant_id.or_else(|| reach.tenant().map(str::to_owned)),
        }
        self.check()?;
        Ok(self)
    }
}

input! {
    /// A token to make.
    TokenDraft {
        /// Names the holder; stands in the audit log. One that was ever taken is never free again.
        name: String = required(NAME; "anna"),
        /// What it is for.
        role: Role = required(Role::RULE),
        /// The tenant that it is for alone: one of the role `scim` must have one, an admin's or viewer's may.
        tenant_id: Option<String> = optional(ID),
        /// The user whose keys a developer sees and makes.
        user_id: Option<String> = optional(ID),
        /// How long it is good, such as `90d`; for ever where it is missing.
        expires_in: Option<Span> = optional(SPAN; "90d"),
    }
}

impl TokenDraft {
    /// The name, and what the token is good for if it is made at this time.
    pub fn split(self, now: i64) -> (String, Grant) {
        let grant = Grant {
            role: self.role,
            tenant_id: self.tenant_id,
            user_id: self.user_id,
            expires_at: self.expires_in.map(|span| now + span.seconds()),
        };
        (self.name, grant)
    }
}

/// The name of a token, see [`name()`].
const NAME: Text<String> = Text {
    parse: name,
    bounds: LINE.bounds,
};

/// The name of a token: one line that is nobody else's in the audit log.
pub fn name(text: &str) -> Result<String, String> {
    for (taken, whose) in [
        (DIRECTORY, "the name of each directory's token"),
        (
            IDENTITY,
            "the name of everybody who signs in by OpenID Connect",
        ),
    ] {
        if text.starts_with(taken) {
            return Err(format!(
                "must not begin with {taken}, as {whose} does in the audit log"
            ));
        }
    }
    line(text)
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

    /// What a browser holds while somebody is signed in.
    pub fn of_session() -> Self {
        Self(random_base62(43))
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
    /// A digest as it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// base64url of the digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A registered token: whose it is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenEntry {
    /// Names the holder; stands in the audit log as the actor.
    pub name: String,
    /// What it is good for.
    #[serde(flatten)]
    pub grant: Grant,
    /// When it was registered, in Unix seconds.
    pub created_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// The tenant that it belongs to: the one that it is bound to, or that of its user.
    #[serde(skip)]
    pub owner: Option<String>,
}

/// What the name of a directory's token has before it in the audit log.
pub const DIRECTORY: &str = "scim:";

/// What the name of somebody whom a provider of identities vouches for has before it in the audit log.
pub const IDENTITY: &str = "oidc:";

impl TokenEntry {
    /// The name of whoever uses it, in the audit log.
    pub fn actor(&self) -> String {
        match self.grant.role {
            Role::Scim => format!("{DIRECTORY}{}", self.name),
            _ => self.name.clone(),
        }
    }
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
    fn each_role_has_its_bounds() {
        let some = || Some("x".to_owned());
        for role in Role::WORDS.iter().map(|(_, role)| *role) {
            let allowed = [
                (None, None),
                (some(), None),
                (None, some()),
                (some(), some()),
            ]
            .map(|(tenant_id, user_id)| {
                let grant = Grant {
                    tenant_id,
                    user_id,
                    ..role.into()
                };
                grant.check().is_ok()
            });
            let right = match role {
                Role::Gateway => [true, false, false, false],
                Role::Admin | Role::Viewer => [true, true, false, false],
                Role::Scim => [false, true, false, false],
                Role::Developer => [false, false, true, false],
            };
            assert_eq!(allowed, right, "{role:?}");
        }
    }

    #[test]
    fn nothing_secret_is_in_debug() {
        let token = Token::generate(Role::Admin);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(format!("{:?}", token.digest()), "TokenDigest(…)");
    }
}
