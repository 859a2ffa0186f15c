//! Everything that is done with a key, from making it to revoking it.

use crate::browser::Browser;
use crate::steps::{cause, fill_in, key_shown, make_key};
use crate::world::World;
use serde_json::json;
use support::{needs, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_shown_once() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, user) = with_user(&mut world).await;
    let fields = [
        ("Name", "stock"),
        ("Purpose", "nightly export"),
        ("Contact", "stock@example.com"),
        ("Environment", "live"),
        ("Scopes", "stock:read stock:write"),
        ("Networks", "10.0.0.0/8"),
        ("Hours", "mon-fri 08:00-18:00"),
        ("Expires", "2099-01-31"),
    ];
    let key = make_key(&browser, &fields).await;
    browser.sees("shown once").await;
    assert_eq!(browser.url().await, "/console/keys/new");
    assert!(key.starts_with("kb_live_"), "it names its environment");
    browser.fits_everywhere().await;
    browser.is_accessible().await;

    // The form is sent once more, and makes nothing.
    browser.reload().await;
    browser.sees("has made this key then").await;
    is_not_in(&browser, &key).await;
    browser.click("To the page of the key").await;
    is_not_in(&browser, &key).await;
    let facts = browser.within("The key");
    assert_eq!(facts.fact("Name").await, "stock");
    assert_eq!(facts.fact("Purpose").await, "nightly export");
    assert_eq!(facts.fact("Contact").await, "stock@example.com");
    assert_eq!(facts.fact("User").await, user);
    let fences = browser.within("Fences");
    assert_eq!(fences.fact("Scopes").await, "stock:read stock:write");
    assert_eq!(fences.fact("Networks").await, "10.0.0.0/8");
    assert_eq!(fences.fact("Environment").await, "live");
    assert_ne!(fences.fact("Expires").await, "never");
    assert!(fences.fact("Hours (UTC)").await.contains("08:00"));
    browser.back().await;
    is_not_in(&browser, &key).await;
    for page in ["/console", "/console/keys", "/console/audit"] {
        browser.open(page).await;
        is_not_in(&browser, &key).await;
    }
    browser.open("/console/keys").await;
    assert_eq!(browser.table().await.column("Key"), ["stock"]);
    let service = world.service().process().expect("it runs");
    assert!(!service.tail(usize::MAX).contains(&key));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_was_sent_before_says_so_where_its_time_is_another_now() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, _) = with_user(&mut world).await;
    let key = make_key(&browser, &[("Name", "stock"), ("Expires", "90d")]).await;
    // A second later 90 days from now are others.
    let told = wait::until("another second", async || {
        browser.reload().await;
        match browser.text().await {
            text if text.contains("This form was sent before.") => Ok(()),
            text => Err(text),
        }
    });
    told.await.unwrap_or_else(|error| panic!("{error}"));
    is_not_in(&browser, &key).await;
    browser.is_accessible().await;
    browser.click("Keys").await;
    assert_eq!(browser.table().await.column("Key"), ["stock"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_changed_and_what_is_wrong_stands_beside_its_field() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, _) = with_user(&mut world).await;
    make_key(&browser, &[("Name", "stock"), ("Scopes", "stock:read")]).await;
    browser.click("To the page of the key").await;
    let page = browser.url().await;
    let other = world.signed_in(&["admin"]).await;
    other.open(&page).await;
    other.click("Change").await;

    browser.click("Change").await;
    let wrong = [
        ("Purpose", "nightly export"),
        ("Networks", "everywhere"),
        ("Expires", "2020-01-31"),
    ];
    fill_in(&browser, &wrong).await;
    browser.click("Change the key").await;
    assert_eq!(browser.status().await, 400);
    assert_eq!(told_of_fields(&browser).await, ["networks"]);
    for (label, typed) in wrong {
        assert_eq!(browser.page().value(label).await, typed, "{label}");
    }
    browser.fits_everywhere().await;
    browser.is_accessible().await;
    browser.fill("Networks", "192.0.2.0/24").await;
    browser.fill("Expires", "30d").await;
    browser.click("Change the key").await;
    browser.sees("The change is made.").await;
    assert_eq!(browser.fact("Networks").await, "192.0.2.0/24");
    assert_eq!(browser.fact("Purpose").await, "nightly export");
    assert_eq!(browser.fact("Scopes").await, "stock:read", "as it was");
    browser.sees("networks: none → [192.0.2.0/24]").await;

    // Whoever had the form open before overwrites nothing unseen.
    other.fill("Name", "orders").await;
    other.click("Change the key").await;
    assert_eq!(other.status().await, 412);
    other.sees("changed meanwhile").await;
    browser.reload().await;
    assert_eq!(browser.fact("Name").await, "stock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_works_on_for_the_grace() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, _) = with_user(&mut world).await;
    let old = make_key(&browser, &[("Name", "stock"), ("Scopes", "stock:read")]).await;
    browser.click("To the page of the key").await;
    let page = browser.url().await;
    browser.click("Rotate").await;
    browser.fill("Grace", "7d").await;
    browser.click("Rotate the key").await;
    browser.sees("The old key").await;
    browser.sees("works until").await;
    let new = key_shown(&browser).await;
    assert_ne!(new, old);
    browser.reload().await;
    is_not_in(&browser, &new).await;

    browser.open(&page).await;
    assert_ne!(browser.fact("Replaced by").await, "");
    assert!(!browser.offers("Rotate").await, "it was");
    let works = browser.within("The chain").text().await;
    assert!(!works.contains("breaks"), "{works}");
    let successor = browser.fact("Replaced by").await;
    let successor = successor.split(' ').next().expect("an id");
    browser.within("The key").click(successor).await;
    assert_eq!(
        browser.fact("Replaces").await,
        page.replace("/console/keys/", "")
    );
    assert_eq!(browser.fact("Scopes").await, "stock:read");

    browser.open("/console/keys").await;
    assert_eq!(browser.table().await.rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_stopped_for_a_while_and_for_good() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, _) = with_user(&mut world).await;
    let key = make_key(&browser, &[("Name", "stock")]).await;
    browser.click("To the page of the key").await;
    let page = browser.url().await;

    browser.click("Disable").await;
    browser
        .sees("Gateways refuse every request with this key at once")
        .await;
    browser.click("Disable the key").await;
    browser
        .within("Keys that would stop working")
        .sees("stock, last use not known")
        .await;
    browser.fits_everywhere().await;
    browser.is_accessible().await;
    browser.tick("Stop them all the same", true).await;
    browser.click("Disable the key").await;
    browser.sees("The key is disabled.").await;
    let told = cause(&browser, "Key").await;
    assert!(
        told.contains("since") && told.contains("by admin"),
        "{told}"
    );
    // One who has the key in clear asks, and it stands nowhere afterwards.
    browser.open("/console").await;
    browser.fill("Why was it refused?", &key).await;
    browser.click("Ask why").await;
    cause(&browser, "Key").await;
    is_not_in(&browser, &key).await;
    assert_eq!(browser.url().await, "/console/why");
    browser.click("Enable the key").await;
    browser.sees("The key is enabled again.").await;
    let chain = browser.within("The chain").text().await;
    assert!(!chain.contains("breaks"), "{chain}");

    browser.open(&page).await;
    browser.click("Revoke").await;
    browser.fill("Reason", "seen in a chat").await;
    browser.click("Revoke the key for good").await;
    browser.sees("It is revoked, at once and for good.").await;
    assert_eq!(browser.fact("Reason").await, "seen in a chat");
    cause(&browser, "Key").await;
    for deed in ["Enable", "Disable", "Change", "Rotate", "Revoke"] {
        assert!(!browser.offers(deed).await, "{deed}");
    }
    browser.click("Make a new key").await;
    browser.click("Make the key").await;
    assert_ne!(key_shown(&browser).await, key);

    // Who may only read is offered nothing, and a form that is sent all the same does nothing.
    let reader = world.signed_in(&["viewer"]).await;
    reader.open(&page).await;
    assert!(!reader.offers("New key").await);
    reader.open("/console/keys/new").await;
    assert_eq!(reader.status().await, 403);
    reader.sees("You may only read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_rules_are_obeyed_and_named_beside_the_field() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let (browser, _) = with_user(&mut world).await;
    let user = browser.url().await;
    browser
        .within("The user")
        .click(&browser.fact("Tenant").await)
        .await;
    let tenant = browser.url().await;
    browser.click("Change the key rules").await;
    let rules = [
        ("Longest life", "90d"),
        ("Pattern of names", "[a-z-]+"),
        ("Forbidden scopes", "*"),
    ];
    fill_in(&browser, &rules).await;
    browser.tick("A key must have a purpose", true).await;
    browser.fits_everywhere().await;
    browser.is_accessible().await;
    browser.click("Change the key rules").await;
    browser.sees("The key rules are changed.").await;
    browser.sees("A key lives at most 90d.").await;

    browser.open(&user).await;
    browser.click("New key").await;
    browser.sees("A key must have: purpose.").await;
    fill_in(
        &browser,
        &[("Name", "Stock 1"), ("Scopes", "*"), ("Expires", "400d")],
    )
    .await;
    browser.click("Make the key").await;
    assert_eq!(
        told_of_fields(&browser).await,
        ["name", "purpose", "scopes", "expires_at"]
    );
    browser.sees("(rule max_lifetime of the tenant)").await;
    browser.sees("(rule forbid_scopes of the tenant)").await;
    fill_in(
        &browser,
        &[
            ("Name", "stock"),
            ("Purpose", "export"),
            ("Scopes", "stock:read"),
            ("Expires", "60d"),
        ],
    )
    .await;
    browser.click("Make the key").await;
    key_shown(&browser).await;

    browser.open(&tenant).await;
    browser.click("Remove the key rules").await;
    browser.sees("Nothing is asked of its keys.").await;
    browser.open(&user).await;
    make_key(&browser, &[("Name", "Stock 1"), ("Scopes", "*")]).await;
}

/// A browser of an administrator, with the page of a user who has no key, and the id of the user.
async fn with_user(world: &mut World) -> (Browser, String) {
    let tenant = world
        .must("POST", "/tenants", json!({"name": "shop"}))
        .await;
    let body = json!({"tenant_id": tenant["id"], "name": "export", "status": "active"});
    let user = world.must("POST", "/users", body).await;
    let user = user["id"].as_str().expect("an id").to_owned();
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console/users").await;
    browser.click("export").await;
    (browser, user)
}

async fn is_not_in(browser: &Browser, key: &str) {
    let page = browser.url().await;
    assert!(!page.contains(key), "{page}");
    assert!(
        !browser.source().await.contains(key),
        "the key is in {page}"
    );
}

/// The fields beside which stands what is wrong with them.
async fn told_of_fields(browser: &Browser) -> Vec<String> {
    let source = browser.source().await;
    let parts = source.split("class=\"error\" id=\"").skip(1);
    let names = parts.filter_map(|part| part.split("-error\"").next());
    names.map(str::to_owned).collect()
}
