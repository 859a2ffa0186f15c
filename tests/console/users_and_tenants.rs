//! Everything that is done with users and tenants, and what becomes of their keys.

use crate::browser::Browser;
use crate::steps::{cause, fill_in, make_key, make_user};
use crate::world::World;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_made_renamed_suspended_and_reactivated() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.signed_in(&["admin"]).await;
    make_tenant(&browser, "shop").await;
    let tenant = browser.url().await;
    browser.click("Rename").await;
    browser.fill("Name", "store").await;
    browser.click("Rename the tenant").await;
    browser.sees("Tenant store").await;
    browser.sees("name: shop → store").await;
    let key = with_key(&browser).await;

    browser.open(&tenant).await;
    browser.click("Suspend").await;
    stop(&browser, "Suspend the tenant").await;
    browser.sees("It is suspended").await;
    browser.open(&key).await;
    let told = cause(&browser, "Tenant").await;
    assert!(
        told.contains("since") && told.contains("by admin"),
        "{told}"
    );
    browser.fits_everywhere().await;
    browser.is_accessible().await;
    browser.click("Reactivate the tenant").await;
    browser.sees("It is active again").await;
    assert!(browser.url().await.starts_with(&key), "at the chain again");
    works(&browser).await;

    browser.open(&tenant).await;
    browser.click("Suspend").await;
    stop(&browser, "Suspend the tenant").await;
    browser.click("Reactivate").await;
    browser.open(&key).await;
    works(&browser).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_changed_stopped_in_every_way_and_reactivated() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.signed_in(&["admin"]).await;
    make_tenant(&browser, "shop").await;
    let key = with_key(&browser).await;
    browser
        .within("The key")
        .click(&browser.fact("User").await)
        .await;
    let user = browser.url().await;

    browser.click("Change").await;
    let fields = [
        ("Name in full", "The export"),
        ("Contact", "stock@example.com"),
        ("Scopes", "stock:read"),
    ];
    fill_in(&browser, &fields).await;
    browser.click("Change the user").await;
    browser.sees("The change is made.").await;
    let facts = browser.within("The user");
    assert_eq!(facts.fact("Name in full").await, "The export");
    assert_eq!(facts.fact("Contact").await, "stock@example.com");
    assert_eq!(facts.fact("Scopes").await, "stock:read");

    for (deed, submit, said) in [
        ("Suspend", "Suspend the user", "It is suspended"),
        ("Lock", "Lock the user", "The user is locked"),
        (
            "Deactivate",
            "Deactivate the user",
            "The user is deactivated",
        ),
    ] {
        browser.open(&user).await;
        browser.click(deed).await;
        stop(&browser, submit).await;
        browser.sees(said).await;
        browser.open(&key).await;
        cause(&browser, "User").await;
        browser.open(&user).await;
        browser.click("Reactivate").await;
        browser.sees("It is active again").await;
        browser.open(&key).await;
        works(&browser).await;
    }

    browser.open(&user).await;
    browser.click("Delete").await;
    browser.sees("Nobody can take that back").await;
    browser.click("Cancel").await;
    assert_eq!(browser.url().await, user);
    browser.click("Delete").await;
    stop(&browser, "Delete the user for good").await;
    browser.sees("The user is deleted for good.").await;
    for deed in ["Reactivate", "Change", "Delete", "New key"] {
        assert!(!browser.offers(deed).await, "{deed}");
    }
    browser.open(&key).await;
    cause(&browser, "User").await;
    assert!(!browser.offers("Reactivate the user").await, "it is gone");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_new_user_or_tenant_stands_beside_its_field() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open("/console/users").await;
    browser.click("New user").await;
    fill_in(&browser, &[("Tenant", "ten_nobody"), ("Name", "export")]).await;
    browser.click("Make the user").await;
    assert_eq!(browser.page().value("Name").await, "export");
    assert!(browser.source().await.contains("id=\"tenant_id-error\""));
    browser.is_accessible().await;

    browser.open("/console/tenants").await;
    browser.click("New tenant").await;
    fill_in(&browser, &[("Id", "ten shop"), ("Name", "shop")]).await;
    browser.click("Make the tenant").await;
    assert_eq!(browser.status().await, 400);
    assert_eq!(browser.page().value("Id").await, "ten shop");
    assert!(browser.source().await.contains("id=\"id-error\""));
    browser.fill("Id", "ten_shop").await;
    browser.click("Make the tenant").await;
    assert_eq!(browser.fact("Id").await, "ten_shop");
    browser.open("/console/tenants/ten_nobody").await;
    assert_eq!(browser.status().await, 404);
    browser.is_accessible().await;
}

async fn make_tenant(browser: &Browser, name: &str) {
    browser.open("/console/tenants").await;
    browser.click("New tenant").await;
    browser.fill("Name", name).await;
    browser.click("Make the tenant").await;
    browser.sees("It was made.").await;
    // Without what was just done.
    let page = browser.url().await;
    let page = page.split('?').next().unwrap_or_default();
    browser.open(page).await;
}

/// Makes a user of the tenant whose page is open, and a key of it, whose page is open then.
async fn with_key(browser: &Browser) -> String {
    make_user(browser, "export", "system").await;
    make_key(browser, &[("Name", "stock"), ("Scopes", "stock:read")]).await;
    browser.click("To the page of the key").await;
    browser.url().await
}

/// Stops what is in use, which the page says first.
async fn stop(browser: &Browser, submit: &str) {
    browser.click(submit).await;
    assert_eq!(browser.status().await, 409, "nothing was stopped yet");
    let in_use = browser.within("Keys that would stop working");
    in_use.sees("stock").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.tick("Stop them all the same", true).await;
    browser.click(submit).await;
}

async fn works(browser: &Browser) {
    let chain = browser.within("The chain").text().await;
    assert!(!chain.contains("breaks"), "{chain}");
}
