//! A user: the person or system account that keys belong to.

use keybound::protocol::MOST_ENTRIES;
use keybound::record::Scopes;
pub use keybound::record::UserStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::fence::SCOPES;
use super::input::input;
use super::input::rules::{List, Text};
use super::patch::Patch;
use super::refusal::{FieldError, Refusal};
use super::text::{API, ID, LINE, new_id};
use super::words::{Status as _, UserWords, words};

words! {
    /// Who a user is.
    #[derive(Default)]
    UserKind {
        /// A human being, who joins and leaves.
        #[default]
        Person = "person",
        /// A program, which stays when people leave.
        System = "system",
    }
}

/// A user as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Its id.
    #[schema(example = "usr_stock-sync")]
    pub id: String,
    /// Sequence number of its last write.
    pub version: i64,
    /// The tenant it belongs to; null in a system without tenants.
    pub tenant_id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Whether its keys work.
    #[schema(value_type = UserWords)]
    pub status: UserStatus,
    /// Narrows the scopes of all its keys; null does not narrow, an empty list narrows to none.
    pub scopes: Option<Vec<String>>,
    /// The APIs it is approved for; null is all, an empty list is none.
    pub apis: Option<Vec<String>>,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last written, in Unix seconds.
    pub updated_at: i64,
    /// Whether it is a person or a system.
    pub kind: UserKind,
    /// What it signs in with, such as an e-mail address: unique in its tenant, compared without case.
    pub login: Option<String>,
    /// By what logins are compared.
    #[serde(skip)]
    pub login_key: Option<String>,
    /// Its id in the directory that it comes from.
    pub external_id: Option<String>,
    /// Its name in full.
    pub display_name: Option<String>,
    /// Whom to ask about it, such as an e-mail address.
    pub contact: Option<String>,
    /// The status that comes back where a directory takes a deactivation back: what another had set before.
    #[schema(value_type = Option<UserWords>)]
    pub status_held: Option<UserStatus>,
}

input! {
    /// What the maker of a user chooses.
    #[derive(Debug, Clone, Default)]
    UserDraft {
        /// Id; a new one is made where it is missing.
        id: Option<String> = optional(ID),
        /// The tenant it belongs to, for good; missing in a system without tenants.
        tenant_id: Option<String> = optional(ID),
        /// What people call it.
        name: Option<String> = optional(LINE),
        /// `active` where it is missing.
        status: Option<UserStatus> = optional(UserStatus::RULE),
        /// Narrows the scopes of its keys; missing does not narrow.
        scopes: Option<Vec<String>> = optional(SCOPES),
        /// The APIs it is approved for; missing is all.
        apis: Option<Vec<String>> = optional(APIS),
        /// `person` where it is missing.
        kind: Option<UserKind> = optional(UserKind::RULE),
        /// What it signs in with: unique in its tenant, compared without case.
        login: Option<String> = optional(LINE),
        /// Its id in the directory that it comes from.
        external_id: Option<String> = optional(LINE),
        /// Its name in full.
        display_name: Option<String> = optional(LINE),
        /// Whom to ask about it, such as an e-mail address.
        contact: Option<String> = optional(LINE),
    }
}

input! {
    /// A change of a user. The tenant is not among it: its keys would be left in the old one.
    #[derive(Debug, Clone, Default)]
    UserPatch {
        /// What people call it.
        name: Patch<Option<String>> = patch_nullable(LINE),
        /// Any but `deleted`: deleting is done with DELETE.
        status: Patch<UserStatus> = patch(UserStatus::RULE),
        /// Narrows the scopes of its keys; null does not narrow.
        scopes: Patch<Option<Vec<String>>> = patch_nullable(SCOPES),
        /// The APIs it is approved for; null is all.
        apis: Patch<Option<Vec<String>>> = patch_nullable(APIS),
        /// Whether it is a person or a system.
        kind: Patch<UserKind> = patch(UserKind::RULE),
        /// What it signs in with: unique in its tenant, compared without case.
        login: Patch<Option<String>> = patch_nullable(LINE),
        /// Its id in the directory that it comes from.
        external_id: Patch<Option<String>> = patch_nullable(LINE),
        /// Its name in full.
        display_name: Patch<Option<String>> = patch_nullable(LINE),
        /// Whom to ask about it, such as an e-mail address.
        contact: Patch<Option<String>> = patch_nullable(LINE),
    }
}

/// The APIs of a user.
const APIS: List<Text<String>> = List {
    items: API,
    least: 0,
    most: MOST_ENTRIES,
};

/// By what a login is compared: its letters without case.
pub fn login_key(login: &str) -> String {
    login.to_lowercase()
}

impl User {
    /// A new user.
    pub fn create(draft: UserDraft, now: i64) -> Result<Self, Refusal> {
        let status = draft.status.unwrap_or(UserStatus::Active);
        if status == UserStatus::Deleted {
            return Err(Refusal::field("status", "a new user cannot be \"deleted\""));
        }
        Ok(Self {
            id: draft.id.unwrap_or_else(|| new_id("usr_")),
            version: 0,
            tenant_id: draft.tenant_id,
            name: draft.name,
            status,
            scopes: draft.scopes,
            apis: draft.apis,
            created_at: now,
            updated_at: now,
            kind: draft.kind.unwrap_or_default(),
            login_key: draft.login.as_deref().map(login_key),
            login: draft.login,
            external_id: draft.external_id,
            display_name: draft.display_name,
            contact: draft.contact,
            status_held: None,
        })
    }

    /// The user after this change. What was deleted stays as it is.
    pub fn patched(&self, patch: UserPatch) -> Result<Self, Refusal> {
        if self.status == UserStatus::Deleted {
            return Err(Refusal::conflict(
                "The user is deleted, and what is deleted is not changed or revived. Create a new user.",
            ));
        }
        if patch.status == Patch::Set(UserStatus::Deleted) {
            return Err(Refusal::field(
                "status",
                "is not set to \"deleted\" by a change: send DELETE to the user",
            ));
        }
        let mut user = self.clone();
        // Who sets a status has the last word about what was set before.
        if patch.status != Patch::Keep {
            user.status_held = None;
        }
        patch.name.apply(&mut user.name);
        patch.status.apply(&mut user.status);
        patch.scopes.apply(&mut user.scopes);
        patch.apis.apply(&mut user.apis);
        patch.kind.apply(&mut user.kind);
        patch.login.apply(&mut user.login);
        patch.external_id.apply(&mut user.external_id);
        patch.display_name.apply(&mut user.display_name);
        patch.contact.apply(&mut user.contact);
        user.login_key = user.login.as_deref().map(login_key);
        Ok(user)
    }

    /// Refuses scopes that the user's own do not cover. A user without any is not narrowed.
    pub fn refuse_wider_scopes(&self, scopes: &[String]) -> Result<(), Refusal> {
        let Some(own) = &self.scopes else {
            return Ok(());
        };
        let own = Scopes::new(own.iter().map(String::as_str));
        let wider = scopes
            .iter()
            .enumerate()
            .filter(|(_, scope)| !own.cover(scope));
        let errors = wider.map(|(index, _)| {
            FieldError::new(
                format!("scopes[{index}]"),
                "is more than the user itself may do: see the user's scopes",
            )
        });
        Refusal::unless_empty(errors.collect())
    }

    /// Whether this stops the user, or stops it in another way: what was locked for an hour and is then
    /// deleted does not come back by itself.
    pub fn is_stopped_by(&self, after: &Self) -> bool {
        self.status != after.status && after.status != UserStatus::Active
    }

    /// The tombstone of the user.
    pub fn deleted(&self) -> Self {
        Self {
            status: UserStatus::Deleted,
            ..self.clone()
        }
    }
}
