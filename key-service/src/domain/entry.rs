//! Tenants, users and keys as files describe them: what a record is after a file says what it wants of it. What the
//! file does not name stays as it is; null takes it away.

use super::credential::{Credential, DIGEST, Digest, Digester, FOREIGN};
use super::input::input;
use super::input::rules::object;
use super::key::{Expired, Key, KeyImport, KeyPatch, KeyStatus, KeyTerms};
use super::key_rules::KeyRules;
use super::patch::Patch;
use super::refusal::{FieldError, Refusal};
use super::tenant::{Tenant, TenantDraft, TenantPatch};
use super::text::{ENVIRONMENT, ID, LINE};
use super::user::{User, UserDraft, UserPatch, UserStatus};
use super::words::words;

input! {
    /// A tenant as a file describes it. What is not named stays as it is.
    #[derive(Debug, Clone)]
    TenantEntry {
        /// Its id.
        id: String = required(ID; "ten_shop"),
        /// What it is to be.
        patch: TenantPatch = inline(object::<TenantPatch>()),
        /// What its keys must have, as a whole; null asks nothing of them.
        key_rules: Patch<Option<KeyRules>> = patch_nullable(object::<KeyRules>()),
    }
}

input! {
    /// A user as a file describes it. What is not named stays as it is.
    #[derive(Debug, Clone)]
    UserEntry {
        /// Its id.
        id: String = required(ID; "usr_stock-sync"),
        /// Its tenant, which never changes.
        tenant_id: Patch<Option<String>> = patch_nullable(ID),
        /// What it is to be. The status `deleted` deletes it.
        patch: UserPatch = inline(object::<UserPatch>()),
    }
}

input! {
    /// A key as a file describes it. What is not named stays as it is. A new one needs either `key` or `digest`.
    #[derive(Debug, Clone)]
    KeyEntry {
        /// Its id.
        id: String = required(ID; "key_stock-sync-1"),
        /// The key in clear. It is not stored.
        key: Option<Credential> = optional(FOREIGN),
        /// Its digest, made as the gateway makes it.
        digest: Option<Digest> = optional(DIGEST),
        /// What people find it by again, where only its digest is given.
        hint: Patch<Option<String>> = patch_nullable(LINE),
        /// Its owner, which never changes; a new key without one is an orphan.
        user_id: Patch<Option<String>> = patch_nullable(ID),
        /// Its tenant, which never changes: that of its user.
        tenant_id: Patch<Option<String>> = patch_nullable(ID),
        /// Such as `live` or `test`, which never changes.
        environment: Patch<Option<String>> = patch_nullable(ENVIRONMENT),
        /// Why it is revoked, where its status is `revoked`.
        revoked_reason: Option<String> = optional(LINE),
        /// What it is to be. The status `revoked` revokes it.
        patch: KeyPatch = inline(object::<KeyPatch>()),
    }
}

words! {
    /// What to export.
    Exported {
        /// Tenants, with what their keys must have.
        Tenants = "tenants",
        /// Users.
        Users = "users",
        /// Keys.
        Keys = "keys",
    }
}

/// A digest, and what people find the key by.
type Proof = (Digest, Option<String>);

impl TenantEntry {
    /// The tenant that the entry asks for.
    pub fn applied(&self, before: Option<&Tenant>, now: i64) -> Tenant {
        let patch = self.patch.clone();
        match before {
            Some(before) => before.patched(patch),
            None => Tenant::create(
                TenantDraft {
                    id: Some(self.id.clone()),
                    name: patch.name.given().flatten(),
                    status: patch.status.given(),
                },
                now,
            ),
        }
    }
}

impl UserEntry {
    /// The user that the entry asks for; a new one in this tenant. What is deleted stays as it is, unless another
    /// status is asked for.
    pub fn applied(
        &self,
        before: Option<&User>,
        tenant: Option<&str>,
        now: i64,
    ) -> Result<User, Refusal> {
        let mut patch = self.patch.clone();
        let deletes = patch.status == Patch::Set(UserStatus::Deleted);
        let Some(before) = before else {
            return self.created(patch, deletes, tenant, now);
        };
        stays("tenant_id", &self.tenant_id, before.tenant_id.as_ref())?;
        if before.status == UserStatus::Deleted && (deletes || patch.status == Patch::Keep) {
            return Ok(before.clone());
        }
        if deletes {
            patch.status = Patch::Keep;
            return Ok(before.patched(patch)?.deleted());
        }
        before.patched(patch)
    }

    fn created(
        &self,
        patch: UserPatch,
        deletes: bool,
        tenant: Option<&str>,
        now: i64,
    ) -> Result<User, Refusal> {
        let draft = UserDraft {
            id: Some(self.id.clone()),
            tenant_id: tenant.map(str::to_owned),
            name: patch.name.given().flatten(),
            status: patch.status.given().filter(|_| !deletes),
            scopes: patch.scopes.given().flatten(),
            apis: patch.apis.given().flatten(),
            kind: patch.kind.given(),
            login: patch.login.given().flatten(),
            external_id: patch.external_id.given().flatten(),
            display_name: patch.display_name.given().flatten(),
            contact: patch.contact.given().flatten(),
        };
        let user = User::create(draft, now)?;
        Ok(if deletes { user.deleted() } else { user })
    }
}

impl KeyEntry {
    /// The digest that the entry gives, if it gives one.
    pub fn proof(&self, digester: &Digester) -> Result<Option<Proof>, Refusal> {
        match (&self.key, &self.digest) {
            (Some(_), Some(_)) => Err(Refusal::field(
                "digest",
                "is given beside the key: keep one",
            )),
            (Some(key), None) => Ok(Some((digester.digest(key), Some(key.hint())))),
            (None, Some(digest)) => {
                let hint = self.hint.clone().given().flatten();
                Ok(Some((digest.clone(), hint)))
            }
            (None, None) => Ok(None),
        }
    }

    /// The new key that the entry asks for, of this owner.
    pub fn created(
        &self,
        proof: Option<Proof>,
        owner: Option<&User>,
        tenant: Option<&str>,
        now: i64,
    ) -> Result<Key, Refusal> {
        let Some((digest, hint)) = proof else {
            let message = "there is no key of this id, and to make it, its secret or its digest must be given";
            return Err(Refusal::field("digest", message));
        };
        let patch = self.patch.clone();
        let status = patch.status.given().unwrap_or(KeyStatus::Active);
        self.reason_fits(status)?;
        let hours = patch.hours.given().flatten();
        let terms = KeyTerms {
            id: Some(self.id.clone()),
            tenant_id: tenant.map(str::to_owned),
            environment: self.environment.clone().given().flatten(),
            name: patch.name.given().flatten(),
            not_before: patch.not_before.given().flatten(),
            expires_at: patch.expires_at.given().flatten(),
            scopes: patch.scopes.given().unwrap_or_default(),
            networks: patch.networks.given().flatten(),
            hours: hours.map(|hours| hours.merged(None)).transpose()?,
            purpose: patch.purpose.given().flatten(),
            contact: patch.contact.given().flatten(),
            rotate_every: patch.rotate_every.given().flatten(),
        };
        let import = KeyImport {
            digest,
            hint,
            status,
            user_id: self.user_id.clone().given().flatten(),
            terms,
        };
        // A file that was right once is right for ever, also where it makes everything anew.
        let key = Key::import(import, Expired::Take, owner, now)?;
        Ok(Key {
            revoked_reason: self.revoked_reason.clone(),
            ..key
        })
    }

    /// The key that the entry asks for, in the place of the one that is there. What is revoked stays as it is, unless
    /// another status is asked for.
    pub fn changed(
        &self,
        before: &Key,
        proof: Option<&Proof>,
        successor: Option<&Key>,
        now: i64,
    ) -> Result<Key, Refusal> {
        if proof.is_some_and(|(digest, _)| *digest != before.digest) {
            let field = if self.key.is_some() { "key" } else { "digest" };
            let message = "is that of another key than the one of this id, whose text never changes: give the new key an \
                           entry with an id of its own";
            return Err(Refusal::field(field, message));
        }
        stays("hint", &self.hint, before.hint.as_ref())?;
        stays("user_id", &self.user_id, before.user_id.as_ref())?;
        stays("tenant_id", &self.tenant_id, before.tenant_id.as_ref())?;
        stays(
            "environment",
            &self.environment,
            before.environment.as_ref(),
        )?;
        let mut patch = self.patch.clone();
        let status = patch.status.clone().given().unwrap_or(before.status);
        self.reason_fits(status)?;
        if before.status == KeyStatus::Revoked && status == KeyStatus::Revoked {
            return Ok(before.clone());
        }
        // The end that a rotation gave it holds, whatever was meant before.
        if before.replaced_by.is_some() {
            patch.expires_at = Patch::Keep;
        }
        if status == KeyStatus::Revoked {
            patch.status = Patch::Keep;
            let key = before.patched(patch, successor, now)?;
            return Ok(key.revoked(self.revoked_reason.clone(), now));
        }
        before.patched(patch, successor, now)
    }

    fn reason_fits(&self, status: KeyStatus) -> Result<(), Refusal> {
        match status {
            KeyStatus::Revoked => Ok(()),
            _ if self.revoked_reason.is_none() => Ok(()),
            _ => Err(Refusal::field(
                "revoked_reason",
                "is for keys whose status is \"revoked\"",
            )),
        }
    }
}

/// Refuses another value of what never changes.
fn stays(field: &str, asked: &Patch<Option<String>>, is: Option<&String>) -> Result<(), Refusal> {
    match asked {
        Patch::Set(asked) if asked.as_ref() != is => {
            let is = is.map_or("null", String::as_str);
            let message =
                format!("is {is} and never changes: make a new one, or leave the field out");
            Err(Refusal::Invalid(vec![FieldError::new(field, message)]))
        }
        _ => Ok(()),
    }
}
