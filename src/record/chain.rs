//! What belongs together: a key, its user and its tenant.

use std::rc::Rc;

use super::{Key, Tenant, User};

/// A key with its user and tenant, as far as it names any and they exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The key.
    pub key: Rc<Key>,
    /// Its user.
    pub user: Option<Rc<User>>,
    /// Its tenant.
    pub tenant: Option<Rc<Tenant>>,
}

impl Chain {
    /// Whether a scope is among the effective ones: granted to the key and, where the user's record names
    /// scopes, to the user as well.
    pub fn covers(&self, scope: &str) -> bool {
        self.key.scopes.cover(scope) && self.user_covers(scope)
    }

    /// Whether the user's record lets one of its keys have a scope.
    pub fn user_covers(&self, scope: &str) -> bool {
        match self.user.as_ref().map(|user| &user.scopes) {
            Some(Some(scopes)) => scopes.cover(scope),
            Some(None) => true,
            None => false,
        }
    }
}
