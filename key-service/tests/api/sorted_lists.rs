//! `sort` of the lists of tenants, users and keys: each way, page by page, with what holds nothing last.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use key_service::domain::time::{DAY, now};
use key_service::domain::token::{Role, Token};
use serde_json::{Value, json};

use crate::reach::token;
use crate::support::Service;

/// Ids of a list, read page by page.
fn ids(service: &Service, token: &Token, list: &str, query: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("/admin/v1/{list}?limit={limit}&{query}{next}");
        let page = service.send("GET", &path, Some(token), None).expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        ids.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(token) => next = format!("&page_token={token}"),
            None => return ids,
        }
        assert_eq!(items.len(), limit, "a page that is not the last is full");
    }
}

/// Asserts that a list has this order, however long its pages are.
#[track_caller]
fn assert_sorted(service: &Service, token: &Token, list: &str, query: &str, order: &[&str]) {
    for limit in [1, 2, 3, 500] {
        let ids = ids(service, token, list, query, limit);
        assert_eq!(ids, order, "{list}?{query} by {limit}");
    }
}

/// Names of any case, the same ones twice, and none.
const NAMES: [Option<&str>; 7] = [
    Some("beta"),
    None,
    Some("Alpha"),
    Some("alpha"),
    Some("Zeta"),
    None,
    Some("äther"),
];
const BY_NAME: [usize; 7] = [2, 3, 0, 4, 6, 1, 5];
const BY_NAME_DOWN: [usize; 7] = [6, 4, 0, 3, 2, 5, 1];

fn order(prefix: &str, places: &[usize]) -> Vec<String> {
    places
        .iter()
        .map(|place| format!("{prefix}{place}"))
        .collect()
}

fn world() -> Service {
    let service = Service::start();
    let post = |list: &str, body: Value| {
        service
            .post(&format!("/admin/v1/{list}"), &body)
            .expect(201);
    };
    for (number, name) in NAMES.iter().enumerate() {
        post("tenants", json!({"id": format!("t{number}"), "name": name}));
    }
    for (number, name) in NAMES.iter().enumerate() {
        let login = name.map(|name| format!("{name}{number}"));
        post(
            "users",
            json!({"id": format!("u{number}"), "tenant_id": "t0", "name": name, "login": login}),
        );
        // Another tenant's in between.
        let user = json!({"id": format!("o{number}"), "tenant_id": "t1", "name": name});
        post("users", user);
    }
    for (number, name) in NAMES.iter().enumerate() {
        for (key, user) in [("k", "u0"), ("o", "o0")] {
            let ends = name.map(|name| now() + i64::try_from(name.len()).unwrap() * DAY);
            post(
                "keys",
                json!({"id": format!("{key}{number}"), "user_id": user, "name": name, "expires_at": ends}),
            );
        }
    }
    service
}

#[test]
fn each_list_is_sorted_each_way() {
    let service = world();
    let check = |list: &str, query: &str, prefix: &str, places: &[usize]| {
        let order = order(prefix, places);
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        assert_sorted(&service, &service.admin, list, query, &order);
    };
    let up: Vec<usize> = (0..7).collect();
    let down: Vec<usize> = (0..7).rev().collect();
    for (list, prefix, filter) in [
        ("tenants", "t", "search=t"),
        ("users", "u", "tenant=t0"),
        ("keys", "k", "user=u0"),
        ("keys", "k", "tenant=t0"),
        ("keys", "k", "tenant=t0&status=active"),
    ] {
        for (sort, places) in [
            ("sort=created", &up[..]),
            ("", &up),
            ("sort=-created", &down),
            ("sort=name", &BY_NAME),
            ("sort=-name", &BY_NAME_DOWN),
        ] {
            check(list, &format!("{filter}&{sort}"), prefix, places);
        }
    }
    let by_login = [2, 3, 0, 4, 6, 1, 5];
    check("users", "tenant=t0&sort=login", "u", &by_login);
    let down = [6, 4, 0, 3, 2, 5, 1];
    check("users", "tenant=t0&sort=-login", "u", &down);
    // By the length of the name, as they were made where that is the same.
    let by_end = [0, 4, 2, 3, 6, 1, 5];
    check("keys", "user=u0&sort=expires", "k", &by_end);
    let down = [6, 3, 2, 4, 0, 5, 1];
    check("keys", "tenant=t0&sort=-expires", "k", &down);
}

#[test]
fn keys_are_sorted_by_their_last_use_and_those_never_used_come_last() {
    let service = world();
    let at = now() - 100;
    let keys = [("k3", 1), ("k0", 2), ("o0", 2), ("k5", 2), ("k4", 3)];
    let keys = keys
        .map(|(id, after)| json!({"id": id, "allowed": 1, "rejected": 0, "last_at": at + after}));
    let report = crate::v1_usage::report(&service, "r", 1, &json!(keys));
    assert_eq!(report.status, 204);
    let up = ["k3", "k0", "k5", "k4", "k1", "k2", "k6"];
    let down = ["k4", "k5", "k0", "k3", "k6", "k2", "k1"];
    for filter in ["user=u0", "tenant=t0"] {
        let sorted = |sort: &str, order: &[&str]| {
            let query = format!("{filter}&sort={sort}");
            assert_sorted(&service, &service.admin, "keys", &query, order);
        };
        sorted("last_used", &up);
        sorted("-last_used", &down);
    }
    let never = "user=u0&sort=last_used&never_used=true";
    assert_sorted(&service, &service.admin, "keys", never, &["k1", "k2", "k6"]);
}

#[test]
fn a_bounded_token_sorts_what_it_sees() {
    let service = Service::furnished();
    let post = |list: &str, body: Value| {
        service
            .post(&format!("/admin/v1/{list}"), &body)
            .expect(201);
    };
    post("tenants", json!({"id": "ten_b"}));
    post("users", json!({"id": "usr_b", "tenant_id": "ten_b"}));
    post("users", json!({"id": "usr_a2", "tenant_id": "ten_a"}));
    for (id, user, name) in [
        ("a1", "usr_a", Some("y")),
        ("b1", "usr_b", Some("x")),
        ("a2", "usr_a2", Some("w")),
        ("b2", "usr_b", None),
        ("a3", "usr_a", None),
        ("a4", "usr_a", Some("x")),
    ] {
        post("keys", json!({"id": id, "user_id": user, "name": name}));
    }
    for (role, up, down) in [
        (
            Role::Viewer,
            &["a2", "a4", "a1", "a3"][..],
            &["a1", "a4", "a2", "a3"][..],
        ),
        (Role::Developer, &["a4", "a1", "a3"], &["a1", "a4", "a3"]),
    ] {
        let token = token(&service, role);
        assert_sorted(&service, &token, "keys", "sort=name", up);
        assert_sorted(&service, &token, "keys", "sort=-name", down);
    }
}

#[test]
fn a_page_token_is_of_one_order() {
    let service = world();
    let first = |sort: &str| {
        let path = format!("/admin/v1/keys?limit=2&sort={sort}");
        let page = service.get(&path).expect(200);
        page["next_page_token"].as_str().unwrap().to_owned()
    };
    let ask = |sort: &str, token: &str| {
        service.get(&format!(
            "/admin/v1/keys?limit=2&sort={sort}&page_token={token}"
        ))
    };
    let by_name = first("name");
    ask("name", &by_name).expect(200);
    for other in ["-name", "created", "expires"] {
        assert_eq!(ask(other, &by_name).problem(400), ["page_token"], "{other}");
    }
    let path = format!("/admin/v1/keys?limit=2&page_token={by_name}");
    assert_eq!(service.get(&path).problem(400), ["page_token"]);
    let path = format!("/admin/v1/audit?page_token={by_name}");
    assert_eq!(service.get(&path).problem(400), ["page_token"]);
    // What this service never gave.
    for made_up in [
        json!({"sort": "name", "place": 1, "value": 7}),
        json!({"sort": "name", "place": 1, "value": "a\u{0}b"}),
        json!({"sort": "name", "place": "x", "value": "a"}),
        json!({"sort": "name"}),
        json!("name"),
    ] {
        let token = URL_SAFE_NO_PAD.encode(made_up.to_string());
        assert_eq!(
            ask("name", &token).problem(400),
            ["page_token"],
            "{made_up}"
        );
    }
    let number = json!({"sort": "expires", "place": 1, "value": "7"}).to_string();
    let token = URL_SAFE_NO_PAD.encode(number);
    assert_eq!(ask("expires", &token).problem(400), ["page_token"]);
    for (list, wrong) in [
        ("keys", "login"),
        ("users", "expires"),
        ("tenants", "login"),
        ("keys", "+name"),
    ] {
        let path = format!("/admin/v1/{list}?sort={wrong}");
        assert_eq!(service.get(&path).problem(400), ["sort"], "{list} {wrong}");
    }
}

#[test]
fn the_commands_sort_their_lists() {
    let service = world();
    let folder = tempfile::tempdir().unwrap();
    for (list, sort, id) in [
        ("key", "-name", "k6"),
        ("user", "-login", "u6"),
        ("tenant", "name", "t2"),
    ] {
        let environment = [
            ("KEYBOUND_SERVER", service.url.as_str()),
            ("KEYBOUND_TOKEN", service.admin.reveal()),
        ];
        let arguments = [list, "list", "--sort", sort, "--limit", "2", "--json"];
        let output = crate::program::run(folder.path(), &environment, &arguments);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ids: Vec<&Value> = told["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["id"])
            .collect();
        assert!(ids.contains(&&json!(id)), "{list}: {ids:?}");
        let arguments = [list, "list", "--sort", "nonsense"];
        let output = crate::program::run(folder.path(), &environment, &arguments);
        assert_eq!(output.status.code(), Some(2));
    }
}
