//! `/admin/v1/apply`, `/admin/v1/diff` and `/admin/v1/export`: records as files describe them.

use key_service::domain::credential::{Credential, Digester};
use key_service::domain::time::{DAY, now};
use key_service::domain::token::Role;
use serde_json::{Value, json};

use crate::reach::token;
use crate::support::{Answer, Service, assert_holds, digest};
use crate::v1_usage::report;

const APPLY: &str = "/admin/v1/apply";
const DIFF: &str = "/admin/v1/diff";

/// The digest of a made-up key.
fn digest_of(name: &str) -> String {
    digest(&json!(format!("a-key-from-elsewhere-{name}")))
}

/// A tenant with rules, users and keys.
fn shop() -> Value {
    json!({
        "tenants": [{"id": "ten_shop", "name": "The shop", "key_rules": {"require": ["purpose"]}}],
        "users": [
            {"id": "usr_sync", "tenant_id": "ten_shop", "kind": "system", "scopes": ["stock:*"]},
            {"id": "usr_kim", "tenant_id": "ten_shop", "login": "Kim@example.org", "status": "suspended"},
        ],
        "keys": [
            {"id": "key_sync", "user_id": "usr_sync", "digest": digest_of("sync"), "hint": "…1234",
             "purpose": "nightly", "scopes": ["stock:read"], "networks": ["10.1.2.3"],
             "hours": {"days": ["tue", "mon"], "from": "08:00", "to": "18:00"}, "rotate_every": "2160h"},
            {"id": "key_clear", "user_id": "usr_sync", "key": "a-key-from-elsewhere-clear", "purpose": "by day",
             "environment": "live"},
        ],
    })
}

fn ids(report: &Value) -> Vec<String> {
    let changes = report["changes"].as_array().unwrap().iter();
    changes
        .map(|change| {
            format!(
                "{} {}",
                change["action"].as_str().unwrap(),
                change["id"].as_str().unwrap()
            )
        })
        .collect()
}

fn counts(report: &Value) -> [i64; 3] {
    ["created", "changed", "unchanged"].map(|name| report[name].as_i64().unwrap())
}

fn errors(answer: &Answer, status: u16) -> Vec<String> {
    answer.problem(status)
}

#[test]
fn what_is_not_there_is_made_and_a_second_time_changes_nothing() {
    let service = Service::start();
    let compared = service.post(DIFF, &shop()).expect(200);
    assert_eq!(counts(&compared), [6, 0, 0]);
    let cursor = service.changes("")["cursor"].clone();
    assert_eq!(cursor, 0, "a comparison writes nothing");
    let done = service.post(APPLY, &shop());
    assert_eq!(done.expect(200), compared);
    assert_eq!(
        done.header("etag"),
        format!("\"{}\"", compared["plan"].as_str().unwrap())
    );
    assert_eq!(
        ids(&compared),
        [
            "create ten_shop",
            "create ten_shop",
            "create usr_sync",
            "create usr_kim",
            "create key_sync",
            "create key_clear"
        ]
    );
    assert_holds(
        &service.get("/admin/v1/keys/key_sync").expect(200),
        &json!({"tenant_id": "ten_shop", "networks": ["10.1.2.3/32"], "rotate_every": "90d", "hint": "…1234",
                "hours": {"days": ["mon", "tue"], "from": "08:00", "to": "18:00"}, "verdict": "allowed"}),
    );
    let known = service.resolve(&[&digest_of("clear")]);
    assert_eq!(known["results"][0]["key"]["id"], "key_clear");
    assert_eq!(
        service.get("/admin/v1/users/usr_kim").expect(200)["status"],
        "suspended"
    );
    let cursor = service.changes("")["cursor"].clone();
    let again = service.post(APPLY, &shop()).expect(200);
    assert_eq!(counts(&again), [0, 0, 5]);
    assert_eq!(service.changes("")["cursor"], cursor);
    let audit = service.get("/admin/v1/audit?limit=500").expect(200);
    let anna = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["actor"] == "anna");
    assert_eq!(anna.count(), 6);
    assert!(
        !service
            .get("/admin/v1/audit")
            .text
            .contains("a-key-from-elsewhere")
    );
}

#[test]
fn what_is_not_named_stays_and_null_takes_away() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    let end = now() + DAY;
    let patch = json!({
        "tenants": [{"id": "ten_shop", "key_rules": null}],
        "users": [{"id": "usr_sync", "scopes": null, "contact": "ops@example.org"}],
        "keys": [{"id": "key_sync", "networks": null, "hours": {"to": "19:00"}, "expires_at": end}],
    });
    let report = service.post(APPLY, &patch).expect(200);
    assert_eq!(
        ids(&report),
        ["delete ten_shop", "update usr_sync", "update key_sync"]
    );
    let fields = |index: usize| -> Vec<&str> {
        let fields = report["changes"][index]["fields"]
            .as_array()
            .unwrap()
            .iter();
        fields
            .map(|field| field["field"].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        (fields(0), fields(1)),
        (vec!["require"], vec!["contact", "scopes"])
    );
    assert_eq!(fields(2), ["expires_at", "hours", "networks"]);
    assert_eq!(report["changes"][1]["fields"][0]["from"], Value::Null);
    assert_eq!(report["changes"][1]["fields"][0]["to"], "ops@example.org");
    assert_holds(
        &service.get("/admin/v1/keys/key_sync").expect(200),
        &json!({"networks": null, "purpose": "nightly", "expires_at": end, "scopes": ["stock:read"],
                "hours": {"days": ["mon", "tue"], "from": "08:00", "to": "19:00"}}),
    );
    assert_holds(
        &service.get("/admin/v1/users/usr_sync").expect(200),
        &json!({"scopes": null, "kind": "system"}),
    );
    assert_eq!(
        service.get("/admin/v1/tenants/ten_shop").expect(200)["name"],
        "The shop"
    );
}

#[test]
fn one_wrong_entry_keeps_all_out_and_each_is_named_with_its_field() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    service
        .post("/admin/v1/keys/key_clear/revoke", &json!({}))
        .expect(200);
    service
        .delete("/admin/v1/users/usr_kim?force=true")
        .expect(200);
    let cursor = service.changes("")["cursor"].clone();
    let wrong = json!({
        "tenants": [{"id": "ten_new"}, {"id": "ten_new"}, {"id": "ten_odd", "key_rule": {}}],
        "users": [{"name": "nobody"}],
        "keys": [{"id": "key_sync", "scopes": ["not ok"]}],
    });
    assert_eq!(
        errors(&service.post(APPLY, &wrong), 400),
        ["tenants[2].key_rule", "users[0].id", "keys[0].scopes[0]"]
    );
    let twice = json!({"tenants": [{"id": "ten_new"}, {"id": "ten_new"}]});
    assert_eq!(errors(&service.post(APPLY, &twice), 400), ["tenants[1].id"]);
    let wrong = json!({
        "tenants": [{"id": "ten_new"}],
        "users": [
            {"id": "usr_a", "tenant_id": "ten_gone"},
            {"id": "usr_sync", "tenant_id": "ten_new"},
            {"id": "usr_kim", "status": "active"},
            {"id": "usr_one", "tenant_id": "ten_new", "login": "one"},
            {"id": "usr_two", "tenant_id": "ten_new", "login": "ONE"},
        ],
        "keys": [
            {"id": "key_none", "user_id": "usr_sync", "purpose": "p"},
            {"id": "key_two", "user_id": "usr_sync", "purpose": "p", "digest": digest_of("sync")},
            {"id": "key_three", "user_id": "usr_gone", "digest": digest_of("three")},
            {"id": "key_sync", "digest": digest_of("other")},
            {"id": "key_clear", "status": "active"},
            {"id": "key_four", "user_id": "usr_sync", "tenant_id": "ten_new", "digest": digest_of("four")},
            {"id": "key_five", "user_id": "usr_sync", "digest": digest_of("five"), "key": "a-key-from-elsewhere-five"},
            {"id": "key_six", "digest": digest_of("six"), "revoked_reason": "no"},
            {"id": "key_seven", "digest": digest_of("seven"), "hours": {"from": "08:00"}},
            {"id": "key_eight", "digest": digest_of("eight")},
            {"id": "key_nine", "digest": digest_of("eight")},
        ],
    });
    for path in [APPLY, DIFF] {
        assert_eq!(
            {
                let mut named = errors(&service.post(path, &wrong), 400);
                named.sort();
                named
            },
            [
                "keys[0].digest",
                "keys[10].digest",
                "keys[1].digest",
                "keys[2].user_id",
                "keys[3].digest",
                "keys[4]",
                "keys[5].tenant_id",
                "keys[6].digest",
                "keys[7].revoked_reason",
                "keys[8].hours.days",
                "keys[8].hours.to",
                "users[0].tenant_id",
                "users[1].tenant_id",
                "users[2]",
                "users[4].login",
            ]
        );
    }
    assert_eq!(service.changes("")["cursor"], cursor);
    assert!(
        !service
            .post(APPLY, &wrong)
            .text
            .contains("a-key-from-elsewhere")
    );
}

#[test]
fn rules_are_asked_of_what_is_made_or_changed_and_of_nothing_else() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    let mut stricter = shop();
    stricter["tenants"][0]["key_rules"] =
        json!({"require": ["purpose", "contact"], "forbid_scopes": ["*"]});
    // Those that are there stay as they are.
    assert_eq!(
        counts(&service.post(APPLY, &stricter).expect(200)),
        [0, 1, 4]
    );
    let wrong = json!({"keys": [
        {"id": "key_new", "user_id": "usr_sync", "digest": digest_of("new"), "scopes": ["*"], "purpose": "p"},
        {"id": "key_sync", "name": "other"},
        {"id": "key_clear", "status": "disabled"},
        {"id": "key_old", "user_id": "usr_sync", "digest": digest_of("old"), "status": "revoked"},
    ]});
    let answer = service.post(APPLY, &wrong);
    assert_eq!(
        errors(&answer, 422),
        ["keys[0].contact", "keys[0].scopes[0]", "keys[1].contact"]
    );
    assert_eq!(answer.json()["errors"][1]["rule"], "forbid_scopes");
    let right = json!({"keys": [wrong["keys"][2], wrong["keys"][3]]});
    let forced = format!("{APPLY}?force=true");
    assert_eq!(
        counts(&service.post(&forced, &right).expect(200)),
        [1, 1, 0]
    );
    // The rules of the same file hold already.
    let both = json!({
        "tenants": [{"id": "ten_b", "key_rules": {"owners": "system"}}],
        "users": [{"id": "usr_b", "tenant_id": "ten_b"}],
        "keys": [{"id": "key_b", "user_id": "usr_b", "digest": digest_of("b")}],
    });
    assert_eq!(errors(&service.post(DIFF, &both), 422), ["keys[0].user_id"]);
}

#[test]
fn what_is_revoked_or_deleted_stays_so_and_may_go_on_being_named() {
    let service = Service::start();
    let mut file = shop();
    file["users"][1].as_object_mut().unwrap().remove("status");
    service.post(APPLY, &file).expect(200);
    service
        .post("/admin/v1/keys/key_sync/revoke", &json!({}))
        .expect(200);
    service
        .delete("/admin/v1/users/usr_kim?force=true")
        .expect(200);
    file["keys"][0]["purpose"] = json!("another");
    assert_eq!(counts(&service.post(APPLY, &file).expect(200)), [0, 0, 5]);
    let ends = json!({
        "users": [{"id": "usr_kim", "status": "deleted"}, {"id": "usr_sync", "status": "deleted", "name": "gone"}],
        "keys": [{"id": "key_clear", "status": "revoked", "revoked_reason": "over"}],
    });
    let done = service
        .post(&format!("{APPLY}?force=true"), &ends)
        .expect(200);
    assert_eq!(ids(&done), ["delete usr_sync", "revoke key_clear"]);
    assert_eq!(
        service.get("/admin/v1/keys/key_clear").expect(200)["revoked_reason"],
        "over"
    );
    assert_eq!(counts(&service.post(APPLY, &ends).expect(200)), [0, 0, 3]);
}

#[test]
fn a_rotation_is_not_taken_back_by_a_file_that_does_not_know_of_it() {
    let service = Service::start();
    let mut file = shop();
    file["keys"][0]["expires_at"] = json!(now() + 90 * DAY);
    service.post(APPLY, &file).expect(200);
    let rotated = service
        .post("/admin/v1/keys/key_sync/rotate", &json!({"grace": "1h"}))
        .expect(201);
    let end = service.get("/admin/v1/keys/key_sync").expect(200)["expires_at"].clone();
    let pruned = service
        .post(&format!("{APPLY}?prune=true"), &file)
        .expect(200);
    assert_eq!(counts(&pruned), [0, 0, 5]);
    assert_eq!(
        service.get("/admin/v1/keys/key_sync").expect(200)["expires_at"],
        end
    );
    let successor = format!("/admin/v1/keys/{}", rotated["id"].as_str().unwrap());
    assert_eq!(service.get(&successor).expect(200)["status"], "active");
}

#[test]
fn what_no_entry_names_is_stopped_in_the_tenants_that_are_named() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    let others = json!({
        "tenants": [{"id": "ten_other"}],
        "users": [{"id": "usr_other", "tenant_id": "ten_other"}, {"id": "usr_dir", "tenant_id": "ten_shop", "external_id": "42"}],
        "keys": [{"id": "key_other", "user_id": "usr_other", "digest": digest_of("other")}],
    });
    service.post(APPLY, &others).expect(200);
    let less = json!({"tenants": [{"id": "ten_shop"}], "keys": [{"id": "key_sync"}]});
    let without = json!({"keys": [{"id": "key_sync"}]});
    assert_eq!(
        errors(&service.post(&format!("{DIFF}?prune=true"), &without), 400),
        ["tenants"]
    );
    let compared = service
        .post(&format!("{DIFF}?prune=true"), &less)
        .expect(200);
    assert_eq!(
        ids(&compared),
        ["revoke key_clear", "update usr_sync", "update usr_kim"]
    );
    assert!(
        compared["changes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|change| change["unnamed"] == true)
    );
    let prune = format!("{APPLY}?prune=true");
    // Nobody reports use: who knows whether they are used?
    service.post(&prune, &less).problem(409);
    let keys = json!([{"id": "key_other", "allowed": 1, "rejected": 0, "last_at": now()}]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    let keys = json!([{"id": "key_clear", "allowed": 1, "rejected": 0, "last_at": now()}]);
    assert_eq!(report(&service, "vm", 2, &keys).status, 204);
    let cursor = service.changes("")["cursor"].clone();
    let refused = service.post(&prune, &less);
    refused.problem(409);
    assert_eq!(refused.json()["code"], "in_use");
    assert_eq!(refused.json()["keys"][0]["id"], "key_clear");
    assert_eq!(service.changes("")["cursor"], cursor, "nothing was written");
    let done = service
        .post(&format!("{prune}&force=true"), &less)
        .expect(200);
    assert_eq!(done, compared);
    let status =
        |path: &str| service.get(&format!("/admin/v1/{path}")).expect(200)["status"].clone();
    assert_eq!(status("keys/key_clear"), "revoked");
    assert_eq!(
        (status("users/usr_kim"), status("users/usr_sync")),
        (json!("deactivated"), json!("deactivated"))
    );
    assert_eq!(
        (status("users/usr_dir"), status("users/usr_other")),
        (json!("active"), json!("active"))
    );
    assert_eq!(
        (status("keys/key_other"), status("keys/key_sync")),
        (json!("active"), json!("active"))
    );
    assert_eq!(
        counts(
            &service
                .post(&format!("{DIFF}?prune=true"), &less)
                .expect(200)
        ),
        [0, 0, 2]
    );
}

#[test]
fn what_stops_keys_in_use_asks_as_it_does_elsewhere() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    for (stop, done) in [
        (
            json!({"keys": [{"id": "key_sync", "status": "disabled"}]}),
            409,
        ),
        (
            json!({"users": [{"id": "usr_sync", "status": "locked"}]}),
            409,
        ),
        (
            json!({"users": [{"id": "usr_sync", "status": "deleted"}]}),
            409,
        ),
        (
            json!({"tenants": [{"id": "ten_shop", "status": "suspended"}]}),
            409,
        ),
        // As with the call for it: whoever says revoked means it.
        (
            json!({"keys": [{"id": "key_clear", "status": "revoked"}]}),
            200,
        ),
    ] {
        assert_eq!(service.post(APPLY, &stop).status, done, "{stop}");
        service.post(DIFF, &stop).expect(200);
    }
}

#[test]
fn a_plan_that_was_shown_is_done_as_it_was_shown_or_not_at_all() {
    let service = Service::start();
    service.post(APPLY, &shop()).expect(200);
    let change = json!({"tenants": [{"id": "ten_shop", "key_rules": {}}], "users": [{"id": "usr_sync", "name": "mine"}]});
    let compared = service.post(DIFF, &change);
    let tag = compared.header("etag").to_owned();
    let apply = |tag: &str| {
        let authorization = format!("Bearer {}", service.admin.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("if-match", tag),
        ];
        service.send_with("POST", APPLY, &headers, Some(change.to_string().as_bytes()))
    };
    service
        .patch("/admin/v1/users/usr_sync", &json!({"name": "theirs"}))
        .expect(200);
    let refused = apply(&tag);
    refused.problem(412);
    assert_eq!(refused.json()["code"], "changed_meanwhile");
    assert_eq!(
        service.get("/admin/v1/users/usr_sync").expect(200)["name"],
        "theirs"
    );
    // What nobody is about to change may change.
    let tag = service.post(DIFF, &change).header("etag").to_owned();
    service
        .patch("/admin/v1/users/usr_kim", &json!({"name": "kim"}))
        .expect(200);
    apply(&tag).expect(200);
    assert_eq!(
        service.get("/admin/v1/users/usr_sync").expect(200)["name"],
        "mine"
    );
    apply(&tag).problem(412);
}

/// A tenant, a user and so many keys.
fn many(keys: usize) -> Value {
    let keys = (0..keys).map(|number| {
        let credential = Credential::foreign(&format!("key-number-{number}")).unwrap();
        let digest = Digester::default().digest(&credential);
        json!({"id": format!("key_{number}"), "user_id": "usr_all", "digest": digest.as_str()})
    });
    let keys: Vec<Value> = keys.collect();
    json!({"tenants": [{"id": "ten_all"}], "users": [{"id": "usr_all", "tenant_id": "ten_all"}], "keys": keys})
}

#[test]
fn more_than_is_written_at_once_is_written_in_order() {
    let service = Service::start();
    let file = many(601);
    assert_eq!(counts(&service.post(APPLY, &file).expect(200)), [603, 0, 0]);
    assert_eq!(counts(&service.post(APPLY, &file).expect(200)), [0, 0, 603]);
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert!(metrics.contains(r#"keybound_service_keys{status="active"} 601"#));
    let first = service.changes("?after=0&limit=2");
    assert_eq!(first["changes"][0]["kind"], "tenant");
    assert_eq!(first["changes"][1]["kind"], "user");
}

#[test]
fn of_two_at_once_neither_writes_over_the_other() {
    let service = Service::start();
    let file = many(600);
    let answers: Vec<Answer> = std::thread::scope(|threads| {
        let applies: Vec<_> = (0..3)
            .map(|_| threads.spawn(|| service.post(APPLY, &file)))
            .collect();
        applies.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.problem(409);
        assert!(answer.text.contains("came between"), "{}", answer.text);
    }
    service.post(APPLY, &file).expect(200);
    assert_eq!(service.changes("")["cursor"], 602, "each was written once");
}

#[test]
fn a_tenants_administrator_applies_to_that_tenant_and_a_viewer_compares() {
    let service = Service::furnished();
    service.post(APPLY, &shop()).expect(200);
    let admin = token(&service, Role::Admin);
    let viewer = token(&service, Role::Viewer);
    let developer = token(&service, Role::Developer);
    let send = |token, path: &str, body: &Value| {
        service.send("POST", path, Some(token), Some(body.to_string().as_bytes()))
    };
    let own = json!({
        "tenants": [{"id": "ten_a", "name": "ours", "key_rules": {"require": ["purpose"]}}],
        "users": [{"id": "usr_new"}],
        "keys": [{"id": "key_new", "user_id": "usr_new", "digest": digest_of("new"), "purpose": "p"}, {"id": "key_orphan", "digest": digest_of("orphan"), "purpose": "p"}],
    });
    assert_eq!(send(&viewer, APPLY, &own).status, 403);
    for path in [APPLY, DIFF] {
        assert_eq!(send(&developer, path, &own).status, 403);
    }
    assert_eq!(counts(&send(&viewer, DIFF, &own).expect(200)), [4, 1, 0]);
    assert_eq!(counts(&send(&admin, APPLY, &own).expect(200)), [4, 1, 0]);
    for path in ["users/usr_new", "keys/key_new", "keys/key_orphan"] {
        assert_eq!(
            service.get(&format!("/admin/v1/{path}")).expect(200)["tenant_id"],
            "ten_a"
        );
    }
    let theirs = json!({
        "tenants": [{"id": "ten_shop"}, {"id": "ten_nobodys"}],
        "users": [{"id": "usr_kim"}, {"id": "usr_mine", "tenant_id": "ten_shop"}],
        "keys": [{"id": "key_sync"}, {"id": "key_mine", "user_id": "usr_sync", "digest": digest_of("mine")}, {"id": "key_taken", "digest": digest_of("sync")}],
    });
    let answer = send(&admin, APPLY, &theirs);
    let mut named = answer.problem(400);
    named.sort();
    assert_eq!(
        named,
        [
            "keys[0].id",
            "keys[1].user_id",
            "keys[2].digest",
            "tenants[0].id",
            "tenants[1].id",
            "users[0].id",
            "users[1].tenant_id"
        ]
    );
    for theirs in ["The shop", "Kim", "key_sync"] {
        assert!(!answer.text.contains(theirs), "{}", answer.text);
    }
    let exported = service
        .send("GET", "/admin/v1/export?kind=users", Some(&admin), None)
        .expect(200);
    assert_eq!(exported["items"].as_array().unwrap().len(), 2);
    for other in [&viewer, &developer] {
        service
            .send("GET", "/admin/v1/export?kind=keys", Some(other), None)
            .problem(403);
    }
}

/// Everything that a service exports, as `apply` reads it.
fn exported(service: &Service, more: &str) -> Value {
    let mut lists = json!({});
    for kind in ["tenants", "users", "keys"] {
        let page = service
            .get(&format!("/admin/v1/export?kind={kind}&limit=500{more}"))
            .expect(200);
        lists[kind] = page["items"].clone();
    }
    lists
}

/// All records of a service, but for what the moment of their making says.
fn records(service: &Service) -> Value {
    let mut lists = json!({});
    for kind in ["tenants", "users", "keys"] {
        let page = service
            .get(&format!("/admin/v1/{kind}?limit=500"))
            .expect(200);
        let mut items = page["items"].clone();
        for item in items.as_array_mut().unwrap() {
            for moment in ["version", "created_at", "updated_at", "revoked_at"] {
                item.as_object_mut().unwrap().remove(moment);
            }
        }
        lists[kind] = items;
    }
    lists
}

#[test]
fn what_is_exported_makes_the_same_elsewhere() {
    let service = Service::start();
    let mut file = shop();
    file["tenants"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "ten_b", "status": "suspended"}));
    let more = json!([
        {"id": "usr_gone", "tenant_id": "ten_shop", "status": "deleted", "login": "kim@example.org"},
        {"id": "usr_none", "scopes": [], "apis": [], "external_id": "7", "display_name": "N", "contact": "c"},
    ]);
    file["users"]
        .as_array_mut()
        .unwrap()
        .extend(more.as_array().unwrap().clone());
    let more = json!([
        {"id": "key_gone", "user_id": "usr_gone", "digest": digest_of("gone"), "purpose": "p"},
        {"id": "key_expired", "digest": digest_of("expired"), "not_before": 1, "expires_at": 2, "networks": []},
        {"id": "key_revoked", "user_id": "usr_none", "digest": digest_of("revoked"), "status": "revoked", "revoked_reason": "leaked"},
        {"id": "key_disabled", "user_id": "usr_none", "digest": digest_of("disabled"), "status": "disabled", "name": "n", "contact": "c"},
    ]);
    file["keys"]
        .as_array_mut()
        .unwrap()
        .extend(more.as_array().unwrap().clone());
    service.post(APPLY, &file).expect(200);
    let first = exported(&service, "");
    assert_eq!(first["keys"][0]["digest"], digest_of("sync"));
    assert_eq!(
        first["tenants"][0],
        json!({"id": "ten_shop", "name": "The shop", "key_rules": {"require": ["purpose"]}})
    );
    assert_eq!(counts(&service.post(DIFF, &first).expect(200))[..2], [0, 0]);
    let other = Service::start();
    other.post(APPLY, &first).expect(200);
    assert_eq!(exported(&other, ""), first);
    assert_eq!(records(&other), records(&service));
    let rules = "/admin/v1/tenants/ten_shop/key-rules";
    assert_eq!(other.get(rules).text, service.get(rules).text);
    let of_tenant = exported(&service, "&tenant=ten_shop");
    let lengths =
        ["tenants", "users", "keys"].map(|kind| of_tenant[kind].as_array().unwrap().len());
    assert_eq!(lengths, [1, 3, 3]);
}
