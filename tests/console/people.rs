//! What those see and do who look after other people's keys: viewers, who change nothing, and administrators.

use crate::shop::{
    ANNA, BEN, CLOSED, DISABLED, LEFT, ORDERS, REPORTS, REVOKED, SHOP, Shop, shown_once,
};
use crate::world::{World, sign_in};
use serde_json::{Value, json};
use support::client::Request;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_offered_no_change() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["viewer"]).await;
    for path in [
        "/console".to_owned(),
        "/console/why".to_owned(),
        format!("/console/why?key_id={LEFT}"),
        format!("/console/why?key_id={ORDERS}&method=GET&path=/reports"),
        "/console/keys".to_owned(),
        format!("/console/keys/{ORDERS}"),
        format!("/console/keys/{DISABLED}"),
        format!("/console/keys/{REVOKED}"),
        "/console/users".to_owned(),
        format!("/console/users/{ANNA}"),
        format!("/console/users/{BEN}"),
        "/console/tenants".to_owned(),
        format!("/console/tenants/{SHOP}"),
        format!("/console/tenants/{CLOSED}"),
        "/console/review".to_owned(),
        "/console/approvals?status=any".to_owned(),
        "/console/audit".to_owned(),
        "/console/tokens".to_owned(),
        "/console/my".to_owned(),
    ] {
        browser.open(&path).await;
        let offered = browser.page().offered().await;
        for name in &offered {
            // Keys of the shop are called so, too.
            let is_record = ["disabled", "revoked"].contains(&name.as_str());
            assert!(is_record || !changes(name), "{path} offers {name:?}");
        }
        assert!(
            offered.iter().any(|name| name == "Sign out"),
            "{path}: {offered:?}"
        );
    }
    let form = format!("/console/keys/{ORDERS}/revoke");
    browser.open(&form).await;
    assert_eq!(browser.status().await, 403);
    browser.sees("You may only read").await;
    assert_eq!(
        browser.page().offered().await,
        ["To the content", "Keybound", "To the overview"]
    );
}

/// Whether a link or button of this name changes something, or leads to a form that does.
fn changes(name: &str) -> bool {
    const WORDS: [&str; 19] = [
        "new",
        "make",
        "change",
        "rename",
        "rotate",
        "disable",
        "enable",
        "revoke",
        "suspend",
        "lock",
        "deactivate",
        "delete",
        "reactivate",
        "remove",
        "approve",
        "deny",
        "ask for",
        "send",
        "stop",
    ];
    let name = name.to_lowercase();
    WORDS
        .iter()
        .any(|word| name == *word || name.starts_with(&format!("{word} ")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_viewer_sends_all_the_same_is_refused() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let shop = Shop::open(&mut world).await;
    let browser = world.signed_in(&["viewer"]).await;
    let before = world.must("GET", "/audit?limit=500", Value::Null).await;
    let approval = format!("/approvals/{}", shop.approval);
    for (path, form) in [
        ("/keys/new".to_owned(), "user_id=usr_anna&purpose=none"),
        (format!("/keys/{ORDERS}/change"), "name=stolen&version=2"),
        (format!("/keys/{ORDERS}/rotate"), "grace=0s"),
        (format!("/keys/{ORDERS}/disable"), "force=true"),
        (format!("/keys/{ORDERS}/revoke"), "reason=none"),
        (format!("/keys/{DISABLED}/enable"), ""),
        ("/users/new".to_owned(), "tenant_id=ten_shop"),
        (format!("/users/{ANNA}/change"), "apis=&version=1"),
        (format!("/users/{ANNA}/suspend"), "force=true"),
        (format!("/users/{ANNA}/lock"), "force=true"),
        (format!("/users/{ANNA}/deactivate"), "force=true"),
        (format!("/users/{ANNA}/delete"), "force=true"),
        (format!("/users/{BEN}/reactivate"), ""),
        ("/tenants/new".to_owned(), "name=mine"),
        (format!("/tenants/{SHOP}/change"), "name=mine&version=1"),
        (format!("/tenants/{SHOP}/suspend"), "force=true"),
        (format!("/tenants/{SHOP}/key-rules"), ""),
        (format!("/tenants/{SHOP}/key-rules/remove"), ""),
        (format!("/tenants/{CLOSED}/reactivate"), ""),
        (format!("{approval}/approve"), ""),
        (format!("{approval}/deny"), ""),
        ("/tokens/new".to_owned(), "name=mine&role=admin"),
        ("/tokens/viewer/revoke".to_owned(), ""),
        ("/my/keys/new".to_owned(), ""),
        ("/my/ask".to_owned(), "api=reports"),
    ] {
        let request = Request::post(format!("/console{path}"), form)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = browser.forge(request).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    let after = world.must("GET", "/audit?limit=500", Value::Null).await;
    assert_eq!(after, before);
    browser.open("/console").await;
    assert!(browser.offers("Sign out").await, "the token is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_decides_who_gets_an_api() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console").await;
    browser.click("Approvals").await;
    let request = browser.within(REPORTS);
    request.sees("monthly figures").await;
    request.click("Deny").await;
    browser
        .sees("The user usr_anna does not get the API reports")
        .await;
    browser.fill("Reason", "ask your lead first").await;
    browser.click("Deny the request").await;
    browser.sees("The request is denied.").await;
    browser.sees("No request is like this.").await;
    browser.choose("Status", "denied").await;
    browser.click("Filter").await;
    browser.within(REPORTS).sees("ask your lead first").await;
    assert!(!browser.offers("Approve").await, "it is decided once");
    assert_eq!(apis(&mut world).await, json!([]));

    again(&mut world, "asked my lead").await;
    browser.click("Approvals").await;
    browser.within(REPORTS).click("Approve").await;
    browser.sees("The user usr_anna gets the API reports").await;
    browser.click("Approve the request").await;
    browser.sees("The request is approved").await;
    assert_eq!(apis(&mut world).await, json!([REPORTS]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_approves_where_the_chain_breaks() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    let why =
        format!("/console/why?key_id={ORDERS}&method=GET&path=/reports&source_address=10.1.2.3");
    browser.open(&why).await;
    browser.sees("breaks here").await;
    browser
        .sees("The user usr_anna gets the API that admin-from-environment asked for")
        .await;
    browser.click("Approve the request").await;
    browser.sees("The request is approved").await;
    assert_eq!(
        browser.url().await,
        format!("/console/keys/{ORDERS}?done=approved")
    );
    assert_eq!(apis(&mut world).await, json!([REPORTS]));
    browser.open(&why).await;
    browser.sees_no("breaks here").await;
    assert!(!browser.offers("Approve the request").await);
}

async fn again(world: &mut World, reason: &str) {
    let asked = json!({"user_id": ANNA, "api": REPORTS, "reason": reason});
    world.must("POST", "/approvals", asked).await;
}

async fn apis(world: &mut World) -> Value {
    let path = format!("/users/{ANNA}");
    world.must("GET", &path, Value::Null).await["apis"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_shown_once_and_revoked() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let admin = world.signed_in(&["admin"]).await;
    admin.open("/console/tokens").await;
    admin.click("New token").await;
    admin.fill("Name", "vera").await;
    admin
        .choose("Role", "viewer: reads everything, or one tenant")
        .await;
    admin.fill("Expires in", "30d").await;
    admin.click("Make the token").await;
    admin.sees("shown once").await;
    let token = shown_once(&admin).await;
    admin.reload().await;
    admin.sees("cannot be shown again").await;
    assert!(!admin.source().await.contains(&token));

    let vera = world.browser().await;
    sign_in(&vera, &token).await;
    vera.sees("vera viewer").await;
    admin.click("To the list of tokens").await;
    admin.within("vera").sees("active").await;
    admin.click("Revoke vera").await;
    admin.sees("signed out of the console").await;
    admin.click("Revoke the token").await;
    admin.sees("It is revoked").await;
    admin.within("vera").sees("revoked").await;
    assert!(!admin.offers("Revoke vera").await);

    vera.click("Keys").await;
    assert_eq!(vera.url().await, "/console/sign-in?next=%2Fconsole%2Fkeys");
    sign_in(&vera, &token).await;
    assert_eq!(vera.status().await, 401);
    vera.sees("No such token").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_says_in_words_what_was_changed() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open(&format!("/console/keys/{DISABLED}")).await;
    browser.within("What can be done").click("Enable").await;
    browser.sees("The key is enabled again.").await;

    browser.click("Audit log").await;
    browser.choose("About", "keys").await;
    browser.fill("Id", DISABLED).await;
    browser.click("Filter").await;
    let table = browser.table().await;
    let newest = table.rows.first().expect("an entry");
    assert_eq!(
        &newest[1..],
        [
            "admin",
            "update",
            "key key_disabled",
            "status: disabled → active"
        ]
    );
    assert_eq!(table.column("What").last(), Some(&"create"));
    browser.fill("Who", "nobody").await;
    browser.click("Filter").await;
    browser.sees("No entry is like this.").await;
    browser.open("/console").await;
    browser
        .within("Newest changes")
        .sees("status: disabled → active")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_review_is_read_by_reason() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["viewer"]).await;
    browser.open("/console/review").await;
    browser.within("left").sees("owner_inactive").await;
    browser.within("left").sees("no_expiry").await;
    browser
        .choose("Reason", "owner_inactive: its user is not active")
        .await;
    browser.click("Filter").await;
    assert_eq!(browser.table().await.column("Key"), ["left"]);
    browser
        .choose("Reason", "orphaned: its user does not exist")
        .await;
    browser.click("Filter").await;
    browser.sees("No key asks for a look.").await;
    browser.click("All").await;
    browser.within("left").click("left").await;
    assert_eq!(browser.url().await, format!("/console/keys/{LEFT}"));
}
