//! What a developer sees and does: their own keys, and nobody else's.

use crate::shop::{ANNA, BEN, LEFT, ORDERS, REPORTS, SHOP, Shop, shown_once};
use crate::world::World;
use serde_json::{Value, json};
use support::client::Request;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_makes_rotates_and_revokes_own_keys() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["developer", "--user", ANNA]).await;
    assert_eq!(browser.url().await, "/console/my");
    browser.sees("A key must have: purpose.").await;
    browser.click("New key").await;
    browser.sees("A key must have: purpose.").await;
    browser.sees("No key has one of these scopes: *").await;
    browser
        .sees("A key can have these scopes at most: orders:read, orders:write")
        .await;

    browser.fill("Name", "mine").await;
    browser.fill("Scopes", "orders:read").await;
    browser.click("Make the key").await;
    browser.sees("rule require of the tenant").await;
    assert_eq!(
        browser.page().value("Name").await,
        "mine",
        "what was typed stays"
    );
    browser.fill("Purpose", "a program of mine").await;
    browser.click("Make the key").await;
    browser.sees("shown once").await;
    let first = shown_once(&browser).await;
    browser.reload().await;
    browser.sees("cannot be shown again").await;
    assert!(!browser.source().await.contains(&first));
    assert_eq!(verdict(&mut world, &first).await, "allowed");

    browser.click("To the page of the key").await;
    browser.click("Rotate").await;
    browser.fill("Grace", "0s").await;
    browser.click("Rotate the key").await;
    browser.sees("shown once").await;
    let second = shown_once(&browser).await;
    assert_eq!(verdict(&mut world, &first).await, "key_replaced");
    assert_eq!(verdict(&mut world, &second).await, "allowed");

    browser.click("To the page of the key").await;
    browser.click("Revoke").await;
    browser.fill("Reason", "the program is gone").await;
    browser.click("Revoke the key").await;
    browser.sees("It is revoked, at once and for good.").await;
    assert_eq!(verdict(&mut world, &second).await, "key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_sees_nobody_elses_keys() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let shop = Shop::open(&mut world).await;
    let browser = world.signed_in(&["developer", "--user", ANNA]).await;
    let keys = browser.within("Keys").table().await;
    let mut names = keys.column("Key");
    names.sort_unstable();
    assert_eq!(names, ["disabled", "orders", "revoked"]);
    let navigation = browser.within("Console").offered().await;
    assert_eq!(navigation, ["My keys", "Why?"]);
    for path in [
        "",
        "/keys",
        "/users",
        "/tenants",
        "/review",
        "/approvals",
        "/audit",
        "/tokens",
    ] {
        browser.open(&format!("/console{path}")).await;
        assert_eq!(browser.url().await, "/console/my", "{path}");
    }

    browser.click("Why?").await;
    browser.fill("Key, id of a key", &shop.orders).await;
    browser.click("Ask why").await;
    browser.sees(ORDERS).await;
    for other in [LEFT, &shop.left] {
        browser.fill("Key, id of a key", other).await;
        browser.click("Ask why").await;
        browser.sees("key_unknown").await;
        let source = browser.source().await;
        for secret in [BEN, &shop.left, &shop.orders] {
            assert!(!source.contains(secret), "{secret} is in {source}");
        }
    }

    let before = world.must("GET", "/audit?limit=500", Value::Null).await;
    for (path, form, status) in [
        (format!("/my/keys/{LEFT}/rotate"), "grace=0s", 404),
        (format!("/my/keys/{LEFT}/revoke"), "", 404),
        (format!("/keys/{ORDERS}/change"), "scopes=*", 303),
        (format!("/users/{ANNA}/change"), "apis=", 303),
        (format!("/tenants/{SHOP}/key-rules"), "", 303),
        ("/tokens/new".to_owned(), "name=mine&role=admin", 303),
    ] {
        let request = Request::post(format!("/console{path}"), form)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = browser.forge(request).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    let after = world.must("GET", "/audit?limit=500", Value::Null).await;
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_asks_for_an_api_and_sees_the_decision() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let developer = world.signed_in(&["developer", "--user", ANNA]).await;
    developer.sees("Your keys may use no API yet.").await;
    developer.click("Ask for an API").await;
    developer.fill("API", "figures").await;
    developer.fill("What for", "the year's figures").await;
    developer.click("Ask for it").await;
    developer.sees("The request is sent.").await;
    developer.within("figures").sees("pending").await;
    developer.within(REPORTS).sees("monthly figures").await;

    let admin = world.signed_in(&["admin"]).await;
    admin.open("/console/approvals").await;
    admin.within("figures").click("Approve").await;
    admin.fill("Reason", "as your lead says").await;
    admin.click("Approve the request").await;

    developer.click("My keys").await;
    developer
        .sees("Your keys may use these APIs: figures")
        .await;
    developer.within("figures").sees("approved").await;
    developer.within("figures").sees("as your lead says").await;
    developer.within(REPORTS).sees("pending").await;
}

/// What gateways say of a key for a request that asks for nothing but that it is one.
async fn verdict(world: &mut World, key: &str) -> Value {
    let question = json!({"key": key, "request": {"method": "GET", "host": "api", "path": "/"}});
    world.must("POST", "/explain", question).await["verdict"].take()
}
