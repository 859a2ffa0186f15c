//! What is known of a key, its user and its tenant.
//!
//! Three kinds of records, kept apart: a user's suspension is then one small change that stops all of the
//! user's keys at once. What comes from the key service is loose; what is in these types is valid.

mod chain;
mod changes;
mod fields;
mod hours;
pub mod json;
mod networks;
mod text;
mod wire;

use crate::closed::closed_set;
use serde::{Deserialize, Serialize};

pub use chain::Chain;
pub use changes::{Change, Changed, Changes, Content, parse_changes};
pub use fields::Malformed;
pub use hours::{DAYS, Hours};
pub use networks::Networks;
pub(crate) use text::bytes_apart;
pub use text::{List, Text};
pub use wire::{Answer, Resolved, parse_answer};

/// A key: what a credential stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Opaque id, 1 to 128 bytes of visible ASCII.
    pub id: Text,
    /// Sequence number of its last write.
    pub version: u64,
    /// Who owns it; an orphan has none.
    pub user_id: Option<Text>,
    /// The tenant it was made under; none in a system without tenants.
    pub tenant_id: Option<Text>,
    /// As in "live" or "test".
    pub environment: Option<Text>,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// Unix seconds before which it is not valid.
    pub not_before: Option<u64>,
    /// Unix seconds from which on it is no longer valid.
    pub expires_at: Option<u64>,
    /// Whether a newer key replaces it.
    pub replaced: bool,
    /// Unix seconds of the replacement, where it is known.
    pub replaced_at: Option<u64>,
    /// What it may do.
    pub scopes: Scopes,
    /// From where it may be used; anywhere if none.
    pub networks: Option<Networks>,
    /// When it may be used; always if none.
    pub hours: Option<Hours>,
}

closed_set! {
    /// Whether a key may be used.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum KeyStatus {
        /// It may.
        Active = "active",
        /// Switched off for now. An unknown status word counts as this.
        Disabled = "disabled",
        /// Withdrawn for good.
        Revoked = "revoked",
    }
}

/// A person or a system account that owns keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Opaque id, 1 to 128 bytes of visible ASCII.
    pub id: Text,
    /// Sequence number of its last write.
    pub version: u64,
    /// The tenant it belongs to; none in a system without tenants.
    pub tenant_id: Option<Text>,
    /// Whether it may use its keys.
    pub status: UserStatus,
    /// What it may do at most; no narrowing if none.
    pub scopes: Option<Scopes>,
    /// The APIs it is approved for; all if none.
    pub apis: Option<List<Text>>,
}

closed_set! {
    /// Whether a user may use its keys.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum UserStatus {
        /// It may.
        Active = "active",
        /// Not verified yet.
        Pending = "pending",
        /// Stopped by an administrator. An unknown status word counts as this.
        Suspended = "suspended",
        /// Too many failed log-ins.
        Locked = "locked",
        /// Has left.
        Deactivated = "deactivated",
        /// Is gone; the record is what is left.
        Deleted = "deleted",
    }
}

/// An organisation, team or project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Opaque id, 1 to 128 bytes of visible ASCII.
    pub id: Text,
    /// Sequence number of its last write.
    pub version: u64,
    /// Whether its keys may be used.
    pub status: TenantStatus,
}

closed_set! {
    /// Whether a tenant's keys may be used.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum TenantStatus {
        /// They may.
        Active = "active",
        /// They may not. An unknown status word counts as this.
        Suspended = "suspended",
    }
}

/// Granted scopes, kept as the identity header shows them: joined by spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scopes(Text);

impl Scopes {
    /// Scopes, each of visible ASCII.
    pub fn new<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut joined = String::new();
        for scope in scopes {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(scope);
        }
        Self(joined.into())
    }

    /// All of them, joined by spaces.
    pub fn joined(&self) -> &str {
        &self.0
    }

    /// The same, as it is kept.
    pub(crate) const fn text(&self) -> &Text {
        &self.0
    }

    /// The same, to be filled.
    #[cfg(target_pointer_width = "64")]
    pub(crate) const fn text_mut(&mut self) -> &mut Text {
        &mut self.0
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether one of them covers a scope: `*` covers everything, `orders:*` covers `orders:read` and
    /// `orders:read:own`, and each covers itself.
    pub fn cover(&self, scope: &str) -> bool {
        self.iter().any(|granted| {
            granted == scope
                || granted.strip_suffix('*').is_some_and(|start| {
                    (start.is_empty() || start.ends_with(':')) && scope.starts_with(start)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    /// The key service writes them as JSON.
    #[test]
    fn a_status_is_written_as_its_word() {
        fn assert_words<T: Serialize + Copy, const N: usize>(
            all: [T; N],
            word: fn(T) -> &'static str,
        ) {
            for status in all {
                assert_eq!(serde_json::to_value(status).unwrap(), word(status));
            }
        }
        assert_words(KeyStatus::ALL, KeyStatus::word);
        assert_words(UserStatus::ALL, UserStatus::word);
        assert_words(TenantStatus::ALL, TenantStatus::word);
    }

    #[test]
    fn wildcards_cover_what_is_below_them() {
        let scopes = Scopes::new(["orders:*", "stock:read"]);
        for covered in ["orders:read", "orders:read:own", "orders:*", "stock:read"] {
            assert!(scopes.cover(covered), "{covered}");
        }
        for not in [
            "orders",
            "ordersx:read",
            "stock:write",
            "stock",
            "stock:read:own",
            "*",
            "",
        ] {
            assert!(!scopes.cover(not), "{not}");
        }
        assert!(Scopes::new(["*"]).cover("anything"));
        assert!(!Scopes::new(["ord*"]).cover("orders"));
        assert!(!Scopes::new([]).cover("x"));
        assert_eq!(scopes.joined(), "orders:* stock:read");
    }
}
