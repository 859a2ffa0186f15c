//! A tenant: an organisation, team or project.

pub use keybound::record::TenantStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::input::input;
use super::patch::Patch;
use super::text::{ID, LINE, new_id};
use super::words::{Status as _, TenantWords};

/// A tenant as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    #[schema(example = "ten_shop")]
    pub id: String,
    /// Sequence number of its last write.
    pub version: i64,
    /// What people call it.
    pub name: Option<String>,
    /// Whether its keys work.
    #[schema(value_type = TenantWords)]
    pub status: TenantStatus,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last written, in Unix seconds.
    pub updated_at: i64,
}

input! {
    /// What the maker of a tenant chooses.
    #[derive(Debug, Clone, Default)]
    TenantDraft {
        /// Id; a new one is made where it is missing.
        id: Option<String> = optional(ID),
        /// What people call it.
        name: Option<String> = optional(LINE),
        /// `active` where it is missing.
        status: Option<TenantStatus> = optional(TenantStatus::RULE),
    }
}

input! {
    /// A change of a tenant.
    #[derive(Debug, Clone, Default)]
    TenantPatch {
        /// What people call it.
        name: Patch<Option<String>> = patch_nullable(LINE),
        /// Whether its keys work.
        status: Patch<TenantStatus> = patch(TenantStatus::RULE),
    }
}

impl Tenant {
    /// A new tenant.
    pub fn create(draft: TenantDraft, now: i64) -> Self {
        Self {
            id: draft.id.unwrap_or_else(|| new_id("ten_")),
            version: 0,
            name: draft.name,
            status: draft.status.unwrap_or(TenantStatus::Active),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether this stops the tenant.
    pub fn is_stopped_by(&self, after: &Self) -> bool {
        self.status == TenantStatus::Active && after.status == TenantStatus::Suspended
    }

    /// The tenant after this change.
    pub fn patched(&self, patch: TenantPatch) -> Self {
        let mut tenant = self.clone();
        patch.name.apply(&mut tenant.name);
        patch.status.apply(&mut tenant.status);
        tenant
    }
}
