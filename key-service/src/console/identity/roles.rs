//! Who of those whom the provider vouches for is an administrator or a viewer: the file of `--oidc-roles`.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::token::{Grant, Role};

/// What the provider says of somebody.
pub type Claims = Map<String, Value>;

/// Claims that give a role. The first that is met counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Roles(Vec<Rule>);

/// A claim that gives a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Its name, or, where it begins with a slash, where it is within the claims (RFC 6901).
    claim: String,
    /// What it must be, or hold where it is a list.
    value: String,
    role: StaffRole,
    /// The tenant that they see alone.
    #[serde(default)]
    tenant: Option<String>,
}

/// The roles that are not of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StaffRole {
    Admin,
    Viewer,
}

impl Roles {
    /// Reads the file's document.
    pub fn read(document: Value) -> Result<Self, String> {
        serde_json::from_value(document).map_err(|error| {
            format!("must be a list of {{claim, value, role, tenant}}, with the role admin or viewer: {error}")
        })
    }

    /// What these claims give, if anything.
    pub fn grant(&self, claims: &Claims) -> Option<Grant> {
        let met = self.0.iter().find(|rule| rule.is_met_by(claims))?;
        Some(Grant {
            tenant_id: met.tenant.clone(),
            ..match met.role {
                StaffRole::Admin => Role::Admin,
                StaffRole::Viewer => Role::Viewer,
            }
            .into()
        })
    }
}

impl Rule {
    fn is_met_by(&self, claims: &Claims) -> bool {
        let mut steps = self.claim.strip_prefix('/').map(|path| path.split('/'));
        let found = match &mut steps {
            None => claims.get(&self.claim),
            Some(steps) => {
                let mut steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
                let first = steps.next().and_then(|step| claims.get(&step));
                steps.fold(first, |within, step| within?.get(&step))
            }
        };
        let is_it = |value: &Value| value.as_str() == Some(&self.value);
        match found {
            Some(Value::Array(values)) => values.iter().any(is_it),
            Some(value) => is_it(value),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roles() -> Roles {
        Roles::read(json!([
            {"claim": "groups", "value": "keybound-admins", "role": "admin"},
            {"claim": "/realm_access/roles", "value": "a/b", "role": "viewer", "tenant": "ten_shop"},
            {"claim": "/https:~1~1example.com~1team", "value": "support", "role": "viewer"},
            {"claim": "groups", "value": "shop", "role": "admin", "tenant": "ten_shop"},
        ]))
        .unwrap()
    }

    fn grant(claims: Value) -> Option<(Role, Option<String>)> {
        let grant = roles().grant(claims.as_object().unwrap())?;
        Some((grant.role, grant.tenant_id))
    }

    #[test]
    fn the_first_claim_that_is_met_counts() {
        let shop = || Some("ten_shop".to_owned());
        for (claims, right) in [
            (
                json!({"groups": ["x", "keybound-admins", "shop"]}),
                Some((Role::Admin, None)),
            ),
            (
                json!({"groups": "keybound-admins"}),
                Some((Role::Admin, None)),
            ),
            (json!({"groups": ["shop"]}), Some((Role::Admin, shop()))),
            (
                json!({"realm_access": {"roles": ["a/b"]}, "groups": ["shop"]}),
                Some((Role::Viewer, shop())),
            ),
            (
                json!({"https://example.com/team": "support"}),
                Some((Role::Viewer, None)),
            ),
            (json!({"groups": ["keybound-admins2"]}), None),
            (json!({"groups": {"keybound-admins": true}}), None),
            (json!({"groups": "keybound-admins,shop"}), None),
            (json!({"Groups": ["shop"]}), None),
            (json!({}), None),
        ] {
            assert_eq!(grant(claims.clone()), right, "{claims}");
        }
    }

    #[test]
    fn a_rule_that_is_mistyped_is_refused() {
        for bad in [
            json!({}),
            json!([{"claim": "groups", "value": "a", "role": "developer"}]),
            json!([{"claim": "groups", "value": "a", "role": "admin", "tenants": "ten_a"}]),
            json!([{"claim": "groups", "value": ["a"], "role": "admin"}]),
            json!([{"claim": "groups", "role": "admin"}]),
        ] {
            assert!(Roles::read(bad.clone()).is_err(), "{bad}");
        }
    }
}
