//! `key-service demo`: tenants, users and keys for every case that a gateway can meet.

use super::database::{Database, Pepper, block_on};
use super::output::{self, Column};
use super::{Failure, Outcome};
use crate::domain::audit::Action;
use crate::domain::credential::{Credential, Digester};
use crate::domain::fence::{self, Hours};
use crate::domain::key::{Key, KeyStatus};
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::time::{DAY, now};
use crate::domain::user::{User, UserStatus};
use crate::store::{Missing, Write};

#[derive(clap::Args)]
#[command(
    after_help = "The keys are the same on every run and known to everybody. Running it again changes nothing, \
    except that the keys which are about to expire are kept about to expire."
)]
pub struct Arguments {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    pepper: Pepper,
    /// Print JSON: a list of case, key, expect_status, expect_code and note
    #[arg(long)]
    json: bool,
}

/// When the demo's records are said to have been made; any fixed time long ago.
const LONG_AGO: i64 = 1_700_000_000;
/// 2100-01-01.
const FAR_AHEAD: i64 = 4_102_444_800;

const SHOP: &str = "ten_shop";
const RESEARCH: &str = "ten_research";
const CLOSED: &str = "ten_closed";

const TENANTS: &[(&str, &str, TenantStatus)] = &[
    (SHOP, "Demo shop", TenantStatus::Active),
    (RESEARCH, "Demo research", TenantStatus::Active),
    (
        CLOSED,
        "Demo tenant that is suspended",
        TenantStatus::Suspended,
    ),
];

const USERS: &[(&str, &str, UserStatus)] = &[
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
struct Case {
    name: &'static str,
    owner: Option<&'static str>,
    tenant: &'static str,
    special: Special,
    code: &'static str,
    note: &'static str,
}

/// What makes the key of a case special.
enum Special {
    Nothing,
    NotStored,
    TestEnvironment,
    ReadsOnly,
    Revoked,
    Disabled,
    NotYetValid,
    Replaced,
    Expired,
    ElsewhereOnly,
    Never,
    InGrace,
    ExpiringSoon,
}

const fn shop(
    name: &'static str,
    special: Special,
    code: &'static str,
    note: &'static str,
) -> Case {
    owned(name, "usr_demo_active", SHOP, special, code, note)
}

const fn owned(
    name: &'static str,
    owner: &'static str,
    tenant: &'static str,
    special: Special,
    code: &'static str,
    note: &'static str,
) -> Case {
    Case {
        name,
        owner: Some(owner),
        tenant,
        special,
        code,
        note,
    }
}

const CASES: &[Case] = &[
    shop(
        "allowed",
        Special::Nothing,
        "allowed",
        "active key, user and tenant",
    ),
    shop(
        "key_unknown",
        Special::NotStored,
        "key_unknown",
        "well-formed, but nobody knows it",
    ),
    shop(
        "key_revoked",
        Special::Revoked,
        "key_revoked",
        "revoked for good",
    ),
    shop(
        "key_disabled",
        Special::Disabled,
        "key_disabled",
        "switched off for now",
    ),
    shop(
        "key_not_yet_valid",
        Special::NotYetValid,
        "key_not_yet_valid",
        "works from the year 2100 on",
    ),
    shop(
        "key_replaced",
        Special::Replaced,
        "key_replaced",
        "replaced, and its grace period is over",
    ),
    shop(
        "key_expired",
        Special::Expired,
        "key_expired",
        "expired in 2023",
    ),
    Case {
        name: "user_missing",
        owner: None,
        tenant: SHOP,
        special: Special::Nothing,
        code: "user_missing",
        note: "an orphan: the key names no user",
    },
    owned(
        "user_unknown",
        "usr_demo_gone",
        SHOP,
        Special::Nothing,
        "user_missing",
        "the key's user does not exist",
    ),
    owned(
        "user_deleted",
        "usr_demo_deleted",
        SHOP,
        Special::Nothing,
        "user_deleted",
        "the user was deleted",
    ),
    owned(
        "user_deactivated",
        "usr_demo_deactivated",
        SHOP,
        Special::Nothing,
        "user_deactivated",
        "the user has left",
    ),
    owned(
        "user_suspended",
        "usr_demo_suspended",
        SHOP,
        Special::Nothing,
        "user_suspended",
        "the user is suspended",
    ),
    owned(
        "user_locked",
        "usr_demo_locked",
        SHOP,
        Special::Nothing,
        "user_locked",
        "the user is locked",
    ),
    owned(
        "user_pending",
        "usr_demo_pending",
        SHOP,
        Special::Nothing,
        "user_pending",
        "the user is not verified yet",
    ),
    owned(
        "tenant_missing",
        "usr_demo_lost",
        "ten_demo_gone",
        Special::Nothing,
        "tenant_missing",
        "the tenant does not exist",
    ),
    owned(
        "tenant_differs",
        "usr_demo_active",
        RESEARCH,
        Special::Nothing,
        "tenant_missing",
        "key and user name different tenants",
    ),
    owned(
        "tenant_suspended",
        "usr_demo_closed",
        CLOSED,
        Special::Nothing,
        "tenant_suspended",
        "the tenant is suspended",
    ),
    shop(
        "address_not_allowed",
        Special::ElsewhereOnly,
        "address_not_allowed",
        "works only from 192.0.2.0/24, which nobody has",
    ),
    shop(
        "outside_hours",
        Special::Never,
        "outside_hours",
        "its hours name no day, so it is never their time",
    ),
    shop(
        "in_grace",
        Special::InGrace,
        "allowed",
        "replaced, works for some hours: sunset and deprecation",
    ),
    shop(
        "expiring_soon",
        Special::ExpiringSoon,
        "allowed",
        "expires within days: sunset",
    ),
    shop(
        "allowed_test",
        Special::TestEnvironment,
        "allowed",
        "environment test",
    ),
    shop(
        "allowed_read_only",
        Special::ReadsOnly,
        "allowed",
        "has only the scope orders:read",
    ),
    owned(
        "allowed_research",
        "usr_demo_research",
        RESEARCH,
        Special::Nothing,
        "allowed",
        "belongs to the tenant ten_research",
    ),
];

impl Case {
    fn environment(&self) -> &'static str {
        match self.special {
            Special::TestEnvironment => "test",
            _ => "live",
        }
    }

    /// The key of the case: its name where others have random characters.
    fn credential(&self) -> Credential {
        let name: String = self.name.split('_').map(capitalized).collect();
        Credential::with_body(
            Some(self.environment()),
            &format!("{:0<32}", format!("Demo{name}")),
        )
    }

    fn expect_status(&self) -> u16 {
        match self.code {
            "allowed" => 200,
            code if code.starts_with("key_") => 401,
            _ => 403,
        }
    }

    fn key(&self, credential: &Credential, pepper: &Digester) -> Key {
        Key {
            id: format!("key_demo_{}", self.name),
            version: 0,
            digest: pepper.digest(credential),
            user_id: self.owner.map(str::to_owned),
            tenant_id: Some(self.tenant.to_owned()),
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
        }
    }
}

impl Special {
    /// Makes the key special. What depends on the time stays as it was as long as it still fits.
    fn apply(&self, key: &mut Key, before: Option<&Key>, now: i64) -> Result<(), String> {
        let successor = || Some("key_demo_allowed".to_owned());
        match self {
            Self::Nothing | Self::NotStored | Self::TestEnvironment => {}
            Self::ReadsOnly => key.scopes = vec!["orders:read".to_owned()],
            Self::Revoked => {
                key.status = KeyStatus::Revoked;
                key.revoked_at = Some(LONG_AGO);
                key.revoked_reason = Some("Demo".to_owned());
            }
            Self::Disabled => key.status = KeyStatus::Disabled,
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

pub fn run(arguments: &Arguments) -> Outcome {
    block_on(fill(arguments))?;
    let cases: Vec<serde_json::Value> = CASES
        .iter()
        .map(|case| {
            serde_json::json!({
                "case": case.name,
                "key": case.credential().reveal(),
                "expect_status": case.expect_status(),
                "expect_code": case.code,
                "note": case.note,
            })
        })
        .collect();
    if arguments.json {
        output::json(&cases.into());
        return Ok(());
    }
    output::note(
        "DEMO DATA: these keys are published with the source. Never use this database for anything real.\n",
    );
    output::table(
        &cases,
        &[
            Column::text("CASE", "/case"),
            Column::text("KEY", "/key"),
            Column::text("STATUS", "/expect_status"),
            Column::text("CODE", "/expect_code"),
            Column::text("NOTE", "/note"),
        ],
    );
    Ok(())
}

async fn fill(arguments: &Arguments) -> Outcome {
    let digester = arguments.pepper.digester()?;
    let store = arguments.database.open(Missing::Create).await?;
    let now = now();
    let mut write = store.write("demo", now).await?;
    for &(id, name, status) in TENANTS {
        put_tenant(&mut write, id, name, status).await?;
    }
    for &(id, tenant, status) in USERS {
        put_user(&mut write, id, tenant, status).await?;
    }
    for case in CASES {
        if matches!(case.special, Special::NotStored) {
            continue;
        }
        let mut key = case.key(&case.credential(), &digester);
        let before = write.key(&key.id).await?;
        case.special
            .apply(&mut key, before.as_ref(), now)
            .map_err(Failure::Refused)?;
        if let Some(before) = &before {
            (key.version, key.created_at, key.updated_at) =
                (before.version, before.created_at, before.updated_at);
        }
        write.put_key(Action::Create, before.as_ref(), key).await?;
    }
    write.commit().await?;
    store.close().await;
    Ok(())
}

async fn put_tenant(write: &mut Write, id: &str, name: &str, status: TenantStatus) -> Outcome {
    let before = write.tenant(id).await?;
    let tenant = Tenant {
        id: id.to_owned(),
        version: before.as_ref().map_or(0, |before| before.version),
        name: Some(name.to_owned()),
        status,
        created_at: before.as_ref().map_or(LONG_AGO, |before| before.created_at),
        updated_at: before.as_ref().map_or(LONG_AGO, |before| before.updated_at),
    };
    write
        .put_tenant(Action::Create, before.as_ref(), tenant)
        .await?;
    Ok(())
}

async fn put_user(write: &mut Write, id: &str, tenant: &str, status: UserStatus) -> Outcome {
    let before = write.user(id).await?;
    let user = User {
        id: id.to_owned(),
        version: before.as_ref().map_or(0, |before| before.version),
        tenant_id: Some(tenant.to_owned()),
        name: Some(format!("Demo user, {}", status.as_str())),
        status,
        scopes: None,
        apis: None,
        created_at: before.as_ref().map_or(LONG_AGO, |before| before.created_at),
        updated_at: before.as_ref().map_or(LONG_AGO, |before| before.updated_at),
    };
    write
        .put_user(Action::Create, before.as_ref(), user)
        .await?;
    Ok(())
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
