//! What is older than it is kept for is taken out, and what is left is as it was.

use key_service::domain::time::{DAY, now};
use key_service::store::chain::Chain;
use key_service::store::retention::Retention;
use serde_json::json;

use crate::program::{run, text};
use crate::support::Service;
use crate::v1_usage::report;

const KEPT: i64 = 40 * DAY;

fn prune(service: &Service, retention: Retention, at: i64) {
    service.wait_for(async || service.store.prune(retention, at).await.unwrap());
}

/// How many entries the audit log has; it must be whole.
fn entries(service: &Service) -> u64 {
    match service.wait_for(async || service.store.verify_audit().await.unwrap()) {
        Chain::Whole { entries, .. } => entries,
        broken => panic!("{broken:?}"),
    }
}

fn items(service: &Service, query: &str) -> Vec<serde_json::Value> {
    let page = service.get(&format!("/admin/v1/audit{query}")).expect(200);
    page["items"].as_array().unwrap().clone()
}

#[test]
fn old_entries_of_the_audit_log_go_and_the_rest_is_still_a_chain() {
    let service = Service::furnished();
    let retention = Retention {
        audit: Some(KEPT),
        usage: None,
    };
    let before = entries(&service);
    prune(&service, Retention::default(), now() + 1000 * DAY);
    prune(&service, retention, now());
    assert_eq!(entries(&service), before, "nothing is that old");

    let begin = items(&service, "")[0].clone();
    prune(&service, retention, now() + KEPT + 2 * DAY);
    assert_eq!(entries(&service), 1, "what says that they are gone");
    let told = items(&service, "")[0].clone();
    assert_eq!(
        (&told["actor"], &told["action"], &told["kind"]),
        (&json!("retention"), &json!("prune"), &json!("database"))
    );
    assert_eq!(
        told["after"],
        json!({"entries": before, "to": begin["id"], "hash": begin["hash"]})
    );
    assert_eq!(told["previous_hash"], begin["hash"]);
    assert_eq!(told["id"], begin["id"].as_i64().unwrap() + 1);

    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    assert_eq!(entries(&service), 2);
    // The oldest is that of the day on which all was taken out: nothing behind it goes before it does.
    prune(&service, retention, now() + KEPT + 2 * DAY);
    assert_eq!(entries(&service), 2);
}

#[test]
fn what_is_taken_out_beside_it_is_found() {
    for sql in [
        "DELETE FROM audit WHERE id = (SELECT max(id) - 1 FROM audit)",
        "UPDATE audit SET actor = 'x' WHERE action = 'prune'",
        "DELETE FROM audit WHERE action = 'prune'",
    ] {
        let service = Service::furnished();
        let retention = Retention {
            audit: Some(KEPT),
            usage: None,
        };
        prune(&service, retention, now() + KEPT + 2 * DAY);
        for id in ["ten_b", "ten_c"] {
            service
                .post("/admin/v1/tenants", &json!({"id": id}))
                .expect(201);
        }
        entries(&service);
        service.execute(sql);
        let chain = service.wait_for(async || service.store.verify_audit().await.unwrap());
        assert!(matches!(chain, Chain::Broken { .. }), "{sql}: {chain:?}");
    }
}

#[test]
fn old_counts_of_use_go_and_the_last_use_stays() {
    let service = crate::v1_usage::with_keys();
    let at = now() - 5;
    let keys = json!([
        {"id": "key_1", "allowed": 2, "rejected": 0, "last_at": at},
        {"id": "key_1", "allowed": 3, "rejected": 0, "last_at": at - 10 * DAY},
    ]);
    assert_eq!(report(&service, "vm", 1, &keys).status, 204);
    let retention = Retention {
        audit: None,
        usage: Some(KEPT),
    };
    let days = || {
        service.get("/admin/v1/keys/key_1").expect(200)["usage"]
            .as_array()
            .unwrap()
            .len()
    };
    prune(&service, Retention::default(), at + 1000 * DAY);
    assert_eq!(days(), 2);
    assert_eq!(
        report(&service, "vm", 1, &keys).status,
        204,
        "the report is forgotten by then"
    );
    prune(&service, retention, at + KEPT - 5 * DAY);
    assert_eq!(days(), 1);
    prune(&service, retention, at + KEPT + 2 * DAY);
    assert_eq!(days(), 0);
    let key = service.get("/admin/v1/keys/key_1").expect(200);
    assert_eq!(key["last_used_at"], at);
}

#[test]
fn how_long_things_are_kept_is_thirty_days_at_least() {
    let folder = tempfile::tempdir().unwrap();
    for (value, told) in [
        ("29d", "must be 30d or more"),
        ("soon", "must be a duration"),
    ] {
        for option in ["--audit-retention", "--usage-retention"] {
            let output = run(
                folder.path(),
                &[],
                &["serve", "--database", "no-such-folder/db", option, value],
            );
            assert_eq!(output.status.code(), Some(2));
            assert!(
                text(&output.stderr).contains(told),
                "{}",
                text(&output.stderr)
            );
        }
    }
}
