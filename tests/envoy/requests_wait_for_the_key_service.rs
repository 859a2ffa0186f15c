//! While the key service is asked, nothing passes, nothing is lost, and nobody's going away hurts others.

use serde_json::json;
use support::client::{Connection, Request};
use support::gateway::{Builder, Gateway};
use support::records;
use support::scripted::{Answer, Latch};
use support::wait;

fn patient() -> Builder {
    Gateway::scripted().settings(json!({"key_service": {"timeout": "20s"}}))
}

/// Every answer is held until the latch is opened.
fn hold(gateway: &Gateway) -> Latch {
    let latch = Latch::default();
    gateway
        .service
        .answers(Answer::Held(latch.clone(), Box::new(Answer::Records)));
    latch
}

async fn asked(gateway: &Gateway, key: &str) {
    wait::until("the key service to be asked", async || {
        if gateway.service.asked_for(key) > 0 {
            Ok(())
        } else {
            Err("it was not".to_owned())
        }
    })
    .await
    .unwrap();
}

async fn under_way(gateway: &Gateway, count: u64) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_waits_with_its_request() {
    let gateway = patient().start().await;
    let key = gateway.knows(records::active("poster"));
    let latch = hold(&gateway);
    // More than Envoy buffers of a request that waits, so that flow control has its part.
    let body = vec![b'x'; 300_000];

    let request = Request::post("/upload", &body).header("x-api-key", &key);
    let port = gateway.port();
    let client = tokio::spawn(async move { request.send(port).await });
    asked(&gateway, &key).await;
    assert!(
        gateway.upstream.arrived().is_empty(),
        "the body opened the way"
    );
    latch.open();

    let answer = client.await.unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["body_length"], body.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_in_pieces_opens_nothing() {
    let gateway = patient().start().await;
    let stranger = gateway.stranger();
    let latch = hold(&gateway);
    let request = Request::post("/upload", "0123456789").header("x-api-key", &stranger);

    let mut connection = Connection::open(gateway.port()).await.unwrap();
    connection.write(&request.head_bytes()).await.unwrap();
    asked(&gateway, &stranger).await;
    connection.write(b"01234").await.unwrap();
    connection.write(b"56789").await.unwrap();
    latch.open();
    let answer = connection.read(false).await.unwrap();

    assert_eq!(answer.header("x-keybound-code"), Some("key_unknown"));
    assert!(gateway.upstream.arrived().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_hangs_up_is_forgotten_and_the_others_are_served() {
    let gateway = patient().start().await;
    let key = gateway.knows(records::active("shared"));
    let other = gateway.knows(records::active("other"));
    let latch = hold(&gateway);
    let request = Request::get("/").header("x-api-key", &key);

    let mut connections = Vec::new();
    for key in [&key, &key, &key, &key, &other, &other] {
        let mut connection = Connection::open(gateway.port()).await.unwrap();
        connection
            .write(&Request::get("/").header("x-api-key", key).bytes())
            .await
            .unwrap();
        connections.push(connection);
    }
    asked(&gateway, &key).await;
    asked(&gateway, &other).await;
    under_way(&gateway, 6).await;
    // The first, one in the middle, and everybody who waits for the other key.
    let mut stays = Vec::new();
    for (number, connection) in connections.into_iter().enumerate() {
        if [1, 3].contains(&number) {
            stays.push(connection);
        }
    }
    under_way(&gateway, 2).await;
    latch.open();

    for mut connection in stays {
        assert_eq!(connection.read(false).await.unwrap().status, 200);
    }
    assert_eq!(
        gateway.upstream.arrived().len(),
        2,
        "who hung up got nothing"
    );
    assert_eq!(gateway.send(&request).await.status, 200);
    assert_eq!(gateway.get("/", &[("x-api-key", &other)]).await.status, 200);
    // What was asked for them was not for nothing: nobody asks again.
    for key in [&key, &other] {
        assert!(gateway.service.asked_for(key) <= 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_hangs_up_before_the_time_is_up_does_no_harm() {
    let gateway = Gateway::scripted().start().await;
    let stranger = gateway.stranger();
    gateway.service.answers(Answer::Hang);

    let mut connection = Connection::open(gateway.port()).await.unwrap();
    connection
        .write(&Request::get("/").header("x-api-key", &stranger).bytes())
        .await
        .unwrap();
    asked(&gateway, &stranger).await;
    drop(connection);
    under_way(&gateway, 0).await;
    gateway.counted("fetch.timeout", 1).await;

    gateway.service.answers(Answer::Records);
    let key = gateway.knows(records::active("later"));
    wait::until("a key to pass again", async || {
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiters_of_one_answer_all_get_theirs() {
    // More than are resumed in one go, on one worker, allowed and refused.
    let gateway = patient().workers(1).start().await;
    let good = gateway.knows(records::active("good"));
    let bad = gateway.knows(records::active("bad").user_status("deleted"));
    let latch = hold(&gateway);

    let port = gateway.port();
    let clients: Vec<_> = (0..200)
        .map(|number| {
            let key = if number % 2 == 0 { &good } else { &bad };
            let request = Request::get("/").header("x-api-key", key);
            tokio::spawn(async move { (number, request.send(port).await) })
        })
        .collect();
    under_way(&gateway, 200).await;
    latch.open();

    for client in clients {
        let (number, answer) = client.await.unwrap();
        let expected = if number % 2 == 0 { 200 } else { 403 };
        assert_eq!(answer.unwrap().status, expected);
    }
    gateway.counted("allowed", 100).await;
    gateway.counted("rejected.user_deleted", 100).await;
    assert_eq!(
        (
            gateway.service.asked_for(&good),
            gateway.service.asked_for(&bad)
        ),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_too_many_is_told_at_once() {
    let gateway = patient()
        .settings(json!({"limits": {"waiting_requests": 3}}))
        .workers(1)
        .start()
        .await;
    let known = gateway.knows(records::active("known"));
    assert_eq!(gateway.get("/", &[("x-api-key", &known)]).await.status, 200);
    let key = gateway.knows(records::active("waited-for"));
    let latch = hold(&gateway);
    let request = Request::get("/").header("x-api-key", &key);
    let port = gateway.port();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { request.send(port).await })
        })
        .collect();
    under_way(&gateway, 3).await;

    for key in [&key, &gateway.stranger()] {
        let answer = gateway.get("/", &[("x-api-key", key)]).await;
        assert_eq!(
            (answer.status, answer.header("x-keybound-code")),
            (503, Some("overloaded"))
        );
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(
        gateway.get("/", &[("x-api-key", &known)]).await.status,
        200,
        "who need not wait passes"
    );
    latch.open();

    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().status, 200);
    }
    gateway.counted("rejected.overloaded", 2).await;
}
