//! A person leaves, and the directory says so. Five keys are refused at once; one of them is what a batch job ran on.
//! It is named wherever somebody looks, the job gets a user and a key of its own, and nobody else notices anything.

use super::{Directory, INVALID_USER, explained, on, patient, refused, until_answered, with_key};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use support::client::Request;
use support::gateway::Gateway;
use support::key_service::CreatedKey;
use support::load::{Client, Load, Outcome};
use support::paths;
use support::postgres::Server;
use support::wait;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_leaves_in_okta_and_a_batch_job_ran_on_a_key_of_theirs() {
    somebody_leaves("okta", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_leaves_in_entra_and_a_batch_job_ran_on_a_key_of_theirs() {
    somebody_leaves("entra", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_leaves_in_okta_where_records_are_in_postgresql() {
    let server = Server::start("18").unwrap();
    somebody_leaves("okta", Some(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_leaves_in_entra_where_records_are_in_postgresql() {
    let server = Server::start("18").unwrap();
    somebody_leaves("entra", Some(&server)).await;
}

async fn somebody_leaves(directory: &'static str, server: Option<&Server>) {
    let mut gateway = on(Gateway::real(), server)
        .settings(patient())
        .settings(json!({
            "credentials": [{"bearer": "authorization"}],
            "usage": {"every": "1s"},
        }))
        .start()
        .await;
    let service = gateway.key_service();
    let shop = service.tenant("shop").await.unwrap();
    let directory = Directory::of(service, directory, &shop).unwrap();
    let lea = directory.joins(service, "lea@example.com").await.unwrap();
    let colleague = directory.joins(service, "max@example.com").await.unwrap();
    let mut keys = Vec::new();
    for number in 0..5 {
        let name = json!({"name": format!("key number {number}"), "scopes": ["orders:read"]});
        keys.push(service.key(&lea, &name).await.unwrap());
    }
    let theirs = service.key(&colleague, &json!({})).await.unwrap();
    let [.., batch] = &keys[..] else {
        panic!("five keys");
    };
    for key in keys.iter().chain([&theirs]) {
        gateway.secret(&key.key);
    }
    gateway.secret(&directory.token);

    // The job runs every night; the other four keys work, and nobody uses them.
    let night = with_key(Request::get("/orders"), &batch.key);
    gateway.passed(&night).await;
    is_in_use(&mut gateway, batch).await;
    let service = gateway.key_service();
    for key in &keys {
        let path = format!("/keys/{}", key.id);
        let shown = service.must("GET", &path, None).await.unwrap();
        assert_eq!(shown["verdict"], "allowed");
    }

    // A colleague goes on all the while.
    let own = theirs.key.clone();
    let clients = (0..4).map(|_| {
        let own = own.clone();
        Client {
            source: Box::new(move || Some(((), with_key(Request::get("/own"), &own)))),
            every: Some(Duration::from_millis(5)),
        }
    });
    let others = Load::start(gateway.port(), clients.collect())
        .await
        .unwrap();
    others
        .until("the colleague to be served", 0, |seen| seen.len() > 20)
        .await
        .unwrap();

    directory.leaves(gateway.key_service(), &lea).await.unwrap();
    for key in &keys {
        let call = with_key(Request::get("/orders"), &key.key);
        let answer = until_answered(&gateway, &call, Some("user_deactivated")).await;
        refused(&answer, 403, "user_deactivated", INVALID_USER);
    }

    // The job's next run: one line of the log says whose key it is, and one question says why.
    let night = with_key(Request::get("/orders/night"), &batch.key);
    let answer = gateway.send(&night).await;
    refused(&answer, 403, "user_deactivated", INVALID_USER);
    let entry = gateway.logged("/orders/night").await;
    assert_eq!(entry["refused_key_id"], batch.id.as_str());
    assert_eq!(entry["refused_user_id"], lea.as_str());
    let actor = format!("scim:{}", directory.name);
    let about = [lea.as_str(), "left", &actor];
    explained(&mut gateway, &entry, "user_deactivated", &about).await;
    is_counted(&gateway).await;
    is_named(&mut gateway, &lea, &actor, batch, &keys).await;

    // The repair, under rules that keep it from coming again.
    let service = gateway.key_service();
    let rules = json!({"owners": "system", "require": ["purpose", "contact", "scopes"]});
    let path = format!("/tenants/{shop}/key-rules");
    service.must("PUT", &path, Some(&rules)).await.unwrap();
    let job = json!({"tenant_id": shop, "name": "nightly orders", "kind": "system"});
    let job = service.must("POST", "/users", Some(&job)).await.unwrap();
    let job = job["id"].as_str().unwrap().to_owned();
    let bare = json!({"user_id": job});
    let answer = service.admin("POST", "/keys", Some(&bare)).await.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.text());
    let whole =
        json!({"purpose": "nightly orders", "contact": "team-orders", "scopes": ["orders:read"]});
    let new = service.key(&job, &whole).await.unwrap();
    gateway.secret(&new.key);
    let call = with_key(Request::get("/orders/next-night"), &new.key);
    let arrived = gateway.passed(&call).await;
    assert_eq!(arrived.header_values("x-user-id"), [job.as_str()]);
    assert_eq!(arrived.header_values("x-key-scopes"), ["orders:read"]);
    let answer = gateway.send(&night_again(batch)).await;
    refused(&answer, 403, "user_deactivated", INVALID_USER);

    // Nobody else has noticed anything.
    let seen = others.count();
    others
        .until("the colleague to be served", seen, |seen| seen.len() > 20)
        .await
        .unwrap();
    let samples = others.stop().await.unwrap();
    let disturbed: Vec<_> = samples
        .iter()
        .map(|sample| &sample.outcome)
        .filter(|outcome| **outcome != Outcome::Allowed)
        .collect();
    assert!(disturbed.is_empty(), "of {}: {disturbed:?}", samples.len());
}

fn night_again(batch: &CreatedKey) -> Request {
    with_key(Request::get("/orders/night/again"), &batch.key)
}

/// Waits until the gateway has reported that a key is used.
async fn is_in_use(gateway: &mut Gateway, key: &CreatedKey) {
    let path = format!("/keys/{}", key.id);
    let service = gateway.key_service();
    wait::until("the use of the key to be known", async || {
        let shown = service.must("GET", &path, None).await;
        let shown = shown.map_err(|error| error.to_string())?;
        match shown["last_used_at"].is_u64() {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    })
    .await
    .unwrap();
}

/// The refusals are seen by their code.
async fn is_counted(gateway: &Gateway) {
    wait::until("the refusals to be counted", async || {
        let counters = gateway.counters().await;
        match counters.get("rejected.user_deactivated") {
            Some(count) if *count >= 6 => Ok(()),
            _ => Err(format!("{counters:?}")),
        }
    })
    .await
    .unwrap();
}

/// The alert is of a counter that has risen, and leads to the audit log, which names the key, as does the review.
async fn is_named(
    gateway: &mut Gateway,
    user: &str,
    actor: &str,
    batch: &CreatedKey,
    keys: &[CreatedKey],
) {
    const COUNTER: &str = "keybound_service_deactivated_in_use";
    let service = gateway.key_service();
    let counted = service.counter(COUNTER, "").await.unwrap();
    assert_eq!(counted, 1.0);
    let alerts = paths::root().join("envoy/observe/prometheus/alerts.yaml");
    let alerts = fs::read_to_string(alerts).unwrap();
    let (_, alert) = alerts.split_once("alert: KeyboundLeftInUse").unwrap();
    let of = alert.lines().nth(1).unwrap();
    assert!(of.contains(&format!("increase({COUNTER}_total")), "{of}");

    let path = format!("/audit?kind=user&id={user}&limit=1");
    let audit = service.must("GET", &path, None).await.unwrap();
    let entry = &audit["items"][0];
    assert_eq!(entry["actor"], actor);
    assert_eq!(entry["after"]["keys_in_use"], 1, "{entry:#}");
    assert_eq!(entry["after"]["in_use"], json!([batch.id]), "{entry:#}");

    let review = service.must("GET", "/review", None).await.unwrap();
    let item = |key: &CreatedKey| -> Value {
        let mut items = review["items"].as_array().into_iter().flatten();
        let item = items.find(|item| item["key_id"] == key.id.as_str());
        item.unwrap_or_else(|| panic!("{} is not in {review:#}", key.id))
            .clone()
    };
    for key in keys {
        let item = item(key);
        let reasons = item["reasons"].as_array().unwrap();
        assert!(reasons.contains(&json!("owner_inactive")), "{item}");
        assert_eq!(item["last_used_at"].is_u64(), key.id == batch.id, "{item}");
    }
}
