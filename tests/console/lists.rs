//! Lists are filtered, sorted, paged through and taken whole.

use crate::world::World;
use serde_json::{Value, json};
use support::client::Request;
use support::needs;

/// More than a page holds.
const KEYS: usize = 55;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_are_found_and_taken() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let tenant = world
        .must("POST", "/tenants", json!({"name": "shop"}))
        .await;
    let body = json!({"tenant_id": tenant["id"], "name": "export", "status": "active"});
    let user = world.must("POST", "/users", body).await;
    for number in 0..KEYS {
        let body = json!({"user_id": user["id"], "name": format!("key {number:02}")});
        world.must("POST", "/keys", body).await;
    }
    let dangerous = json!({"user_id": user["id"], "name": "=1+1, \"quoted\""});
    world.must("POST", "/keys", dangerous).await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console/keys").await;
    browser.fits_everywhere().await;
    browser.is_accessible().await;

    // By name from below, from above, and on to the next page in the same order.
    browser.click("Key").await;
    let table = browser.table().await;
    let names = table.column("Key ▲");
    assert_eq!(names.len(), 50);
    assert_eq!(names.get(..2), Some(&["=1+1, \"quoted\"", "key 00"][..]));
    browser.click("Key ▲").await;
    let table = browser.table().await;
    assert_eq!(table.column("Key ▼").first(), Some(&"key 54"));
    browser.click("Next page").await;
    let rest = browser.table().await;
    assert_eq!(rest.rows.len(), KEYS + 1 - 50);
    assert_eq!(rest.column("Key ▼").first(), Some(&"key 04"));
    assert!(!browser.offers("Next page").await);
    browser.click("To the first page").await;
    assert_eq!(
        browser.table().await.column("Key ▼").first(),
        Some(&"key 54")
    );

    // Narrowed in the same order.
    browser.fill("Search", "key 1").await;
    browser.choose("Kind of user", "person").await;
    browser.click("Filter").await;
    let table = browser.table().await;
    assert_eq!(table.rows.len(), 10);
    assert_eq!(table.column("Key ▼").first(), Some(&"key 19"));
    assert_eq!(browser.page().value("Search").await, "key 1");
    let narrowed = browser.url().await;
    let (_, query) = narrowed.split_once('?').expect("what is asked for");
    let taken = browser.forge(Request::get(format!("/console/keys.json?{query}")));
    let taken: Value = taken.await.json();
    assert_eq!(taken.as_array().map(Vec::len), Some(10));
    browser.fill("Expires within", "soon").await;
    browser.click("Filter").await;
    assert_eq!(browser.status().await, 400);
    assert!(
        browser
            .source()
            .await
            .contains("id=\"expires_within-error\"")
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.click("All").await;
    assert_eq!(browser.table().await.rows.len(), 50);

    // Taken whole, in two forms, by links of the page.
    let source = browser.source().await;
    for link in ["href=\"/console/keys.csv\"", "href=\"/console/keys.json\""] {
        assert!(source.contains(link), "{link}");
    }
    let csv = browser.forge(Request::get("/console/keys.csv")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = csv.text();
    assert_eq!(text.lines().count(), KEYS + 2);
    assert!(text.contains(",\"'=1+1, \"\"quoted\"\"\","), "{text}");
    let all = browser.forge(Request::get("/console/keys.json")).await;
    let all: Value = all.json();
    assert_eq!(all.as_array().map(Vec::len), Some(KEYS + 1));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_taken_by_those_who_may_see_it() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let tenant = world
        .must("POST", "/tenants", json!({"name": "shop"}))
        .await;
    let body = json!({"tenant_id": tenant["id"], "name": "export", "status": "active"});
    let user = world.must("POST", "/users", body).await;
    let body = json!({"user_id": user["id"], "name": "stock", "scopes": ["*"]});
    world.must("POST", "/keys", body).await;
    let browser = world.signed_in(&["viewer"]).await;
    for (page, name) in [
        ("Keys", "keys"),
        ("Users", "users"),
        ("Tenants", "tenants"),
        ("Review", "review"),
        ("Approvals", "approvals"),
        ("Audit log", "audit"),
    ] {
        browser.click(page).await;
        assert_eq!(browser.status().await, 200, "{page}");
        browser.fits_everywhere().await;
        browser.is_accessible().await;
        for (link, kind) in [("csv", "text/csv"), ("json", "application/json")] {
            let path = format!("/console/{name}.{link}");
            assert!(
                browser.source().await.contains(&format!("href=\"{path}")),
                "{path}"
            );
            let taken = browser.forge(Request::get(&path)).await;
            assert_eq!(taken.status, 200, "{path}");
            let found = taken.header("content-type").unwrap_or_default();
            assert!(found.starts_with(kind), "{path}: {found}");
            assert!(
                taken
                    .header("content-disposition")
                    .is_some_and(|header| header.contains("attachment"))
            );
        }
    }
    // Nobody else takes them.
    let stranger = world.browser().await;
    stranger.open("/console/sign-in").await;
    let taken = stranger.forge(Request::get("/console/keys.csv")).await;
    assert_ne!(taken.status, 200);
    assert!(!taken.text().contains("stock"));
}
