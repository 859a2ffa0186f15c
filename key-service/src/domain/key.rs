//! A key: what a credential stands for, and its life from creation to revocation.

use ipnet::IpNet;
pub use keybound::record::KeyStatus;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::credential::Digest;
use super::fence::{Hours, HoursPatch, NETWORKS, SCOPES};
use super::input::input;
use super::input::rules::{Rule, Wrong, object, wrong};
use super::patch::Patch;
use super::refusal::Refusal;
use super::text::{ENVIRONMENT, ID, LINE, new_id};
use super::time::{self, LATEST, SECONDS, SPAN, Span};
use super::user::{User, UserStatus};
use super::words::{KeyWords, Status as _};

/// A key as it is stored and shown: never the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Key {
    /// Its id, which may be shown and logged.
    #[schema(example = "key_0aB1cD2eF3gH4iJ5")]
    pub id: String,
    /// Sequence number of its last write.
    pub version: i64,
    /// What the gateway looks it up by. Not shown: it is of no use to people.
    #[serde(skip)]
    pub digest: Digest,
    /// Its owner; null is an orphan.
    pub user_id: Option<String>,
    /// The tenant it acts for; null in a system without tenants.
    pub tenant_id: Option<String>,
    /// Such as `live` or `test`.
    pub environment: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Prefix and last four characters, for finding it again.
    #[schema(example = "kb_live_…a1B2")]
    pub hint: Option<String>,
    /// Whether it works.
    #[schema(value_type = KeyWords)]
    pub status: KeyStatus,
    /// First second of its life, in Unix seconds.
    pub not_before: Option<i64>,
    /// Second after its last, in Unix seconds.
    pub expires_at: Option<i64>,
    /// The key that took its place in a rotation.
    pub replaced_by: Option<String>,
    /// When that was.
    pub replaced_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// Why.
    pub revoked_reason: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Where it may be used from; null is anywhere, an empty list is nowhere.
    #[schema(value_type = Option<Vec<String>>, example = json!(["10.0.0.0/8"]))]
    pub networks: Option<Vec<IpNet>>,
    /// When it may be used; null is always.
    pub hours: Option<Hours>,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last written, in Unix seconds.
    pub updated_at: i64,
    /// What it is for.
    pub purpose: Option<String>,
    /// Whom to ask about it, such as an e-mail address.
    pub contact: Option<String>,
    /// How long after it was made it is to be rotated.
    #[schema(value_type = Option<String>, example = "90d")]
    pub rotate_every: Option<Span>,
    /// When it was first reported to be public, in Unix seconds.
    pub leaked_at: Option<i64>,
}

input! {
    /// What the maker of a key chooses.
    #[derive(Debug, Clone)]
    KeyDraft {
        /// Its owner. Only an imported key may have none.
        user_id: String = required(ID; "usr_stock-sync"),
        /// All else.
        terms: KeyTerms = inline(object::<KeyTerms>()),
    }
}

input! {
    /// What the maker of a key chooses but for its owner.
    #[derive(Debug, Clone, Default)]
    KeyTerms {
        /// Id; a new one is made where it is missing.
        id: Option<String> = optional(ID),
        /// Must be the user's tenant where it is given.
        tenant_id: Option<String> = optional(ID),
        /// Such as `live` or `test`.
        environment: Option<String> = optional(ENVIRONMENT; "live"),
        /// What people call it.
        name: Option<String> = optional(LINE),
        /// First second of its life, in Unix seconds.
        not_before: Option<i64> = optional(SECONDS),
        /// Second after its last, in Unix seconds.
        expires_at: Option<i64> = optional(SECONDS),
        /// What it may do; missing is nothing.
        scopes: Vec<String> = or_default(SCOPES; json!(["orders:read"])),
        /// Where it may be used from; missing is anywhere, an empty list is nowhere.
        networks: Option<Vec<IpNet>> = optional(NETWORKS; json!(["10.0.0.0/8"])),
        /// When it may be used; missing is always.
        hours: Option<Hours> = optional(object::<Hours>()),
        /// What it is for.
        purpose: Option<String> = optional(LINE),
        /// Whom to ask about it, such as an e-mail address.
        contact: Option<String> = optional(LINE),
        /// How long after it was made it is to be rotated, such as `90d`.
        rotate_every: Option<Span> = optional(SPAN; "90d"),
    }
}

/// A key that exists elsewhere.
#[derive(Debug, Clone)]
pub struct KeyImport {
    /// The digest of the credential.
    pub digest: Digest,
    /// Prefix and last four characters, where they are known.
    pub hint: Option<String>,
    /// Whether it works.
    pub status: KeyStatus,
    /// Its owner, who may be missing.
    pub user_id: Option<String>,
    /// All else.
    pub terms: KeyTerms,
}

/// What to do with a key that has expired already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// Take it: what refuses it elsewhere shall refuse it here.
    Take,
    /// Refuse it: its time is a mistake.
    Refuse,
}

input! {
    /// A change of a key: what is missing stays as it is, null takes a bound away.
    #[derive(Debug, Clone, Default)]
    KeyPatch {
        /// What people call it.
        name: Patch<Option<String>> = patch_nullable(LINE),
        /// Any but `revoked`: revoking has a call of its own.
        status: Patch<KeyStatus> = patch(KeyStatus::RULE),
        /// First second of its life, in Unix seconds.
        not_before: Patch<Option<i64>> = patch_nullable(SECONDS),
        /// Second after its last, in Unix seconds; not in the past: to end a key now, disable or revoke it.
        expires_at: Patch<Option<i64>> = patch_nullable(SECONDS),
        /// What it may do.
        scopes: Patch<Vec<String>> = patch(SCOPES),
        /// Where it may be used from.
        networks: Patch<Option<Vec<IpNet>>> = patch_nullable(NETWORKS),
        /// When it may be used. What is missing of it stays as it is.
        hours: Patch<Option<HoursPatch>> = patch_nullable(object::<HoursPatch>()),
        /// What it is for.
        purpose: Patch<Option<String>> = patch_nullable(LINE),
        /// Whom to ask about it, such as an e-mail address.
        contact: Patch<Option<String>> = patch_nullable(LINE),
        /// How long after it was made it is to be rotated, such as `90d`.
        rotate_every: Patch<Option<Span>> = patch_nullable(SPAN),
        /// Null alone: takes a rotation back, once the new key is revoked.
        replaced_by: Patch<Option<String>> = patch_nullable(Successor),
    }
}

/// No key is put in another's place but by a rotation.
struct Successor;

impl Rule for Successor {
    type Value = String;

    fn read(&self, _: &Value) -> Result<String, Wrong> {
        Err(wrong("is set by a rotation; null takes one back"))
    }

    fn schema(&self) -> Value {
        json!({"type": "null"})
    }
}

impl Key {
    /// A new key of this owner.
    pub fn issue(
        terms: KeyTerms,
        owner: &User,
        digest: Digest,
        hint: String,
        now: i64,
    ) -> Result<Self, Refusal> {
        if owner.status == UserStatus::Deleted {
            return Err(Refusal::conflict(
                "The user is deleted. Give the key to a user that exists.",
            ));
        }
        if terms.tenant_id.is_some() && terms.tenant_id != owner.tenant_id {
            return Err(Refusal::field(
                "tenant_id",
                "must be the tenant of the key's user: the gateway refuses a key whose user belongs elsewhere. \
                 Leave it out, or create the key for a user of that tenant",
            ));
        }
        begins_alive(terms.expires_at, now, NO_LIFE)?;
        let key = Self::of_terms(terms, digest, Some(hint), now)?;
        Ok(Self {
            user_id: Some(owner.id.clone()),
            tenant_id: owner.tenant_id.clone(),
            ..key
        })
    }

    /// A key that exists elsewhere, taken as it is there: its user or tenant may be missing or not
    /// fit each other. Without a tenant of its own it gets that of its user. One that has expired is taken
    /// only where that is meant.
    pub fn import(
        import: KeyImport,
        expired: Expired,
        owner: Option<&User>,
        now: i64,
    ) -> Result<Self, Refusal> {
        if expired == Expired::Refuse {
            let remedy = "Where it is meant to have expired, import it with allow_expired";
            begins_alive(import.terms.expires_at, now, remedy)?;
        }
        let key = Self::of_terms(import.terms, import.digest, import.hint, now)?;
        let of_owner = || owner.and_then(|owner| owner.tenant_id.clone());
        Ok(Self {
            user_id: import.user_id,
            tenant_id: key.tenant_id.or_else(of_owner),
            status: import.status,
            revoked_at: (import.status == KeyStatus::Revoked).then_some(now),
            ..key
        })
    }

    /// A key of nobody.
    fn of_terms(
        terms: KeyTerms,
        digest: Digest,
        hint: Option<String>,
        now: i64,
    ) -> Result<Self, Refusal> {
        life(terms.not_before, terms.expires_at)?;
        Ok(Self {
            id: terms.id.unwrap_or_else(|| new_id("key_")),
            version: 0,
            digest,
            user_id: None,
            tenant_id: terms.tenant_id,
            environment: terms.environment,
            name: terms.name,
            hint,
            status: KeyStatus::Active,
            not_before: terms.not_before,
            expires_at: terms.expires_at,
            replaced_by: None,
            replaced_at: None,
            revoked_at: None,
            revoked_reason: None,
            scopes: terms.scopes,
            networks: terms.networks,
            hours: terms.hours,
            created_at: now,
            updated_at: now,
            purpose: terms.purpose,
            contact: terms.contact,
            rotate_every: terms.rotate_every,
            leaked_at: None,
        })
    }

    /// The key after this change. What was revoked stays as it is. `successor` is the key that took its
    /// place, if there is one.
    pub fn patched(
        &self,
        patch: KeyPatch,
        successor: Option<&Self>,
        now: i64,
    ) -> Result<Self, Refusal> {
        if self.status == KeyStatus::Revoked {
            return Err(Refusal::conflict(
                "The key is revoked, and a revoked key is not changed or revived. Create a new key.",
            ));
        }
        if patch.status == Patch::Set(KeyStatus::Revoked) {
            return Err(Refusal::field(
                "status",
                "is not set to \"revoked\" by a change: send POST to the key's /revoke",
            ));
        }
        if patch.replaced_by == Patch::Set(None)
            && let Some(successor) = successor
            && successor.status != KeyStatus::Revoked
        {
            return Err(Refusal::conflict(format!(
                "The key was replaced by {}, which is not revoked. Revoke that one first.",
                successor.id
            )));
        }
        let mut key = self.clone();
        patch.name.apply(&mut key.name);
        patch.status.apply(&mut key.status);
        patch.not_before.apply(&mut key.not_before);
        patch.expires_at.apply(&mut key.expires_at);
        patch.scopes.apply(&mut key.scopes);
        patch.networks.apply(&mut key.networks);
        match patch.hours {
            Patch::Keep => {}
            Patch::Set(None) => key.hours = None,
            Patch::Set(Some(change)) => key.hours = Some(change.merged(key.hours.as_ref())?),
        }
        patch.purpose.apply(&mut key.purpose);
        patch.contact.apply(&mut key.contact);
        patch.rotate_every.apply(&mut key.rotate_every);
        patch.replaced_by.apply(&mut key.replaced_by);
        key.replaced_at = key.replaced_at.filter(|_| key.replaced_by.is_some());
        life(key.not_before, key.expires_at)?;
        if key.expires_at != self.expires_at {
            begins_alive(key.expires_at, now, NO_LIFE)?;
        }
        Ok(key)
    }

    /// Whether this stops the key and changes nothing else.
    pub fn is_only_stopped_by(&self, after: &Self) -> bool {
        let as_before = Self {
            status: self.status,
            ..after.clone()
        };
        after.status != KeyStatus::Active && *self == as_before
    }

    /// The key, revoked. Revoking it again changes nothing but that a reason comes to it where there was
    /// none: the first one stands.
    pub fn revoked(&self, reason: Option<String>, now: i64) -> Self {
        if self.status == KeyStatus::Revoked {
            return Self {
                revoked_reason: self.revoked_reason.clone().or(reason),
                ..self.clone()
            };
        }
        Self {
            status: KeyStatus::Revoked,
            revoked_at: Some(now),
            revoked_reason: reason,
            ..self.clone()
        }
    }

    /// The key replaced by a new one with the same owner and fences, and that new one. The old
    /// works on for `grace` seconds, but no longer than it would have without the rotation.
    pub fn rotated(
        &self,
        grace: i64,
        digest: Digest,
        hint: String,
        now: i64,
    ) -> Result<(Self, Self), Refusal> {
        if self.status == KeyStatus::Revoked {
            return Err(Refusal::conflict(
                "The key is revoked. Create a new key instead of rotating this one.",
            ));
        }
        if let Some(successor) = &self.replaced_by {
            return Err(Refusal::conflict(format!(
                "The key was replaced by {successor} already. Rotate that one."
            )));
        }
        let new = Self {
            id: new_id("key_"),
            version: 0,
            digest,
            hint: Some(hint),
            expires_at: self.renewed_expiry(now),
            replaced_by: None,
            replaced_at: None,
            created_at: now,
            updated_at: now,
            leaked_at: None,
            ..self.clone()
        };
        let end = now + grace;
        let old = Self {
            replaced_by: Some(new.id.clone()),
            replaced_at: Some(now),
            expires_at: Some(self.expires_at.map_or(end, |expiry| expiry.min(end))),
            ..self.clone()
        };
        Ok((old, new))
    }

    /// A rotation renews a key's life: the new one lives as long as the old one was meant to. With
    /// the old end of life, a rotation in time would hand out a key that expires with the old one.
    fn renewed_expiry(&self, now: i64) -> Option<i64> {
        let begin = self.not_before.unwrap_or(self.created_at);
        self.expires_at
            .map(|expiry| begin.max(now).saturating_add(expiry - begin).min(LATEST))
    }
}

/// What to do where a key that is made or changed would have expired already.
const NO_LIFE: &str =
    "Leave it out, or null, for a key that expires never; to end a key now, disable or revoke it";

/// A key that is over before anybody has it is a mistake in the time, such as a zero.
fn begins_alive(expires_at: Option<i64>, now: i64, remedy: &str) -> Result<(), Refusal> {
    match expires_at {
        Some(end) if end <= now => Err(Refusal::field(
            "expires_at",
            format!(
                "is in the past ({}): the key would not work. {remedy}",
                time::shown(end)
            ),
        )),
        _ => Ok(()),
    }
}

fn life(not_before: Option<i64>, expires_at: Option<i64>) -> Result<(), Refusal> {
    match (not_before, expires_at) {
        (Some(begin), Some(end)) if begin >= end => Err(Refusal::field(
            "expires_at",
            "must be later than not_before",
        )),
        _ => Ok(()),
    }
}
