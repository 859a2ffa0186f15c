//! What holds for every page with records in it: everybody can use it, by day and by night, on each screen and by the
//! keyboard alone, and it asks nobody but the key service for anything.

use crate::browser::{Browser, DARK, LIGHT};
use crate::shop::{ANNA, BEN, CLOSED, DISABLED, LEFT, ORDERS, REVOKED, SHOP, Shop};
use crate::world::{World, sign_in};
use fantoccini::key::Key;
use support::needs;

/// How often the tabulator is pressed at most, from the begin of the content to what the page is for.
const PATIENCE: usize = 40;

/// A page: where it is, its heading, what it is for, and the status of its answer.
struct Page<'a> {
    path: &'a str,
    heading: &'a str,
    action: &'a str,
    status: u64,
}

const fn page<'a>(path: &'a str, heading: &'a str, action: &'a str) -> Page<'a> {
    Page {
        path,
        heading,
        action,
        status: 200,
    }
}

/// A page that says why it does not do what it was asked for.
const fn error<'a>(path: &'a str, heading: &'a str, action: &'a str, status: u64) -> Page<'a> {
    Page {
        status,
        ..page(path, heading, action)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_lists_is_for_everybody() {
    let approval = "/console/approvals?status=any";
    for_an_admin(|_| {
        vec![
            page("/console", "Overview", "Ask why"),
            page("/console/keys", "Keys", "New key"),
            page("/console/keys?sort=-created", "Keys", "Filter"),
            error("/console/keys?unused_for=soon", "Keys", "Filter", 400),
            page("/console/users", "Users", "New user"),
            page("/console/tenants", "Tenants", "New tenant"),
            page("/console/review", "Review", "Filter"),
            page("/console/approvals", "Approvals", "Approve"),
            page(approval, "Approvals", "Deny"),
            page("/console/audit", "Audit log", "Filter"),
            error("/console/audit?since=soon", "Audit log", "Filter", 400),
            page("/console/tokens", "Tokens", "New token"),
        ]
        .into_iter()
        .map(owned)
        .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_keys_is_for_everybody() {
    let key = |what: &str| format!("/console/keys/{ORDERS}{what}");
    let of = |what: &str| format!("{what} the key {ORDERS}");
    for_an_admin(|_| {
        vec![
            owned(page("/console/why", "Why?", "Ask why")),
            at(format!("/console/why?key_id={ORDERS}"), "Why?", "Ask why"),
            at(
                format!("/console/why?key_id={LEFT}"),
                "Why?",
                "Reactivate the user",
            ),
            owned(error(
                "/console/why?key_id=key_none",
                "Why?",
                "Ask why",
                404,
            )),
            at(key(""), "Key orders", "Revoke"),
            at(
                format!("/console/keys/{DISABLED}"),
                "Key disabled",
                "Enable the key",
            ),
            at(format!("/console/keys/{REVOKED}"), "Key revoked", "New key"),
            owned(page("/console/keys/new", "New key", "Make the key")),
            at(key("/change"), &of("Change"), "Change the key"),
            at(key("/rotate"), &of("Rotate"), "Rotate the key"),
            at(key("/disable"), &of("Disable"), "Disable the key"),
            at(key("/revoke"), &of("Revoke"), "Revoke the key for good"),
            owned(error(
                "/console/keys/key_none",
                "Not found",
                "To the overview",
                404,
            )),
            owned(error(
                "/console/nothing",
                "There is no such page",
                "To the overview",
                404,
            )),
        ]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_users_tenants_and_tokens_is_for_everybody() {
    let user = |what: &str| format!("/console/users/{ANNA}{what}");
    let tenant = |what: &str| format!("/console/tenants/{SHOP}{what}");
    for_an_admin(|shop| {
        let request =
            |what: &str| format!("/console/approvals/{}/{what}?user={ANNA}", shop.approval);
        vec![
            at(user(""), "User anna", "New key"),
            at(
                format!("/console/users/{BEN}"),
                "User ben",
                "Reactivate usr_ben",
            ),
            owned(page("/console/users/new", "New user", "Make the user")),
            at(
                user("/change"),
                "Change the user usr_anna",
                "Change the user",
            ),
            at(
                user("/suspend"),
                "Suspend the user usr_anna",
                "Suspend the user",
            ),
            at(user("/lock"), "Lock the user usr_anna", "Lock the user"),
            at(
                user("/deactivate"),
                "Deactivate the user usr_anna",
                "Deactivate the user",
            ),
            at(
                user("/delete"),
                "Delete the user usr_anna",
                "Delete the user for good",
            ),
            at(tenant(""), "Tenant shop", "New user"),
            at(
                format!("/console/tenants/{CLOSED}"),
                "Tenant closed shop",
                "Reactivate ten_closed",
            ),
            owned(page(
                "/console/tenants/new",
                "New tenant",
                "Make the tenant",
            )),
            at(
                tenant("/change"),
                "Rename the tenant ten_shop",
                "Rename the tenant",
            ),
            at(
                tenant("/suspend"),
                "Suspend the tenant ten_shop",
                "Suspend the tenant",
            ),
            at(
                tenant("/key-rules"),
                "Key rules of the tenant ten_shop",
                "Change the key rules",
            ),
            at(
                request("approve"),
                "Approve the request",
                "Approve the request",
            ),
            at(request("deny"), "Deny the request", "Deny the request"),
            owned(page("/console/tokens/new", "New token", "Make the token")),
            owned(page(
                "/console/tokens/admin/revoke",
                "Revoke the token admin",
                "Revoke the token",
            )),
            owned(error(
                "/console/my",
                "These pages are for developers",
                "Make a developer's token",
                403,
            )),
        ]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_developers_is_for_everybody() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let token = world.token(&["developer", "--user", ANNA]);
    let browser = world.browser().await;
    for path in ["/console/sign-in", "/console/sign-in?ended=1"] {
        is_for_everybody(&browser, &at(path.to_owned(), "Sign in", "Sign in")).await;
    }
    sign_in(&browser, &token).await;
    let key = |what: &str| format!("/console/my/keys/{ORDERS}{what}");
    for page in [
        owned(page("/console/my", "My keys", "New key")),
        owned(page("/console/my/keys/new", "New key", "Make the key")),
        owned(page("/console/my/ask", "Ask for an API", "Ask for it")),
        at(key(""), "Key orders", "Revoke"),
        at(
            key("/rotate"),
            "Rotate the key key_orders",
            "Rotate the key",
        ),
        at(
            key("/revoke"),
            "Revoke the key key_orders",
            "Revoke the key",
        ),
        at(format!("/console/why?key_id={ORDERS}"), "Why?", "Ask why"),
    ] {
        is_for_everybody(&browser, &page).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_form_is_for_everybody() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;

    browser.open("/console/keys/new?user=usr_anna").await;
    browser.fill("Scopes", "*").await;
    browser.fill("Expires", "one day").await;
    browser.click("Make the key").await;
    stands_everywhere(&browser, "New key").await;
    browser.sees("Such as 2027-01-31").await;

    browser.fill("Scopes", "orders:read").await;
    browser.fill("Expires", "").await;
    browser.fill("Purpose", "a test").await;
    browser.click("Make the key").await;
    stands_everywhere(&browser, "The key is made").await;

    browser.open("/console/users/usr_anna/suspend").await;
    browser.click("Suspend the user").await;
    browser.sees("Keys that would stop working").await;
    stands_everywhere(&browser, "Suspend the user usr_anna").await;
    browser.tick("Stop them all the same", true).await;
    browser.click("Suspend the user").await;
    browser.sees("It is suspended").await;
    stands_everywhere(&browser, "User anna").await;

    browser.open("/console/keys").await;
    browser.fill("Search", "nothing is called so").await;
    browser.click("Filter").await;
    browser.sees("No key is like this.").await;
    stands_everywhere(&browser, "Keys").await;
}

/// The same as [`Page`], for a page whose path a test has made.
type Made = (String, String, String, u64);

fn owned(page: Page<'_>) -> Made {
    let (path, heading) = (page.path.to_owned(), page.heading.to_owned());
    (path, heading, page.action.to_owned(), page.status)
}

fn at(path: String, heading: &str, action: &str) -> Made {
    (path, heading.to_owned(), action.to_owned(), 200)
}

async fn for_an_admin(pages: impl FnOnce(&Shop) -> Vec<Made>) {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    let shop = Shop::open(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    for page in pages(&shop) {
        is_for_everybody(&browser, &page).await;
    }
}

async fn is_for_everybody(browser: &Browser, (path, heading, action, status): &Made) {
    browser.open(path).await;
    assert_eq!(browser.status().await, *status, "{path}");
    stands_everywhere(browser, heading).await;
    by_keyboard(browser, path, action).await;
}

/// The page that is there is one, whatever the screen.
async fn stands_everywhere(browser: &Browser, heading: &str) {
    assert_eq!(browser.title().await, format!("{heading} - Keybound"));
    let source = browser.source().await;
    assert_eq!(source.matches("<h1").count(), 1, "{source}");
    browser.sees(heading).await;
    for light in [LIGHT, DARK] {
        browser.prefers(light).await;
        browser.is_accessible().await;
    }
    browser.prefers(LIGHT).await;
    browser.fits_everywhere().await;
    assert_eq!(browser.strangers().await, Vec::<String>::new());
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// The first thing that the tabulator reaches leads past the navigation, and from there what the page is for is not far.
async fn by_keyboard(browser: &Browser, path: &str, action: &str) {
    browser.open(path).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "{path}");
    assert_eq!(browser.tab().await, "To the content", "{path}");
    browser.press(&Key::Enter.to_string()).await;
    let mut reached = Vec::new();
    for _ in 0..PATIENCE {
        let name = browser.tab().await;
        assert!(
            !["Sign out", "Overview"].contains(&name.as_str()),
            "{path}: {reached:?}"
        );
        let found = name.starts_with(action);
        reached.push(name);
        if found {
            return;
        }
    }
    panic!("{path}: the tabulator does not reach {action:?}: {reached:?}");
}
