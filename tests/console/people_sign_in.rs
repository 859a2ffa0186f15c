//! Who comes in, how long they stay, and who stays out.

use crate::browser::Browser;
use crate::site::{Site, form_to};
use crate::world::{World, sign_in};
use support::needs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_in_until_its_holder_signs_out() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.browser().await;
    browser.open("/console").await;
    browser.sees("Sign in").await;
    sign_in(&browser, "no-such-token").await;
    is_out(&browser).await;
    assert_eq!(browser.status().await, 401);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.fits_everywhere().await;
    browser.is_accessible().await;

    let token = world.token(&["admin"]);
    sign_in(&browser, &token).await;
    assert_eq!(browser.url().await, "/console");
    assert!(!browser.source().await.contains(&token));
    let cookie = browser.cookie("keybound").await.unwrap();
    assert_eq!(cookie["httpOnly"], true);
    assert_eq!(cookie["sameSite"], "Lax");
    browser.fits_everywhere().await;
    browser.is_accessible().await;
    assert!(browser.strangers().await.is_empty());

    browser.click("Sign out").await;
    is_out(&browser).await;
    browser.back().await;
    browser.reload().await;
    is_out(&browser).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sites_form_does_nothing() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let browser = world.signed_in(&["viewer"]).await;
    let form = form_to(&browser.address("/console/sign-out"), "", &[]);
    let other = Site::foreign(&[("/prize", &form)]).await;

    browser.open(&other.elsewhere("/prize")).await;
    browser.click("Win a prize").await;

    assert_eq!(browser.status().await, 403);
    browser.open("/console").await;
    assert!(browser.offers("Sign out").await, "still signed in");
}

async fn is_out(browser: &Browser) {
    assert!(browser.offers("Sign in").await);
    assert!(!browser.offers("Sign out").await);
}
