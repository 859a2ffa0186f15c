//! A new developer's key was made by mistake under the research tenant, while the summarising API expects
//! the content tenant. User active, scope right, and still refused.

use super::{INVALID_USER, explained, patient, refused, until_answered, with_key};
use serde_json::json;
use support::client::{Request, Response};
use support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_made_under_another_tenant() {
    let mut gateway = Gateway::real()
        .settings(patient())
        .settings(json!({
            "credentials": [{"bearer": "authorization"}],
            "policies": {"summaries": {
                "tenant": {"value": "ten_content"},
                "scopes": {"all": ["summaries:create"]},
            }},
            "routes": [{"match": {"prefix": "/v1/summaries"}, "policy": "summaries"}],
        }))
        .start()
        .await;
    let service = gateway.key_service();
    for tenant in ["research", "content"] {
        let made = json!({"id": format!("ten_{tenant}"), "name": tenant});
        service.must("POST", "/tenants", Some(&made)).await.unwrap();
    }
    let scopes = json!({"scopes": ["summaries:create"]});
    let developer = service.user("ten_research", "developer").await.unwrap();
    let wrong = service.key(&developer, &scopes).await.unwrap();
    gateway.secret(&wrong.key);
    let call = |path: &str, key: &str| with_key(Request::post(path, "a long text"), key);

    let answer = gateway.send(&call("/v1/summaries/first", &wrong.key)).await;
    refused(&answer, 403, "tenant_mismatch", INVALID_USER);
    names_no_tenant(&answer);
    let entry = gateway.logged("/v1/summaries/first").await;
    assert_eq!(entry["code"], "tenant_mismatch");
    assert_eq!(entry["refused_tenant_id"], "ten_research");
    assert_eq!(entry["refused_user_id"], developer.as_str());
    let about = ["ten_content", "ten_research"];
    explained(&mut gateway, &entry, "tenant_mismatch", &about).await;
    // Elsewhere nothing is wrong with the key, which is what made this hard to find.
    gateway.passed(&call("/v1/models", &wrong.key)).await;

    // The repair: revoked, and issued again under the right tenant.
    let service = gateway.key_service();
    let revoke = format!("/keys/{}/revoke", wrong.id);
    let reason = json!({"reason": "made under the wrong tenant"});
    service.must("POST", &revoke, Some(&reason)).await.unwrap();
    let developer = service.user("ten_content", "developer").await.unwrap();
    let right = service.key(&developer, &scopes).await.unwrap();
    gateway.secret(&right.key);

    let arrived = gateway.passed(&call("/v1/summaries", &right.key)).await;
    assert_eq!(arrived.header_values("x-tenant-id"), ["ten_content"]);
    assert_eq!(arrived.header_values("x-user-id"), [developer.as_str()]);
    let request = call("/v1/summaries/again", &wrong.key);
    let answer = until_answered(&gateway, &request, Some("key_revoked")).await;
    assert_eq!(answer.status, 401);
    names_no_tenant(&answer);
    gateway.passed(&call("/v1/summaries", &right.key)).await;
}

/// The client learns that the tenant is wrong, and of neither tenant which it is.
fn names_no_tenant(answer: &Response) {
    let mut told = answer.text();
    for (name, value) in &answer.headers {
        told.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value)));
    }
    for private in ["research", "content", "developer"] {
        let told = told.replace("content-", "");
        assert!(!told.contains(private), "{private} in {told}");
    }
}
