use key_service::domain::audit::Action;
use key_service::domain::key::Key;
use key_service::domain::user::User;
use serde_json::{Value, json};

use crate::support::{Service, digest};

#[test]
fn a_known_key_comes_with_its_user_and_tenant() {
    let service = Service::furnished();
    let made = service.make_key(&json!({
        "scopes": ["orders:read"], "expires_at": 1_990_000_000, "not_before": 1_000_000_000,
        "networks": ["10.0.0.0/8", "2001:db8::1"],
        "hours": {"days": ["fri", "mon", "fri"], "from": "08:00", "to": "18:00"},
    }));
    let digest = digest(&made["secret"]);
    let answer = service.resolve(&[&digest]);
    assert_eq!(
        answer,
        json!({"as_of": 3, "results": [{
            "digest": digest,
            "key": {
                "id": made["id"], "version": 3, "user_id": "usr_a", "tenant_id": "ten_a", "environment": "live",
                "status": "active", "not_before": 1_000_000_000, "expires_at": 1_990_000_000,
                "replaced_by": null, "replaced_at": null, "scopes": ["orders:read"],
                "networks": ["10.0.0.0/8", "2001:db8::1/128"],
                "hours": {"days": ["mon", "fri"], "from": "08:00", "to": "18:00"},
            },
            "user": {"id": "usr_a", "version": 2, "tenant_id": "ten_a", "status": "active", "scopes": null, "apis": null},
            "tenant": {"id": "ten_a", "version": 1, "status": "active"},
        }]})
    );
}

#[test]
fn nothing_is_not_the_same_as_an_empty_list() {
    let service = Service::furnished();
    let empty = service.make_key(&json!({"networks": []}));
    let missing = service.make_key(&json!({"networks": null}));
    service
        .patch("/admin/v1/users/usr_a", &json!({"scopes": [], "apis": []}))
        .expect(200);
    let answer = service.resolve(&[&digest(&empty["secret"]), &digest(&missing["secret"])]);
    assert_eq!(answer["results"][0]["key"]["networks"], json!([]));
    assert_eq!(answer["results"][1]["key"]["networks"], Value::Null);
    assert_eq!(answer["results"][0]["user"]["scopes"], json!([]));
    assert_eq!(answer["results"][0]["user"]["apis"], json!([]));
}

#[test]
fn results_come_in_the_order_asked_with_unknown_ones_null() {
    let service = Service::furnished();
    let digests: Vec<String> = (0..20)
        .map(|_| digest(&service.make_key(&json!({}))["secret"]))
        .collect();
    let unknown = "A".repeat(43);
    let mut asked: Vec<&str> = digests.iter().rev().map(String::as_str).collect();
    asked.insert(7, &unknown);
    asked.push(&digests[0]);
    let answer = service.resolve(&asked);
    let results = answer["results"].as_array().unwrap();
    let order: Vec<&str> = results
        .iter()
        .map(|result| result["digest"].as_str().unwrap())
        .collect();
    assert_eq!(order, asked);
    assert_eq!(results[7], json!({"digest": unknown, "key": null}));
    assert!(
        results
            .iter()
            .enumerate()
            .all(|(at, result)| (at == 7) == result["key"].is_null())
    );
}

#[test]
fn a_key_without_user_or_tenant_has_null_there() {
    let service = Service::furnished();
    let made = service.make_key(&json!({}));
    for (user, tenant) in [
        (None, Some("ten_a")),
        (Some("usr_gone"), None),
        (Some("usr_a"), Some("ten_gone")),
    ] {
        service.write(async |write| {
            let before = write
                .by_id::<Key>(made["id"].as_str().unwrap())
                .await
                .unwrap()
                .unwrap();
            let mut after = before.clone();
            after.user_id = user.map(str::to_owned);
            after.tenant_id = tenant.map(str::to_owned);
            write
                .put(Action::Update, Some(&before), after)
                .await
                .unwrap();
        });
        let answer = service.resolve(&[&digest(&made["secret"])]);
        let result = answer["results"][0].as_object().unwrap();
        assert_eq!(result["key"]["user_id"], json!(user));
        assert_eq!(result["user"].is_null(), user != Some("usr_a"));
        assert!(result.contains_key("user") && result.contains_key("tenant"));
        assert_eq!(result["tenant"].is_null(), tenant != Some("ten_a"));
    }
}

#[test]
fn one_to_64_digests_and_all_of_them_right() {
    let service = Service::furnished();
    let unknown = "A".repeat(43);
    let send = |body: &Value| {
        service.send(
            "POST",
            "/v1/resolve",
            Some(&service.gateway),
            Some(body.to_string().as_bytes()),
        )
    };
    send(&json!({"digests": vec![&unknown; 64]})).expect(200);
    assert_eq!(
        send(&json!({"digests": vec![&unknown; 65]})).problem(400),
        ["digests"]
    );
    assert_eq!(send(&json!({"digests": []})).problem(400), ["digests"]);
    assert_eq!(send(&json!({})).problem(400), ["digests"]);
    assert_eq!(send(&json!({"digests": "A"})).problem(400), ["digests"]);
    let wrong = send(&json!({"digests": [unknown, "short", 7, format!("{unknown}=")]}));
    assert_eq!(
        wrong.problem(400),
        ["digests[1]", "digests[2]", "digests[3]"]
    );
    send(&json!({"digests": [unknown], "a_newer_field": true})).expect(200);
}

/// A writer keeps two records in step, in one write each time; a torn answer would show them apart.
#[test]
fn an_answer_is_true_at_one_moment() {
    let service = Service::furnished();
    let made = service.make_key(&json!({}));
    let digest = digest(&made["secret"]);
    let id = made["id"].as_str().unwrap();
    let rename = |number: i64| {
        service.write(async |write| {
            let key = write.by_id::<Key>(id).await.unwrap().unwrap();
            let mut changed = key.clone();
            changed.expires_at = Some(number);
            write
                .put(Action::Update, Some(&key), changed)
                .await
                .unwrap();
            let user = write.by_id::<User>("usr_a").await.unwrap().unwrap();
            let mut changed = user.clone();
            changed.name = Some(number.to_string());
            write
                .put(Action::Update, Some(&user), changed)
                .await
                .unwrap();
        });
    };
    rename(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (1..200).for_each(rename));
        for _ in 0..200 {
            let answer = service.resolve(&[&digest]);
            let result = &answer["results"][0];
            let (key, user) = (&result["key"]["version"], &result["user"]["version"]);
            assert_eq!(key.as_i64().unwrap() + 1, user.as_i64().unwrap());
            assert_eq!(answer["as_of"], *user);
        }
    });
}

#[test]
fn results_that_do_not_fit_into_a_mebibyte_are_left_out() {
    let service = Service::furnished();
    let many = |what: &str| -> Vec<String> {
        (0..256)
            .map(|n| format!("{what}{n:03}{}", "x".repeat(120)))
            .collect()
    };
    service
        .patch(
            "/admin/v1/users/usr_a",
            &json!({"scopes": many("s"), "apis": many("a")}),
        )
        .expect(200);
    let digests: Vec<String> = (0..25)
        .map(|_| digest(&service.make_key(&json!({"scopes": many("s")}))["secret"]))
        .collect();
    let mut left: Vec<&str> = digests.iter().map(String::as_str).collect();
    let mut calls = 0;
    while !left.is_empty() {
        let body = json!({"digests": left}).to_string();
        let answer = service.send(
            "POST",
            "/v1/resolve",
            Some(&service.gateway),
            Some(body.as_bytes()),
        );
        assert!(answer.text.len() <= 1024 * 1024, "{}", answer.text.len());
        let results = answer.expect(200)["results"].as_array().unwrap().clone();
        assert!(!results.is_empty());
        for result in results {
            assert_eq!(result["digest"], left.remove(0), "in the order asked");
            assert_eq!(result["user"]["apis"].as_array().unwrap().len(), 256);
        }
        calls += 1;
    }
    assert_eq!(calls, 3, "answers are filled");
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert!(
        metrics.contains(r#"resolve_digests_total{result="known"} 25"#),
        "what was left out was not looked up: {metrics}"
    );
}

#[test]
fn a_list_is_as_long_as_gateways_take_and_no_longer() {
    let service = Service::furnished();
    let many = |count: usize| -> Vec<String> { (0..count).map(|n| format!("s{n}")).collect() };
    let networks: Vec<String> = (0..257).map(|n| format!("2001:db8:{n:x}::/48")).collect();
    service.make_key(&json!({"id": "key_most", "scopes": many(256), "networks": networks[..256]}));
    for (path, fields, wrong) in [
        (
            "/admin/v1/keys/key_most",
            json!({"scopes": many(257), "networks": networks}),
            &["scopes", "networks"][..],
        ),
        (
            "/admin/v1/keys/key_most",
            json!({"scopes": ["x".repeat(129), ""]}),
            &["scopes[0]", "scopes[1]"],
        ),
        (
            "/admin/v1/users/usr_a",
            json!({"scopes": many(257), "apis": many(257)}),
            &["scopes", "apis"],
        ),
        (
            "/admin/v1/users/usr_a",
            json!({"apis": ["x".repeat(129), ""]}),
            &["apis[0]", "apis[1]"],
        ),
    ] {
        let refused = service.patch(path, &fields);
        assert_eq!(refused.problem(400), wrong);
        assert!(
            refused.text.contains("256") || refused.text.contains("128"),
            "{}",
            refused.text
        );
    }
    let line = json!({"key": "a-key-of-some-length", "scopes": many(257)}).to_string();
    assert_eq!(service.import(&line).problem(400), ["line 1.scopes"]);
}
