//! `/console/tenants`: what the pages show, to whom, and what their forms do.

use key_service::domain::time::now;
use serde_json::json;

use crate::console_browser::Browser;
use crate::support::Service;
use crate::v1_usage::{report, with_keys};

#[test]
fn tenants_are_listed_made_and_renamed() {
    let service = Service::furnished();
    let browser = Browser::admin(&service);
    let page = browser.does(
        "/console/tenants/new",
        &[("id", "ten_b"), ("name", "Bakery")],
    );
    assert!(
        page.contains("It was made.") && page.contains("href=\"/console/keys?tenant=ten_b\""),
        "{page}"
    );
    let list = browser.page("/console/tenants?search=bake");
    assert!(
        list.contains(">Bakery</a>") && !list.contains("/console/tenants/ten_a\""),
        "{list}"
    );
    let answer = browser.fill_in("/console/tenants/ten_b/change", &[("name", "Mill")]);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(
        service.get("/admin/v1/tenants/ten_b").expect(200)["name"],
        "Mill"
    );
    assert!(
        browser
            .page("/console/tenants/ten_b")
            .contains("name: Bakery → Mill")
    );
    assert_eq!(
        browser
            .post("/console/tenants/new", &[("id", "ten_b")])
            .status,
        409
    );
    assert!(
        browser
            .page("/console/tenants.csv")
            .contains("\nten_b,Mill,active,")
    );
    let viewer = Browser::viewer(&service);
    let main = viewer.page("/console/tenants/ten_b");
    let main = main.split("<main").nth(1).unwrap();
    assert!(
        !main.contains("/change") && !main.contains("/key-rules\"") && !main.contains("/suspend"),
        "{main}"
    );
    assert_eq!(
        viewer
            .post("/console/tenants/new", &[("id", "ten_c")])
            .status,
        403
    );
    assert_eq!(
        viewer
            .post("/console/tenants/ten_b/change", &[("name", "x")])
            .status,
        403
    );
    assert_eq!(viewer.get("/console/tenants/ten_none").status, 404);
}

#[test]
fn a_tenant_whose_keys_are_in_use_is_suspended_only_where_that_is_said() {
    let service = with_keys();
    let keys = json!([{"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()}]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    let is = || service.get("/admin/v1/tenants/ten_a").expect(200)["status"].clone();
    let browser = Browser::admin(&service);
    let viewer = Browser::viewer(&service);
    let path = "/console/tenants/ten_a/suspend";
    assert_eq!(viewer.post(path, &[("force", "true")]).status, 403);
    let answer = browser.post(path, &[]);
    assert_eq!(answer.status, 409);
    assert!(
        answer.text.contains("href=\"/console/keys/key_1\""),
        "{}",
        answer.text
    );
    assert_eq!(is(), "active");
    browser.does(path, &[("force", "true")]);
    assert_eq!(is(), "suspended");
    let mend = "action=\"/console/tenants/ten_a/reactivate\"";
    assert!(browser.page("/console/keys/key_1").contains(mend));
    assert!(!viewer.page("/console/keys/key_1").contains(mend));
    assert_eq!(
        viewer.post("/console/tenants/ten_a/reactivate", &[]).status,
        403
    );
    browser.does("/console/tenants/ten_a/reactivate", &[]);
    assert_eq!(is(), "active");
}

#[test]
fn key_rules_are_shown_changed_and_taken_away() {
    let service = Service::furnished();
    let rules = || service.get("/admin/v1/tenants/ten_a/key-rules").expect(200);
    let browser = Browser::admin(&service);
    let viewer = Browser::viewer(&service);
    let path = "/console/tenants/ten_a/key-rules";
    let form = [
        ("max_lifetime", "90d"),
        ("require_purpose", "true"),
        ("require_networks", "true"),
        ("name_pattern", "[a-z]+"),
        ("forbid_scopes", "* admin:*"),
        ("owners", "system"),
        ("on_leak", "flag"),
    ];
    assert_eq!(viewer.get(path).status, 403);
    assert_eq!(viewer.post(path, &form).status, 403);
    let answer = browser.fill_in(path, &form);
    assert_eq!(answer.status, 303, "{}", answer.text);
    let page = browser.page(answer.header("location"));
    let asked = json!({"max_lifetime": "90d", "require": ["purpose", "networks"], "name_pattern": "[a-z]+",
        "forbid_scopes": ["*", "admin:*"], "owners": "system", "on_leak": "flag"});
    assert_eq!(rules(), asked);
    for said in [
        "A key lives at most 90d.",
        "A key must have: purpose, networks.",
        "Keys belong to systems alone",
    ] {
        assert!(page.contains(said), "{said}: {page}");
        assert!(viewer.page("/console/tenants/ten_a").contains(said));
        assert!(browser.page("/console/keys/new?user=usr_a").contains(said));
    }
    let answer = browser.fill_in(path, &[("owners", "system"), ("on_leak", "flag")]);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(rules(), asked, "what nobody touches stays");
    let wrong = browser.fill_in(path, &[("name_pattern", "(")]);
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text.contains("id=\"name_pattern-error\""),
        "{}",
        wrong.text
    );
    let stale = browser.post(path, &[("version", "of-before"), ("max_lifetime", "1d")]);
    assert_eq!(stale.status, 412, "{}", stale.text);
    assert!(stale.text.contains("value=\"1d\""), "what was typed stays");
    assert_eq!(rules(), asked);
    assert_eq!(viewer.post(&format!("{path}/remove"), &[]).status, 403);
    browser.does(&format!("{path}/remove"), &[]);
    assert_eq!(rules()["max_lifetime"], json!(null));
    assert_eq!(rules()["require"], json!([]));
}
