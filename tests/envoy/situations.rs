//! Every verdict of docs/protocol.md, and a request that gets it.

use crate::{in_three_days, now};
use keybound::record::KeyStatus;
use keybound::verdict::Reason;
use serde_json::{Value, json};
use support::config::Config;
use support::gateway::Gateway;
use support::records::{self, Known};

/// A request that is refused, as far as it does not depend on how it is sent.
pub struct Situation {
    /// The verdict.
    pub code: &'static str,
    /// Where it is sent to; the first segment chooses the policy.
    pub path: String,
    /// What is sent as `x-api-key`, once for each.
    pub credentials: Vec<String>,
    /// What the ids of key, user and tenant end with, where the key is known.
    pub name: Option<String>,
}

impl Situation {
    /// The class of the verdict, as docs/protocol.md has it.
    pub fn class(&self) -> Class {
        match self.code {
            "policy_unknown" => Class::Configuration,
            "key_service_unavailable" | "overloaded" => Class::Unavailable,
            "environment_mismatch"
            | "api_not_approved"
            | "scope_missing"
            | "address_not_allowed"
            | "outside_hours" => Class::Permission,
            code if code.starts_with("key_") => Class::Credential,
            _ => Class::User,
        }
    }
}

/// What verdicts have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Credential,
    User,
    Permission,
    Unavailable,
    Configuration,
}

/// All that the filter must be told for the situations to come about.
pub fn settings() -> Value {
    let policies = json!({
        "user": {"user": {"header": "x-account"}},
        "tenant": {"tenant": {"header": "x-account"}},
        "environment": {"environment": "live"},
        "api": {"api": "orders"},
        "scopes": {"scopes": {"all": ["orders:read"]}},
    });
    let routes: Vec<Value> = policies
        .as_object()
        .expect("an object")
        .keys()
        .map(|name| json!({"match": {"prefix": format!("/{name}")}, "policy": name}))
        .collect();
    json!({"policies": policies, "routes": routes})
}

/// A route of Envoy whose metadata names a policy that does not exist.
pub fn route_of_a_typing_error(config: &mut Config) {
    let routes = config.routes();
    let mut route = routes[0].clone();
    route["match"] = json!({"prefix": "/typing-error"});
    route["metadata"] = json!({"filter_metadata": {"keybound": {"policy": "oders"}}});
    routes.insert(0, route);
}

/// Of bytes that are no key, or nobody's.
pub fn sent(code: &'static str, credentials: &[&str]) -> Situation {
    Situation {
        code,
        path: "/any".to_owned(),
        credentials: credentials.iter().map(|it| (*it).to_owned()).collect(),
        name: None,
    }
}

/// Of a key that the service knows.
pub fn of_known(
    gateway: &Gateway,
    path: &str,
    code: &'static str,
    name: &str,
    change: fn(Known) -> Known,
) -> Situation {
    Situation {
        code,
        path: path.to_owned(),
        credentials: vec![gateway.knows(change(records::active(name)))],
        name: Some(name.to_owned()),
    }
}

/// Everything but the two that need a key service in trouble.
pub fn all(gateway: &Gateway) -> Vec<Situation> {
    let at = |path: &str, code: &'static str, change: fn(Known) -> Known| {
        of_known(gateway, path, code, &code.replace('_', "-"), change)
    };
    let known = |code, change| at("/any", code, change);
    let mut all = vec![
        sent("key_missing", &[]),
        sent("key_duplicated", &["one-credential", "another-credential"]),
        sent("key_malformed", &["two words"]),
        sent("key_unknown", &[&gateway.stranger()]),
        known("key_not_yet_valid", |it| it.key("not_before", now() + 3600)),
        known("key_replaced", |it| {
            it.key("expires_at", now() - 60)
                .key("replaced_by", "key_newer")
                .key("replaced_at", now() - 600)
        }),
        known("key_expired", |it| it.key("expires_at", now() - 60)),
        known("user_missing", Known::orphaned),
        known("user_deleted", |it| it.user_status("deleted")),
        known("user_deactivated", |it| it.user_status("deactivated")),
        known("user_suspended", |it| it.user_status("suspended")),
        known("user_locked", |it| it.user_status("locked")),
        known("user_pending", |it| it.user_status("pending")),
        known("tenant_missing", Known::without_tenant_record),
        known("tenant_suspended", |it| it.tenant_status("suspended")),
        at("/user", "user_mismatch", |it| it),
        at("/tenant", "tenant_mismatch", |it| it),
        at("/environment", "environment_mismatch", |it| {
            it.key("environment", "test")
        }),
        at("/api", "api_not_approved", |it| {
            it.user("apis", json!(["stock"]))
        }),
        at("/scopes", "scope_missing", |it| {
            it.key("scopes", json!(["stock:*"]))
        }),
        known("address_not_allowed", |it| {
            it.key("networks", json!(["10.0.0.0/8"]))
        }),
        known("outside_hours", |it| {
            it.key(
                "hours",
                json!({"days": [in_three_days()], "from": "00:00", "to": "12:00"}),
            )
        }),
        Situation {
            path: "/typing-error".to_owned(),
            ..known("policy_unknown", |it| it)
        },
    ];
    let stopped = KeyStatus::ALL
        .into_iter()
        .filter(|status| *status != KeyStatus::Active);
    all.extend(stopped.map(|status| {
        let word = status.word();
        let reason = Reason::named(&format!("key_{word}")).expect("each status has a verdict");
        let name = format!("key-{word}");
        Situation {
            code: reason.code(),
            path: "/any".to_owned(),
            credentials: vec![gateway.knows(records::active(&name).key_status(word))],
            name: Some(name),
        }
    }));
    all
}
