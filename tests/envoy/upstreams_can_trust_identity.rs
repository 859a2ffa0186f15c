//! Identity headers come from a verified record, or are not there.

use serde_json::json;
use support::client::Request;
use support::gateway::Gateway;
use support::records;

const HEADERS: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

fn spoofed(mut request: Request) -> Request {
    for name in HEADERS {
        request = request
            .header(name, "spoofed-first")
            .header(name.to_uppercase(), "spoofed-second");
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_says_of_itself_is_replaced() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    // Once from the key service, then from the cache.
    for _ in 0..2 {
        let arrived = gateway
            .passed(&spoofed(Request::get("/")).header("x-api-key", &key))
            .await;
        for (name, value) in
            HEADERS
                .into_iter()
                .zip(["key_one", "usr_one", "ten_one", "orders:read orders:write"])
        {
            assert_eq!(arrived.header_values(name), [value], "{name}");
        }
        assert!(
            !arrived.everything().contains("spoofed"),
            "{}",
            arrived.everything()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_record_does_not_say_is_absent() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(
        records::active("plain")
            .without_tenants()
            .key("scopes", json!(null)),
    );

    let arrived = gateway
        .passed(&spoofed(Request::get("/")).header("x-api-key", &key))
        .await;

    assert_eq!(arrived.header_values("x-key-id"), ["key_plain"]);
    for absent in ["x-tenant-id", "x-key-scopes"] {
        assert!(arrived.header_values(absent).is_empty(), "{absent}");
    }
    assert!(
        !arrived.everything().contains("spoofed"),
        "{}",
        arrived.everything()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_those_that_the_user_has_too() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(
        records::active("narrowed")
            .key(
                "scopes",
                json!(["orders:read", "orders:write", "stock:read"]),
            )
            .user("scopes", json!(["orders:*"])),
    );

    let arrived = gateway
        .passed(&Request::get("/").header("x-api-key", &key))
        .await;

    assert_eq!(
        arrived.header_values("x-key-scopes"),
        ["orders:read orders:write"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_can_be_chosen_and_left_out() {
    let gateway = Gateway::scripted()
        .settings(json!({"identity_headers": {
            "key_id": "x-client", "user_id": null, "environment": "x-stage",
        }}))
        .start()
        .await;
    let key = gateway.knows(records::active("one"));

    let request = Request::get("/")
        .header("x-api-key", &key)
        .header("x-client", "spoofed")
        .header("x-stage", "spoofed")
        .header("x-user-id", "not ours any more");
    let arrived = gateway.passed(&request).await;

    assert_eq!(arrived.header_values("x-client"), ["key_one"]);
    assert_eq!(arrived.header_values("x-stage"), ["live"]);
    assert_eq!(arrived.header_values("x-tenant-id"), ["ten_one"]);
    assert_eq!(arrived.header_values("x-user-id"), ["not ours any more"]);
    assert!(arrived.header_values("x-key-id").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_cannot_write_an_identity_into_the_access_log() {
    let gateway = Gateway::scripted().start().await;
    let locked = gateway.knows(records::active("locked").user_status("locked"));

    gateway.send(&spoofed(Request::get("/no-key"))).await;
    gateway
        .send(&spoofed(Request::get("/locked")).header("x-api-key", &locked))
        .await;

    for path in ["/no-key", "/locked"] {
        let entry = gateway.logged(path).await;
        for field in ["key_id", "user_id", "tenant_id"] {
            assert_eq!(entry[field], json!(null), "{field} of {path}");
        }
    }
}
