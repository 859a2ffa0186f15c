//! The pictures of the documentation, which `make screenshots` takes by these tests, of records as a team may have them.

use crate::browser::{Browser, DARK, NARROW};
use crate::world::World;
use serde_json::{Value, json};
use support::client::Request;
use support::needs;
use support::wait;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_overview() {
    let Some((_world, browser)) = world_of_a_team().await else {
        return;
    };
    browser.open("/console").await;
    let counted = wait::until("the review to be counted", async || {
        browser.reload().await;
        match browser.text().await.contains("are being counted") {
            true => Err("not yet".to_owned()),
            false => Ok(()),
        }
    });
    counted.await.unwrap_or_else(|error| panic!("{error}"));
    browser.documents("overview").await;
    beside(&browser, "overview").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_answer_to_why() {
    let Some((_world, browser)) = world_of_a_team().await else {
        return;
    };
    browser.open("/console").await;
    browser
        .fill("Why was it refused?", "key_stock_export")
        .await;
    browser.click("Ask why").await;
    browser.sees("suspended").await;
    browser.documents("why").await;
    beside(&browser, "why").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_key() {
    let Some((_world, browser)) = world_of_a_team().await else {
        return;
    };
    browser.open("/console/keys/key_orders").await;
    browser.documents("key").await;
    beside(&browser, "key").await;
}

/// The same on a telephone and by night: kept below `target/`, to be looked at.
async fn beside(browser: &Browser, name: &str) {
    browser.prefers(DARK).await;
    browser.keeps(&format!("{name}-dark")).await;
    browser.view(NARROW).await;
    browser.keeps(&format!("{name}-narrow")).await;
}

/// Two tenants, of whose users one is suspended, with keys that were used for a week; and a browser of an administrator.
async fn world_of_a_team() -> Option<(World, Browser)> {
    if !needs::browser() {
        return None;
    }
    let mut world = World::start().await;
    for (id, name) in [("ten_shop", "Shop"), ("ten_research", "Research")] {
        world
            .must("POST", "/tenants", json!({"id": id, "name": name}))
            .await;
    }
    for (id, tenant, name, kind) in [
        ("usr_orders", "ten_shop", "orders", "system"),
        ("usr_stock", "ten_shop", "stock export", "system"),
        ("usr_lea", "ten_research", "Lea Brandt", "person"),
    ] {
        let body =
            json!({"id": id, "tenant_id": tenant, "name": name, "kind": kind, "status": "active"});
        world.must("POST", "/users", body).await;
    }
    for (id, user, name, scopes, expires) in [
        (
            "key_orders",
            "usr_orders",
            "orders of the web shop",
            "orders:read",
            "90d",
        ),
        (
            "key_stock_export",
            "usr_stock",
            "nightly stock export",
            "stock:read",
            "60d",
        ),
        ("key_notebook", "usr_lea", "notebook", "*", "14d"),
    ] {
        let days: i64 = expires.trim_end_matches('d').parse().expect("days");
        let body = json!({
            "id": id, "user_id": user, "name": name, "environment": "live", "scopes": [scopes],
            "purpose": "Fulfilment", "contact": "platform@example.com", "networks": ["10.0.0.0/8"],
            "expires_at": now() + days * DAY,
        });
        world.must("POST", "/keys", body).await;
    }
    was_used(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console/users/usr_stock/suspend").await;
    browser.click("Suspend the user").await;
    browser.tick("Stop them all the same", true).await;
    browser.click("Suspend the user").await;
    Some((world, browser))
}

/// What a gateway reports of the keys: more by day than by night, and refusals of several kinds.
async fn was_used(world: &mut World) {
    for hour in 0..7 * 24 {
        let at = now() - hour * HOUR;
        let daily = 20 - (at / HOUR % 24 - 13).abs();
        let key = |id: &str, allowed: i64, code: &str, count: i64| {
            let mut used = json!({
                "id": id, "allowed": allowed, "rejected": count, "last_at": at,
                "networks": {"10.1.7.0/24": allowed + count},
            });
            if count > 0 {
                used["rejected_by"] = json!({code: count});
                used["last_rejected_at"] = json!(at);
            }
            used
        };
        let suspended = if hour < 7 { 12 } else { 0 };
        let missing = if hour % 5 == 0 { daily / 3 } else { 0 };
        let late = if hour % 11 == 3 { 4 } else { 0 };
        let keys: Vec<Value> = vec![
            key("key_orders", daily * 11, "scope_missing", missing),
            key("key_stock_export", daily * 3, "user_suspended", suspended),
            key("key_notebook", daily, "outside_hours", late),
        ];
        let body = json!({
            "reporter": "6f1c0d5e9a7b4c21", "batch": hour + 1, "from": at - 60, "to": at, "keys": keys,
        });
        let gateway = world.service().tokens().gateway.clone();
        let request = Request::post("/v1/usage", body.to_string())
            .header("authorization", format!("Bearer {gateway}"))
            .header("content-type", "application/json");
        let answer = request.send(world.service().port()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs().cast_signed())
}
