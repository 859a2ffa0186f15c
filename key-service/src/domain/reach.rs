//! What a token may see and change: everything, one tenant, or what is one user's own. What lies beyond does not exist
//! for it.

/// How far a token reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// Everything.
    #[default]
    Everything,
    /// This tenant alone.
    Tenant(String),
    /// What is this user's own, and the tenant that it belongs to.
    User {
        /// Id of the user.
        id: String,
        /// Id of its tenant.
        tenant: Option<String>,
    },
}

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose<'a> {
    /// The tenant that it belongs to, or is.
    pub tenant: Option<&'a str>,
    /// The user that it belongs to, or is. The outer one is missing where records of its kind belong to no user.
    pub user: Option<Option<&'a str>>,
}

impl Reach {
    /// Whether it holds a record.
    pub fn holds(&self, whose: Whose<'_>) -> bool {
        match (self, whose.user) {
            (Self::Everything, _) => true,
            (Self::Tenant(tenant), _) => whose.tenant == Some(tenant),
            (Self::User { id, .. }, Some(user)) => user == Some(id),
            (Self::User { tenant, .. }, None) => {
                tenant.is_some() && whose.tenant == tenant.as_deref()
            }
        }
    }

    /// Whether it holds a tenant.
    pub fn holds_tenant(&self, id: &str) -> bool {
        self.holds(Whose {
            tenant: Some(id),
            user: None,
        })
    }

    /// The tenant in which new records are made, where there is but one.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Tenant(tenant) => Some(tenant),
            Self::User { tenant, .. } => tenant.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose<'a>(tenant: Option<&'a str>, user: Option<Option<&'a str>>) -> Whose<'a> {
        Whose { tenant, user }
    }

    #[test]
    fn what_belongs_to_nobody_is_in_no_bounded_reach() {
        let tenant = Reach::Tenant("ten_a".to_owned());
        let user = Reach::User {
            id: "usr_a".to_owned(),
            tenant: Some("ten_a".to_owned()),
        };
        let homeless = Reach::User {
            id: "usr_h".to_owned(),
            tenant: None,
        };
        for (record, of_tenant, of_user) in [
            (whose(Some("ten_a"), None), true, true),
            (whose(Some("ten_b"), None), false, false),
            (whose(None, None), false, false),
            (whose(Some("ten_a"), Some(Some("usr_a"))), true, true),
            (whose(Some("ten_a"), Some(Some("usr_b"))), true, false),
            (whose(Some("ten_a"), Some(None)), true, false),
            (whose(None, Some(None)), false, false),
        ] {
            assert!(Reach::Everything.holds(record));
            assert_eq!(tenant.holds(record), of_tenant, "{record:?}");
            assert_eq!(user.holds(record), of_user, "{record:?}");
            assert!(!homeless.holds(record), "{record:?}");
        }
        assert!(homeless.holds(whose(None, Some(Some("usr_h")))));
    }
}
