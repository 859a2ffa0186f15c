//! What the key service is told about the use of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::Request;
use support::gateway::Gateway;
use support::key_service::KeyService;
use support::records;
use support::scripted::{Answer, Call};
use support::wait;

fn reports(gateway: &Gateway) -> Vec<Value> {
    let is_report = |call: &&Call| call.method == "POST" && call.target == "/v1/usage";
    let calls = gateway.service.calls();
    calls
        .iter()
        .filter(is_report)
        .map(|call| serde_json::from_slice(&call.body).expect("a report is JSON"))
        .collect()
}

/// What all reports say of a key, each batch of a reporter counted once.
fn told(gateway: &Gateway, key_id: &str) -> (u64, u64) {
    let mut batches: BTreeMap<String, Value> = BTreeMap::new();
    for report in reports(gateway) {
        let batch = format!("{} {}", report["reporter"], report["batch"]);
        if let Some(earlier) = batches.insert(batch, report.clone()) {
            assert_eq!(earlier, report, "a batch that comes again says the same");
        }
    }
    let keys = batches
        .values()
        .flat_map(|report| report["keys"].as_array().expect("a list"));
    keys.filter(|key| key["id"] == key_id)
        .fold((0, 0), |(allowed, rejected), key| {
            let count = |name: &str| key[name].as_u64().expect("a count");
            assert!(key["last_at"].as_u64().is_some());
            (allowed + count("allowed"), rejected + count("rejected"))
        })
}

async fn until_told(gateway: &Gateway, key_id: &str, counts: (u64, u64)) {
    wait::until(
        &format!("the reports to say {counts:?} of {key_id}"),
        async || {
            let told = told(gateway, key_id);
            if told == counts {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        },
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowed_and_refused_requests_of_a_key_are_reported() {
    let gateway = Gateway::scripted()
        .settings(json!({"usage": {"enabled": true, "every": "1s"}}))
        .start()
        .await;
    gateway.service.answers_changes(Answer::marked(204, ""));
    let good = gateway.knows(records::active("good"));
    let bad = gateway.knows(records::active("bad").user_status("suspended"));
    for _ in 0..5 {
        gateway
            .passed(&Request::get("/").header("x-api-key", &good))
            .await;
    }
    for _ in 0..3 {
        assert_eq!(gateway.get("/", &[("x-api-key", &bad)]).await.status, 403);
    }
    let stranger = gateway.stranger();
    assert_eq!(
        gateway.get("/", &[("x-api-key", &stranger)]).await.status,
        401
    );
    until_told(&gateway, "key_good", (5, 0)).await;
    until_told(&gateway, "key_bad", (0, 3)).await;
    for report in reports(&gateway) {
        for key in report["keys"].as_array().unwrap() {
            assert!(
                ["key_good", "key_bad"].contains(&key["id"].as_str().unwrap()),
                "{key}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_not_taken_comes_again_under_its_number() {
    let gateway = Gateway::scripted()
        .settings(json!({"usage": {"enabled": true, "every": "1s"}}))
        .start()
        .await;
    gateway.service.answers_changes(Answer::marked(503, ""));
    let key = gateway.knows(records::active("one"));
    gateway
        .passed(&Request::get("/").header("x-api-key", &key))
        .await;
    wait::until("a report to be sent three times", async || {
        match reports(&gateway).len() {
            0..3 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    gateway
        .passed(&Request::get("/").header("x-api-key", &key))
        .await;
    gateway.service.answers_changes(Answer::marked(204, ""));
    until_told(&gateway, "key_one", (2, 0)).await;
    gateway.log_says("did not take a report of usage").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_takes_no_reports_is_told_of_once_and_left_alone() {
    // The key service of the tests answers 404 where it was told nothing else.
    let gateway = Gateway::scripted()
        .settings(json!({"usage": {"every": "1s"}}))
        .workers(2)
        .start()
        .await;
    let key = gateway.knows(records::active("one"));
    let request = Request::get("/").header("x-api-key", &key);
    wait::until("each worker to have sent a report", async || {
        gateway.passed(&request).await;
        match reporters(&gateway).len() {
            0 | 1 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    for _ in 0..30 {
        gateway.passed(&request).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        reports(&gateway).len(),
        2,
        "each worker asks once in ten minutes"
    );
    gateway.log_says("takes no reports of usage").await;
    let told = gateway.envoy.log();
    assert_eq!(told.matches("takes no reports of usage").count(), 1);
}

fn reporters(gateway: &Gateway) -> BTreeSet<String> {
    let reports = reports(gateway);
    reports
        .iter()
        .map(|report| report["reporter"].to_string())
        .collect()
}

/// With the configuration that comes with it: no setting of usage but how often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_key_service_shows_what_was_used_and_until_then_that_nobody_knows() {
    let mut gateway = Gateway::real()
        .settings(json!({"usage": {"every": "1s"}}))
        .start()
        .await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service
        .key(&user, &json!({"name": "batch job"}))
        .await
        .unwrap();
    let path = format!("/keys/{}", made.id);
    let key = service.must("GET", &path, None).await.unwrap();
    assert_eq!(
        (&key["last_used_at"], &key["usage_reported"]),
        (&Value::Null, &json!(false))
    );
    is_in_use(service, &user, &made.id, "usage_not_reported").await;
    gateway.secret(&made.key);
    for _ in 0..7 {
        gateway
            .passed(&Request::get("/").header("x-api-key", &made.key))
            .await;
    }
    let service = gateway.key_service();
    wait::until("the key's use to be shown", async || {
        let key = service
            .must("GET", &path, None)
            .await
            .map_err(|error| error.to_string())?;
        let days = key["usage"].as_array().cloned().unwrap_or_default();
        let allowed: u64 = days.iter().filter_map(|day| day["allowed"].as_u64()).sum();
        if allowed == 7 && key["last_used_at"].is_u64() && key["usage_reported"] == true {
            Ok(())
        } else {
            Err(key.to_string())
        }
    })
    .await
    .unwrap();
    // The story "Overnight", prevented: who used a key a moment ago is not stopped unawares.
    is_in_use(service, &user, &made.id, "used_recently").await;
}

/// In both homes: the address is that which Envoy trusts behind one hop, and the code is that of the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_key_service_shows_why_requests_were_refused_and_where_they_came_from() {
    let mut gateway = Gateway::real()
        .settings(json!({"usage": {"every": "1s"}}))
        .configure(|config| config.http_manager()["xff_num_trusted_hops"] = json!(1))
        .start()
        .await;
    let service = gateway.key_service();
    let tenant = service.tenant("shop").await.unwrap();
    let user = service.user(&tenant, "stock system").await.unwrap();
    let made = service
        .key(&user, &json!({"name": "batch job"}))
        .await
        .unwrap();
    gateway.secret(&made.key);
    let path = format!("/keys/{}/usage", made.id);
    let from = |address: &str| {
        Request::get("/")
            .header("x-api-key", &made.key)
            .header("x-forwarded-for", address)
    };
    // The first of a report is looked at, so each has a report of its own.
    for _ in 0..3 {
        gateway.passed(&from("203.0.113.77")).await;
    }
    shown(
        &mut gateway,
        &path,
        &json!({"allowed": 3, "rejected": 0, "networks": {"203.0.113.0/24": 3}}),
    )
    .await;
    gateway.passed(&from("2001:db8:7:1::5")).await;
    let networks = json!({"203.0.113.0/24": 3, "2001:db8:7::/48": 1});
    shown(
        &mut gateway,
        &path,
        &json!({"allowed": 4, "networks": networks, "rejected_by": {}}),
    )
    .await;
    let service = gateway.key_service();
    let suspend = json!({"status": "suspended"});
    let of_user = format!("/users/{user}");
    service
        .must("PATCH", &format!("{of_user}?force=true"), Some(&suspend))
        .await
        .unwrap();
    let refused = from("198.51.100.1");
    wait::until("the user's suspension to be obeyed", async || match gateway
        .send(&refused)
        .await
        .header("x-keybound-code")
    {
        Some("user_suspended") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    gateway.send(&refused).await;
    tells_of_refusals(&mut gateway, &path).await;
    tells_of_refusals(&mut gateway, &format!("{of_user}/usage")).await;
}

/// Waits until an answer of the admin API tells of what was refused.
async fn tells_of_refusals(gateway: &mut Gateway, path: &str) {
    wait::until("the refusals to be told", async || {
        let usage = gateway
            .key_service()
            .must("GET", path, None)
            .await
            .map_err(|error| error.to_string())?;
        let rejected = usage["rejected"].as_u64().unwrap_or_default();
        let came_from = usage["networks"]["198.51.100.0/24"].as_u64();
        if rejected >= 2
            && usage["rejected_by"] == json!({"user_suspended": rejected})
            && usage["last_rejected_at"].is_u64()
            && came_from >= Some(rejected)
            && usage["days"]
                .as_array()
                .is_some_and(|days| !days.is_empty())
        {
            Ok(())
        } else {
            Err(usage.to_string())
        }
    })
    .await
    .unwrap();
}

/// Waits until an answer of the admin API has these fields.
async fn shown(gateway: &mut Gateway, path: &str, fields: &Value) {
    wait::until(&format!("{path} to show {fields}"), async || {
        let answer = gateway
            .key_service()
            .must("GET", path, None)
            .await
            .map_err(|error| error.to_string())?;
        let fields = fields.as_object().unwrap();
        if fields.iter().all(|(name, value)| answer[name] == *value) {
            Ok(())
        } else {
            Err(answer.to_string())
        }
    })
    .await
    .unwrap();
}

/// Every way of stopping the key is refused for this reason.
async fn is_in_use(service: &KeyService, user: &str, key: &str, reason: &str) {
    for (path, status) in [
        (format!("/users/{user}"), "suspended"),
        (format!("/users/{user}"), "locked"),
        (format!("/users/{user}"), "deactivated"),
        (format!("/keys/{key}"), "disabled"),
    ] {
        let stop = json!({"status": status});
        let refused = service.admin("PATCH", &path, Some(&stop)).await.unwrap();
        assert_eq!(refused.status, 409, "{}", refused.text());
        let refused = refused.json();
        assert_eq!(refused["reason"], reason, "{refused}");
        assert_eq!(refused["keys"][0]["id"], key, "{refused}");
    }
}
