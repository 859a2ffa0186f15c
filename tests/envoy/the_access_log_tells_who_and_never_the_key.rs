//! One line of the access log answers who was refused and why, or who passed, and holds no credential,
//! wherever the client put it.

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::records::{self, Known};

fn gateway() -> support::gateway::Builder {
    Gateway::scripted().settings(json!({"credentials": [
        {"header": "x-api-key"},
        {"bearer": "authorization"},
        {"query": "api_key"},
        {"cookie": "api_key"},
    ]}))
}

/// The credential in each place, on a path that tells the places apart.
fn everywhere(key: &str) -> Vec<(String, Request)> {
    let encoded: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    [
        ("header", Request::get("/header").header("x-api-key", key)),
        (
            "bearer",
            Request::get("/bearer").header("authorization", format!("Bearer {key}")),
        ),
        (
            "query",
            Request::get(format!("/query?a=1&api_key={key}&b=2")),
        ),
        (
            "encoded",
            Request::get(format!("/encoded?api_key={encoded}")),
        ),
        (
            "fragment",
            Request::get(format!("/fragment?api_key={key}#api_key={key}")),
        ),
        (
            "cookie",
            Request::get("/cookie").header("cookie", format!("api_key={key}")),
        ),
        // What is refused before anything is looked up.
        (
            "twice",
            Request::get(format!("/twice?api_key={key}&api_key={key}x")),
        ),
        (
            "malformed",
            Request::get(format!("/malformed?api_key={key}%20")),
        ),
    ]
    .map(|(name, request)| (format!("/{name}"), request))
    .into()
}

/// The fields that tell who and why.
fn told(entry: &Value) -> Value {
    let fields = [
        "status",
        "code",
        "refused_key_id",
        "refused_user_id",
        "refused_tenant_id",
        "key_id",
        "user_id",
        "tenant_id",
    ];
    fields.map(|name| entry[name].clone()).into()
}

async fn log_of(known: Known, place: &str) -> (Value, String) {
    let gateway = gateway().start().await;
    let key = gateway.knows(known);
    let (path, request) = everywhere(&key)
        .into_iter()
        .find(|(path, _)| path == place)
        .expect("a place");
    gateway.send(&request).await;
    let entry = gateway.logged(&path).await;
    assert!(
        entry["request_id"]
            .as_str()
            .is_some_and(|id| id.len() == 36),
        "{entry}"
    );
    (told(&entry), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_and_an_allowed_one() {
    let (refused, _) = log_of(records::active("one").user_status("suspended"), "/query").await;
    assert_eq!(
        refused,
        json!([
            403,
            "user_suspended",
            "key_one",
            "usr_one",
            "ten_one",
            null,
            null,
            null
        ])
    );
    let (allowed, _) = log_of(records::active("one"), "/query").await;
    assert_eq!(
        allowed,
        json!([200, null, null, null, null, "key_one", "usr_one", "ten_one"])
    );
}

/// That no line holds the credential as it is, the gateway checks when it is dropped. Here also as it was
/// sent, and that each request has its line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_holds_the_credential_in_any_spelling() {
    let gateway = gateway().start().await;
    let allowed = gateway.knows(records::active("one"));
    let refused = gateway.knows(records::active("two").user_status("deleted"));
    let stranger = gateway.stranger();
    for key in [&allowed, &refused, &stranger] {
        for (_, request) in everywhere(key) {
            gateway.send(&request).await;
        }
    }
    let lines = support::wait::until("a line for each request", async || {
        let log = gateway.envoy.access_log();
        match support::access_log::entries(&log).len() {
            24 => Ok(log),
            count => Err(format!("{count} lines")),
        }
    })
    .await
    .expect("the access log");
    for key in [&allowed, &refused, &stranger] {
        let encoded: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for spelling in [key.clone(), encoded, records::digest(key)] {
            assert!(!lines.contains(&spelling), "{spelling} is in {lines}");
        }
    }
    assert!(!lines.contains('?'), "no query at all: {lines}");
}
