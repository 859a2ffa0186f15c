//! Keys by a formula: as many as a measurement wants, with nothing to store but their digests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keybound::credential::{BASE62, crc32};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Keys of a user, and users of a tenant.
const KEYS_A_USER: u32 = 4;
const USERS_A_TENANT: u32 = 100;

/// How long a key is still valid: far beyond the time in which its end is announced.
const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// What the keys of a population have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Two scopes, an expiry.
    Plain,
    /// The same, and networks and hours.
    Fenced,
    /// The same as fenced, and scopes and APIs of the user.
    Complete,
    /// The same as plain, but the user is suspended.
    Suspended,
}

/// Keys of one kind, numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Population {
    /// What they have in common.
    pub kind: Kind,
    /// How many there are.
    pub keys: u32,
}

/// Ids of a key, its user and its tenant.
#[derive(Debug)]
pub struct Ids {
    /// Of the key.
    pub key: String,
    /// Of its user.
    pub user: String,
    /// Of its tenant.
    pub tenant: String,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Plain => 'p',
            Self::Fenced => 'f',
            Self::Complete => 'c',
            Self::Suspended => 's',
        }
    }

    /// The credential of a number, in the form of the reference key service.
    pub fn credential(self, number: u32) -> String {
        let hash = Sha256::digest(format!("{}{number}", self.letter()));
        let mut text = String::from("kb_live_");
        text.extend(
            hash.iter()
                .map(|byte| char::from(BASE62[usize::from(*byte) % 62])),
        );
        let checksum = crc32(text.as_bytes());
        text.extend(checksum.map(char::from));
        text
    }

    /// Who a number is.
    pub fn ids(self, number: u32) -> Ids {
        let letter = self.letter();
        let user = number / KEYS_A_USER;
        let tenant = user / USERS_A_TENANT;
        Ids {
            key: format!("key_{letter}{number:015}"),
            user: format!("usr_{letter}{user:015}"),
            tenant: format!("ten_{letter}{tenant:015}"),
        }
    }

    /// Bytes of a key's ids wherever they stand in its record and, by its part, in those of its user and its tenant.
    pub fn bytes_of_ids(self) -> f64 {
        let Ids { key, user, tenant } = self.ids(0);
        let of_user = (user.len() + tenant.len()) as f64 / f64::from(KEYS_A_USER);
        let of_tenant = tenant.len() as f64 / f64::from(KEYS_A_USER * USERS_A_TENANT);
        (key.len() + user.len() + tenant.len()) as f64 + of_user + of_tenant
    }

    /// What the key service says of a number.
    pub fn records(self, number: u32) -> (Value, Value, Value) {
        let Ids { key, user, tenant } = self.ids(number);
        let mut key_record = json!({
            "id": key, "version": u64::from(number) + 1, "user_id": user, "tenant_id": tenant,
            "environment": "live", "status": "active", "expires_at": expires_at(),
            "scopes": ["orders:read", "orders:write"],
        });
        let mut user_record = json!({
            "id": user, "version": 1, "tenant_id": tenant, "status": "active",
        });
        match self {
            Self::Plain => {}
            Self::Suspended => user_record["status"] = "suspended".into(),
            Self::Fenced | Self::Complete => {
                key_record["networks"] = json!(["10.0.0.0/8", "127.0.0.0/8"]);
                key_record["hours"] = json!({
                    "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                    "from": "00:00", "to": "00:00",
                });
                if self == Self::Complete {
                    user_record["scopes"] = json!(["orders:*"]);
                    user_record["apis"] = json!(["stock", "orders"]);
                }
            }
        }
        let tenant_record = json!({"id": tenant, "version": 1, "status": "active"});
        (key_record, user_record, tenant_record)
    }
}

/// When all keys expire, in Unix seconds: the same for a whole run.
pub fn expires_at() -> u64 {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *START.get_or_init(|| {
        (SystemTime::now() + LIFE)
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_different_and_of_one_length() {
        let mut all: Vec<String> = (0..1000)
            .flat_map(|number| {
                [Kind::Plain, Kind::Fenced, Kind::Suspended].map(|kind| kind.credential(number))
            })
            .collect();
        assert!(all.iter().all(|credential| credential.len() == 46));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3000);
    }
}
