//! The whole product: administration at one end, a client at the other.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::wait;

async fn until_code(gateway: &Gateway, key: &str, code: Option<&str>) {
    let request = Request::get("/").header("x-api-key", key);
    wait::until(&format!("the key to be answered {code:?}"), async || {
        let answer = gateway.send(&request).await;
        if answer.header("x-keybound-code") == code && (code.is_some() || answer.status == 200) {
            Ok(())
        } else {
            Err(format!("{} {}", answer.status, answer.text()))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_each_case_of_the_demonstration_as_its_table_says() {
    let mut gateway = Gateway::real().start().await;
    let cases = gateway.key_service().command(&["demo"]).unwrap();
    let cases = cases.as_array().expect("a list").clone();
    assert!(cases.len() >= 15, "{} cases", cases.len());

    let mut wrong = Vec::new();
    for case in &cases {
        let mut request = Request::get("/");
        if let Some(key) = case["key"].as_str() {
            request = request.header("x-api-key", key);
        }
        let answer = gateway.send(&request).await;
        let code = answer
            .header("x-keybound-code")
            .map_or(Value::Null, Value::from);
        if case["expect_status"] != answer.status
            || (answer.status != 200 && case["expect_code"] != code)
        {
            wrong.push(format!("{case}: {} {code}", answer.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_key() {
    let mut gateway = Gateway::real()
        .settings(json!({"freshness": {"fresh_for": "1s"}}))
        .start()
        .await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service
        .key(
            &user,
            &json!({"scopes": ["orders:read"], "name": "batch job"}),
        )
        .await
        .unwrap();
    gateway.secret(&made.key);

    let arrived = gateway
        .passed(&Request::get("/stock").header("x-api-key", &made.key))
        .await;
    assert_eq!(arrived.header_values("x-key-id"), [made.id.as_str()]);
    assert_eq!(arrived.header_values("x-user-id"), [user.as_str()]);
    assert_eq!(arrived.header_values("x-tenant-id"), [tenant.as_str()]);
    assert_eq!(arrived.header_values("x-key-scopes"), ["orders:read"]);

    let user_path = format!("/users/{user}");
    let tenant_path = format!("/tenants/{tenant}");
    for (path, status, code) in [
        (&user_path, "suspended", Some("user_suspended")),
        (&user_path, "active", None),
        (&tenant_path, "suspended", Some("tenant_suspended")),
        (&tenant_path, "active", None),
    ] {
        gateway
            .key_service()
            .set_status(path, status)
            .await
            .unwrap();
        until_code(&gateway, &made.key, code).await;
    }
    let revoke = format!("/keys/{}/revoke", made.id);
    gateway
        .key_service()
        .must("POST", &revoke, Some(&json!({"reason": "leaked"})))
        .await
        .unwrap();
    until_code(&gateway, &made.key, Some("key_revoked")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again() {
    let mut gateway = Gateway::real().start().await;
    // What was learned before the feed is followed is learned again when it is.
    gateway.log_says("change feed: connected").await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service.key(&user, &json!({})).await.unwrap();
    let unused = service.key(&user, &json!({})).await.unwrap();
    gateway.secret(&made.key);
    gateway.secret(&unused.key);
    gateway
        .passed(&Request::get("/").header("x-api-key", &made.key))
        .await;

    gateway.key_service().kill();
    for _ in 0..10 {
        gateway
            .passed(&Request::get("/").header("x-api-key", &made.key))
            .await;
        let answer = gateway.get("/", &[("x-api-key", &unused.key)]).await;
        assert_eq!(
            answer.status,
            503,
            "a good key is never called wrong: {}",
            answer.text()
        );
    }

    gateway.key_service().run().await.unwrap();
    until_code(&gateway, &unused.key, None).await;
    gateway.key_service().stop().await.unwrap();
    gateway
        .passed(&Request::get("/").header("x-api-key", &unused.key))
        .await;
}

/// As docs/operations.md tells an operator to do it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_restored_counts_at_the_gateway_at_once() {
    // Whoever restores reaches into the service's files. Far from `fresh_for`: only the reset can tell.
    let mut gateway = Gateway::real()
        .fault_proxy()
        .settings(json!({"freshness": {"fresh_for": "1h", "max_staleness": "2h"}}))
        .start()
        .await;
    gateway.log_says("change feed: connected").await;
    let service = gateway.key_service();
    let backup = service.database().with_extension("backup");
    let backup = backup.to_str().expect("a path of text").to_owned();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let kept = service.key(&user, &json!({})).await.unwrap();
    service.print(&["backup", &backup]).unwrap();

    let revoke = format!("/keys/{}/revoke", kept.id);
    let because = json!({"reason": "leaked"});
    service.must("POST", &revoke, Some(&because)).await.unwrap();
    let late = service.key(&user, &json!({})).await.unwrap();
    gateway.secret(&kept.key);
    gateway.secret(&late.key);
    until_code(&gateway, &kept.key, Some("key_revoked")).await;
    until_code(&gateway, &late.key, None).await;

    let service = gateway.key_service();
    service.stop().await.unwrap();
    service.print(&["restore", &backup]).unwrap();
    service.run().await.unwrap();
    until_code(&gateway, &kept.key, None).await;
    until_code(&gateway, &late.key, Some("key_unknown")).await;
    gateway.counted("changes.reset", 1).await;

    let service = gateway.key_service();
    service.must("POST", &revoke, Some(&because)).await.unwrap();
    until_code(&gateway, &kept.key, Some("key_revoked")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_that_it_does_not_know() {
    let wrong = "a-token-that-nobody-gave-out";
    let mut gateway = Gateway::real()
        .environment("KEYBOUND_GATEWAY_TOKEN", Some(wrong))
        .start()
        .await;
    gateway.secret(wrong);
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service.key(&user, &json!({})).await.unwrap();
    gateway.secret(&made.key);

    let answer = gateway.get("/", &[("x-api-key", &made.key)]).await;

    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(
        answer.header("x-keybound-code"),
        Some("key_service_unavailable")
    );
    // So it was asked, and what it said is the operator's to know.
    gateway.log_says("token").await;
}
