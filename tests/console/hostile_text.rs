//! What clients, directories and files can write stays text on every page, whatever it looks like.

use crate::browser::Browser;
use crate::steps::cause;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use support::client::Request;
use support::needs;

/// An element, and the end of whatever stands around it.
const SCRIPT: &str = "</title></textarea><script>document.title='owned'</script>";
const IMAGE: &str = "\"'><img src=x onerror=\"document.title='owned'\">";
const ADDRESS: &str = "javascript:document.title='owned'";
/// Turns round what stands behind it, where that is not kept apart.
const TURNED: &str = "\u{202e}nimda yb devorppa\u{202e} {{ 7 * 7 }}";
/// One word, as long as a text may be.
const LONG: &str = concat!(
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW!"
);
/// Ids may hold every visible character.
const TENANT: &str = "ten_<b>\"'/?#%2F&amp;";
const USER: &str = "usr_<i>\"'/../?#%&lt;";
const KEY: &str = "key_<b>\"'/?#%\\;=+&gt;";
const SCOPE: &str = "<svg/onload=document.title='owned'>";
const API: &str = "api:<iframe/src=//other.test/>";

/// Pages at most: each list has ways to itself in other orders.
const PAGES: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_stays_text_on_every_page() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    written(&mut world).await;
    let token = token(&mut world, SCRIPT, &["--role", "admin"]);
    let browser = world.browser().await;
    crate::world::sign_in(&browser, &token).await;

    let mut left = VecDeque::from(["/console".to_owned()]);
    let mut known: BTreeSet<String> = left.iter().cloned().collect();
    let mut read = String::new();
    let mut pages = 0;
    while let Some(path) = left.pop_front() {
        browser.open(&path).await;
        assert_eq!(browser.status().await, 200, "{path}");
        read.push_str(&is_harmless(&browser).await);
        browser.fits_everywhere().await;
        pages += 1;
        for link in links(&browser.source().await) {
            if known.len() < PAGES && known.insert(link.clone()) {
                left.push_back(link);
            }
        }
    }
    assert!(pages > 40, "only {pages} pages were found");
    for text in [
        SCRIPT, IMAGE, ADDRESS, TURNED, LONG, TENANT, USER, KEY, SCOPE, API,
    ] {
        assert!(read.contains(text), "{text} is on no page");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_the_log_and_an_address_stay_text() {
    if !needs::browser() {
        return;
    }
    let mut world = World::start().await;
    written(&mut world).await;
    let browser = world.signed_in(&["admin"]).await;
    let line = json!({
        "start_time": "2026-11-23T09:30:00Z", "method": IMAGE, "host": "\"><script>", "path": SCRIPT,
        "request_id": IMAGE, "code": "user_suspended", "refused_key_id": KEY, "refused_user_id": IMAGE,
        "refused_tenant_id": SCRIPT, "response_code": 403,
    });
    let label = "Key, id of a key, or line of the access log";
    for typed in [
        line.to_string(),
        json!({"code": IMAGE, "key_id": SCRIPT}).to_string(),
        json!({"refused_key_id": KEY, "code": "user_suspended"}).to_string(),
        format!("{{\"x\": {SCRIPT}"),
        SCRIPT.to_owned(),
        IMAGE.to_owned(),
        TURNED.to_owned(),
        KEY.to_owned(),
    ] {
        browser.open("/console/why").await;
        browser.fill(label, &typed).await;
        browser.click("Ask why").await;
        is_harmless(&browser).await;
        browser.fits_everywhere().await;
    }
    cause(&browser, "Key").await;

    for path in [
        "/console/keys?search=%22%3E%3Cscript%3Edocument.title=%27owned%27%3C/script%3E",
        "/console/keys?tenant=%22%20onfocus=document.title=%27owned%27%20autofocus%20x=%22",
        "/console/keys?sort=%22%3E%3Cimg%20src=x%3E",
        "/console/users/new?tenant=%22%3E%3Cimg%20src=x%3E",
        "/console/keys/new?user=%3C/title%3E%3Cscript%3Edocument.title=%27owned%27%3C/script%3E",
        "/console/why?key_id=%3Cscript%3Edocument.title=%27owned%27%3C/script%3E",
        "/console/%3Cscript%3Edocument.title=%27owned%27%3C%2Fscript%3E",
        "/console/keys/%3Cimg%20src=x%3E",
        "/console?done=%3Cscript%3Edocument.title=%27owned%27%3C/script%3E",
    ] {
        browser.open(path).await;
        is_harmless(&browser).await;
    }

    // Where a sign-in leads is the console, whatever an address says.
    for next in [
        "javascript:document.title='owned'",
        "//other.test/",
        "https://other.test/",
    ] {
        let token = world.token(&["viewer"]);
        let browser = world.browser().await;
        browser.open(&format!("/console/sign-in?next={next}")).await;
        browser.fill("Token", &token).await;
        browser.click("Sign in").await;
        assert_eq!(browser.url().await, "/console", "{next}");
        is_harmless(&browser).await;
    }
}

/// The page is the console's own, nothing in it ran or was fetched from elsewhere, and what it says.
async fn is_harmless(browser: &Browser) -> String {
    let page = browser.url().await;
    let complaints = browser.complaints().await;
    assert_eq!(complaints, Vec::<String>::new(), "{page}");
    assert_eq!(browser.strangers().await, Vec::<String>::new(), "{page}");
    let title = browser.title().await;
    assert!(
        title.ends_with(" - Keybound"),
        "{page} has the title {title}"
    );
    let source = browser.source().await;
    for element in [
        "<script",
        "<img src=\"x",
        "<iframe",
        "<b>",
        "<i>",
        "<svg onload",
    ] {
        assert!(!source.contains(element), "{element} is in {page}");
    }
    let dangerous = ["href=\"javascript:", "action=\"javascript:", "href=\"//"];
    for link in dangerous {
        assert!(!source.contains(link), "{link} is in {page}");
    }
    browser.text().await
}

/// The pages to which a page leads, without the orders of lists and without files.
fn links(source: &str) -> Vec<String> {
    let links = source.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('"').next());
    let links = links.map(|link| link.replace("&amp;", "&"));
    links
        .filter(|link| link == "/console" || link.starts_with("/console/"))
        .filter(|link| {
            let files = [".csv", ".json", ".css", ".svg"];
            !link.contains("sort=") && !files.iter().any(|file| link.contains(file))
        })
        .collect()
}

/// Writes such a text into each field that takes it.
async fn written(world: &mut World) {
    world
        .must("POST", "/tenants", json!({"id": TENANT, "name": SCRIPT}))
        .await;
    world.must("POST", "/tenants", json!({"name": LONG})).await;
    let user = json!({
        "id": USER, "tenant_id": TENANT, "name": IMAGE, "display_name": TURNED, "login": SCRIPT,
        "external_id": ADDRESS, "contact": ADDRESS, "scopes": [SCOPE, "*"], "apis": [API],
        "kind": "system", "status": "active",
    });
    world.must("POST", "/users", user).await;
    let other =
        json!({"tenant_id": TENANT, "name": LONG, "contact": LONG, "apis": [], "status": "active"});
    let other = world.must("POST", "/users", other).await;
    for fields in [
        json!({"id": KEY, "user_id": USER, "name": IMAGE, "purpose": SCRIPT, "contact": ADDRESS, "scopes": [SCOPE]}),
        json!({"user_id": USER, "name": LONG, "purpose": LONG, "contact": LONG, "scopes": ["*"]}),
        json!({"user_id": other["id"], "name": TURNED, "purpose": TURNED, "contact": IMAGE}),
        json!({"user_id": other["id"], "name": ADDRESS}),
    ] {
        world.must("POST", "/keys", fields).await;
    }
    let path = format!("/keys/{}/revoke", encoded(KEY));
    world.must("POST", &path, json!({"reason": IMAGE})).await;
    let rules = json!({"name_pattern": "<b>[a-z]+</b>", "forbid_scopes": [SCOPE]});
    let path = format!("/tenants/{}/key-rules", encoded(TENANT));
    world.must("PUT", &path, rules).await;
    for (api, reason) in [(API, SCRIPT), ("api:2", TURNED)] {
        let asked = json!({"user_id": other["id"], "api": api, "reason": reason});
        let asked = world.must("POST", "/approvals", asked).await;
        if api == "api:2" {
            let path = format!("/approvals/{}/deny", asked["id"].as_str().expect("an id"));
            world.must("POST", &path, json!({"reason": IMAGE})).await;
        }
    }
    by_directory(world).await;
}

/// What a directory writes.
async fn by_directory(world: &mut World) {
    let directory = token(world, IMAGE, &["--role", "scim", "--tenant", TENANT]);
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": IMAGE, "displayName": SCRIPT, "externalId": TURNED, "active": true,
        "name": {"givenName": IMAGE, "familyName": SCRIPT},
        "emails": [{"value": format!("{IMAGE}@example.com"), "primary": true}],
    });
    let request = Request::new("POST", "/scim/v2/Users")
        .header("authorization", format!("Bearer {directory}"))
        .header("content-type", "application/scim+json")
        .with_body(user.to_string());
    let answer = request.send(world.service().port()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn token(world: &mut World, name: &str, more: &[&str]) -> String {
    let arguments = [&["token", "create", "--name", name], more].concat();
    let made: Value = world
        .service()
        .command(&arguments)
        .unwrap_or_else(|error| panic!("{error}"));
    made["token"].as_str().expect("a token").to_owned()
}

/// An id as it stands in a path.
fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
