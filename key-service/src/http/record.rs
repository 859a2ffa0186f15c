//! Records as the protocol writes them: what a gateway needs to decide, and no more.

use ipnet::IpNet;
use keybound::protocol::LONGEST_BODY;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::fence::Hours;
use crate::domain::key::{Key, KeyStatus};
use crate::domain::tenant::{Tenant, TenantStatus};
use crate::domain::user::{User, UserStatus};
use crate::domain::words::{KeyWords, TenantWords, UserWords};

/// A key as gateways see it.
#[derive(Serialize, ToSchema)]
pub struct KeyRecord<'a> {
    id: &'a str,
    version: i64,
    user_id: Option<&'a str>,
    tenant_id: Option<&'a str>,
    environment: Option<&'a str>,
    #[schema(value_type = KeyWords)]
    status: KeyStatus,
    not_before: Option<i64>,
    expires_at: Option<i64>,
    replaced_by: Option<&'a str>,
    replaced_at: Option<i64>,
    scopes: &'a [String],
    #[schema(value_type = Option<Vec<String>>)]
    networks: Option<&'a [IpNet]>,
    hours: Option<&'a Hours>,
}

impl<'a> From<&'a Key> for KeyRecord<'a> {
    fn from(key: &'a Key) -> Self {
        Self {
            id: &key.id,
            version: key.version,
            user_id: key.user_id.as_deref(),
            tenant_id: key.tenant_id.as_deref(),
            environment: key.environment.as_deref(),
            status: key.status,
            not_before: key.not_before,
            expires_at: key.expires_at,
            replaced_by: key.replaced_by.as_deref(),
            replaced_at: key.replaced_at,
            scopes: &key.scopes,
            networks: key.networks.as_deref(),
            hours: key.hours.as_ref(),
        }
    }
}

/// A user as gateways see it.
#[derive(Serialize, ToSchema)]
pub struct UserRecord<'a> {
    id: &'a str,
    version: i64,
    tenant_id: Option<&'a str>,
    #[schema(value_type = UserWords)]
    status: UserStatus,
    scopes: Option<&'a [String]>,
    apis: Option<&'a [String]>,
}

impl<'a> From<&'a User> for UserRecord<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: &user.id,
            version: user.version,
            tenant_id: user.tenant_id.as_deref(),
            status: user.status,
            scopes: user.scopes.as_deref(),
            apis: user.apis.as_deref(),
        }
    }
}

/// A tenant as gateways see it.
#[derive(Serialize, ToSchema)]
pub struct TenantRecord<'a> {
    id: &'a str,
    version: i64,
    #[schema(value_type = TenantWords)]
    status: TenantStatus,
}

impl<'a> From<&'a Tenant> for TenantRecord<'a> {
    fn from(tenant: &'a Tenant) -> Self {
        Self {
            id: &tenant.id,
            version: tenant.version,
            status: tenant.status,
        }
    }
}

/// Bytes of an answer beside its parts, and more.
const FRAME: usize = 256;

/// The parts of an answer, written one after the other until one does not fit: gateways take no larger
/// body. The first always counts: without it whoever asks would ask for the same for ever.
pub fn fitting<T: Serialize>(
    parts: impl Iterator<Item = T>,
) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    let mut bytes = FRAME;
    let mut written = Vec::new();
    for part in parts {
        let part = serde_json::value::to_raw_value(&part)?;
        // With the comma after it.
        bytes += part.get().len() + 1;
        if bytes > LONGEST_BODY && !written.is_empty() {
            break;
        }
        written.push(part);
    }
    Ok(written)
}
