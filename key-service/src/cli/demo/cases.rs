//! The cases that a gateway can meet, and the key of each.

use crate::domain::credential::{Credential, Digester};
use crate::domain::fence::{self, Hours};
use crate::domain::key::{Key, KeyStatus};
use crate::domain::tenant::TenantStatus;
use crate::domain::time::DAY;
use crate::domain::user::UserStatus;

/// When the demo's records are said to have been made; any fixed time long ago.
pub const LONG_AGO: i64 = 1_700_000_000;
/// 2100-01-01.
const FAR_AHEAD: i64 = 4_102_444_800;

const SHOP: &str = "ten_shop";
const RESEARCH: &str = "ten_research";
const CLOSED: &str = "ten_closed";

pub const TENANTS: &[(&str, &str, TenantStatus)] = &[
    (SHOP, "Demo shop", TenantStatus::Active),
    (RESEARCH, "Demo research", TenantStatus::Active),
    (
        CLOSED,
        "Demo tenant that is suspended",
        TenantStatus::Suspended,
    ),
];

pub const USERS: &[(&str, &str, UserStatus)] = &[
    ("usr_demo_active", SHOP, UserStatus::Active),
    ("usr_demo_pending", SHOP, UserStatus::Pending),
    ("usr_demo_suspended", SHOP, UserStatus::Suspended),
    ("usr_demo_locked", SHOP, UserStatus::Locked),
    ("usr_demo_deactivated", SHOP, UserStatus::Deactivated),
    ("usr_demo_deleted", SHOP, UserStatus::Deleted),
    ("usr_demo_research", RESEARCH, UserStatus::Active),
    ("usr_demo_closed", CLOSED, UserStatus::Active),
    ("usr_demo_lost", "ten_demo_gone", UserStatus::Active),
];

/// A case: its name, what is special about its key, the verdict, and why.
pub struct Case {
    pub name: &'static str,
    owner: Option<&'static str>,
    /// Where it is not the owner's.
    tenant: Option<&'static str>,
    pub special: Special,
    pub code: &'static str,
    pub note: &'static str,
}

/// What makes the key of a case special.
pub enum Special {
    Nothing,
    NotStored,
    TestEnvironment,
    ReadsOnly,
    Revoked,
    Stopped(KeyStatus),
    NotYetValid,
    Replaced,
    Expired,
    ElsewhereOnly,
    Never,
    InGrace,
    ExpiringSoon,
}

/// A case of the user who is as it should be, named as its verdict.
const fn case(name: &'static str, special: Special, note: &'static str) -> Case {
    Case {
        name,
        owner: Some("usr_demo_active"),
        tenant: None,
        special,
        code: name,
        note,
    }
}

impl Case {
    const fn of(self, owner: &'static str) -> Self {
        Self {
            owner: Some(owner),
            ..self
        }
    }

    const fn code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}

/// A case of another user, whose key is like any other.
const fn user(name: &'static str, owner: &'static str, note: &'static str) -> Case {
    case(name, Special::Nothing, note).of(owner)
}

pub const CASES: &[Case] = &[
    case("allowed", Special::Nothing, "active key, user and tenant"),
    case(
        "key_unknown",
        Special::NotStored,
        "well-formed, but nobody knows it",
    ),
    case("key_revoked", Special::Revoked, "revoked for good"),
    case(
        "key_disabled",
        Special::Stopped(KeyStatus::Disabled),
        "switched off for now",
    ),
    case(
        "key_not_yet_valid",
        Special::NotYetValid,
        "works from the year 2100 on",
    ),
    case(
        "key_replaced",
        Special::Replaced,
        "replaced, and its grace period is over",
    ),
    case("key_expired", Special::Expired, "expired in 2023"),
    Case {
        owner: None,
        ..case(
            "user_missing",
            Special::Nothing,
            "an orphan: the key names no user",
        )
    },
    user(
        "user_unknown",
        "usr_demo_gone",
        "the key's user does not exist",
    )
    .code("user_missing"),
    user("user_deleted", "usr_demo_deleted", "the user was deleted"),
    user(
        "user_deactivated",
        "usr_demo_deactivated",
        "the user has left",
    ),
    user(
        "user_suspended",
        "usr_demo_suspended",
        "the user is suspended",
    ),
    user("user_locked", "usr_demo_locked", "the user is locked"),
    user(
        "user_pending",
        "usr_demo_pending",
        "the user is not verified yet",
    ),
    user(
        "tenant_missing",
        "usr_demo_lost",
        "the tenant does not exist",
    ),
    Case {
        tenant: Some(RESEARCH),
        code: "tenant_missing",
        ..case(
            "tenant_differs",
            Special::Nothing,
            "key and user name different tenants",
        )
    },
    user(
        "tenant_suspended",
        "usr_demo_closed",
        "the tenant is suspended",
    ),
    case(
        "address_not_allowed",
        Special::ElsewhereOnly,
        "works only from 192.0.2.0/24, which nobody has",
    ),
    case(
        "outside_hours",
        Special::Never,
        "its hours name no day, so it is never their time",
    ),
    case(
        "in_grace",
        Special::InGrace,
        "replaced, works for some hours: sunset and deprecation",
    )
    .code("allowed"),
    case(
        "expiring_soon",
        Special::ExpiringSoon,
        "expires within days: sunset",
    )
    .code("allowed"),
    case("allowed_test", Special::TestEnvironment, "environment test").code("allowed"),
    case(
        "allowed_read_only",
        Special::ReadsOnly,
        "has only the scope orders:read",
    )
    .code("allowed"),
    user(
        "allowed_research",
        "usr_demo_research",
        "belongs to the tenant ten_research",
    )
    .code("allowed"),
];

impl Case {
    fn tenant(&self) -> &'static str {
        let owner = USERS.iter().find(|(id, ..)| Some(*id) == self.owner);
        self.tenant
            .or(owner.map(|(_, tenant, _)| *tenant))
            .unwrap_or(SHOP)
    }

    fn environment(&self) -> &'static str {
        match self.special {
            Special::TestEnvironment => "test",
            _ => "live",
        }
    }

    /// The key of the case: its name where others have random characters.
    pub fn credential(&self) -> Credential {
        let name: String = self.name.split('_').map(capitalized).collect();
        Credential::with_body(
            Some(self.environment()),
            &format!("{:0<32}", format!("Demo{name}")),
        )
    }

    pub fn expect_status(&self) -> u16 {
        match self.code {
            "allowed" => 200,
            code if code.starts_with("key_") => 401,
            _ => 403,
        }
    }

    pub fn key(&self, credential: &Credential, pepper: &Digester) -> Key {
        Key {
            id: format!("key_demo_{}", self.name),
            version: 0,
            digest: pepper.digest(credential),
            user_id: self.owner.map(str::to_owned),
            tenant_id: Some(self.tenant().to_owned()),
            environment: Some(self.environment().to_owned()),
            name: Some(format!("Demo: {}", self.note)),
            hint: Some(credential.hint()),
            status: KeyStatus::Active,
            not_before: None,
            expires_at: None,
            replaced_by: None,
            replaced_at: None,
            revoked_at: None,
            revoked_reason: None,
            scopes: vec!["orders:*".to_owned(), "stock:read".to_owned()],
            networks: None,
            hours: None,
            created_at: LONG_AGO,
            updated_at: LONG_AGO,
            purpose: None,
            contact: None,
            rotate_every: None,
            leaked_at: None,
        }
    }
}

impl Special {
    /// Makes the key special. What depends on the time stays as it was as long as it still fits.
    pub fn apply(&self, key: &mut Key, before: Option<&Key>, now: i64) -> Result<(), String> {
        let successor = || Some("key_demo_allowed".to_owned());
        match self {
            Self::Nothing | Self::NotStored | Self::TestEnvironment => {}
            Self::ReadsOnly => key.scopes = vec!["orders:read".to_owned()],
            Self::Revoked => {
                key.status = KeyStatus::Revoked;
                key.revoked_at = Some(LONG_AGO);
                key.revoked_reason = Some("Demo".to_owned());
            }
            Self::Stopped(status) => key.status = *status,
            Self::NotYetValid => key.not_before = Some(FAR_AHEAD),
            Self::Replaced => {
                key.replaced_by = successor();
                key.replaced_at = Some(LONG_AGO);
                key.expires_at = Some(LONG_AGO + DAY);
            }
            Self::Expired => key.expires_at = Some(LONG_AGO + DAY),
            Self::ElsewhereOnly => key.networks = Some(vec![fence::network("192.0.2.0/24")?]),
            Self::Never => {
                key.hours = Some(Hours {
                    days: Vec::new(),
                    from: "00:00".to_owned(),
                    to: "00:00".to_owned(),
                });
            }
            Self::InGrace => {
                let end = end_of_life(before, now, DAY / 4, DAY);
                key.replaced_by = successor();
                key.replaced_at = Some(end - DAY);
                key.expires_at = Some(end);
            }
            Self::ExpiringSoon => key.expires_at = Some(end_of_life(before, now, DAY, 3 * DAY)),
        }
        Ok(())
    }
}

/// The end of life that the key has, unless it is nearer than `least` or further than `most`.
fn end_of_life(before: Option<&Key>, now: i64, least: i64, most: i64) -> i64 {
    before
        .and_then(|key| key.expires_at)
        .filter(|end| (now + least..=now + most).contains(end))
        .unwrap_or(now + most)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_the_same_on_every_run() {
        let key = |name: &str| {
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            case.credential().reveal().to_owned()
        };
        assert!(key("allowed").starts_with("kb_live_DemoAllowed000000000000000000000"));
        assert!(key("allowed_test").starts_with("kb_test_DemoAllowedTest"));
        for case in CASES {
            assert_eq!(
                case.credential().reveal().len(),
                "kb_live_".len() + 38,
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn an_end_of_life_is_kept_as_long_as_it_fits() {
        let case = CASES.iter().find(|case| case.name == "in_grace").unwrap();
        let end_after = |end, now| {
            let mut key = case.key(&case.credential(), &Digester::default());
            key.expires_at = end;
            end_of_life(Some(&key), now, 100, 1000)
        };
        assert_eq!(end_after(Some(1500), 1000), 1500);
        assert_eq!(end_after(Some(1099), 1000), 2000, "too near");
        assert_eq!(end_after(Some(2001), 1000), 2000, "too far");
        assert_eq!(end_after(None, 1000), 2000);
    }
}
