//! `/console/keys`: what the pages show, to whom, and what their forms do.

use key_service::domain::time::{DAY, now};
use serde_json::json;

use crate::console_browser::Browser;
use crate::support::{Service, assert_holds};
use crate::v1_usage::{report, with_keys};

#[test]
fn the_list_shows_whether_keys_work_and_is_narrowed_by_its_filters() {
    let service = with_keys();
    service.make_key(&json!({"id": "key_3", "name": "till", "expires_at": now() + 5 * DAY}));
    service
        .patch(
            "/admin/v1/keys/key_2?force=true",
            &json!({"status": "disabled"}),
        )
        .expect(200);
    let browser = Browser::viewer(&service);
    let page = browser.page("/console/keys");
    for there in [
        "href=\"/console/keys/key_1\"",
        "href=\"/console/users/usr_a\"",
        "href=\"/console/tenants/ten_a\"",
        ">allowed</span>",
        ">key_disabled</span>",
        ">till</a>",
        "not known",
    ] {
        assert!(page.contains(there), "{there}: {page}");
    }
    for (filter, ids) in [
        ("status=disabled", "2"),
        ("status=active", "13"),
        ("search=till", "3"),
        ("tenant=ten_b", ""),
        ("user=usr_a&kind=person", "123"),
        ("kind=system", ""),
        ("owner=missing", ""),
        ("expires_within=7d", "3"),
        ("never_used=true", ""),
        ("unused_for=90d", ""),
    ] {
        let page = browser.page(&format!("/console/keys?{filter}"));
        for key in ["1", "2", "3"] {
            let is_there = page.contains(&format!("href=\"/console/keys/key_{key}\""));
            assert_eq!(is_there, ids.contains(key), "{filter} {key}");
        }
    }
    let wrong = browser.get("/console/keys?expires_within=soon");
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text.contains("id=\"expires_within-error\""),
        "{}",
        wrong.text
    );
    let csv = browser.page("/console/keys.csv?status=disabled");
    assert!(
        csv.starts_with("id,name,hint,") && csv.contains("\nkey_2,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 2);
    let json = browser.get("/console/keys.json?search=till").expect(200);
    assert_eq!(json[0]["id"], "key_3");
}

#[test]
fn the_page_of_a_key_tells_its_chain_fences_use_and_changes() {
    let service = with_keys();
    service
        .patch(
            "/admin/v1/keys/key_1",
            &json!({"purpose": "tills", "scopes": ["orders:read"], "networks": ["10.0.0.0/8"],
                    "hours": {"days": ["mon"], "from": "00:00", "to": "00:00"}}),
        )
        .expect(200);
    let keys = json!([{"id": "key_1", "allowed": 120, "rejected": 3, "last_at": now(),
        "rejected_by": {"scope_missing": 3}, "networks": {"203.0.113.0/24": 119}}]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let page = Browser::viewer(&service).page("/console/keys/key_1");
    for there in [
        "The key&#39;s user usr_a is suspended.",
        "by <strong>anna</strong>",
        "<code>orders:read</code>",
        "<code>10.0.0.0/8</code>",
        "mon, 00:00 to 00:00",
        "tills",
        "<code>scope_missing</code>",
        "<code>203.0.113.0/24</code>",
        "120 allowed</title>",
        "purpose: none → tills",
        "href=\"/console/why?key_id=key_1\"",
    ] {
        assert!(page.contains(there), "{there}: {page}");
    }
    let states: Vec<&str> = page
        .split("<li class=\"link ")
        .skip(1)
        .map(|link| link.split('"').next().unwrap())
        .collect();
    // What the request alone can be asked for breaks nothing here; Monday is asked of now.
    assert_eq!(states[..3], ["holds", "holds", "breaks"]);
    assert_eq!(states[3], "not-looked-at");
}

#[test]
fn who_may_only_read_is_offered_nothing_and_refused() {
    let service = with_keys();
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let viewer = Browser::viewer(&service);
    for page in ["/console/keys", "/console/keys/key_1"] {
        let page = viewer.page(page);
        let main = page.split("<main").nth(1).unwrap();
        assert!(
            !main.contains("method=\"post\"") && !main.contains("/new"),
            "{main}"
        );
        for deed in ["change", "rotate", "disable", "revoke", "reactivate"] {
            assert!(!main.contains(&format!("/{deed}\"")), "{deed}: {main}");
        }
    }
    for deed in ["change", "rotate", "disable", "revoke"] {
        assert_eq!(
            viewer.get(&format!("/console/keys/key_1/{deed}")).status,
            403,
            "{deed}"
        );
    }
    for deed in ["change", "rotate", "disable", "enable", "revoke"] {
        let answer = viewer.post(&format!("/console/keys/key_1/{deed}"), &[("name", "x")]);
        assert_eq!(answer.status, 403, "{deed}: {}", answer.text);
        assert!(
            !answer.text.contains("<form class=\"form\""),
            "{}",
            answer.text
        );
    }
    assert_eq!(viewer.get("/console/keys/new").status, 403);
    assert_eq!(
        viewer
            .post("/console/keys/new", &[("user_id", "usr_a")])
            .status,
        403
    );
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_holds(
        &key,
        &json!({"status": "active", "name": null, "replaced_by": null}),
    );
    assert_eq!(
        Browser::admin(&service)
            .get("/console/keys/key_none")
            .status,
        404
    );
}

/// The key in clear that a page shows.
#[track_caller]
fn secret(page: &str) -> String {
    let secret = page.split("id=\"secret\">").nth(1).expect(page);
    secret.split('<').next().unwrap().to_owned()
}

#[test]
fn a_new_key_is_shown_once_and_on_no_other_page() {
    let service = Service::furnished();
    let browser = Browser::admin(&service);
    let form = browser.page("/console/keys/new?user=usr_a");
    assert!(form.contains("name=\"user_id\" value=\"usr_a\""), "{form}");
    let once = [
        ("user_id", "usr_a"),
        ("id", "key_9"),
        ("environment", "live"),
        ("once", "abc"),
        ("scopes", "orders:read orders:write"),
        ("networks", "10.0.0.0/8\r\n::1"),
        ("hours", "mon-fri 08:00-18:00"),
        ("expires_at", "2999-01-31"),
        ("rotate_every", "90d"),
    ];
    let made = browser.post("/console/keys/new", &once);
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(made.header("cache-control"), "no-store");
    let clear = secret(&made.text);
    assert!(clear.starts_with("kb_live_"), "{clear}");
    let digest = crate::support::digest(&json!(clear));
    assert_eq!(
        service.resolve(&[&digest])["results"][0]["key"]["id"],
        "key_9"
    );
    assert_holds(
        &service.get("/admin/v1/keys/key_9").expect(200),
        &json!({"user_id": "usr_a", "scopes": ["orders:read", "orders:write"], "rotate_every": "90d",
                "networks": ["10.0.0.0/8", "::1/128"],
                "hours": {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}}),
    );
    // The page is loaded again: nothing is made anew, and nothing shown.
    let again = browser.post("/console/keys/new", &once);
    assert_eq!(again.status, 200);
    assert!(!again.text.contains("id=\"secret\""), "{}", again.text);
    for page in [
        "/console/keys",
        "/console/keys/key_9",
        "/console/users/usr_a",
        "/console/keys.json",
        "/console/keys/key_9/change",
        "/console",
    ] {
        assert!(!browser.page(page).contains(&clear), "{page}");
    }
    let rotated = browser.post("/console/keys/key_9/rotate", &[("grace", "1h")]);
    let second = secret(&rotated.text);
    assert_ne!(second, clear);
    assert!(
        rotated.text.contains("The old key key_9 works until"),
        "{}",
        rotated.text
    );
    let old = service.get("/admin/v1/keys/key_9").expect(200);
    let new = old["replaced_by"].as_str().unwrap();
    let page = browser.page("/console/keys/key_9");
    assert!(
        page.contains(&format!("href=\"/console/keys/{new}\"")),
        "{page}"
    );
    assert!(!page.contains("/rotate\""), "it is rotated already: {page}");
    let page = browser.page(&format!("/console/keys/{new}"));
    assert!(
        page.contains("<dt>Replaces</dt><dd><a href=\"/console/keys/key_9\">"),
        "{page}"
    );
    let twice = browser.post("/console/keys/key_9/rotate", &[("grace", "1h")]);
    assert_eq!(twice.status, 409);
    let wrong = browser.post(
        "/console/keys/new",
        &[("user_id", "usr_none"), ("expires_at", "soon")],
    );
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.text.contains("id=\"expires_at-error\"") && wrong.text.contains("value=\"usr_none\"")
    );
}

#[test]
fn a_form_changes_what_was_typed_and_nothing_else() {
    let service = Service::furnished();
    service.make_key(
        &json!({"id": "key_1", "scopes": ["a,b", "c"], "networks": [], "purpose": "<i>tills</i>",
        "expires_at": now() + DAY}),
    );
    let browser = Browser::admin(&service);
    let before = service.get("/admin/v1/keys/key_1").expect(200);
    let answer = browser.fill_in("/console/keys/key_1/change", &[("name", "till 1")]);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(
        answer.header("location"),
        "/console/keys/key_1?done=changed"
    );
    let mut expected = before.clone();
    expected["name"] = json!("till 1");
    expected["version"] = json!(before["version"].as_i64().unwrap() + 1);
    let after = service.get("/admin/v1/keys/key_1").expect(200);
    expected["updated_at"] = after["updated_at"].clone();
    assert_eq!(after, expected);
    let stale = before["version"].to_string();
    let answer = browser.fill_in(
        "/console/keys/key_1/change",
        &[("version", &stale), ("name", "x")],
    );
    assert_eq!(answer.status, 412, "{}", answer.text);
    assert!(answer.text.contains("value=\"x\""), "what was typed stays");
    let rules = json!({"require": ["contact"], "name_pattern": "till [0-9]"});
    let path = "/admin/v1/tenants/ten_a/key-rules";
    let put = service.send(
        "PUT",
        path,
        Some(&service.admin),
        Some(rules.to_string().as_bytes()),
    );
    assert_eq!(put.status, 200);
    let answer = browser.fill_in("/console/keys/key_1/change", &[("name", "other")]);
    assert_eq!(answer.status, 422, "{}", answer.text);
    for there in [
        "id=\"name-error\"",
        "id=\"contact-error\"",
        "rule name_pattern of the tenant",
        "A key must have: contact.",
    ] {
        assert!(answer.text.contains(there), "{there}: {}", answer.text);
    }
}

#[test]
fn a_key_in_use_is_disabled_only_where_that_is_said() {
    let service = with_keys();
    let keys = json!([{"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()}]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    let browser = Browser::admin(&service);
    let status = || service.get("/admin/v1/keys/key_1").expect(200)["status"].clone();
    assert!(
        browser
            .page("/console/keys/key_1/disable")
            .contains("refuse every request with this key")
    );
    let answer = browser.post("/console/keys/key_1/disable", &[]);
    assert_eq!(answer.status, 409);
    assert!(
        answer.text.contains("Stop them all the same")
            && answer.text.contains("href=\"/console/keys/key_1\"")
    );
    assert_eq!(status(), "active");
    let page = browser.does("/console/keys/key_1/disable", &[("force", "true")]);
    assert!(page.contains("The key is disabled."), "{page}");
    assert_eq!(status(), "disabled");
    // The chain says what mends it, and one sees it hold again.
    assert!(
        page.contains("action=\"/console/keys/key_1/enable\""),
        "{page}"
    );
    let back = [("next", "/console/why?key_id=key_1")];
    let answer = browser.post("/console/keys/key_1/enable", &back);
    assert_eq!(
        answer.header("location"),
        "/console/why?key_id=key_1&done=enabled"
    );
    assert_eq!(status(), "active");
    let answer = browser.post("/console/keys/key_1/enable", &[("next", "//evil.example")]);
    assert_eq!(answer.header("location"), "/console?done=enabled");
}

#[test]
fn a_key_is_revoked_for_good_with_a_reason() {
    let service = with_keys();
    let browser = Browser::admin(&service);
    assert!(
        browser
            .page("/console/keys/key_1/revoke")
            .contains("for good")
    );
    let page = browser.does(
        "/console/keys/key_1/revoke",
        &[("reason", "lost <b>laptop</b>")],
    );
    assert!(
        page.contains("It is revoked") && page.contains("lost &#60;b&#62;laptop"),
        "{page}"
    );
    assert_holds(
        &service.get("/admin/v1/keys/key_1").expect(200),
        &json!({"status": "revoked", "revoked_reason": "lost <b>laptop</b>"}),
    );
    assert!(
        page.contains("action=\"/console/keys/new\""),
        "a new one is offered: {page}"
    );
    assert_eq!(browser.post("/console/keys/key_1/enable", &[]).status, 409);
}

#[test]
fn what_others_can_fill_in_is_shown_as_text() {
    let service = Service::start();
    let id = "x/?<\"'>&%#;..";
    let markup = "<script>alert(1)</script>\"' onload=x";
    service
        .post("/admin/v1/tenants", &json!({"id": id, "name": markup}))
        .expect(201);
    let user = json!({"id": id, "tenant_id": id, "name": markup, "display_name": markup, "login": markup,
        "external_id": markup, "contact": markup});
    service.post("/admin/v1/users", &user).expect(201);
    for other in [id, "new"] {
        let key = json!({"id": other, "user_id": id, "name": markup, "purpose": markup, "contact": markup,
            "scopes": ["<b>"]});
        service.post("/admin/v1/keys", &key).expect(201);
    }
    let browser = Browser::admin(&service);
    let encoded = "x%2F%3F%3C%22%27%3E%26%25%23%3B..";
    let pages = ["keys", "users", "tenants"].into_iter().flat_map(|kind| {
        ["", &format!("/{encoded}"), &format!("/{encoded}/change")]
            .map(|page| format!("/console/{kind}{page}"))
    });
    for path in pages.chain(["/console/keys/%6Eew".to_owned()]) {
        let page = browser.page(&path);
        assert!(page.contains("&#60;script&#62;"), "{path}: {page}");
        for markup in ["<script", "<b>", "\" onload", "' onload", "x/?<"] {
            assert!(!page.contains(markup), "{path} {markup}: {page}");
        }
    }
    let list = browser.page("/console/keys");
    for href in [
        format!("/console/keys/{encoded}"),
        "/console/keys/%6Eew".to_owned(),
    ] {
        assert!(list.contains(&format!("href=\"{href}\"")), "{href}: {list}");
    }
    let page = browser.does(
        &format!("/console/keys/{encoded}/disable"),
        &[("force", "true")],
    );
    assert!(page.contains("The key is disabled."));
}

#[test]
fn a_request_for_an_api_is_approved_from_the_chain() {
    let service = crate::admin_explain::service(&json!({"default_policy": {"api": "orders"}}));
    service
        .patch("/admin/v1/users/usr_a", &json!({"apis": []}))
        .expect(200);
    service.make_key(&json!({"id": "key_1", "networks": ["10.0.0.0/8"]}));
    let request = json!({"user_id": "usr_a", "api": "orders"});
    let asked = service.post("/admin/v1/approvals", &request).expect(201);
    let mend = format!(
        "action=\"/console/approvals/{}/approve\"",
        asked["id"].as_str().unwrap()
    );
    let page = Browser::admin(&service).page("/console/keys/key_1");
    assert!(page.contains(&mend), "{page}");
    assert!(
        !Browser::viewer(&service)
            .page("/console/keys/key_1")
            .contains(&mend)
    );
    let deny = format!("/admin/v1/approvals/{}/deny", asked["id"].as_str().unwrap());
    service.post(&deny, &json!({})).expect(200);
    let page = Browser::admin(&service).page("/console/keys/key_1");
    assert!(!page.contains("/approve\""), "it is decided: {page}");
}
