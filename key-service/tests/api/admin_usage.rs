//! `/admin/v1/keys/{id}/usage` and `/admin/v1/users/{id}/usage`: what gateways report of refusals and networks, day by
//! day; what follows from it for a review; the commands.

use key_service::domain::time::{DAY, now};
use key_service::store::retention::Retention;
use serde_json::{Value, json};

use crate::program::text;
use crate::support::{Service, assert_holds};
use crate::v1_usage::{report, with_keys};

/// The first second of today.
fn today() -> i64 {
    now() / DAY * DAY
}

fn usage(service: &Service, path: &str) -> Value {
    service.get(&format!("/admin/v1{path}")).expect(200)
}

fn reported(service: &Service, batch: i64, keys: &Value) {
    let answer = report(service, "vm", batch, keys);
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
}

#[test]
fn refusals_and_networks_are_summed_by_day_oldest_first() {
    let service = with_keys();
    let nothing = usage(&service, "/keys/key_1/usage");
    assert_eq!(
        nothing,
        json!({
            "key_id": "key_1", "usage_reported": false, "last_used_at": null, "last_rejected_at": null,
            "allowed": 0, "rejected": 0, "rejected_by": {}, "networks": {}, "days": [],
        })
    );
    let at = today();
    let keys = json!([
        {"id": "key_1", "allowed": 120, "rejected": 3, "last_at": at, "last_rejected_at": at - 7,
         "rejected_by": {"user_suspended": 2, "scope_missing": 1},
         "networks": {"203.0.113.0/24": 119, "2001:DB8:7::/48": 4}},
        {"id": "key_1", "allowed": 1, "rejected": 0, "last_at": at - 86_400, "networks": {"other": 1}},
        {"id": "key_2", "allowed": 0, "rejected": 2, "last_at": at, "last_rejected_at": now() + 999,
         "rejected_by": {"user_suspended": 1, "key_leaked": 1}, "networks": {"203.0.113.0/24": 2}},
        {"id": "key_gone", "allowed": 1, "rejected": 1, "last_at": at, "rejected_by": {"key_expired": 1}},
    ]);
    reported(&service, 1, &keys);
    reported(&service, 1, &keys);
    reported(&service, 2, &keys);
    let of_today = json!({
        "allowed": 240, "rejected": 6, "rejected_by": {"scope_missing": 2, "user_suspended": 4},
        "networks": {"203.0.113.0/24": 238, "2001:db8:7::/48": 8},
    });
    let of_yesterday = json!({
        "allowed": 2, "rejected": 0, "rejected_by": {}, "networks": {"other": 2}
    });
    let told = usage(&service, "/keys/key_1/usage");
    assert_eq!(told["days"].as_array().unwrap().len(), 2);
    assert_eq!(told["days"][0]["day"], at - DAY);
    assert_eq!(told["days"][1]["day"], at);
    assert_holds(&told["days"][0], &of_yesterday);
    assert_holds(&told["days"][1], &of_today);
    assert_holds(
        &told,
        &json!({
            "usage_reported": true, "last_used_at": at, "last_rejected_at": at - 7,
            "allowed": 242, "rejected": 6, "rejected_by": {"scope_missing": 2, "user_suspended": 4},
            "networks": {"203.0.113.0/24": 238, "2001:db8:7::/48": 8, "other": 2},
        }),
    );
    let only_today = usage(&service, "/keys/key_1/usage?days=1");
    assert_holds(&only_today, &of_today);
    assert_eq!(only_today["days"].as_array().unwrap().len(), 1);

    let of_user = usage(&service, "/users/usr_a/usage");
    assert_eq!(of_user["user_id"], "usr_a");
    assert_holds(
        &of_user,
        &json!({
            "allowed": 242, "rejected": 10,
            "rejected_by": {"other": 2, "scope_missing": 2, "user_suspended": 6},
            "networks": {"203.0.113.0/24": 242, "2001:db8:7::/48": 8, "other": 2},
        }),
    );
    let last = of_user["last_rejected_at"].as_i64().unwrap();
    assert!(last <= now(), "nothing was refused in the future");
    let shown = usage(&service, "/keys/key_1");
    assert_eq!(shown["last_rejected_at"], at - 7);
    for path in ["/keys/key_x/usage", "/users/usr_x/usage"] {
        service.get(&format!("/admin/v1{path}")).problem(404);
    }
    for days in ["0", "401", "x", ""] {
        let path = format!("/admin/v1/keys/key_1/usage?days={days}");
        assert_eq!(service.get(&path).problem(400), ["days"]);
    }
}

#[test]
fn a_report_that_is_wrong_in_one_of_these_counts_nothing() {
    let service = with_keys();
    let many = |of: fn(usize) -> String, count: usize| -> Value {
        (0..count).map(|at| (of(at), json!(1))).collect()
    };
    let network = |at: usize| format!("10.0.{at}.0/24");
    let code = |at: usize| format!("code_{at}");
    for (field, value, path) in [
        ("rejected_by", json!(7), "rejected_by"),
        (
            "rejected_by",
            json!({"not a code": 1}),
            "rejected_by.not a code",
        ),
        (
            "rejected_by",
            json!({"scope_missing": -1}),
            "rejected_by.scope_missing",
        ),
        ("rejected_by", many(code, 55), "rejected_by"),
        (
            "networks",
            json!({"203.0.113.7": 1}),
            "networks.203.0.113.7",
        ),
        ("networks", json!({"10.0.0.0/8": 1}), "networks.10.0.0.0/8"),
        ("networks", json!({"other": "1"}), "networks.other"),
        ("networks", many(network, 10), "networks"),
        ("last_rejected_at", json!("now"), "last_rejected_at"),
    ] {
        let mut wrong = json!({"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()});
        wrong[field] = value;
        let right = json!({"id": "key_1", "allowed": 1, "rejected": 0, "last_at": now()});
        let answer = report(&service, "vm", 1, &json!([right, wrong]));
        assert_eq!(answer.problem(400), [format!("keys[1].{path}")], "{field}");
    }
    assert_eq!(usage(&service, "/keys/key_1/usage")["days"], json!([]));
    let most = json!([{
        "id": "key_1", "allowed": 9, "rejected": 54, "last_at": now(),
        "rejected_by": many(code, 54), "networks": many(network, 9),
    }]);
    reported(&service, 1, &most);
    let told = usage(&service, "/keys/key_1/usage");
    assert_eq!(told["rejected_by"], json!({"other": 54}));
    assert_eq!(told["networks"].as_object().unwrap().len(), 9);
}

#[test]
fn networks_of_a_day_are_bounded_and_none_is_lost() {
    let service = with_keys();
    let mut sent = 0;
    for batch in 0..40 {
        let networks: Value = (0..8)
            .map(|at| (format!("10.{batch}.{at}.0/24"), json!(1)))
            .chain([("10.0.0.0/24".to_owned(), json!(1))])
            .collect();
        let networks = networks.as_object().unwrap().clone();
        sent += networks.len();
        let key = json!({"id": "key_1", "allowed": 9, "rejected": 0, "last_at": now(), "networks": networks});
        reported(&service, batch, &json!([key]));
    }
    let told = usage(&service, "/keys/key_1/usage");
    let networks = told["networks"].as_object().unwrap();
    assert!(networks.len() <= 65, "{}", networks.len());
    assert_eq!(networks["10.0.0.0/24"], 40, "what is known goes on");
    let sum: i64 = networks.values().map(|count| count.as_i64().unwrap()).sum();
    assert_eq!(sum, i64::try_from(sent).unwrap());
    assert!(networks["other"].as_i64().unwrap() > 200);
}

#[test]
fn counts_of_refusals_and_networks_go_with_the_days_and_the_last_refusal_stays() {
    let service = with_keys();
    let at = now() - 5;
    let key = |at: i64| {
        json!({"id": "key_1", "allowed": 0, "rejected": 1, "last_at": at, "last_rejected_at": at,
               "rejected_by": {"key_expired": 1}, "networks": {"other": 1}})
    };
    reported(&service, 1, &json!([key(at), key(at - 10 * DAY)]));
    let retention = Retention {
        audit: None,
        usage: Some(40 * DAY),
    };
    let left = |at_time: i64| {
        service.wait_for(async || service.store.prune(retention, at_time).await.unwrap());
        let told = usage(&service, "/keys/key_1/usage?days=400");
        let days = told["days"].as_array().unwrap().iter();
        days.map(|day| (day["rejected_by"].clone(), day["networks"].clone()))
            .collect::<Vec<_>>()
    };
    let day = (json!({"key_expired": 1}), json!({"other": 1}));
    assert_eq!(left(at), [day.clone(), day.clone()]);
    assert_eq!(left(at + 35 * DAY), [day]);
    assert_eq!(left(at + 42 * DAY), []);
    assert_eq!(usage(&service, "/keys/key_1/usage")["last_rejected_at"], at);
}

fn reasons(service: &Service) -> Vec<(String, Value)> {
    let review = usage(service, "/review");
    let items = review["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            (
                item["key_id"].as_str().unwrap().to_owned(),
                item["reasons"].clone(),
            )
        })
        .collect()
}

#[test]
fn a_persons_key_that_is_used_daily_from_several_networks_asks_for_a_look() {
    let service = Service::furnished();
    service
        .post(
            "/admin/v1/users",
            &json!({"id": "usr_sys", "tenant_id": "ten_a", "kind": "system"}),
        )
        .expect(201);
    let end = now() + 200 * DAY;
    for (id, user) in [
        ("daily", "usr_a"),
        ("not_yet_today", "usr_a"),
        ("a_day_missing", "usr_a"),
        ("at_one_place", "usr_a"),
        ("refused", "usr_a"),
        ("of_a_system", "usr_sys"),
    ] {
        service.make_key(&json!({"id": id, "user_id": user, "expires_at": end}));
    }
    assert_eq!(reasons(&service), []);
    let mut keys = Vec::new();
    let mut used = |id: &str, days: &[i64], allowed: i64, networks: &[&str]| {
        for day in days {
            let network = networks[usize::try_from(*day).unwrap() % networks.len()];
            keys.push(json!({
                "id": id, "allowed": allowed, "rejected": 1, "last_at": today() - day * DAY,
                "networks": {network: 1},
            }));
        }
    };
    let two = ["10.1.0.0/24", "10.2.0.0/24"];
    used("daily", &[0, 1, 2, 3, 4, 5, 6], 1, &two);
    used("not_yet_today", &[1, 2, 3, 4, 5, 6, 7], 1, &two);
    used("a_day_missing", &[0, 1, 2, 4, 5, 6, 7], 1, &two);
    used("at_one_place", &[0, 1, 2, 3, 4, 5, 6, 7], 1, &two[..1]);
    used("refused", &[0, 1, 2, 3, 4, 5, 6, 7], 0, &two);
    used("of_a_system", &[0, 1, 2, 3, 4, 5, 6, 7], 1, &two);
    reported(&service, 1, &Value::from(keys));
    let found = ["daily", "not_yet_today"].map(|id| (id.to_owned(), json!(["person_owned"])));
    assert_eq!(reasons(&service), found);
    let metrics = service.send("GET", "/metrics", None, None).text;
    let line = r#"keybound_service_keys_to_review{reason="person_owned"} 2"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn the_commands_print_a_line_a_day_and_all_of_them_together() {
    let service = with_keys();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let environment = [
            ("KEYBOUND_SERVER", service.url.as_str()),
            ("KEYBOUND_TOKEN", service.admin.reveal()),
        ];
        crate::program::run(folder.path(), &environment, arguments)
    };
    let before = run(&["key", "usage", "key_1"]);
    assert!(before.status.success(), "{}", text(&before.stderr));
    assert!(text(&before.stderr).contains("No gateway has reported use yet"));
    let at = today();
    let networks = json!({"10.1.0.0/24": 1, "10.2.0.0/24": 5, "10.3.0.0/24": 2, "10.4.0.0/24": 3});
    let keys = json!([{
        "id": "key_1", "allowed": 10, "rejected": 1, "last_at": at, "last_rejected_at": at,
        "rejected_by": {"scope_missing": 1}, "networks": networks,
    }]);
    reported(&service, 1, &keys);
    for command in [["key", "usage", "key_1"], ["user", "usage", "usr_a"]] {
        let output = run(&command);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let table = text(&output.stdout);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        let told = "10       1         scope_missing 1  10.2.0.0/24 5, 10.4.0.0/24 3, 10.3.0.0/24 2, 1 more";
        assert!(lines[1].ends_with(told), "{table}");
        assert!(lines[2].starts_with("all "), "{table}");
        assert!(lines[2].ends_with(told), "{table}");
        let json: Value =
            serde_json::from_slice(&run(&[&command[..], &["--json"]].concat()).stdout).unwrap();
        assert_eq!(json["days"][0]["networks"], networks);
    }
    let few = run(&["key", "usage", "key_1", "--days", "0"]);
    assert_eq!(few.status.code(), Some(1));
    assert!(text(&few.stderr).contains("days"), "{}", text(&few.stderr));
}
