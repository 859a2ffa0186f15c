//! The change feed, of the real key service: what is withdrawn stops working on every worker, what is given
//! back works again, and a key works from the moment when it is made. Records are fresh for longer than any
//! test runs, so that only the feed can tell of a change.

use serde_json::json;
use support::client::Request;
use support::gateway::{Builder, Gateway};
use support::key_service::CreatedKey;
use support::{records, wait};

struct Followed {
    gateway: Gateway,
    tenant: String,
    user: String,
    keys: [CreatedKey; 2],
}

/// A gateway that knows two keys of one user, and follows the feed.
async fn followed() -> Followed {
    let mut gateway = unchanging(Gateway::real()).start().await;
    gateway.log_says("change feed: connected").await;
    gateway.counted("changes.connected", 1).await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let keys = [
        service.key(&user, &json!({})).await.unwrap(),
        service.key(&user, &json!({})).await.unwrap(),
    ];
    for key in &keys {
        gateway.secret(&key.key);
        everywhere(&gateway, &key.key, None).await;
    }
    Followed {
        gateway,
        tenant,
        user,
        keys,
    }
}

fn unchanging(builder: Builder) -> Builder {
    builder.settings(
        json!({"freshness": {"fresh_for": "1h", "max_staleness": "2h", "negative_for": "1h"}}),
    )
}

/// Waits until both workers answer a key in this way: passed, or refused with a code. The kernel deals
/// connections out by chance, so of 16 in a row both get some.
async fn everywhere(gateway: &Gateway, key: &str, code: Option<&str>) {
    let request = Request::get("/").header("x-api-key", key);
    wait::until(&format!("every worker to answer {code:?}"), async || {
        for _ in 0..16 {
            let answer = gateway.send(&request).await;
            if answer.header("x-keybound-code") != code {
                return Err(format!("{} {}", answer.status, answer.text()));
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_suspension_stops_all_of_its_keys_and_its_end_lets_them_work() {
    let mut followed = followed().await;
    let path = format!("/users/{}", followed.user);
    for (status, code) in [
        ("suspended", Some("user_suspended")),
        ("locked", Some("user_locked")),
        ("active", None),
    ] {
        let service = followed.gateway.key_service();
        service.set_status(&path, status).await.unwrap();
        for key in &followed.keys {
            everywhere(&followed.gateway, &key.key, code).await;
        }
    }
    // Two keys of their owner's, a user and a tenant were made, and the user's status changed three times.
    followed.gateway.counted("changes.applied", 7).await;
    followed.gateway.counted("changes.reset", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_stops_working_and_its_owners_other_key_does_not() {
    let mut followed = followed().await;
    let path = format!("/keys/{}/revoke", followed.keys[0].id);
    let service = followed.gateway.key_service();
    service
        .must(
            "POST",
            &path,
            Some(&json!({"reason": "it was found in a public repository"})),
        )
        .await
        .unwrap();
    everywhere(
        &followed.gateway,
        &followed.keys[0].key,
        Some("key_revoked"),
    )
    .await;
    everywhere(&followed.gateway, &followed.keys[1].key, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_suspension_stops_all_keys_in_it() {
    let mut followed = followed().await;
    let path = format!("/tenants/{}", followed.tenant);
    for (status, code) in [("suspended", Some("tenant_suspended")), ("active", None)] {
        let service = followed.gateway.key_service();
        service.set_status(&path, status).await.unwrap();
        for key in &followed.keys {
            everywhere(&followed.gateway, &key.key, code).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_guessed_before_it_was_made_works_at_once() {
    let mut followed = followed().await;
    let key = records::credential("guessed");
    followed.gateway.secret(&key);
    everywhere(&followed.gateway, &key, Some("key_unknown")).await;
    let made = json!({"key": key, "user_id": followed.user});
    followed.gateway.key_service().import([made]).await.unwrap();
    everywhere(&followed.gateway, &key, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_service_without_a_feed_is_told_once_and_serves_all_the_same() {
    let gateway = unchanging(Gateway::scripted()).start().await;
    let key = gateway.knows(records::active("one"));
    gateway.log_says("change feed: not connected").await;
    everywhere(&gateway, &key, None).await;
    gateway.counted("changes.connected", 0).await;
    assert_eq!(polls(&gateway), 1, "one virtual machine asked, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_told_not_to_follow_does_not_ask() {
    let gateway = unchanging(Gateway::scripted())
        .settings(json!({"key_service": {"changes": {"enabled": false}}}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    everywhere(&gateway, &key, None).await;
    gateway.counted("allowed", 16).await;
    assert_eq!(polls(&gateway), 0);
}

/// Calls of the change feed until now.
fn polls(gateway: &Gateway) -> usize {
    let calls = gateway.service.calls();
    let polls = calls
        .iter()
        .filter(|call| call.target.starts_with("/v1/changes"));
    polls.count()
}
