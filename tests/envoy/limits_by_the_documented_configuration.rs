//! docs/limits.md: its configuration limits keys, users, tenants and environments, each for itself.

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::config::Config;
use support::envoy;
use support::gateway::{Builder, Gateway};
use support::records::{self, Known};

const LIMITER: &str = "envoy.filters.http.local_ratelimit";

/// The documented numbers are for a minute. Here they are a hundredth of that, and do not come back in a day.
fn smaller(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            if let Some(most) = fields.get("max_tokens").and_then(Value::as_u64) {
                fields.insert("max_tokens".to_owned(), json!(most / 100));
                fields.insert("tokens_per_fill".to_owned(), json!(most / 100));
                fields.insert("fill_interval".to_owned(), json!("86400s"));
            }
            fields.values_mut().for_each(smaller);
        }
        Value::Array(items) => items.iter_mut().for_each(smaller),
        _ => {}
    }
}

fn limiter(config: &mut Config) -> &mut Value {
    config
        .http_filters()
        .iter_mut()
        .find(|filter| filter["name"] == LIMITER)
        .expect("the page has a limiter")
}

/// Earlier ones refuse the field for it, whatever its value is.
fn knows_retry_after() -> bool {
    envoy::version().expect("Envoy's version") >= (1, 40)
}

fn gateway() -> Builder {
    Gateway::scripted()
        .documented("limits.md", Some("The configuration"))
        .configure(|config| {
            let limiter = limiter(config);
            smaller(limiter);
            if !knows_retry_after()
                && let Value::Object(fields) = &mut limiter["typed_config"]
            {
                fields.remove("enable_retry_after_header");
            }
        })
}

fn key(name: &str, user: &str, tenant: &str, environment: &str) -> Known {
    records::active(name)
        .key("user_id", user)
        .key("tenant_id", tenant)
        .key("environment", environment)
        .user("id", user)
        .user("tenant_id", tenant)
        .tenant("id", tenant)
}

/// How many of so many requests pass. The client claims another identity in each.
async fn passing(gateway: &Gateway, key: &str, requests: usize) -> usize {
    let mut passed = 0;
    for number in 0..requests {
        let request = Request::get("/")
            .header("x-api-key", key)
            .header("x-key-id", format!("another-{number}"))
            .header("x-tenant-id", format!("another-{number}"));
        match gateway.send(&request).await.status {
            200 => passed += 1,
            status => assert_eq!(status, 429),
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_a_user_and_a_tenant_have_a_bucket_each() {
    let gateway = gateway().start().await;
    let of = |name: &str, user: &str| gateway.knows(key(name, user, "ten_shop", "live"));
    let (one, two) = (of("one", "usr_ann"), of("two", "usr_ann"));
    let (three, four) = (of("three", "usr_bob"), of("four", "usr_cid"));
    let elsewhere = gateway.knows(key("five", "usr_eve", "ten_lab", "live"));

    // 6 a key, 11 a user, 20 a tenant. What is refused takes nothing from the tenant.
    assert_eq!(passing(&gateway, &one, 9).await, 6, "the key's");
    assert_eq!(passing(&gateway, &two, 9).await, 5, "the user's");
    assert_eq!(passing(&gateway, &three, 9).await, 6, "another user's key");
    assert_eq!(passing(&gateway, &four, 9).await, 3, "the tenant's");
    assert_eq!(passing(&gateway, &elsewhere, 9).await, 6, "another tenant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_test_environment_have_less_and_share_a_bucket() {
    let gateway = gateway().start().await;
    let of = |name: &str| {
        let (user, tenant) = (format!("usr_{name}"), format!("ten_{name}"));
        gateway.knows(key(name, &user, &tenant, "test"))
    };
    let (one, two, three) = (of("one"), of("two"), of("three"));

    // 3 a key, 8 all together.
    assert_eq!(passing(&gateway, &one, 5).await, 3);
    assert_eq!(passing(&gateway, &two, 5).await, 3);
    assert_eq!(passing(&gateway, &three, 5).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_requests_share_one_bucket_and_refused_ones_take_nothing() {
    let gateway = gateway()
        .settings(json!({
            "policies": {"open": {"authentication": "optional"}},
            "routes": [{"match": {"prefix": "/open"}, "policy": "open"}],
        }))
        .start()
        .await;
    let stranger = gateway.stranger();
    let good = gateway.knows(key("one", "usr_ann", "ten_shop", "live"));

    for _ in 0..70 {
        let answer = gateway.get("/", &[("x-api-key", &stranger)]).await;
        assert_eq!(answer.status, 401);
    }
    let mut passed = 0;
    for number in 0..63 {
        // It has no identity by claiming one.
        let claimed = format!("another-{number}");
        let answer = gateway.get("/open", &[("x-key-id", &claimed)]).await;
        passed += usize::from(answer.status == 200);
    }
    assert_eq!(passed, 60);
    assert_eq!(passing(&gateway, &good, 9).await, 6);
}

async fn last_of(gateway: &Gateway, request: &Request) -> Response {
    for _ in 0..6 {
        gateway.send(request).await;
    }
    gateway.send(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_a_problem_like_all_others() {
    let gateway = gateway().start().await;
    let key = gateway.knows(key("one", "usr_ann", "ten_shop", "live"));

    let request = Request::get("/limited").header("x-api-key", &key);
    let passed = gateway.send(&request).await;
    let refused = last_of(&gateway, &request).await;

    assert_eq!(passed.header("x-ratelimit-limit"), Some("6"));
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("x-keybound-code"), Some("rate_limited"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    if knows_retry_after() {
        assert!(refused.header("retry-after").is_some());
    }
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:keybound:problem:rate_limited");
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["code"], "rate_limited");
    let id = problem["request_id"].as_str().expect("a request id");
    let entry = support::wait::until("the refused request's line", async || {
        let log = support::access_log::of_path(&gateway.envoy.access_log(), "/limited");
        log.into_iter()
            .find(|entry| entry["request_id"] == id)
            .ok_or_else(|| "none".to_owned())
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let told = ["status", "flags", "details", "code"].map(|name| entry[name].clone());
    assert_eq!(
        Value::from(told.to_vec()),
        json!([429, "RL", "local_rate_limited", null])
    );
    // Those of Keybound stay its own.
    let unknown = gateway.stranger();
    let answer = gateway.get("/", &[("x-api-key", &unknown)]).await;
    assert_eq!(answer.json()["code"], "key_unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_clients_are_told_that_a_resource_is_exhausted() {
    let gateway = gateway().start().await;
    let key = gateway.knows(key("one", "usr_ann", "ten_shop", "live"));

    let request = Request::post("/service/method", "")
        .header("x-api-key", &key)
        .header("content-type", "application/grpc");
    let refused = last_of(&gateway, &request).await;

    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("8"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_was_dropped_comes_back_full() {
    let gateway = gateway()
        .configure(|config| {
            limiter(config)["typed_config"]["max_dynamic_descriptors"] = json!(1);
        })
        .start()
        .await;
    let one = gateway.knows(key("one", "usr_one", "ten_one", "live"));
    let two = gateway.knows(key("two", "usr_two", "ten_two", "live"));

    assert_eq!(passing(&gateway, &one, 9).await, 6);
    assert_eq!(passing(&gateway, &two, 1).await, 1);
    assert_eq!(passing(&gateway, &one, 9).await, 6);
}
