//! How a session begins and ends: by a provider of identities, by another browser, by an administrator; and that what
//! comes from another site is part of none.

use crate::browser::Browser;
use crate::issuer::{CLIENT, Issuer};
use crate::shop::{ANNA, ORDERS, Shop};
use crate::site::{Site, form_to};
use crate::world::{World, sign_in};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_everywhere_ends_what_another_browser_was_about_to_do() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let token = world.token(&["admin"]);
    let (desk, telephone) = (world.browser().await, world.browser().await);
    sign_in(&desk, &token).await;
    sign_in(&telephone, &token).await;
    desk.open(&format!("/console/keys/{ORDERS}/revoke")).await;
    desk.fill("Reason", "a mistake").await;

    telephone.click("Sign out everywhere").await;
    desk.click("Revoke the key for good").await;

    is_out(&desk).await;
    desk.sees("nothing was done").await;
    assert_eq!(status(&mut world, "keys", ORDERS).await, "active");
    comes_back(&desk, &token).await;
    assert_eq!(desk.url().await, format!("/console/keys/{ORDERS}/revoke"));
    desk.click("Revoke the key for good").await;
    desk.sees("It is revoked").await;
    assert_eq!(status(&mut world, "keys", ORDERS).await, "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_again_is_where_they_wanted_to_go() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let token = world.token(&["viewer"]);
    let browser = world.browser().await;
    sign_in(&browser, &token).await;
    browser.click("Keys").await;
    browser.forget_cookies().await;
    browser.fill("Search", "orders").await;
    browser.click("Filter").await;

    is_out(&browser).await;
    comes_back(&browser, &token).await;
    assert_eq!(browser.table().await.column("Key"), ["orders"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_its_sessions_at_the_next_click() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    browser.open(&format!("/console/users/{ANNA}/lock")).await;
    world.must("POST", "/tokens/admin/revoke", json!({})).await;
    browser.click("Lock the user").await;

    is_out(&browser).await;
    browser.sees("nothing was done").await;
    assert_eq!(status(&mut world, "users", ANNA).await, "active");
    browser.back().await;
    browser.reload().await;
    is_out(&browser).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_who_is_stopped_is_out_at_the_next_click() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let token = world.token(&["developer", "--user", ANNA]);
    let browser = world.browser().await;
    sign_in(&browser, &token).await;
    browser
        .open(&format!("/console/my/keys/{ORDERS}/revoke"))
        .await;
    let path = format!("/users/{ANNA}?force=true");
    world
        .must("PATCH", &path, json!({"status": "deactivated"}))
        .await;
    browser.click("Revoke the key").await;

    is_out(&browser).await;
    assert_eq!(status(&mut world, "keys", ORDERS).await, "active");
    sign_in(&browser, &token).await;
    assert_eq!(browser.status().await, 403);
    browser.sees("gone or not active").await;

    world
        .must("PATCH", &path, json!({"status": "active"}))
        .await;
    browser.open("/console/my").await;
    browser.sees("What is asked of new keys").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_site_sends_does_nothing() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    let revoke = browser.address(&format!("/console/keys/{ORDERS}/revoke"));
    let form = form_to(&revoke, "", &[("reason", "a prize")]);
    let site = Site::foreign(&[("/prize", &form)]).await;
    // The second is another site on the same host, to which the browser sends its cookies.
    let neighbour = format!("http://127.0.0.1:{}/prize", site.port());
    for prize in [site.elsewhere("/prize"), neighbour] {
        browser.open(&prize).await;
        browser.click("Win a prize").await;
        assert_eq!(browser.status().await, 403, "{prize}");
        browser
            .sees("Nothing was done: the form was sent by a page of another site.")
            .await;
        assert_eq!(
            status(&mut world, "keys", ORDERS).await,
            "active",
            "{prize}"
        );
    }
    browser.open("/console").await;
    assert!(browser.offers("Sign out").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_says_who_is_an_administrator_and_who_a_developer() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let visitor = Arc::new(Mutex::new(Value::Null));
    let issuer = provider(&visitor);
    let origin = trust(&mut world, issuer).await;
    let is = |claims: Value| *visitor.lock().unwrap() = claims;

    is(json!({"groups": ["staff", "admins"], "email": "ada@example.com"}));
    let admin = world.browser().await;
    admin.open(&format!("{origin}/console/users/{ANNA}")).await;
    admin.click("Sign in with 127.0.0.1").await;
    admin.sees("Who are you?").await;
    admin.click("It is me").await;
    assert_eq!(admin.url().await, format!("{origin}/console/users/{ANNA}"));
    admin.sees("oidc:ada@example.com admin").await;
    for token in issuer.given() {
        assert!(!admin.source().await.contains(&token));
    }

    is(json!({"sub": "17", "email": "anna@example.com", "email_verified": true}));
    let developer = world.browser().await;
    developer.open(&format!("{origin}/console")).await;
    developer.click("Sign in with 127.0.0.1").await;
    developer.click("It is me").await;
    developer
        .sees("oidc:anna@example.com developer usr_anna")
        .await;
    developer.within("Keys").sees("orders").await;

    admin.click("Suspend").await;
    admin.click("Suspend the user").await;
    admin.tick("Stop them all the same", true).await;
    admin.click("Suspend the user").await;
    admin.sees("It is suspended").await;
    admin.within("Changes").sees("oidc:ada@example.com").await;
    developer.click("Why?").await;
    is_out(&developer).await;
    developer.click("Sign in with 127.0.0.1").await;
    developer.click("It is me").await;
    assert_eq!(developer.status().await, 403);
    developer.sees("no active user has").await;
    developer.is_accessible().await;

    admin.click("Sign out").await;
    is_out(&admin).await;
}

/// A provider, which says of whoever comes what is in here. It ends with this process: it has a runtime of its own,
/// which neither begins nor ends within that of a test.
fn provider(visitor: &Arc<Mutex<Value>>) -> &'static Issuer {
    let visitor = Arc::clone(visitor);
    let started = thread::spawn(|| Issuer::visited_by(visitor)).join();
    Box::leak(Box::new(started.expect("the provider starts")))
}

/// Lets people sign in by this provider. Gives where browsers then reach the console: for them at another site than the
/// provider is.
async fn trust(world: &mut World, issuer: &Issuer) -> String {
    let service = world.service();
    let origin = format!("http://localhost:{}", service.port());
    let folder = service.folder().to_owned();
    let roles = json!([{"claim": "groups", "value": "admins", "role": "admin"}]);
    for (variable, name, text) in [
        (
            "KEYBOUND_OIDC_CLIENT_SECRET_FILE",
            "secret",
            CLIENT.1.to_owned(),
        ),
        ("KEYBOUND_OIDC_ROLES", "roles.json", roles.to_string()),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).expect("the folder takes files");
        service.set(variable, path.display().to_string());
    }
    service.set("KEYBOUND_CONSOLE_ORIGIN", &origin);
    service.set("KEYBOUND_OIDC_ISSUER", &issuer.url);
    service.set("KEYBOUND_OIDC_CLIENT_ID", CLIENT.0);
    let started = service.run().await;
    started.unwrap_or_else(|error| panic!("{error}"));
    origin
}

/// Signs in on the page that is there.
async fn comes_back(browser: &Browser, token: &str) {
    browser.fill("Token", token).await;
    browser.click("Sign in").await;
}

async fn is_out(browser: &Browser) {
    assert_eq!(browser.title().await, "Sign in - Keybound");
    assert!(!browser.offers("Sign out").await);
}

async fn status(world: &mut World, kind: &str, id: &str) -> Value {
    let path = format!("/{kind}/{id}");
    world.must("GET", &path, Value::Null).await["status"].take()
}
