//! `/console/users`: what the pages show, to whom, and what their forms do.

use key_service::domain::time::now;
use serde_json::json;

use crate::console_browser::Browser;
use crate::support::{Service, assert_holds};
use crate::v1_usage::{report, with_keys};

#[test]
fn the_list_is_narrowed_by_its_filters_and_taken_whole() {
    let service = Service::furnished();
    service
        .post(
            "/admin/v1/users",
            &json!({"id": "usr_b", "kind": "system", "status": "locked", "name": "tills"}),
        )
        .expect(201);
    let browser = Browser::viewer(&service);
    for (filter, ids) in [
        ("", "ab"),
        ("search=till", "b"),
        ("status=locked", "b"),
        ("kind=person", "a"),
        ("tenant=ten_a", "a"),
    ] {
        let page = browser.page(&format!("/console/users?{filter}"));
        for user in ["a", "b"] {
            let is_there = page.contains(&format!("href=\"/console/users/usr_{user}\""));
            assert_eq!(is_there, ids.contains(user), "{filter} {user}");
        }
        assert!(!page.contains("/console/users/new"), "{page}");
    }
    assert!(
        browser
            .page("/console/users.csv")
            .contains("\nusr_b,tills,")
    );
    let users = browser.get("/console/users.json?kind=system").expect(200);
    assert_eq!(users[0]["id"], "usr_b");
}

#[test]
fn the_page_of_a_user_tells_its_keys_their_use_and_its_changes() {
    let service = with_keys();
    let keys = json!([{"id": "key_1", "allowed": 7, "rejected": 2, "last_at": now(),
        "rejected_by": {"outside_hours": 2}}]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    service
        .patch("/admin/v1/users/usr_a", &json!({"apis": []}))
        .expect(200);
    let request = json!({"user_id": "usr_a", "api": "orders"});
    service.post("/admin/v1/approvals", &request).expect(201);
    let viewer = Browser::viewer(&service);
    let page = viewer.page("/console/users/usr_a");
    for there in [
        "href=\"/console/keys/key_1\"",
        "href=\"/console/keys/key_2\"",
        "href=\"/console/tenants/ten_a\"",
        "7 allowed</title>",
        "<code>outside_hours</code>",
        "apis: none → []",
        "<code>orders</code>",
    ] {
        assert!(page.contains(there), "{there}: {page}");
    }
    let main = page.split("<main").nth(1).unwrap();
    assert!(
        !main.contains("method=\"post\"") && !main.contains("/suspend"),
        "{main}"
    );
    assert_eq!(viewer.get("/console/users/usr_none").status, 404);
}

#[test]
fn a_user_whose_keys_are_in_use_is_stopped_only_where_that_is_said() {
    for (deed, status) in [
        ("suspend", "suspended"),
        ("lock", "locked"),
        ("deactivate", "deactivated"),
        ("delete", "deleted"),
    ] {
        let service = with_keys();
        let keys = json!([{"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()}]);
        assert_eq!(report(&service, "vm", 1, &keys).status, 204);
        let is = || service.get("/admin/v1/users/usr_a").expect(200)["status"].clone();
        let browser = Browser::admin(&service);
        let path = format!("/console/users/usr_a/{deed}");
        let viewer = Browser::viewer(&service);
        assert_eq!(viewer.get(&path).status, 403);
        assert_eq!(viewer.post(&path, &[("force", "true")]).status, 403);
        assert!(
            browser
                .page(&path)
                .contains("Gateways refuse all keys of this user")
        );
        let answer = browser.post(&path, &[]);
        assert_eq!(answer.status, 409);
        assert!(
            answer.text.contains("href=\"/console/keys/key_1\""),
            "{}",
            answer.text
        );
        assert!(
            !answer.text.contains("href=\"/console/keys/key_2\""),
            "{}",
            answer.text
        );
        assert_eq!(is(), "active");
        let page = browser.does(&path, &[("force", "true")]);
        assert_eq!(is(), status);
        assert!(page.contains("role=\"status\""), "{page}");
        if deed == "delete" {
            assert!(!page.contains("/reactivate"), "{page}");
            assert_eq!(
                browser.post("/console/users/usr_a/reactivate", &[]).status,
                409
            );
            continue;
        }
        assert_eq!(
            viewer.post("/console/users/usr_a/reactivate", &[]).status,
            403
        );
        let mended = [("next", "/console/keys/key_1")];
        assert!(
            browser
                .page("/console/keys/key_1")
                .contains("action=\"/console/users/usr_a/reactivate\"")
        );
        let page = browser.does("/console/users/usr_a/reactivate", &mended);
        assert!(
            page.contains("Key key_1") && !page.contains("breaks here"),
            "{page}"
        );
        assert_eq!(is(), "active");
    }
}

#[test]
fn users_are_made_and_changed_by_forms() {
    let service = Service::furnished();
    let browser = Browser::admin(&service);
    assert!(
        browser
            .page("/console/users/new?tenant=ten_a")
            .contains("value=\"ten_a\"")
    );
    let page = browser.does(
        "/console/users/new",
        &[
            ("id", "usr_b"),
            ("tenant_id", "ten_a"),
            ("kind", "system"),
            ("login", "b@x.example"),
            ("scopes", "orders:*"),
            ("apis_none", "true"),
        ],
    );
    assert!(page.contains("It was made."), "{page}");
    assert_holds(
        &service.get("/admin/v1/users/usr_b").expect(200),
        &json!({"tenant_id": "ten_a", "kind": "system", "scopes": ["orders:*"], "apis": [], "name": null}),
    );
    let taken = browser.post("/console/users/new", &[("id", "usr_b")]);
    assert_eq!(taken.status, 409);
    assert!(taken.text.contains("value=\"usr_b\""), "{}", taken.text);
    let wrong = browser.post(
        "/console/users/new",
        &[("tenant_id", "ten_none"), ("kind", "person")],
    );
    assert!(
        wrong.text.contains("id=\"tenant_id-error\""),
        "{}",
        wrong.text
    );
    let change = "/console/users/usr_b/change";
    let answer = browser.fill_in(change, &[("name", "tills"), ("kind", "system")]);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_holds(
        &service.get("/admin/v1/users/usr_b").expect(200),
        &json!({"name": "tills", "kind": "system", "scopes": ["orders:*"], "apis": [], "login": "b@x.example"}),
    );
    let answer = browser.fill_in(change, &[("apis_none", ""), ("kind", "system")]);
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(
        service.get("/admin/v1/users/usr_b").expect(200)["apis"],
        json!(null)
    );
    let viewer = Browser::viewer(&service);
    assert_eq!(viewer.get("/console/users/new").status, 403);
    assert_eq!(
        viewer.post("/console/users/new", &[("id", "usr_c")]).status,
        403
    );
    assert_eq!(viewer.post(change, &[("name", "x")]).status, 403);
}
