//! A shop with something on every page of the console: records in each state, use, and a request that waits for a decision.

use crate::browser::Browser;
use crate::world::World;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use support::client::Request;

/// Its tenant, which asks for a purpose of every key.
pub const SHOP: &str = "ten_shop";
/// A tenant that is suspended.
pub const CLOSED: &str = "ten_closed";
/// A person of the shop, who is approved for no API yet.
pub const ANNA: &str = "usr_anna";
/// A person of the shop who has left.
pub const BEN: &str = "usr_ben";
/// Anna's key, which is used and sometimes refused.
pub const ORDERS: &str = "key_orders";
/// Anna's key, which is disabled.
pub const DISABLED: &str = "key_disabled";
/// Anna's key, which is revoked.
pub const REVOKED: &str = "key_revoked";
/// A key of the person who has left.
pub const LEFT: &str = "key_left";
/// The API that Anna asks for, and that requests for `/reports` need.
pub const REPORTS: &str = "reports";

/// What there is.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Anna's key in clear.
    pub orders: String,
    /// The key of the one who has left, in clear.
    pub left: String,
    /// The request that waits.
    pub approval: String,
}

impl Shop {
    /// Makes it all.
    pub async fn open(world: &mut World) -> Self {
        for (id, name) in [(SHOP, "shop"), (CLOSED, "closed shop")] {
            let tenant = json!({"id": id, "name": name});
            world.must("POST", "/tenants", tenant).await;
        }
        for (id, name, apis) in [(ANNA, "anna", json!([])), (BEN, "ben", json!(null))] {
            let user = json!({
                "id": id, "tenant_id": SHOP, "name": name, "kind": "person", "apis": apis,
                "login": format!("{name}@example.com"), "scopes": ["orders:read", "orders:write"],
            });
            world.must("POST", "/users", user).await;
        }
        let orders = key(world, ORDERS, ANNA).await;
        let left = key(world, LEFT, BEN).await;
        for id in [DISABLED, REVOKED] {
            key(world, id, ANNA).await;
        }
        let fences =
            json!({"networks": ["10.0.0.0/8"], "expires_at": 1_927_584_000, "rotate_every": "90d"});
        world
            .must("PATCH", &format!("/keys/{ORDERS}"), fences)
            .await;
        let rules = json!({"require": ["purpose"], "forbid_scopes": ["*"]});
        let path = format!("/tenants/{SHOP}/key-rules");
        world.must("PUT", &path, rules).await;
        let asked = json!({"user_id": ANNA, "api": REPORTS, "reason": "monthly figures"});
        let approval = world.must("POST", "/approvals", asked).await["id"].take();
        used(world).await;
        for (path, status) in [
            (format!("/users/{BEN}"), "deactivated"),
            (format!("/tenants/{CLOSED}"), "suspended"),
            (format!("/keys/{DISABLED}"), "disabled"),
        ] {
            let path = format!("{path}?force=true");
            world.must("PATCH", &path, json!({"status": status})).await;
        }
        let reason = json!({"reason": "found in a repository"});
        let path = format!("/keys/{REVOKED}/revoke");
        world.must("POST", &path, reason).await;
        Self {
            orders,
            left,
            approval: approval.as_str().expect("an id").to_owned(),
        }
    }
}

async fn key(world: &mut World, id: &str, user: &str) -> String {
    let fields = json!({
        "id": id, "name": id.replace("key_", ""), "scopes": ["orders:read"], "purpose": "the nightly run",
    });
    let made = world.service().key(user, &fields).await;
    made.unwrap_or_else(|error| panic!("{error}")).key
}

/// A gateway reports use of a moment ago.
async fn used(world: &mut World) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = now.expect("after 1970").as_secs() - 5;
    let report = json!({
        "reporter": "worker", "batch": 1, "from": at - 10, "to": at,
        "keys": [
            {"id": ORDERS, "allowed": 120, "rejected": 3, "last_at": at,
             "rejected_by": {"scope_missing": 2, "address_not_allowed": 1}, "last_rejected_at": at,
             "networks": {"203.0.113.0/24": 119, "2001:db8:7::/48": 4}},
            {"id": LEFT, "allowed": 0, "rejected": 7, "last_at": at, "rejected_by": {"user_deactivated": 7},
             "last_rejected_at": at},
        ],
    });
    let gateway = world.service().tokens().gateway.clone();
    let request = Request::post("/v1/usage", report.to_string())
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {gateway}"));
    let answer = request.send(world.service().port()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The key or token that the page shows.
///
/// # Panics
/// When it shows none.
pub async fn shown_once(browser: &Browser) -> String {
    let text = browser.text().await;
    let line = text.lines().find(|line| line.starts_with("kb"));
    line.unwrap_or_else(|| panic!("no key in {text}"))
        .to_owned()
}
