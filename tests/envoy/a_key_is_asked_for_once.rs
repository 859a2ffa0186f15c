//! Both caches: counted where it matters, at the key service.

use serde_json::json;
use support::client::Request;
use support::gateway::Gateway;
use support::home::Home;
use support::records;
use support::scripted::{Answer, Latch};
use support::wait;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_of_a_worker_and_the_first_of_the_other_need_no_call() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(records::active("one"));

    // The kernel deals connections out by chance: of 40, both workers get some.
    for _ in 0..40 {
        assert_eq!(gateway.get("/", &[("x-api-key", &key)]).await.status, 200);
    }

    assert_eq!(gateway.service.asked_for(&key), 1);
    gateway.counted("lookup.fetched", 1).await;
    // The workers of the dynamic module have no cache of their own for it.
    let (shared, local) = match Home::chosen() {
        Home::Wasm => (1, 38),
        Home::Native => (39, 0),
    };
    gateway.counted("lookup.shared", shared).await;
    gateway.counted("lookup.local", local).await;
    gateway.counted("fetch.ok", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_are_one_call_a_worker() {
    let gateway = Gateway::scripted()
        .settings(json!({"key_service": {"timeout": "20s"}}))
        .start()
        .await;
    let key = gateway.knows(records::active("popular"));
    let latch = Latch::default();
    gateway
        .service
        .answers(Answer::Held(latch.clone(), Box::new(Answer::Records)));

    let request = Request::get("/").header("x-api-key", &key);
    let port = gateway.port();
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { request.send(port).await })
        })
        .collect();
    active_requests(&gateway, 100).await;
    latch.open();

    for client in clients {
        let answer = client.await.unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let asked = gateway.service.asked_for(&key);
    assert!((1..=2).contains(&asked), "asked {asked} times");
    assert_eq!(gateway.upstream.arrived().len(), 100);
    gateway.counted("allowed", 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_at_once_are_asked_for_together() {
    let gateway = Gateway::scripted()
        .settings(json!({"key_service": {"timeout": "20s"}}))
        .start()
        .await;
    let keys: Vec<String> = (0..60)
        .map(|number| gateway.knows(records::active(&format!("k{number}"))))
        .collect();
    let latch = Latch::default();
    gateway
        .service
        .answers(Answer::Held(latch.clone(), Box::new(Answer::Records)));

    let port = gateway.port();
    let clients: Vec<_> = keys
        .iter()
        .map(|key| {
            let request = Request::get("/").header("x-api-key", key);
            tokio::spawn(async move { request.send(port).await })
        })
        .collect();
    active_requests(&gateway, 60).await;
    latch.open();

    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().status, 200);
    }
    for key in &keys {
        assert_eq!(gateway.service.asked_for(key), 1);
    }
    let calls = gateway.service.resolves();
    assert!(
        calls
            .iter()
            .all(|call| (1..=64).contains(&call.digests().len()))
    );
    // 8 calls of each of 2 workers may be under way; what comes later is gathered.
    assert!(calls.len() < 60, "{} calls for 60 keys", calls.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_is_remembered_by_each_worker_for_a_while() {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"negative_for": "60s"}}))
        .start()
        .await;
    let stranger = gateway.stranger();

    for _ in 0..20 {
        let answer = gateway.get("/", &[("x-api-key", &stranger)]).await;
        assert_eq!(answer.header("x-keybound-code"), Some("key_unknown"));
    }

    let asked = gateway.service.asked_for(&stranger);
    assert!((1..=2).contains(&asked), "asked {asked} times");
    gateway
        .counted("lookup.negative", 20 - u64::try_from(asked).unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_tried_too_early_works_soon_after_it_is_made() {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"negative_for": "1s"}}))
        .start()
        .await;
    let known = records::active("early");
    let request = Request::get("/").header("x-api-key", &known.credential);
    assert_eq!(
        gateway.send(&request).await.header("x-keybound-code"),
        Some("key_unknown")
    );

    gateway.knows(known);

    until_status(&gateway, &request, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_feed_a_change_is_obeyed_after_fresh_for() {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "1s"}}))
        .start()
        .await;
    let mut known = records::active("changing");
    let key = gateway.knows(known.clone());
    let request = Request::get("/").header("x-api-key", &key);
    assert_eq!(gateway.send(&request).await.status, 200);

    for (version, status, expected) in [(2, "suspended", 403), (3, "active", 200)] {
        known = known.user_status(status).user("version", version);
        gateway.service.knows(&known);
        until_status(&gateway, &request, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_never_replaces_a_newer_one() {
    let gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "1s"}}))
        .start()
        .await;
    let known = records::active("revoked")
        .key("version", 9)
        .key_status("revoked");
    let key = gateway.knows(known.clone());
    let request = Request::get("/").header("x-api-key", &key);
    assert_eq!(
        gateway.send(&request).await.header("x-keybound-code"),
        Some("key_revoked")
    );

    // A replica that lags behind tells the time before the revocation.
    gateway
        .service
        .knows(&known.key("version", 3).key_status("active"));
    let before = gateway.service.asked_for(&key);

    // It must be asked again, or nothing is shown; and whoever asks must not be let in.
    wait::until("the key to be asked for again", async || {
        assert_ne!(gateway.send(&request).await.status, 200);
        if gateway.service.asked_for(&key) > before + 1 {
            Ok(())
        } else {
            Err("it was not".to_owned())
        }
    })
    .await
    .unwrap();
    assert_ne!(gateway.send(&request).await.status, 200);
}

/// Waits until so many requests are under way in Envoy.
async fn active_requests(gateway: &Gateway, count: u64) {
    let name = "http.gateway.downstream_rq_active";
    wait::until(&format!("{count} requests under way"), async || {
        let stats = gateway
            .envoy
            .stats(name)
            .await
            .map_err(|error| error.to_string())?;
        if stats.get(name) == Some(&count) {
            Ok(())
        } else {
            Err(format!("{stats:?}"))
        }
    })
    .await
    .unwrap();
}

async fn until_status(gateway: &Gateway, request: &Request, status: u16) {
    wait::until(&format!("status {status}"), async || {
        let answer = gateway.send(request).await;
        if answer.status == status {
            Ok(())
        } else {
            Err(format!("{} {}", answer.status, answer.text()))
        }
    })
    .await
    .unwrap();
}
