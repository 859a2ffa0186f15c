//! The four stories that the product is for, from the question to the mended gateway, by the pages alone: at most four
//! clicks from the overview to the cause. The same stories without a person are in `tests/envoy/stories`.

use crate::browser::Browser;
use crate::steps::{Counted, cause, make_key, make_user};
use crate::world::{Migration, OffBoarding, Overnight, World, WrongTenant, with_key};
use support::client::Request;
use support::{needs, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration() {
    if !needs::browser() {
        return;
    }
    let mut world = World::with_gateway().await;
    let story = Migration::happened(&mut world).await;
    let call = story.call("/stock/first-call");
    world.answered(&call, Some("user_deactivated")).await;
    let line = world.log_line("/stock/first-call").await;
    let browser = world.signed_in(&["admin"]).await;

    // Whoever has the line of the log asks.
    let mut way = Counted::from_overview(&browser).await;
    way.ask(&line).await;
    names_who_deactivated(&browser, &story.administrator).await;
    browser.sees("403").await;
    way.is_near();

    // Whoever knows no more than that a job fails sees that an account was deactivated.
    let mut way = Counted::from_overview(&browser).await;
    let user = format!("user {}", story.administrator);
    way.click_in(browser.within("Newest changes"), &user).await;
    browser.sees("status: active → deactivated").await;
    way.click_in(browser.within("Its keys"), "batch job").await;
    names_who_deactivated(&browser, &story.administrator).await;
    way.is_near();

    // A system user with a key of its own, which may read the stock and nothing else.
    let tenant = browser.within("The key");
    tenant.click(&story.tenant).await;
    make_user(&browser, "stock system", "system").await;
    let scopes = [
        ("Name", "stock"),
        ("Scopes", "stock:read"),
        ("Environment", "live"),
    ];
    let key = make_key(&browser, &scopes).await;
    world.hides(&key);
    let read = with_key(Request::get("/stock/second-call"), &key);
    world.answered(&read, None).await;
    let write = with_key(Request::post("/stock/third-call", "7"), &key);
    world.answered(&write, Some("scope_missing")).await;
    world.answered(&call, Some("user_deactivated")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_tenant() {
    if !needs::browser() {
        return;
    }
    let mut world = World::with_gateway().await;
    let story = WrongTenant::happened(&mut world).await;
    let call = story.call("/v1/summaries/first");
    world.answered(&call, Some("tenant_mismatch")).await;
    let line = world.log_line("/v1/summaries/first").await;
    let browser = world.signed_in(&["admin"]).await;

    let mut way = Counted::from_overview(&browser).await;
    way.ask(&line).await;
    let told = cause(&browser, "Tenant").await;
    assert!(told.contains(&story.research), "{told}");
    assert!(told.contains("ten_content"), "{told}");
    assert!(told.contains("since"), "{told}");
    assert!(told.contains("by admin"), "{told}");
    let client = browser.within("What the client saw");
    client.sees("403").await;
    client.sees_no(&story.research).await;
    client.sees_no("ten_content").await;
    way.is_near();

    // By the id of the key, and what the client does.
    let mut way = Counted::from_overview(&browser).await;
    way.ask(&story.key.id).await;
    way.click("The request").await;
    browser.fill("Method", "POST").await;
    browser.fill("Path", "/v1/summaries/first").await;
    browser
        .fill("Key, id of a key, or line of the access log", &story.key.id)
        .await;
    way.click("Ask why").await;
    assert!(cause(&browser, "Tenant").await.contains("ten_content"));
    way.is_near();

    // Revoked, and reissued to the developer's user of the right tenant.
    browser.within("The chain").click(&story.key.id).await;
    browser.click("Revoke").await;
    browser
        .fill("Reason", "made under the research tenant")
        .await;
    browser.click("Revoke the key for good").await;
    browser.sees("It is revoked, at once and for good.").await;
    browser.sees("made under the research tenant").await;
    browser.click("Tenants").await;
    browser.click("content").await;
    make_user(&browser, "developer", "person").await;
    let fields = [("Name", "summaries"), ("Scopes", "summaries:create")];
    let key = make_key(&browser, &fields).await;
    world.hides(&key);
    let right = with_key(Request::post("/v1/summaries/second", "a long text"), &key);
    world.answered(&right, None).await;
    world.answered(&call, Some("key_revoked")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overnight() {
    if !needs::browser() {
        return;
    }
    let mut world = World::with_gateway().await;
    let story = Overnight::begins(&mut world).await;
    world.answered(&story.call("/orders"), None).await;
    was_used(&mut world, &story.key.id).await;

    // At night somebody takes the integration for dormant, and does not read what the page says.
    let night = world.signed_in(&["admin"]).await;
    night.open("/console/users").await;
    night.click("integration").await;
    night.click("Deactivate").await;
    night.click("Deactivate the user").await;
    assert_eq!(night.status().await, 409);
    let in_use = night.within("Keys that would stop working");
    in_use.sees(&story.key.id).await;
    in_use.sees("orders, last used").await;
    world.answered(&story.call("/orders"), None).await;
    night.tick("Stop them all the same", true).await;
    night.click("Deactivate the user").await;
    night.sees("its keys are refused from now on").await;
    let call = story.call("/orders/night");
    world.answered(&call, Some("user_deactivated")).await;
    let line = world.log_line("/orders/night").await;

    // In the morning somebody else has the line of the log.
    let morning = world.signed_in(&["admin"]).await;
    let mut way = Counted::from_overview(&morning).await;
    way.ask(&line).await;
    names_who_deactivated(&morning, &story.user).await;
    morning
        .sees(&format!(
            "All keys of the user {} work again at once",
            story.user
        ))
        .await;
    way.is_near();
    morning.click("Reactivate the user").await;
    morning.sees("It is active again").await;
    let chain = morning.within("The chain").text().await;
    assert!(!chain.contains("breaks"), "{chain}");
    world.answered(&story.call("/orders/morning"), None).await;

    // By clicks alone, had there been no line: the newest change names it.
    let mut way = Counted::from_overview(&morning).await;
    let user = format!("user {}", story.user);
    way.click_in(morning.within("Newest changes"), &user).await;
    morning.sees("status: deactivated → active").await;
    morning.sees("status: active → deactivated").await;
    way.is_near();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_boarding() {
    if !needs::browser() {
        return;
    }
    let mut world = World::with_gateway().await;
    let story = OffBoarding::begins(&mut world).await;
    world.answered(&story.call("/orders/day"), None).await;
    was_used(&mut world, &story.batch().id).await;
    story.leaves(&mut world).await;
    for key in &story.keys {
        let call = with_key(Request::get("/orders/night"), &key.key);
        world.answered(&call, Some("user_deactivated")).await;
    }
    // The batch job goes on trying.
    let call = story.call("/orders/again");
    world.answered(&call, Some("user_deactivated")).await;
    let browser = world.signed_in(&["admin"]).await;

    // The review names the keys, and which of them was in use.
    let mut way = Counted::from_overview(&browser).await;
    way.click("Review").await;
    let review = browser.table().await;
    assert_eq!(review.rows.len(), story.keys.len(), "{review:#?}");
    assert!(
        review
            .column("Reasons")
            .iter()
            .all(|reasons| reasons.contains("owner_inactive"))
    );
    let used = review.column("Last used");
    let used = review.column("Key").into_iter().zip(used);
    let used: Vec<&str> = used
        .filter(|(_, last)| *last != "never")
        .map(|(key, _)| key)
        .collect();
    assert_eq!(used, ["key number 5"]);
    way.click("key number 5").await;
    let told = cause(&browser, "User").await;
    assert!(told.contains("by scim"), "{told}");
    way.is_near();
    refusals_are_counted(&browser).await;
    let tenant = browser.within("The key");
    tenant.click(&story.tenant).await;

    // A system user with a key of its own, and nobody else's.
    make_user(&browser, "nightly orders", "system").await;
    let fields = [("Name", "nightly orders"), ("Scopes", "orders:read")];
    let key = make_key(&browser, &fields).await;
    world.hides(&key);
    let mended = with_key(Request::get("/orders/mended"), &key);
    world.answered(&mended, None).await;
    world.answered(&call, Some("user_deactivated")).await;

    // The audit log says who left, by whom.
    browser.click("Audit log").await;
    browser.sees("status: active → deactivated").await;
    browser.within(&format!("user {}", story.person));
}

/// The chain breaks at the user, since a time, by the token of the tests' own requests or of the page.
async fn names_who_deactivated(browser: &Browser, user: &str) {
    let told = cause(browser, "User").await;
    for text in [user, "deactivated", "since", "by admin"] {
        assert!(told.contains(text), "{text:?} is not in {told}");
    }
}

/// Waits until the gateway has reported that a key was used.
async fn was_used(world: &mut World, key: &str) {
    let used = wait::until("the use to be reported", async || {
        let path = format!("/keys/{key}");
        let key = world.service().must("GET", &path, None).await;
        let key = key.unwrap_or_default();
        match key["last_used_at"].is_null() {
            false => Ok(()),
            true => Err(key.to_string()),
        }
    });
    used.await.unwrap_or_else(|error| panic!("{error}"));
}

/// The page of the key says after a report how often it was refused, and why.
async fn refusals_are_counted(browser: &Browser) {
    let counted = wait::until("the refusals to be counted", async || {
        browser.reload().await;
        let text = browser.within("Use").text().await;
        match text.contains("user_deactivated") {
            true => Ok(()),
            false => Err(text),
        }
    });
    counted.await.unwrap_or_else(|error| panic!("{error}"));
}
