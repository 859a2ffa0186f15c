//! What becomes of each entry: from what is there to what the file asks for, held to everything that the same change
//! by any other way would be held to.

use std::collections::HashMap;

use super::known::Known;
use crate::domain::Patch;
use crate::domain::audit::Action;
use crate::domain::credential::{Digest, Digester};
use crate::domain::entry::{KeyEntry, TenantEntry, UserEntry};
use crate::domain::key::{Key, KeyStatus};
use crate::domain::key_rules::KeyRules;
use crate::domain::reach::Reach;
use crate::domain::refusal::{FieldError, Refusal, join};
use crate::domain::tenant::Tenant;
use crate::domain::user::{User, UserPatch, UserStatus};
use crate::store::{StoreError, lookup::Lookup};

/// Why a key is revoked that no file names.
const UNNAMED: &str = "no file names it any more";

/// One thing to look at.
#[derive(Clone, Copy)]
pub enum Step<'d> {
    /// A tenant, at this place of its list.
    Tenant(usize, &'d TenantEntry),
    /// A user.
    User(usize, &'d UserEntry),
    /// A key.
    Key(usize, &'d KeyEntry),
    /// A user that no entry names, to be deactivated.
    UnnamedUser(&'d str),
    /// A key that no entry names, to be revoked.
    UnnamedKey(&'d str),
}

/// A change that is to be made.
pub struct Change<'d> {
    /// What it follows from.
    pub step: Step<'d>,
    /// What it is.
    pub what: What,
}

/// From what to what.
#[derive(Clone)]
pub enum What {
    /// A tenant.
    Tenant(Option<Box<Tenant>>, Box<Tenant>),
    /// The rules of the tenant of this id.
    Rules(String, Option<KeyRules>, Option<KeyRules>),
    /// A user.
    User(Option<Box<User>>, Box<User>),
    /// A key.
    Key(Option<Box<Key>>, Box<Key>),
}

impl<'d> Step<'d> {
    /// The id of the tenant that it is about, or names.
    pub fn tenant(&self) -> Option<&'d str> {
        match self {
            Self::Tenant(_, entry) => Some(&entry.id),
            Self::User(_, entry) => named(&entry.tenant_id),
            Self::Key(_, entry) => named(&entry.tenant_id),
            Self::UnnamedUser(_) | Self::UnnamedKey(_) => None,
        }
    }

    /// The id of the user that it is about, or names.
    pub fn user(&self) -> Option<&'d str> {
        match self {
            Self::User(_, entry) => Some(&entry.id),
            Self::Key(_, entry) => named(&entry.user_id),
            Self::UnnamedUser(id) => Some(id),
            Self::Tenant(..) | Self::UnnamedKey(_) => None,
        }
    }

    /// The id of the key that it is about.
    pub fn key(&self) -> Option<&'d str> {
        match self {
            Self::Key(_, entry) => Some(&entry.id),
            Self::UnnamedKey(id) => Some(id),
            _ => None,
        }
    }

    /// The login that it gives a user.
    pub fn login(&self) -> Option<&'d str> {
        match self {
            Self::User(_, entry) => named(&entry.patch.login),
            _ => None,
        }
    }

    /// Whether no entry names what it is about.
    pub fn is_unnamed(&self) -> bool {
        matches!(self, Self::UnnamedUser(_) | Self::UnnamedKey(_))
    }

    /// The path of its entry.
    pub fn path(&self) -> String {
        match self {
            Self::Tenant(place, _) => format!("tenants[{place}]"),
            Self::User(place, _) => format!("users[{place}]"),
            Self::Key(place, _) => format!("keys[{place}]"),
            Self::UnnamedUser(id) => format!("user {id}"),
            Self::UnnamedKey(id) => format!("key {id}"),
        }
    }
}

fn named(field: &Patch<Option<String>>) -> Option<&str> {
    match field {
        Patch::Set(Some(text)) => Some(text),
        _ => None,
    }
}

/// By what logins are unique; none where the user takes none.
pub fn login_of(user: &User) -> Option<(String, String)> {
    let login = user.login_key.clone()?;
    let tenant = user.tenant_id.clone().unwrap_or_default();
    (user.status != UserStatus::Deleted).then_some((tenant, login))
}

impl What {
    /// What the audit log calls it.
    pub fn action(&self) -> Action {
        match self {
            Self::Tenant(None, _) | Self::User(None, _) | Self::Key(None, _) => Action::Create,
            Self::Rules(_, None, _) => Action::Create,
            Self::Rules(_, _, None) => Action::Delete,
            Self::User(Some(before), after)
                if after.status == UserStatus::Deleted && before.status != after.status =>
            {
                Action::Delete
            }
            Self::Key(Some(before), after)
                if after.status == KeyStatus::Revoked && before.status != after.status =>
            {
                Action::Revoke
            }
            _ => Action::Update,
        }
    }

    /// The version of what is there.
    pub fn version(&self) -> Option<i64> {
        match self {
            Self::Tenant(before, _) => before.as_ref().map(|before| before.version),
            Self::User(before, _) => before.as_ref().map(|before| before.version),
            Self::Key(before, _) => before.as_ref().map(|before| before.version),
            Self::Rules(..) => None,
        }
    }

    /// Whether it stops keys, and so is asked about where they are in use.
    pub fn stops(&self) -> bool {
        match self {
            Self::Tenant(Some(before), after) => before.is_stopped_by(after),
            Self::User(Some(before), after) => before.is_stopped_by(after),
            Self::Key(Some(before), after) => {
                before.status == KeyStatus::Active && after.status != KeyStatus::Active
            }
            _ => false,
        }
    }

    /// Whether what is there is the same for both.
    pub fn begins_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tenant(one, _), Self::Tenant(other, _)) => one == other,
            (Self::Rules(_, one, _), Self::Rules(_, other, _)) => one == other,
            (Self::User(one, _), Self::User(other, _)) => one == other,
            (Self::Key(one, _), Self::Key(other, _)) => one == other,
            _ => false,
        }
    }
}

/// What the steps come to: only what differs from what is there. Everything that is wrong is told at once.
pub async fn plan<'d>(
    mut lookup: Lookup<'_>,
    steps: &[Step<'d>],
    digester: &Digester,
    now: i64,
) -> Result<Result<Vec<Change<'d>>, Vec<FieldError>>, StoreError> {
    let mut errors = Vec::new();
    let mut proofs = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        if let Step::Key(_, entry) = step {
            proofs.insert(index, entry.proof(digester));
        }
    }
    let given = proofs.values().flatten().flatten();
    let digests: Vec<&str> = given.map(|(digest, _)| digest.as_str()).collect();
    let known = Known::of(&mut lookup, steps, &digests).await?;
    let mut planner = Planner {
        known,
        reach: lookup.reach().clone(),
        now,
        changes: Vec::new(),
    };
    for (index, step) in steps.iter().enumerate() {
        let done = match *step {
            Step::Tenant(_, entry) => planner.tenant(*step, entry),
            Step::User(_, entry) => planner.user(*step, entry),
            Step::Key(_, entry) => {
                let proof = proofs.remove(&index).unwrap_or(Ok(None));
                proof.and_then(|proof| planner.key(*step, entry, proof))
            }
            Step::UnnamedUser(id) => planner.unnamed_user(*step, id),
            Step::UnnamedKey(id) => {
                planner.unnamed_key(*step, id);
                Ok(())
            }
        };
        if let Err(refusal) = done {
            let path = step.path();
            let within = refusal.within("").into_iter().map(|error| FieldError {
                field: join(&path, &error.field),
                ..error
            });
            errors.extend(within);
        }
    }
    Ok(match errors.is_empty() {
        true => Ok(planner.changes),
        false => Err(errors),
    })
}

struct Planner<'d> {
    known: Known,
    reach: Reach,
    now: i64,
    changes: Vec<Change<'d>>,
}

impl<'d> Planner<'d> {
    fn add(&mut self, step: Step<'d>, what: What) {
        self.changes.push(Change { step, what });
    }

    fn tenant(&mut self, step: Step<'d>, entry: &TenantEntry) -> Result<(), Refusal> {
        let before = self.known.tenant(&entry.id).cloned();
        if before.is_none() && self.reach != Reach::Everything {
            return Err(no_tenant("id"));
        }
        let after = entry.applied(before.as_ref(), self.now);
        let rules_before = self.known.rules(&entry.id).cloned();
        self.known.plan_tenant(&after, &entry.key_rules);
        if before.as_ref() != Some(&after) {
            self.add(step, What::Tenant(before.map(Box::new), Box::new(after)));
        }
        if let Patch::Set(rules) = &entry.key_rules {
            // Without any they are as good as none.
            let asked = rules.clone().unwrap_or_default();
            if asked != rules_before.clone().unwrap_or_default() {
                let id = entry.id.clone();
                self.add(step, What::Rules(id, rules_before, rules.clone()));
            }
        }
        Ok(())
    }

    fn user(&mut self, step: Step<'d>, entry: &UserEntry) -> Result<(), Refusal> {
        if self.known.user_is_taken(&entry.id) {
            return Err(Refusal::field("id", "another user has this id"));
        }
        let before = self.known.user(&entry.id).cloned();
        let tenant = match named(&entry.tenant_id) {
            Some(id) if before.is_none() && self.known.tenant(id).is_none() => {
                return Err(no_tenant("tenant_id"));
            }
            Some(id) => Some(id.to_owned()),
            None => self.reach.tenant().map(str::to_owned),
        };
        let after = entry.applied(before.as_ref(), tenant.as_deref(), self.now)?;
        if let Some(other) = self.known.other_of_login(&after) {
            let other =
                other.map_or_else(|| "another user".to_owned(), |id| format!("the user {id}"));
            return Err(Refusal::field(
                "login",
                format!(
                    "is that of {other}: it names one user of its tenant, whatever the case of its letters"
                ),
            ));
        }
        self.known.plan_user(before.as_ref(), &after);
        if before.as_ref() != Some(&after) {
            self.add(step, What::User(before.map(Box::new), Box::new(after)));
        }
        Ok(())
    }

    fn key(
        &mut self,
        step: Step<'d>,
        entry: &KeyEntry,
        proof: Option<(Digest, Option<String>)>,
    ) -> Result<(), Refusal> {
        let id = entry.id.as_str();
        if self.known.key_is_taken(id) {
            return Err(Refusal::field("id", "another key has this id"));
        }
        let of_digest = proof
            .as_ref()
            .and_then(|(digest, _)| self.known.key_of(digest.as_str()));
        let before = self.known.key(id).cloned();
        match of_digest {
            Some(other) if other != Some(id) && before.is_none() => {
                let field = if entry.key.is_some() { "key" } else { "digest" };
                return Err(Refusal::field(
                    field,
                    match other {
                        Some(other) => format!("the key is there already, as {other}"),
                        None => "the key is there already".to_owned(),
                    },
                ));
            }
            _ => {}
        }
        let after = match &before {
            Some(before) => {
                let successor = before.replaced_by.as_deref();
                let successor = successor.and_then(|id| self.known.key(id));
                entry.changed(before, proof.as_ref(), successor, self.now)?
            }
            None => {
                let owner =
                    match named(&entry.user_id) {
                        Some(id) => Some(self.known.user(id).ok_or_else(|| {
                            Refusal::field("user_id", "there is no user of this id")
                        })?),
                        None => None,
                    };
                let tenant = self.tenant_of_new(entry, owner)?;
                entry.created(proof, owner, tenant.as_deref(), self.now)?
            }
        };
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        let stops = before
            .as_ref()
            .is_some_and(|before| before.is_only_stopped_by(&after));
        if !stops && after.status != KeyStatus::Revoked {
            let owner = after.user_id.as_deref().and_then(|id| self.known.user(id));
            let tenant = after.tenant_id.as_deref();
            if let Some(checks) = tenant.and_then(|tenant| self.known.checks(tenant)) {
                checks.check(&after, owner)?;
            }
        }
        self.known.plan_key(&after);
        self.add(step, What::Key(before.map(Box::new), Box::new(after)));
        Ok(())
    }

    /// The tenant of a new key: its user's.
    fn tenant_of_new(
        &self,
        entry: &KeyEntry,
        owner: Option<&User>,
    ) -> Result<Option<String>, Refusal> {
        let asked = named(&entry.tenant_id);
        if let Some(owner) = owner {
            return match asked {
                Some(asked) if owner.tenant_id.as_deref() != Some(asked) => Err(Refusal::field(
                    "tenant_id",
                    "must be the tenant of the key's user: the gateway refuses a key whose user belongs elsewhere. Leave it out",
                )),
                _ => Ok(owner.tenant_id.clone()),
            };
        }
        match asked.or(self.reach.tenant()) {
            Some(id) if self.known.tenant(id).is_none() => Err(no_tenant("tenant_id")),
            tenant => Ok(tenant.map(str::to_owned)),
        }
    }

    fn unnamed_user(&mut self, step: Step<'d>, id: &str) -> Result<(), Refusal> {
        let Some(before) = self.known.user(id).cloned() else {
            return Ok(());
        };
        if matches!(before.status, UserStatus::Deactivated | UserStatus::Deleted) {
            return Ok(());
        }
        let patch = UserPatch {
            status: Patch::Set(UserStatus::Deactivated),
            ..UserPatch::default()
        };
        let after = before.patched(patch)?;
        self.add(step, What::User(Some(Box::new(before)), Box::new(after)));
        Ok(())
    }

    fn unnamed_key(&mut self, step: Step<'d>, id: &str) {
        if let Some(before) = self.known.key(id).cloned()
            && before.status != KeyStatus::Revoked
        {
            let after = before.revoked(Some(UNNAMED.to_owned()), self.now);
            self.add(step, What::Key(Some(Box::new(before)), Box::new(after)));
        }
    }
}

fn no_tenant(field: &str) -> Refusal {
    Refusal::field(field, "there is no tenant of this id")
}
