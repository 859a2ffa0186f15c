//! A shop moves its stock system to new services. A batch job's old key belonged to an administrator, whose
//! account a clean-up deactivated half a year ago.

use super::{
    INVALID_KEY, INVALID_USER, NOT_PERMITTED, explained, patient, refused, until_answered, with_key,
};
use serde_json::json;
use support::client::Request;
use support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_batch_job_of_a_deactivated_administrator() {
    let mut gateway = Gateway::real()
        .settings(patient())
        .settings(json!({
            "credentials": [{"bearer": "authorization"}],
            "policies": {
                "read-stock": {"environment": "live", "scopes": {"all": ["stock:read"]}},
                "write-stock": {"environment": "live", "scopes": {"all": ["stock:write"]}},
            },
            "routes": [
                {"match": {"prefix": "/stock", "methods": ["GET"]}, "policy": "read-stock"},
                {"match": {"prefix": "/stock"}, "policy": "write-stock"},
            ],
        }))
        .start()
        .await;
    let service = gateway.key_service();
    let shop = service.tenant("shop").await.unwrap();
    let administrator = service.user(&shop, "administrator").await.unwrap();
    let all = json!({"scopes": ["*"], "name": "batch job"});
    let old = service.key(&administrator, &all).await.unwrap();
    let path = format!("/users/{administrator}");
    service.set_status(&path, "deactivated").await.unwrap();
    gateway.secret(&old.key);

    // The first call of the new service says what is wrong, and whose key it is to the operator alone.
    let answer = gateway
        .send(&with_key(Request::get("/stock/first-call"), &old.key))
        .await;
    refused(&answer, 403, "user_deactivated", INVALID_USER);
    let told = answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(told.contains("deactivated"), "{told}");
    assert!(!answer.text().contains(&administrator), "{}", answer.text());
    let entry = gateway.logged("/stock/first-call").await;
    assert_eq!(entry["code"], "user_deactivated");
    assert_eq!(entry["refused_user_id"], administrator.as_str());
    assert_eq!(entry["refused_key_id"], old.id.as_str());
    assert_eq!(entry["request_id"], answer.json()["request_id"]);
    gateway.counted("rejected.user_deactivated", 1).await;

    let about = [administrator.as_str(), "deactivated"];
    explained(&mut gateway, &entry, "user_deactivated", &about).await;

    // The repair: a user of the batch job's own, and a key that may do what the job does and no more.
    let service = gateway.key_service();
    let system = service.user(&shop, "stock batch job").await.unwrap();
    // The others are where a client on this machine comes from when Envoy is in a container.
    let networks = ["127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let least = json!({"scopes": ["stock:read"], "networks": networks, "name": "batch job"});
    let new = service.key(&system, &least).await.unwrap();
    let revoke = format!("/keys/{}/revoke", old.id);
    let reason = json!({"reason": "replaced by a key of the job's own user"});
    service.must("POST", &revoke, Some(&reason)).await.unwrap();
    gateway.secret(&new.key);

    let arrived = gateway
        .passed(&with_key(Request::get("/stock/next-call"), &new.key))
        .await;
    assert_eq!(arrived.header_values("x-user-id"), [system.as_str()]);
    assert_eq!(arrived.header_values("x-key-id"), [new.id.as_str()]);
    assert_eq!(arrived.header_values("x-key-scopes"), ["stock:read"]);
    assert!(arrived.header_values("authorization").is_empty());
    let write = with_key(Request::post("/stock", "{}"), &new.key);
    refused(
        &gateway.send(&write).await,
        403,
        "scope_missing",
        NOT_PERMITTED,
    );
    let request = with_key(Request::get("/stock/old-key"), &old.key);
    let answer = until_answered(&gateway, &request, Some("key_revoked")).await;
    refused(&answer, 401, "key_revoked", INVALID_KEY);
    gateway
        .passed(&with_key(Request::get("/stock/every-call"), &new.key))
        .await;
}
