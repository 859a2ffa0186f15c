//! Whose a record is, and what of a table lies within a token's reach.

use super::sql::Statement;
use crate::domain::key::Key;
use crate::domain::reach::{Reach, Whose};
use crate::domain::tenant::Tenant;
use crate::domain::user::User;

/// A record that belongs to somebody.
pub trait Belongs {
    /// The column that holds its tenant.
    const TENANT: &'static str;
    /// The column that holds its user, where there is one.
    const USER: Option<&'static str>;

    /// Whose it is.
    fn whose(&self) -> Whose<'_>;
}

impl Belongs for Tenant {
    const TENANT: &'static str = "tenants.id";
    const USER: Option<&'static str> = None;

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: Some(&self.id),
            user: None,
        }
    }
}

impl Belongs for User {
    const TENANT: &'static str = "users.tenant_id";
    const USER: Option<&'static str> = Some("users.id");

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: self.tenant_id.as_deref(),
            user: Some(Some(&self.id)),
        }
    }
}

impl Belongs for Key {
    const TENANT: &'static str = "keys.tenant_id";
    const USER: Option<&'static str> = Some("keys.user_id");

    fn whose(&self) -> Whose<'_> {
        Whose {
            tenant: self.tenant_id.as_deref(),
            user: Some(self.user_id.as_deref()),
        }
    }
}

impl Reach {
    /// Whether it holds a record.
    pub(super) fn sees<T: Belongs>(&self, record: &T) -> bool {
        self.holds(record.whose())
    }

    /// The condition, behind others, that a row of this table is in it.
    pub(super) fn narrow<T: Belongs>(&self, sql: &mut Statement) {
        let (column, id) = match (self, T::USER) {
            (Self::Everything, _) => return,
            (Self::Tenant(id), _) => (T::TENANT, Some(id)),
            (Self::User { id, .. }, Some(column)) => (column, Some(id)),
            (Self::User { tenant, .. }, None) => (T::TENANT, tenant.as_ref()),
        };
        // Equal to null is nothing.
        sql.push(" AND ").push(column).push(" = ");
        sql.push_bind(id.cloned());
    }
}

/// A key whose digest and id are taken.
#[derive(Debug)]
pub struct Taken {
    /// The key.
    pub key: Key,
    /// Whether the caller may be told of it.
    pub seen: bool,
}

pub(super) fn taken(reach: &Reach, keys: Vec<Key>) -> Vec<Taken> {
    let taken = keys.into_iter().map(|key| Taken {
        seen: reach.sees(&key),
        key,
    });
    taken.collect()
}
