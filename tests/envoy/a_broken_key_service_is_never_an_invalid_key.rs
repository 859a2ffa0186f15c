//! Whatever the key service does instead of answering: known keys pass, unknown ones get 503, and nobody
//! is told that a key is wrong.

use serde_json::json;
use std::time::Duration;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::records;
use support::scripted::{Answer, http_answer};
use support::wait;

/// Asks with credentials that nobody has used until the service has seen one. Calls back off while it is
/// down, so the first may be answered without a call; every answer must be the same.
async fn met_by_the_service(gateway: &Gateway, what: &str) {
    wait::until(&format!("a call that meets: {what}"), async || {
        let stranger = gateway.stranger();
        let answer = gateway.get("/", &[("x-api-key", &stranger)]).await;
        says_unavailable(&answer, what);
        if gateway.service.asked_for(&stranger) > 0 {
            Ok(())
        } else {
            Err("no call".to_owned())
        }
    })
    .await
    .unwrap();
}

fn says_unavailable(answer: &Response, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    assert_eq!(
        answer.header("x-keybound-code"),
        Some("key_service_unavailable"),
        "{what}"
    );
    assert_eq!(answer.header("www-authenticate"), None, "{what}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    let seconds: u64 = answer
        .header("retry-after")
        .expect("retry-after")
        .parse()
        .expect("seconds");
    assert!(
        (1..=60).contains(&seconds),
        "{what}: retry after {seconds} s"
    );
    assert_eq!(
        answer.json()["title"],
        "Key verification unavailable",
        "{what}"
    );
}

async fn recovered(gateway: &Gateway) {
    let key = gateway.knows(records::active("after"));
    wait::until("the key service to be believed again", async || {
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
async fn whatever_it_answers_instead() {
    let gateway = Gateway::scripted().start().await;
    let known = gateway.knows(records::active("known"));
    let well_formed =
        json!({"as_of": 1, "results": [{"digest": records::digest("x"), "key": null}]}).to_string();
    let no_results = json!({"as_of": 1, "results": []}).to_string();
    let marker = [("x-keybound-protocol".to_owned(), "1".to_owned())];
    let half = {
        let mut bytes = http_answer(200, &marker, &[b' '; 1000]);
        bytes.truncate(bytes.len() - 500);
        bytes
    };
    let too_much = format!("{}{}", " ".repeat(2 * 1024 * 1024), well_formed);
    let unknown_but_other_version = Answer::Full {
        status: 200,
        headers: vec![("x-keybound-protocol".to_owned(), "2".to_owned())],
        body: well_formed.clone(),
    };

    let rows = [
        ("500", Answer::marked(500, "{}")),
        ("502 of a proxy in between", Answer::unmarked(502, "<html>")),
        ("404 of another service", Answer::unmarked(404, "not here")),
        ("429", Answer::marked(429, "{}").with("retry-after", "1")),
        (
            "503 with retry-after",
            Answer::marked(503, "{}").with("retry-after", "1"),
        ),
        ("the token is refused", Answer::marked(401, "{}")),
        ("the token may not", Answer::marked(403, "{}")),
        (
            "200 without the marker",
            Answer::unmarked(200, well_formed.clone()),
        ),
        ("200 of another protocol version", unknown_but_other_version),
        ("204", Answer::marked(204, "")),
        ("no JSON", Answer::marked(200, "garbage \u{0} \u{7f}")),
        ("empty", Answer::marked(200, "")),
        ("another JSON", Answer::marked(200, "[]")),
        ("deep JSON", Answer::marked(200, "[".repeat(100_000))),
        ("no result", Answer::marked(200, no_results)),
        (
            "a result for another digest",
            Answer::marked(200, well_formed),
        ),
        ("half a body", Answer::Bytes(half)),
        ("2 MiB", Answer::marked(200, too_much)),
        (
            "no HTTP",
            Answer::Bytes(b"220 mail.example ESMTP\r\n".to_vec()),
        ),
        ("the end of the connection", Answer::Close),
        ("nothing", Answer::Hang),
        (
            "an answer after the time-out",
            Answer::Late(Duration::from_secs(2), Box::new(Answer::Records)),
        ),
    ];
    for (what, answer) in rows {
        // The key that must be known to both workers, before each.
        gateway.service.answers(Answer::Records);
        recovered(&gateway).await;
        for _ in 0..8 {
            assert_eq!(gateway.get("/", &[("x-api-key", &known)]).await.status, 200);
        }
        gateway.service.answers(answer);
        met_by_the_service(&gateway, what).await;
        for _ in 0..8 {
            let answer = gateway.get("/", &[("x-api-key", &known)]).await;
            assert_eq!(
                answer.status,
                200,
                "known, while: {what}: {}",
                answer.text()
            );
        }
    }
    gateway.service.answers(Answer::Records);
    recovered(&gateway).await;
    let counters = gateway.counters().await;
    assert!(
        !counters
            .keys()
            .any(|name| name == "rejected.key_unknown" && counters[name] > 0),
        "{counters:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_result_among_good_ones_harms_only_its_own_key() {
    let gateway = Gateway::scripted()
        .settings(json!({"key_service": {"timeout": "20s"}}))
        .start()
        .await;
    let good = records::active("good");
    let bad = records::active("bad");
    gateway.secret(&good.credential);
    gateway.secret(&bad.credential);
    let good_digest = records::digest(&good.credential);
    let results = good.clone();
    gateway.service.decides(move |call| {
        let results: Vec<_> = call
            .digests()
            .iter()
            .map(|digest| {
                if *digest == good_digest {
                    results.result()
                } else {
                    json!({"digest": digest, "key": {"id": "two\r\nlines", "version": 1, "status": "active"}})
                }
            })
            .collect();
        Answer::marked(200, json!({"as_of": 1, "results": results}).to_string())
    });

    let refused = gateway.get("/", &[("x-api-key", &bad.credential)]).await;
    says_unavailable(&refused, "an id with a line break");
    wait::until("the good key to pass", async || {
        let answer = gateway.get("/", &[("x-api-key", &good.credential)]).await;
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
async fn when_it_is_gone() {
    let mut gateway = Gateway::scripted().start().await;
    let known = gateway.knows(records::active("known"));
    let suspended = gateway.knows(records::active("suspended").user_status("suspended"));
    for key in [&known, &suspended] {
        gateway.get("/", &[("x-api-key", key)]).await;
    }

    gateway.service.stop();

    for _ in 0..20 {
        says_unavailable(
            &gateway
                .get("/", &[("x-api-key", &gateway.stranger())])
                .await,
            "a stranger",
        );
        assert_eq!(gateway.get("/", &[("x-api-key", &known)]).await.status, 200);
        let answer = gateway.get("/", &[("x-api-key", &suspended)]).await;
        assert_eq!(answer.header("x-keybound-code"), Some("user_suspended"));
    }
    gateway
        .counted("rejected.key_service_unavailable", 20)
        .await;
    gateway.service.listen().await.unwrap();
    recovered(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_decided_without_it_is_decided() {
    let mut gateway = Gateway::scripted().start().await;
    gateway.service.stop();

    let missing = gateway.get("/", &[]).await;
    let malformed = gateway.get("/", &[("x-api-key", "two words")]).await;

    assert_eq!(missing.header("x-keybound-code"), Some("key_missing"));
    assert_eq!(malformed.header("x-keybound-code"), Some("key_malformed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_allowed_that_was_not_confirmed_for_too_long() {
    let mut gateway = Gateway::scripted()
        .settings(json!({"freshness": {"fresh_for": "1s", "max_staleness": "3s"}}))
        .start()
        .await;
    let known = gateway.knows(records::active("known"));
    let request = Request::get("/").header("x-api-key", &known);
    assert_eq!(gateway.send(&request).await.status, 200);

    gateway.service.stop();

    wait::until("the key to be too stale", async || {
        let answer = gateway.send(&request).await;
        if answer.status == 200 {
            return Err("still allowed".to_owned());
        }
        says_unavailable(&answer, "too stale");
        Ok(())
    })
    .await
    .unwrap();
    gateway.service.listen().await.unwrap();
    recovered(&gateway).await;
    wait::until("the key to be confirmed", async || {
        let answer = gateway.send(&request).await;
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
async fn a_cluster_that_does_not_exist() {
    let gateway = Gateway::scripted()
        .settings(json!({"key_service": {"cluster": "nowhere"}}))
        .start()
        .await;

    for _ in 0..3 {
        let stranger = gateway.stranger();
        says_unavailable(
            &gateway.get("/", &[("x-api-key", &stranger)]).await,
            "no such cluster",
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_told_to_the_operator_alone() {
    let gateway = Gateway::scripted().start().await;
    gateway.service.answers(Answer::marked(
        401,
        json!({"title": "Unauthorized"}).to_string(),
    ));
    let stranger = gateway.stranger();

    let answer = gateway.get("/", &[("x-api-key", &stranger)]).await;

    says_unavailable(&answer, "token refused");
    assert!(!answer.text().contains("token"), "{}", answer.text());
    wait::until("a warning", async || {
        let log = gateway.envoy.log();
        if log
            .lines()
            .any(|line| line.contains("[warning]") && line.contains("token"))
        {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await
    .unwrap();
}
