use std::sync::mpsc;
use std::time::Duration;

use key_service::http::Settings;
use serde_json::{Value, json};

use crate::support::{Service, digest};

#[test]
fn changes_come_in_order_and_only_the_last_of_each_record() {
    let service = Service::furnished();
    let key = service.make_key(&json!({}));
    service
        .patch(
            "/admin/v1/tenants/ten_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let changes = service.changes("?after=0");
    assert_eq!(
        changes,
        json!({"cursor": 4, "reset": false, "changes": [
            {"seq": 2, "kind": "user", "id": "usr_a", "user": {
                "id": "usr_a", "version": 2, "tenant_id": "ten_a", "status": "active", "scopes": null, "apis": null}},
            {"seq": 3, "kind": "key", "id": key["id"], "digest": digest(&key["secret"]), "key": {
                "id": key["id"], "version": 3, "user_id": "usr_a", "tenant_id": "ten_a", "environment": "live",
                "status": "active", "not_before": null, "expires_at": null, "replaced_by": null,
                "replaced_at": null, "scopes": [], "networks": null, "hours": null}},
            {"seq": 4, "kind": "tenant", "id": "ten_a", "tenant": {"id": "ten_a", "version": 4, "status": "suspended"}},
        ]})
    );
    assert_eq!(
        service.changes("?after=4"),
        json!({"cursor": 4, "reset": false, "changes": []})
    );
}

#[test]
fn a_limit_cuts_and_the_cursor_goes_on_after_it() {
    let service = Service::furnished();
    for _ in 0..5 {
        service.make_key(&json!({}));
    }
    let mut cursor = 0;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = service.changes(&format!("?after={cursor}&limit=2"));
        let changes = page["changes"].as_array().unwrap();
        assert!(changes.len() <= 2);
        seen.extend(changes.iter().map(|change| change["seq"].as_i64().unwrap()));
        cursor = page["cursor"].as_i64().unwrap();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(cursor, 7);
}

#[test]
fn who_has_no_cursor_or_a_useless_one_starts_over() {
    let settings = Settings {
        changes_kept: 3,
        ..Settings::default()
    };
    let service = Service::start_with(settings);
    for _ in 0..5 {
        service.post("/admin/v1/tenants", &json!({})).expect(201);
    }
    let reset = json!({"cursor": 5, "reset": true, "changes": []});
    for query in [
        "",
        "?wait=30",
        "?after=6",
        "?after=6&wait=30",
        "?after=1",
        "?after=0&wait=30",
    ] {
        assert_eq!(service.changes(query), reset, "{query}");
    }
    assert_eq!(
        service.changes("?after=2")["changes"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn wrong_parameters_are_problems_and_unknown_ones_are_not() {
    let service = Service::start();
    let send = |query: &str| {
        service.send(
            "GET",
            &format!("/v1/changes{query}"),
            Some(&service.gateway),
            None,
        )
    };
    assert_eq!(send("?after=-1").problem(400), ["after"]);
    assert_eq!(
        send("?after=x&wait=x&limit=0").problem(400),
        ["after", "wait", "limit"]
    );
    assert_eq!(send("?after=0&after=1").problem(400), ["after"]);
    send("?after=0&newer=1").expect(200);
    send("?after=0&limit=100000").expect(200);
}

/// Polls in a thread and gives what it answered, once it has.
fn poll<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    service: &'scope Service,
    query: &'static str,
) -> mpsc::Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    scope.spawn(move || sender.send(service.changes(query)));
    receiver
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_waiting_poll_is_answered_by_the_next_commit() {
    let service = Service::furnished();
    std::thread::scope(|scope| {
        let answer = poll(scope, &service, "?after=2&wait=60");
        // It waits: nothing comes as long as nothing is written.
        assert!(answer.recv_timeout(Duration::from_millis(200)).is_err());
        service
            .patch(
                "/admin/v1/users/usr_a?force=true",
                &json!({"status": "deactivated"}),
            )
            .expect(200);
        let changes = answer
            .recv_timeout(LONG)
            .expect("the commit must wake the poll");
        assert_eq!(changes["cursor"], 3);
        assert_eq!(changes["changes"][0]["user"]["status"], "deactivated");
    });
}

#[test]
fn a_write_that_changes_nothing_wakes_nobody() {
    let service = Service::furnished();
    service
        .patch("/admin/v1/users/usr_a", &json!({"status": "active"}))
        .expect(200);
    service
        .patch("/admin/v1/tenants/ten_a", &json!({"status": "active"}))
        .expect(200);
    assert_eq!(service.changes("?after=2")["cursor"], 2);
}

#[test]
fn without_a_change_the_wait_ends_in_a_heartbeat() {
    let service = Service::furnished();
    let heartbeat = json!({"cursor": 2, "reset": false, "changes": []});
    assert_eq!(service.changes("?after=2&wait=1"), heartbeat);
}

#[test]
fn a_stop_ends_the_wait() {
    let service = Service::furnished();
    std::thread::scope(|scope| {
        let answer = poll(scope, &service, "?after=2&wait=60");
        assert!(answer.recv_timeout(Duration::from_millis(200)).is_err());
        service.stop.send(true).unwrap();
        assert_eq!(answer.recv_timeout(LONG).unwrap()["cursor"], 2);
    });
}

/// Many write at once while one follows the feed: it sees every number once, in order, and never
/// one below what it saw before.
#[test]
fn parallel_writers_share_one_sequence() {
    let service = Service::furnished();
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let mut seen = Vec::new();
    let mut given: Vec<i64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    (0..WRITES)
                        .map(|_| {
                            service.post("/admin/v1/tenants", &json!({})).expect(201)["version"]
                                .as_i64()
                                .unwrap()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut cursor = 2;
        while seen.len() < WRITERS * WRITES {
            let page = service.changes(&format!("?after={cursor}&wait=20"));
            seen.extend(
                page["changes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|change| change["seq"].as_i64().unwrap()),
            );
            cursor = page["cursor"].as_i64().unwrap();
        }
        writers
            .into_iter()
            .flat_map(|writer| {
                let versions = writer.join().unwrap();
                assert!(versions.is_sorted(), "one writer's numbers rise");
                versions
            })
            .collect()
    });
    let every: Vec<i64> = (3..3 + (WRITERS * WRITES) as i64).collect();
    assert_eq!(seen, every, "the feed gives each number once, in order");
    given.sort_unstable();
    assert_eq!(given, every, "no number is given twice or left out");
}

/// However many keys hang on a tenant, its suspension is one change, and every key resolves to it.
#[test]
fn a_tenant_with_many_keys_is_suspended_by_one_change() {
    const KEYS: i64 = 100_000;
    let service = Service::furnished();
    let key = service.make_key(&json!({}));
    // By SQL, since making them one by one takes minutes.
    service.execute(&format!(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {KEYS}) \
         INSERT INTO keys (id, version, digest, user_id, tenant_id, status, scopes, created_at, updated_at) \
         SELECT 'key_' || n, 3 + n, 'digest' || n, 'usr_a', 'ten_a', 'active', '[]', 0, 0 FROM number"
    ));
    service.execute(&format!("UPDATE sequence SET value = 3 + {KEYS}"));
    let cursor = service.changes("")["cursor"].as_i64().unwrap();
    assert_eq!(cursor, 3 + KEYS);
    service
        .patch(
            "/admin/v1/tenants/ten_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    let changes = service.changes(&format!("?after={cursor}"));
    assert_eq!(
        changes["changes"],
        json!([{"seq": cursor + 1, "kind": "tenant", "id": "ten_a",
                "tenant": {"id": "ten_a", "version": cursor + 1, "status": "suspended"}}])
    );
    let digest = digest(&key["secret"]);
    let resolved = service.resolve(&[digest.as_str()]);
    assert_eq!(resolved["results"][0]["tenant"]["status"], "suspended");
}

/// Several follow, several write: whether answered from memory or from the database, each follower sees every
/// number once, in order.
#[test]
fn every_follower_sees_every_change_once_and_in_order() {
    const WRITERS: usize = 4;
    const WRITES: usize = 25;
    let service = Service::furnished();
    std::thread::scope(|scope| {
        let followers: Vec<_> = (0..4)
            .map(|number| {
                let service = &service;
                scope.spawn(move || {
                    let (mut cursor, mut seen) = (2, Vec::new());
                    while seen.len() < WRITERS * WRITES {
                        let page = service
                            .changes(&format!("?after={cursor}&wait=20&limit={}", number + 1));
                        let changes = page["changes"].as_array().unwrap();
                        seen.extend(changes.iter().map(|change| change["seq"].as_i64().unwrap()));
                        cursor = page["cursor"].as_i64().unwrap();
                    }
                    seen
                })
            })
            .collect();
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..WRITES {
                    service.post("/admin/v1/tenants", &json!({})).expect(201);
                }
            });
        }
        let every: Vec<i64> = (3..3 + (WRITERS * WRITES) as i64).collect();
        for follower in followers {
            assert_eq!(follower.join().unwrap(), every);
        }
    });
}

#[test]
fn a_poll_whose_token_is_revoked_meanwhile_is_told_of_no_change() {
    let service = Service::furnished();
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| {
            service.send(
                "GET",
                "/v1/changes?after=2&wait=30",
                Some(&service.gateway),
                None,
            )
        });
        while !service
            .get("/metrics")
            .text
            .contains("keybound_service_followers 1")
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        service.write(async |write| {
            let token = write.token("envoy").await.unwrap().unwrap();
            write.revoke_token(&token).await.unwrap();
        });
        service
            .post("/admin/v1/tenants", &json!({"id": "ten_secret"}))
            .expect(201);
        let answer = polling.join().unwrap();
        answer.problem(401);
        assert!(!answer.text.contains("ten_secret"), "{}", answer.text);
    });
}

/// Lines of an import, each of some two kilobytes: far more in one answer than gateways take.
fn long_scopes() -> String {
    let scopes: Vec<String> = (0..16)
        .map(|n| format!("{n:02}:{}", "s".repeat(121)))
        .collect();
    (0..490)
        .map(|n| json!({"key": format!("a-key-of-some-length-{n}"), "user_id": "usr_a", "scopes": scopes}).to_string() + "\n")
        .collect()
}

#[test]
fn an_answer_ends_before_a_mebibyte_and_the_next_goes_on_after_it() {
    let service = Service::furnished();
    let lines = long_scopes();
    assert!(lines.len() < 1024 * 1024, "one import");
    service.import(&lines).expect(200);
    let (mut cursor, mut seen, mut pages) = (0, Vec::new(), 0);
    while cursor < 492 {
        let answer = service.send(
            "GET",
            &format!("/v1/changes?after={cursor}"),
            Some(&service.gateway),
            None,
        );
        assert!(answer.text.len() <= 1024 * 1024, "{}", answer.text.len());
        let page = answer.expect(200);
        let changes = page["changes"].as_array().unwrap();
        seen.extend(changes.iter().map(|change| change["seq"].as_i64().unwrap()));
        assert_eq!(page["cursor"].as_i64(), seen.last().copied());
        cursor = page["cursor"].as_i64().unwrap();
        pages += 1;
    }
    assert_eq!(seen, (1..=492).collect::<Vec<i64>>());
    assert_eq!(pages, 2, "answers are filled");
}

#[test]
fn who_waits_for_a_change_gets_no_more_than_a_mebibyte_either() {
    let service = Service::furnished();
    let waiting = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            service.send(
                "GET",
                "/v1/changes?after=2&wait=30",
                Some(&service.gateway),
                None,
            )
        });
        // One write of many large records.
        let scopes: Vec<String> = (0..256)
            .map(|n| format!("{n:03}:{}", "s".repeat(124)))
            .collect();
        let lines: String = (0..31)
            .map(|n| {
                json!({"key": format!("a-key-of-some-length-{n}"), "scopes": scopes}).to_string()
                    + "\n"
            })
            .collect();
        service.import(&lines).expect(200);
        poll.join().unwrap()
    });
    assert!(waiting.text.len() <= 1024 * 1024, "{}", waiting.text.len());
    let page = waiting.expect(200);
    assert!(page["changes"].as_array().unwrap().len() > 20);
    let rest = service.changes(&format!("?after={}", page["cursor"]));
    assert_eq!(rest["cursor"], 33);
}
